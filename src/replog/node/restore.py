"""Brings a log back into an empty data directory, from the nodes that still hold it (R9).

SHELL. It connects to every member as a master would, and asks for batches without ever
welcoming anybody: no node changes because of it. node.json is written last, so that what an
interrupted restore leaves behind cannot be started.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final

from replog.core.entry import EntryId, Epoch, Head, LogId
from replog.core.errors import ConfigurationError, FormatError, ReplogError, WireError
from replog.core.messages import (
    Batches,
    Fetch,
    FetchEnd,
    Heartbeat,
    Hello,
    Message,
    Probe,
    ProbeAnswer,
    Refusal,
)
from replog.node.directory import load_state, lock_directory, new_node_id, store_state
from replog.node.inbound import BatchVerifier
from replog.node.views import Role
from replog.replication import wire
from replog.replication.dial import dial
from replog.replication.link import Connection, ConnectionLostError
from replog.storage.batch import NUMBER_MAX, BadBatch
from replog.storage.filesystem import Filesystem, PosixFilesystem
from replog.storage.log import Log
from replog.storage.node_state import NodeState

ANSWER_WITHIN_S: Final = 30.0
"""A node reads at most one window of batches from its disk for an answer."""


class RestoreError(ReplogError):
    """The log could not be brought back whole; nothing was left that could be started."""


@dataclass(frozen=True, slots=True)
class RestoreProgress:
    """How far a restore has come: the last id here, the last id there, and from where."""

    last_id: EntryId
    of_id: EntryId
    url: str


class _Line:
    """A connection to a node, on which messages go to and fro."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._codec = wire.Codec()

    async def send(self, message: Message) -> None:
        await self.connection.send(self._codec.encode(message))

    async def receive(self) -> Message:
        """Return the next message but heartbeats.

        Raises:
            ConnectionLostError: none came.
        """
        try:
            while True:
                async with asyncio.timeout(ANSWER_WITHIN_S):
                    message = self._codec.decode(await self.connection.receive())
                if not isinstance(message, Heartbeat):
                    return message
        except (TimeoutError, WireError) as error:
            reason = str(error) or f"no answer in {ANSWER_WITHIN_S:g} s"
            raise ConnectionLostError(reason) from error

    async def hang_up(self) -> None:
        with contextlib.suppress(ConnectionLostError, TimeoutError):
            async with asyncio.timeout(1.0):
                await self.connection.close("the restore ended")
        self.connection.abort()


@dataclass(slots=True)
class _Donor:
    """A node that was reached, what it said first, and the end of its log."""

    url: str
    line: _Line
    hello: Hello
    head: Head


async def restore(
    from_url: str,
    directory: str,
    *,
    force: bool = False,
    progress: Callable[[RestoreProgress], None] = lambda _: None,
    filesystem: Filesystem | None = None,
) -> Head:
    """Copy every durable batch of the log that the node at `from_url` follows.

    Also those that nobody knows to be committed, from the highest position among all
    members that can be reached. Afterwards `directory` starts as the master of that log.

    Args:
        force: go on although a secondary cannot be reached, whose log may go further.

    Raises:
        ReplogError: nothing was changed, or what is left behind cannot be started; the text
            says why and what to do.
    """
    filesystem = filesystem or PosixFilesystem()
    lock = lock_directory(filesystem, directory)
    async with contextlib.AsyncExitStack() as cleanup:
        cleanup.callback(lock.close)
        state = load_state(filesystem, directory)
        if state is not None and state.log_id is not None:
            raise ConfigurationError(
                f"{directory} holds the log {state.log_id} already; move it away, or name an "
                "empty directory"
            )
        donors = await _meet(from_url, force=force)
        cleanup.push_async_callback(_hang_up_all, donors)
        log_id = _the_log_of(donors)
        log = Log.open(filesystem, directory, is_master=True, log_id=log_id)
        cleanup.callback(log.close)
        threads = cleanup.enter_context(ThreadPoolExecutor(1))
        head = await _copy(donors, log, progress, threads)
        log.note_durable()
        store_state(filesystem, directory, _state_of_a_master(state, donors, log_id))
    return head


