"""Reading page by page, and following: iterations that go on at another node.

PURE.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from functools import partial

from replog.client.asking import Asking
from replog.client.errors import ClientError, OtherLogError, UnreachableError
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
    call,
    more,
    open_stream,
)
from replog.client.policy import Again, Elsewhere, Final, judge, most_telling
from replog.client.wire import (
    Fresh,
    Lines,
    Value,
    committed_of,
    decode_page,
    decode_status,
    page_request,
    path_of,
    stream_request,
)

ANSWER_WITHIN_S = 10.0
FRESH_WITHIN_S = 10.0
SILENCE_S = 30.0
"""A stream says something every 10 s."""

FIRST_PAGE = 100
PAGE_MAX = 10_000
PAGE_BYTES = 2 << 20
"""Pages grow to this size: entries are from 30 bytes to 1 MiB, and a page is held in memory."""
PAGE_BYTES_MAX = 8 << 20
"""Where a page is cut that came out larger, because entries are larger from there on."""

MakeRequest = Callable[[Mapping[str, Value]], Request]


@dataclass(frozen=True, slots=True)
class Where:
    """Which part of the log to read; `from_`, `last` and `since` exclude each other."""

    from_: int | None
    limit: int | None
    last: int | None
    since: str | None
    page: int | None

    def __post_init__(self) -> None:
        if sum(value is not None for value in (self.from_, self.last, self.since)) > 1:
            raise ValueError("give one of from_, last and since")
        if self.from_ is not None and self.from_ < 1:
            raise ValueError(f"ids begin with 1, got from_={self.from_}")
        if self.page is not None and self.page < 1:
            raise ValueError(f"a page has at least one entry, got page={self.page}")


def ask(
    asking: Asking, make: MakeRequest, fresh: Fresh, *, bytes_max: int | None = None
) -> Flow[Answer]:
    """Ask any node that is as fresh as `fresh` says."""
    fresh_within_s = FRESH_WITHIN_S if fresh.timeout_s is None else fresh.timeout_s

    def make_call(url: str, elapsed_s: float) -> Call:
        left_s = max(0.0, fresh_within_s - elapsed_s)
        return Call(url, make(fresh.query(left_s)), left_s + ANSWER_WITHIN_S, bytes_max)

    return (
        yield from asking.any_node(
            make_call, within_s=fresh.timeout_s, fresh_within_s=fresh_within_s
        )
    )


def read_pages(asking: Asking, where: Where, fresh: Fresh) -> Steps:
    """Emit the entries that were committed when the first page was asked for."""
    left, next_id, since = where.limit, where.from_ or 1, where.since
    page = where.page or FIRST_PAGE
    end: int | None = None
    if where.last is not None:
        end = yield from committed(asking, fresh)
        fresh = replace(fresh, min_id=end or None, max_lag_s=None, level=None)
        next_id = max(1, end - where.last + 1)
    while left is None or left > 0:
        size = page if left is None else min(page, left)
        if end is not None:
            size = min(size, end - next_id + 1)
        if size <= 0:
            return
        start: dict[str, Value]
        start = {"from": next_id} if since is None else {"since": since}
        wanted = partial(_page, {**start, "limit": size})
        answer = yield from ask(
            asking, wanted, fresh, bytes_max=PAGE_BYTES_MAX if size > 1 else None
        )
        entries = decode_page(answer)
        if end is None:
            # Later pages may come from a node that is behind: it waits until it shows as much.
            end = committed_of(answer)
            fresh = replace(fresh, min_id=end or None, max_lag_s=None, level=None)
        if not entries and answer.is_cut:
            page = 1  # an entry that is larger than a page: alone it is taken whole
            continue
        if not entries:
            return
        since, next_id = None, entries[-1].id + 1
        if where.page is None:
            page = max(1, min(PAGE_MAX, PAGE_BYTES * len(entries) // len(answer.body)))
        if left is not None:
            left -= len(entries)
        asking.nodes.saw(entries[-1].id)
        yield Emit(entries)


def _page(where: Mapping[str, Value], query: Mapping[str, Value]) -> Request:
    return page_request({**where, **query})


def committed(asking: Asking, fresh: Fresh) -> Flow[int]:
    """Return up to where a node shows the log."""
    answer = yield from ask(asking, lambda query: Request("HEAD", path_of("/logs", query)), fresh)
    return committed_of(answer)


def follow_log(asking: Asking, first: int | None, *, retry_for_s: float | None) -> Steps:
    """Emit each entry from `first` on once; None is behind what is committed now."""
    next_id = first
    if next_id is None:
        # Fixed here: a stream that breaks before its first entry must not begin later.
        seen = asking.nodes.seen_id
        next_id = 1 + (yield from committed(asking, Fresh(seen or None)))
    patience = asking.patience()
    log_id: str | None = None
    while True:
        errors: list[ClientError] = []
        after_s = 0.0
        for url in asking.nodes.to_read():
            opened: Opened | Answer | Failed
            opened = yield from call(Call(url, Request("GET", "/health"), ANSWER_WITHIN_S))
            if isinstance(opened, Answer) and opened.status == 200:
                log_id = _same_log(log_id, decode_status(opened))
                opened = yield from open_stream(Open(url, stream_request(next_id), SILENCE_S))
            if isinstance(opened, Opened):
                patience.retry_for_s = retry_for_s
                asking.nodes.answers_reads(url)
                patience.is_alive()
                before = next_id
                next_id = yield from _to_its_end(asking, next_id)
                asking.nodes.failed_reads(url)
                if next_id > before:
                    patience.restore()
                errors.append(UnreachableError(f"{url}: the stream ended"))
                break
            match judge(opened):
                case Final(error):
                    raise error
                case Again(error, pause_s):
                    after_s = max(after_s, pause_s)
                    errors.append(error)
                case Elsewhere(error):
                    errors.append(error)
                case Answer():
                    errors.append(UnreachableError(f"{url} answered, and no stream"))
        pause_s_or_end = patience.pause_s(at_least_s=after_s)
        if pause_s_or_end is None:
            raise most_telling(errors)
        yield Pause(pause_s_or_end)


def _same_log(known: str | None, node: NodeStatus) -> str | None:
    """Return the log_id that is known now; None while only empty nodes answered.

    Raises:
        OtherLogError: going on there would mix two logs.
    """
    if known is not None and node.log_id not in {known, None}:
        raise OtherLogError(f"{node.url} holds the log {node.log_id}, and {known} was followed")
    return node.log_id or known


def _to_its_end(asking: Asking, next_id: int) -> Generator[Op | Emit, Outcome, int]:
    """Emit what the open stream brings; return the id behind the last one."""
    lines = Lines()
    while True:
        chunk = yield from more()
        if isinstance(chunk, Failed) or not chunk.data:
            yield Shut()
            return next_id
        # A node sends what it was asked for; what is not the next entry is not handed on.
        entries = [entry for entry in lines.feed(chunk.data) if entry.id >= next_id]
        if [entry.id for entry in entries] != list(range(next_id, next_id + len(entries))):
            yield Shut()
            return next_id
        if entries:
            next_id = entries[-1].id + 1
            asking.nodes.saw(next_id - 1)
            yield Emit(entries)
