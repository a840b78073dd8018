"""Reading page by page: an iteration that goes on at another node.

PURE.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from replog.client.asking import Asking
from replog.client.ops import (
    Answer,
    Call,
    Emit,
    Flow,
    Request,
    Steps,
)
from replog.client.wire import (
    ANSWER_WITHIN_S,
    Fresh,
    Value,
    committed_of,
    decode_page,
    page_request,
    path_of,
)

FRESH_WITHIN_S = 10.0

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

    def make_call(url: str, wait_s: float) -> Call:
        return Call(url, make(fresh.query(wait_s)), wait_s + ANSWER_WITHIN_S, bytes_max)

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