async def _meet(from_url: str, *, force: bool) -> list[_Donor]:
    """Connect to every member that can be reached; the furthest log comes first."""
    try:
        first = await _greet(from_url)
    except ConnectionLostError as error:
        raise RestoreError(f"cannot ask {from_url}: {error}") from error
    met, missing = [first], []
    master_url = first.hello.members[0] if first.hello.members else None
    for url in first.hello.members:
        if url == from_url:
            continue
        try:
            met.append(await _greet(url))
        except ConnectionLostError as error:
            if url != master_url:  # that one is gone, or is the one being restored
                missing.append(f"{url} ({error})")
    if missing and not force:
        await _hang_up_all(met)
        raise RestoreError(
            f"cannot ask {', '.join(missing)}: its log may go further than the others'; start "
            "it, or give --force to restore without it"
        )
    met.sort(key=lambda donor: donor.head.position, reverse=True)
    # A secondary does not wait for hours for who says nothing: the others are dialled again.
    await _hang_up_all(met[1:])
    return met


async def _greet(url: str) -> _Donor:
    """Connect to a node and learn how far its log goes.

    Raises:
        ConnectionLostError: it cannot be reached, or gives nothing.
    """
    connection = await dial(url)
    try:
        return await _learn(url, _Line(connection))
    except BaseException:
        connection.abort()
        raise


async def _learn(url: str, line: _Line) -> _Donor:
    hello = await line.receive()
    if isinstance(hello, Refusal):
        raise ConnectionLostError(hello.detail)
    await line.send(Probe(EntryId(NUMBER_MAX)))
    answer = await line.receive()
    if not isinstance(hello, Hello) or not isinstance(answer, ProbeAnswer):
        raise ConnectionLostError("it does not answer as a secondary does")
    return _Donor(url, line, hello, answer.below)


async def _hang_up_all(donors: list[_Donor]) -> None:
    for donor in donors:
        await donor.line.hang_up()


def _the_log_of(donors: list[_Donor]) -> LogId:
    logs = {donor.hello.log_id: donor.url for donor in donors if donor.hello.log_id is not None}
    if not logs:
        raise RestoreError("none of the nodes that were asked holds a log; nothing to restore")
    if len(logs) > 1:
        held = ", ".join(f"{url} holds {log_id}" for log_id, url in logs.items())
        raise RestoreError(f"the members hold different logs: {held}; name only nodes of one")
    return next(log_id for log_id in logs)


async def _copy(
    donors: list[_Donor],
    log: Log,
    progress: Callable[[RestoreProgress], None],
    threads: ThreadPoolExecutor,
) -> Head:
    """Fetch from the furthest donor; where its log is damaged, go on with the next one."""
    goal = donors[0].head
    verifier = BatchVerifier()
    problems: list[str] = []
    for number, donor in enumerate(donors):
        try:
            if number and log.head != goal:
                donor.line = _Line(await dial(donor.url))
                await donor.line.receive()  # its hello
            while log.head != goal:
                batches = await _window(donor, log.head, verifier, log.log_id, threads)
                if not batches:
                    break
                await asyncio.to_thread(_store, log, batches)
                progress(RestoreProgress(log.head.last_id, goal.last_id, donor.url))
        except (ConnectionLostError, BadBatch, FormatError) as error:
            problems.append(f"{donor.url}: {error}")
    if log.head != goal:
        why = "; ".join(problems) or "the nodes that hold the rest do not give it: it is damaged"
        raise RestoreError(
            f"the log goes to {goal}, but only {log.head} could be copied ({why}); start more "
            "nodes, empty the directory and try again"
        )
    return log.head


async def _window(
    donor: _Donor,
    after: Head,
    verifier: BatchVerifier,
    log_id: LogId | None,
    threads: ThreadPoolExecutor,
) -> list[Batches]:
    """Return some verified batches that follow on `after`; none where there are no more."""
    await donor.line.send(Fetch(after, None))
    batches: list[Batches] = []
    while True:
        message = await donor.line.receive()
        if isinstance(message, FetchEnd):
            return batches
        if not isinstance(message, Batches) or message.after != after:
            raise ConnectionLostError("it sends what was not asked for")
        await verifier.verify(message, log_id=log_id, threads=threads)
        batches.append(message)
        after = message.head


def _store(log: Log, batches: list[Batches]) -> None:
    log.append_batches(batches)
    log.sync()


def _state_of_a_master(state: NodeState | None, donors: list[_Donor], log_id: LogId) -> NodeState:
    """Return a node.json that claims the epoch after every one that was heard of.

    To restore is to take over: the log's owner so far was the directory that was lost. Two
    nodes that claim one epoch are told apart by the secondaries, who follow one (R8).
    """
    state = state or NodeState(node_id=new_node_id())
    epochs = [donor.hello.epoch for donor in donors]
    members = max((donor.hello.members for donor in donors), key=len, default=())
    return replace(
        state,
        log_id=log_id,
        role=Role.MASTER.value,
        epoch=Epoch(max(epochs) + 1),
        epoch_owner=state.node_id,
        members=members,
    )
