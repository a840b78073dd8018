"""What clients asked to be stored: an append, or one and its retries under one key.

PURE.
"""

from __future__ import annotations

from functools import cached_property
from math import inf
from operator import attrgetter

import msgspec

from replog.history.findings import quoted
from replog.history.lines import Append
from replog.history.reading import History, HistoryError


class Asked(msgspec.Struct, eq=False, gc=False):
    """Messages that are to be stored together and once, however often they were sent.

    Attributes:
        first: the first attempt in the history.
        invoked: before this moment nobody asked; attempts that were refused do not count,
            unless all were.
        answered: from this moment on it is known to be stored; infinite if it is not.
        retries: the other attempts under its key.
        place: the id of the first message in the log, once that is known; 0 is nowhere.
    """

    messages: list[str]
    first: Append
    invoked: float
    answered: float
    is_refused: bool
    retries: tuple[Append, ...] = ()
    place: int = 0

    @property
    def attempts(self) -> tuple[Append, ...]:
        return self.first, *self.retries

    @property
    def last(self) -> int:
        return self.place + len(self.messages) - 1

    def retry(self, append: Append) -> None:
        is_refused = append.outcome == "refused"
        if is_refused == self.is_refused:
            self.invoked = min(self.invoked, append.invoked)
        elif self.is_refused:
            self.invoked, self.is_refused = append.invoked, False
        self.answered = min(self.answered, answered_at(append))
        self.retries = (*self.retries, append)


class Answer(msgspec.Struct, frozen=True, eq=False, gc=False):
    """One "ok" or "pending" to an append of which the place in the log is known.

    Attributes:
        last: the id of the last message.
        copies: how many nodes hold it, the master one of them, as the answer says.
    """

    returned: float
    invoked: float
    last: int
    copies: int
    append: Append


def answered_at(append: Append) -> float:
    """Return from when on an append was known to be stored; infinite if it was not."""
    if append.returned is not None and append.outcome in {"ok", "pending"}:
        return append.returned
    return inf


class AllAsked:
    """Everything that was asked in one history, by append and by message."""

    def __init__(self, history: History) -> None:
        """Raises: HistoryError: two appends that are no retries share a message."""
        self.each: list[Asked] = []
        self.of: dict[str, Asked] = {}
        of, by_key = self.of, dict[tuple[str, tuple[str, ...]], Asked]()
        for append in history.appends:
            messages = append.messages
            asked = Asked(
                messages, append, append.invoked, answered_at(append), append.outcome == "refused"
            )
            if append.key is not None:
                before = by_key.setdefault((append.key, tuple(messages)), asked)
                if before is not asked:
                    before.retry(append)
                    continue
            self.each.append(asked)
            for message in messages:
                if of.setdefault(message, asked) is not asked:
                    raise HistoryError(
                        f"line {history.number(append)}: {quoted(message)} was appended on line "
                        f"{history.number(of[message].first)} too; only retries of one key share "
                        "their messages"
                    )

    def find(self, places: dict[str, int]) -> None:
        """Note where in the log each append stands, which begins where any of it stands."""
        get = places.get
        for asked in self.each:
            messages = asked.messages
            place = get(messages[0], 0)
            if not place and len(messages) > 1:
                place = next((got - n for n, one in enumerate(messages) if (got := get(one, 0))), 0)
                place = max(place, 0)
            asked.place = place

    @cached_property
    def answers(self) -> list[Answer]:
        """Every answer that says "stored" of what has a place in the log, earliest first."""
        found = [
            Answer(
                append.returned,
                append.invoked,
                asked.place + len(asked.messages) - 1,
                append.w if append.outcome == "ok" else 1,
                append,
            )
            for asked in self.each
            if asked.place and asked.answered != inf
            for append in ((asked.first,) if not asked.retries else asked.attempts)
            if append.returned is not None and append.outcome in {"ok", "pending"}
        ]
        return sorted(found, key=attrgetter("returned"))
