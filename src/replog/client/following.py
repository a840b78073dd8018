"""Following the log: each entry once and in order, from whichever node gets what is new.

PURE.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field

from replog.client.asking import Asking, Failures
from replog.client.errors import NotANodeError, OtherLogError, UnreachableError
from replog.client.iterations import committed
from replog.client.model import NodeStatus
from replog.client.ops import (
    Answer,
    Call,
    Emit,
    Failed,
    Flow,
    Op,
    Open,
    Opened,
    Outcome,
    Pause,
    Request,
    Shut,
    Steps,
    T,
    call,
    more,
    open_stream,
)
from replog.client.policy import Again, Final, Patience, Verdict, judge, most_telling
from replog.client.wire import ANSWER_WITHIN_S, Fresh, Lines, decode_status, stream_request

SILENCE_S = 30.0
"""A stream says something every 10 s."""
SILENT_BEATS = 3
"""After so many signs of life without an entry, 15 to 30 s, a follower looks around."""

LOG_IS_ELSEWHERE = "log-found-elsewhere"
WITHOUT_NEWS = frozenset({"no-master", "superseded", LOG_IS_ELSEWHERE})
"""What a node says of itself that nothing new comes to: its stream stays open and silent."""

Following = Generator[Op | Emit, Outcome, T]


def follow_log(asking: Asking, first: int | None, *, retry_for_s: float | None) -> Steps:
    """Emit each entry from `first` on once; None is behind what is committed now."""
    next_id = first
    if next_id is None:
        # Fixed here: a stream that breaks before its first entry must not begin later.
        seen = asking.nodes.seen_id
        next_id = 1 + (yield from committed(asking, Fresh(seen or None)))
    follower = _Follower(asking, next_id, retry_for_s, asking.patience())
    while True:
        failures = yield from follower.follow_one()
        pause_s = follower.patience.pause_s(at_least_s=failures.after_s)
        if pause_s is None:
            raise most_telling(failures.errors)
        yield Pause(pause_s)


@dataclass(slots=True)
class _Follower:
    """How far one iteration is.

    Attributes:
        next_id: the entry to emit next.
        retry_for_s: for `patience`, once a node was reached.
        log_id: of the log that is followed; None until a stream was open.
    """

    asking: Asking
    next_id: int
    retry_for_s: float | None
    patience: Patience
    log_id: str | None = field(default=None)

    def follow_one(self) -> Following[Failures]:
        """Follow one node to the end of its stream; return why nobody is followed now.

        A node that nothing new comes to is followed only where no other one is there: what it
        shows is true, and it may be all that is left.
        """
        failures = Failures()
        cut_off: list[NodeStatus] = []
        for url in self.asking.nodes.to_read():
            node = yield from self._look_at(url, failures)
            if node is None:
                continue
            if node.status in WITHOUT_NEWS:
                cut_off.append(node)
            elif (yield from self._stream(node, failures)):
                return failures
        for node in cut_off:
            if (yield from self._stream(node, failures)):
                return failures
        return failures

    def _look_at(self, url: str, failures: Failures) -> Flow[NodeStatus | None]:
        """Return how a node is that can be followed; note in `failures` why one cannot.

        Raises:
            OtherLogError: going on there would mix two logs.
            ClientError: trying again would not change it.
        """
        verdict = judge((yield from call(_health(url))))
        if not isinstance(verdict, Answer):
            _note(verdict, failures)
            return None
        node = decode_status(verdict)
        if node.log_id is None or node.status == LOG_IS_ELSEWHERE:
            # Whichever log it gets, it is not known to be the one that is followed elsewhere.
            self._is_reached()
            failures.errors.append(UnreachableError(f"{url} holds no log yet"))
            return None
        if self.log_id not in {None, node.log_id}:
            raise OtherLogError(
                f"{url} holds the log {node.log_id}, and {self.log_id} was followed"
            )
        return node

    def _is_reached(self) -> None:
        self.patience.retry_for_s = self.retry_for_s
        self.patience.is_alive()

    def _stream(self, node: NodeStatus, failures: Failures) -> Following[bool]:
        """Follow a node to the end of its stream; False where none was opened."""
        url, nodes = node.url, self.asking.nodes
        opened = yield from open_stream(Open(url, stream_request(self.next_id), SILENCE_S))
        if not isinstance(opened, Opened):
            verdict = judge(opened)
            if isinstance(verdict, Answer):
                verdict = Again(UnreachableError(f"{url} answered, and no stream"))
            _note(verdict, failures)
            return False
        self.log_id = node.log_id
        self._is_reached()
        nodes.answers_reads(url)
        before = self.next_id
        yield from self._to_its_end(url)
        nodes.failed_reads(url)
        if self.next_id > before:
            self.patience.restore()
        failures.errors.append(UnreachableError(f"{url}: the stream ended"))
        return True

    def _to_its_end(self, url: str) -> Following[None]:
        """Emit what the open stream brings, until it ends or another node is to be followed."""
        lines = Lines()
        beats = 0
        while True:
            chunk = yield from more()
            if isinstance(chunk, Failed) or not chunk.data:
                break
            # A node sends what it was asked for; what is not the next entry is not handed on.
            entries = [entry for entry in lines.feed(chunk.data) if entry.id >= self.next_id]
            wanted = range(self.next_id, self.next_id + len(entries))
            if [entry.id for entry in entries] != list(wanted):
                break
            if entries:
                self.next_id = entries[-1].id + 1
                self.asking.nodes.saw(self.next_id - 1)
                yield Emit(entries)
            beats = 0 if chunk.data.strip() else beats + 1
            if beats == SILENT_BEATS:
                beats = 0
                if (yield from self._is_cut_off(url)):
                    break
        yield Shut()

    def _is_cut_off(self, url: str) -> Flow[bool]:
        """Return whether nothing new comes to a node, and another one is there to which it does."""
        others = [other for other in self.asking.nodes.to_read() if other != url]
        if not others or (yield from self._has_news(url)) is not False:
            return False
        for other in others:
            if (yield from self._has_news(other)):
                return True
        return False

    def _has_news(self, url: str) -> Flow[bool | None]:
        """Return whether a node gets what is new of this log; None: it does not say."""
        verdict = judge((yield from call(_health(url))))
        if not isinstance(verdict, Answer):
            return None
        try:
            node = decode_status(verdict)
        except NotANodeError:
            return None
        return node.log_id == self.log_id and node.status not in WITHOUT_NEWS


def _health(url: str) -> Call:
    return Call(url, Request("GET", "/health"), ANSWER_WITHIN_S)


def _note(verdict: Verdict, failures: Failures) -> None:
    """Raises: ClientError: trying again would not change it."""
    assert not isinstance(verdict, Answer), verdict
    if isinstance(verdict, Final):
        raise verdict.error
    failures.add(verdict)
