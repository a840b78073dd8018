"""The runs of `replog bench`: threads with the Python client, and a clock around each request.

NETWORK.
"""

from __future__ import annotations

import functools
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from replog.cli.append_call import as_write_concern
from replog.cli.node import AskedNode
from replog.cli.output import CommandError, ExitCode, fail
from replog.client import Client, ClientError

if TYPE_CHECKING:
    from replog.cli.bench import What

FOLLOW_WITHIN_S = 30.0
MARK_BYTES = 39
"""How long a message must be at least so that a follower knows it as one of this run."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run does."""

    url: str
    entries: int
    size: int
    batch: int
    clients: int
    concern: int | str

    def shares(self) -> list[int]:
        """Return how many entries each client takes."""
        share, rest = divmod(self.entries, self.clients)
        return [share + (at < rest) for at in range(self.clients)]


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of a run.

    Attributes:
        times_s: ascending.
    """

    entries: int
    message_bytes: int
    elapsed_s: float
    times_s: Sequence[float]

    def percentile(self, part: float) -> float:
        """Return the smallest time that `part` of all do not exceed (nearest rank)."""
        rank = max(1, -(-len(self.times_s) * round(part * 1000) // 1000))
        return self.times_s[rank - 1]


@dataclass(frozen=True, slots=True)
class _Share:
    """What one client did."""

    entries: int
    message_bytes: int
    times_s: list[float]


def measure(node: AskedNode, what: What, plan: Plan) -> Measured:
    """Perform a run.

    Raises:
        CommandError: a request failed: a run is whole or it is none.
    """
    runs = {"append": _append, "read": _read, "tail": _tail}
    try:
        return runs[what.value](node, plan)
    except ClientError as error:
        raise node.explained(error) from error


def _append(node: AskedNode, plan: Plan) -> Measured:
    w = as_write_concern(plan.concern)
    message = "x" * plan.size

    def run(client: Client, share: int) -> _Share:
        times: list[float] = []
        for size in _batches(share, plan.batch):
            began = time.perf_counter()
            if plan.batch == 1:
                client.append(message, w=w)
            else:
                client.append_many([message] * size, w=w)
            times.append(time.perf_counter() - began)
        return _Share(share, share * plan.size, times)

    return _together(node.url, plan, run)


def _read(node: AskedNode, plan: Plan) -> Measured:
    committed = node.committed()
    if committed == 0:
        fail("the log is empty: there is nothing to read", ExitCode.NOT_FOUND)

    def run(client: Client, share: int) -> _Share:
        times: list[float] = []
        read_bytes, first = 0, 1
        for wanted in _batches(share, plan.batch):
            left = wanted
            while left:  # from its end the log is read again from the beginning
                size = min(left, committed + 1 - first)
                began = time.perf_counter()
                page = list(client.read(first, size, page=size))
                times.append(time.perf_counter() - began)
                if len(page) != size:
                    raise CommandError("a page is not whole", ExitCode.ENVIRONMENT)
                read_bytes += sum(len(entry.message.encode()) for entry in page)
                left -= size
                first = 1 if first + size > committed else first + size
        return _Share(share, read_bytes, times)

    return _together(node.url, plan, run)


def _tail(node: AskedNode, plan: Plan) -> Measured:
    """Append at the master, and let each client follow the named node."""
    w = as_write_concern(plan.concern)
    mark = f"bench {uuid.uuid4().hex} "
    message = mark + "x" * max(0, plan.size - len(mark))
    first = node.committed() + 1
    batches = _batches(plan.entries, plan.batch)
    ready = threading.Barrier(plan.clients + 1, timeout=FOLLOW_WITHIN_S)

    def follow() -> list[float]:
        """Return when each batch had arrived whole."""
        arrived: list[float] = []
        seen, due = 0, batches[0]
        with Client(plan.url, retry_for=FOLLOW_WITHIN_S) as client:
            ready.wait()
            for entry in client.follow(first, retry_for=FOLLOW_WITHIN_S):
                seen += entry.message == message
                if seen == due:
                    arrived.append(time.perf_counter())
                    if len(arrived) == len(batches):
                        break
                    due += batches[len(arrived)]
        return arrived

    with Client(plan.url, retry_for=0) as client:
        followers = [_started(follow) for _ in range(plan.clients)]
        ready.wait()
        began = time.perf_counter()
        sent: list[float] = []
        for size in batches:
            sent.append(time.perf_counter())
            client.append_many([message] * size, w=w)
        times = [
            at - start
            for follower in followers
            for start, at in zip(sent, follower.result(), strict=True)
        ]
    elapsed = time.perf_counter() - began
    size_bytes = plan.entries * len(message)
    return Measured(plan.entries, size_bytes, elapsed, sorted(times))


def _together(url: str, plan: Plan, run: Callable[[Client, int], _Share]) -> Measured:
    """Let every client do its share, beginning at the same moment."""
    ready = threading.Barrier(plan.clients + 1, timeout=FOLLOW_WITHIN_S)

    def work(share: int) -> _Share:
        with Client(url, retry_for=0) as client:
            ready.wait()
            return run(client, share)

    working = [_started(functools.partial(work, share)) for share in plan.shares()]
    ready.wait()
    began = time.perf_counter()
    done = [one.result() for one in working]
    elapsed = time.perf_counter() - began
    return Measured(
        sum(one.entries for one in done),
        sum(one.message_bytes for one in done),
        elapsed,
        sorted(second for one in done for second in one.times_s),
    )


def _started(work: Callable[[], T]) -> Future[T]:
    """Start a thread that nobody has to wait for: Ctrl-C, or a failure, ends the run at once."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except (ClientError, CommandError) as error:
            future.set_exception(error)
        except BaseException as error:
            future.set_exception(error)
            raise

    threading.Thread(target=run, name="replog-bench", daemon=True).start()
    return future


def _batches(entries: int, size: int) -> list[int]:
    whole, rest = divmod(entries, size)
    return [size] * whole + ([rest] if rest else [])
