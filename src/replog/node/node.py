"""One running node, as the HTTP server and the command line see it.

SHELL. A core that decides, its log, its links and its clients, on one event loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import asdict
from functools import partial
from typing import Final

from starlette.websockets import WebSocket

from replog.config import Settings
from replog.config.texts import shown
from replog.core.effects import AppendOutcome, Refused
from replog.core.entry import TICK_S, EntryId, Head, LogId, Tick, ticks
from replog.core.errors import DamagedLogError
from replog.core.events import (
    DelayChanged,
    LinkId,
    RequestId,
    SecondaryIndex,
    StopRequested,
)
from replog.core.master import Master
from replog.core.secondary import Secondary
from replog.core.write_concern import WriteConcern
from replog.node.clients import Answered, Clients
from replog.node.cores import new_master, new_secondary
from replog.node.directory import DataDirectory, open_directory
from replog.node.effects import Performer
from replog.node.feed import Feed
from replog.node.health_view import (
    master_health,
    master_readiness,
    secondary_health,
    secondary_readiness,
)
from replog.node.links import NodeLinks
from replog.node.receipts import TimesOfDay, receipt
from replog.node.serving import Pages, read_entries
from replog.node.stepper import Stepper
from replog.node.trail import Trail
from replog.node.views import ANY, Freshness, Health, ReadPoint, Receipt, Role
from replog.node.writer import NoteDurable, Writer
from replog.replication.dial import Dialler
from replog.replication.endpoint import serve_link
from replog.storage.filesystem import Filesystem, PosixFilesystem
from replog.storage.pages import Page

_log = logging.getLogger("replog.node")

NOTE_DURABLE_EVERY: Final = ticks(1.0)
SCRUB_EVERY: Final = ticks(30.0)
"""One sealed segment (16 MiB, about 0.1 s of one core) at a time: 1 GiB in half an hour."""
READING_THREADS: Final = 4
STOP_WITHIN_S: Final = 0.2
"""What a stop gives the disk for its last batch and its last note. A node that ends without
them loses nothing: the next start verifies the batches after the last note."""


async def start_node(settings: Settings, *, filesystem: Filesystem | None = None) -> Node:
    """Open the data directory and start the node on the running event loop.

    Raises:
        ReplogError: it cannot start; the text says why and what to do.
    """
    role = Role(settings.role)
    effective = [f"{name}={shown(value)}" for name, value in asdict(settings).items()]
    _log.info("starting as %s: %s", role, ", ".join(effective))
    directory = open_directory(
        filesystem or PosixFilesystem(),
        settings.data_dir,
        role=role,
        take_over=settings.take_over,
        accept_loss=settings.accept_loss,
    )
    log = directory.log
    for cut in log.cuts:
        files = [moved.path for moved in cut.quarantined]
        _log.warning("cut off: %s: %s", cut.reason, ", ".join(files), extra={"files": files})
    for notice in log.notices:
        _log.warning("%s", notice)
    _log.info(
        "opened %s: node %s, log %s, head %s",
        directory.path,
        directory.state.node_id,
        log.log_id,
        log.durable,
    )
    return Node(settings, directory)


class Node:
    """A node from its start to its stop. All calls are made on its event loop.

    Attributes:
        role: what it was started as.
        stopping: set when the node begins to stop; streams and waiters end by themselves.
        fatal: set when the node cannot go on; `fatal_reason` says why, and the process must
            end with a status of 1.
    """

    def __init__(self, settings: Settings, directory: DataDirectory) -> None:
        self.role = Role(settings.role)
        self.stopping = asyncio.Event()
        self.fatal = asyncio.Event()
        self.fatal_reason = ""
        self._disk_log = directory.log
        self._threads = ThreadPoolExecutor(READING_THREADS, thread_name_prefix="replog-reader")
        self._times_of_day = TimesOfDay()
        self._noted = directory.log.durable.last_id
        self._next_note = Tick(0)
        self._next_scrub = SCRUB_EVERY
        self._is_stop_requested = False
        self._stopped: asyncio.Task[None] | None = None
        trail = Trail(
            directory.log.durable.last_id,
            shown=min(directory.log.known_committed, directory.log.durable.last_id),
            link_name=self._link_name,
        )
        self._stepper = Stepper(
            is_precise=self._is_precise, on_tick=self._on_tick, failed=self._lose_core, trail=trail
        )
        self._writer = Writer(
            directory, post=self._stepper.handle, rejected=self._reject, failed=self._fail
        )
        self._clients = Clients(self._stepper)
        self._performer = Performer(
            log=directory.log,
            writer=self._writer,
            clients=self._clients,
            threads=self._threads,
            handle=self._stepper.handle,
            failed=self._fail,
        )
        self._pages = Pages(directory.log, self._threads, found_damage=self._performer.tell_damage)
        self._links = NodeLinks(
            self.role,
            directory.log,
            open_links=self._performer.links,
            threads=self._threads,
            handle=self._stepper.handle,
        )
        self._diallers: list[asyncio.Task[None]] = []
        self._core: Master | Secondary
        if self.role is Role.MASTER:
            self._core = new_master(settings, directory, now=self._stepper.now)
        else:
            self._core = new_secondary(settings, directory, now=self._stepper.now)
        self._stepper.begin(self._core, self._performer.perform)
        if self.role is Role.MASTER:
            for index, url in enumerate(settings.secondaries):
                self._dial(Dialler(SecondaryIndex(index), url, self._links))

    # --- clients ------------------------------------------------------------------------

    async def append(
        self,
        messages: tuple[bytes, ...],
        *,
        concern: WriteConcern | None = None,
        timeout_s: float | None = None,
        keys: tuple[str | None, ...] = (),
        expect: EntryId | None = None,
    ) -> AppendOutcome:
        """Store `messages` (JSON strings, encoded) as one run of entries.

        Returns when the write concern is met, the timeout passed, or the node stops. If the
        caller is cancelled, its client hung up: what was stored stays stored.
        Raises: NodeFailedError.
        """
        return await self._clients.outcome(
            partial(
                self.begin_append,
                messages,
                concern=concern,
                timeout_s=timeout_s,
                keys=keys,
                expect=expect,
            )
        )

    def begin_append(
        self,
        messages: tuple[bytes, ...],
        *,
        concern: WriteConcern | None = None,
        timeout_s: float | None = None,
        keys: tuple[str | None, ...] = (),
        expect: EntryId | None = None,
        answered: Answered,
    ) -> RequestId:
        """Do as `append` without a task: `answered` takes the outcome, after this has returned."""
        assert self.role is Role.MASTER, "only a master takes appends"
        return self._clients.begin_append(
            messages,
            keys=keys,
            expect=expect,
            concern=concern,
            timeout_s=timeout_s,
            answered=answered,
        )

    def abandon(self, request: RequestId) -> None:
        """Take word that the client of a begun append hung up: it is not answered any more."""
        self._clients.abandon(request)

    async def receipt(
        self, id: EntryId, *, concern: WriteConcern | None, timeout_s: float | None
    ) -> Receipt | Refused:
        """Wait until `concern` is met for the stored entry `id`, then say who holds it."""
        assert isinstance(self._core, Master), "only a master counts acknowledgements"
        outcome = await self._clients.outcome(
            partial(self._clients.begin_acks, id, concern=concern, timeout_s=timeout_s)
        )
        if isinstance(outcome, Refused):
            return outcome
        loop = asyncio.get_running_loop()
        made_at = await loop.run_in_executor(self._threads, self._disk_log.time_of, id)
        times = self._times_of_day
        return receipt(self._core, outcome, concern=concern, made_at=made_at, times=times)

    async def read_point(self, freshness: Freshness = ANY) -> ReadPoint:
        """Return where a read that starts now ends, as soon as that is known (R7, P4)."""
        return await self._clients.read_point(freshness)

    def read_point_now(self) -> ReadPoint | None:
        """Return what `read_point` does where the core says it at once; else None."""
        return self._clients.read_point_now()

    async def entries(self, first: EntryId, last: EntryId) -> AsyncIterator[bytes]:
        """Yield the lines of the entries from `first` to `last`, in chunks.

        See `serving.read_entries` for what it raises.
        """
        lines = read_entries(
            self._disk_log, first, last, stopping=self.stopping, threads=self._threads
        )
        try:
            async with aclosing(lines):
                async for chunk in lines:
                    yield chunk
        except DamagedLogError:
            self._performer.tell_damage()
            raise

    async def hash_at(self, id: EntryId) -> bytes:
        """Return the hash at the end of the batch that holds `id`. Raises: DamagedLogError."""
        return await self._pages.hash_at(id)

    async def first_since(self, time_ms: int) -> EntryId:
        """Return the first id whose batch was made then or later. Raises: DamagedLogError."""
        return await self._pages.first_since(time_ms)

    def page_at_hand(self, first: EntryId, last: EntryId) -> Page | None:
        """Return a small page of committed entries: see `serving.Pages.at_hand`."""
        return self._pages.at_hand(first, last)

    # --- what it tells of itself --------------------------------------------------------

    @property
    def log_id(self) -> LogId | None:
        """None while this node holds no log."""
        return self._disk_log.log_id

    @property
    def head(self) -> Head:
        """The durable head of this node's log."""
        return self._disk_log.durable

    @property
    def feed(self) -> Feed:
        """What becomes visible here, for those who follow the log."""
        return self._performer.feed

    @property
    def master_url(self) -> str | None:
        """Where a secondary's master takes appends, as it told last; None while unknown."""
        if not isinstance(self._core, Secondary):
            return None
        facts = self._core.facts
        return facts.master_url or next(iter(facts.members), None)

    @property
    def delay_s(self) -> float:
        """A secondary's injected latency (R12); 0 on a master."""
        return self._core.delay * TICK_S if isinstance(self._core, Secondary) else 0.0

    def set_delay(self, seconds: float) -> None:
        """Hold batches for `seconds` before storing them, no longer if held already (R12)."""
        assert self.role is Role.SECONDARY, "only a secondary has a delay"
        _log.info("delay set to %g s", seconds)
        self._stepper.handle(DelayChanged(ticks(seconds)))

    def health(self) -> Health:
        """Return the node's own view of itself and of the nodes it has links with."""
        shown, is_stopping = self.feed.shown_id, self.stopping.is_set()
        if isinstance(self._core, Master):
            return master_health(self._core, shown=shown, is_stopping=is_stopping)
        return secondary_health(self._core, shown=shown, is_stopping=is_stopping)

    def readiness(self) -> tuple[str, ...]:
        """Return why this node does not do its work now; empty where it does."""
        if self.fatal_reason:
            return (self.fatal_reason,)
        if isinstance(self._core, Master):
            return master_readiness(self._core, is_stopping=self.stopping.is_set())
        return secondary_readiness(self._core, is_stopping=self.stopping.is_set())

    # --- links --------------------------------------------------------------------------

    async def accept_link(self, websocket: WebSocket) -> None:
        """Serve a link that another node opened, to its end."""
        if self.stopping.is_set():
            await websocket.close(1012)
            return
        await serve_link(websocket, self._links)

    def _link_name(self, link: LinkId) -> str:
        return self._links.name(link)

    def _reject(self, reason: str) -> None:
        self._links.reject(reason)

    def _dial(self, dialler: Dialler) -> None:
        task = asyncio.ensure_future(dialler.run())
        task.add_done_callback(self._dialler_ended)
        self._diallers.append(task)

    def _dialler_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a defect in the program ended a link for good", exc_info=error)
            self._fail(f"{type(error).__name__}: {error}")

    # --- time ---------------------------------------------------------------------------

    def _is_precise(self) -> bool:
        if isinstance(self._core, Secondary) and self._core.facts.intake.held:
            return True
        return self._clients.is_timed

    def _on_tick(self, now: Tick) -> None:
        """Have the durable mark noted while it moves, and old segments verified again."""
        durable = self._disk_log.durable.last_id
        if now >= self._next_note and durable != self._noted:
            self._next_note = Tick(now + NOTE_DURABLE_EVERY)
            self._noted = durable
            self._writer.submit(NoteDurable())
        if now >= self._next_scrub:
            self._next_scrub = Tick(now + SCRUB_EVERY)
            self._performer.scrub()

    # --- the end ------------------------------------------------------------------------

    def _fail(self, reason: str) -> None:
        """The node cannot go on: say why once, have the core answer who waits, and end."""
        if self.fatal_reason:
            return
        self.fatal_reason = reason
        _log.critical("the node ends: %s", reason)
        self.request_stop()
        self.fatal.set()

    def _lose_core(self, reason: str) -> None:
        """A defect has ended the core, which answers nobody any more."""
        self._fail(reason)
        self._clients.give_up(reason)

    def request_stop(self) -> None:
        """Answer everybody who waits, end reads in the middle; links go on until `stop`."""
        self.stopping.set()
        if not self._is_stop_requested:
            self._is_stop_requested = True
            self._stepper.handle(StopRequested())
            self._performer.is_quiet = True

    async def stop(self) -> None:
        """End the node: links, the writing thread, the data directory. Never fails."""
        if self._stopped is None:
            self._stopped = asyncio.ensure_future(self._stop())
        await asyncio.shield(self._stopped)

    async def _stop(self) -> None:
        self.request_stop()
        await self._links.close_all()
        for dialler in self._diallers:
            dialler.cancel()
        await asyncio.gather(*self._diallers, return_exceptions=True)
        # The core takes what comes of the last batch before its log is closed under it.
        if not await self._writer.finish(self._stepper.end, within_s=STOP_WITHIN_S):
            _log.warning("the disk did not finish in time; ending without it")
        self._threads.shutdown(wait=False, cancel_futures=True)
        _log.info("stopped; the log ends at %s", self._disk_log.durable)
