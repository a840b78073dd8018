"""What clients asked to be stored: an append, or one and its retries under one key.

PURE.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf

from replog.history.lines import Append
from replog.history.reading import History, HistoryError


@dataclass(slots=True, eq=False)
class Asked:
    """Messages that are to be stored together and once, however often they were sent.

    Attributes:
        attempts: in the order of the history.
        invoked: before this moment nobody asked; attempts that were refused do not count,
            unless all were.
        answered: from this moment on it is known to be stored; infinite if it is not.
        place: the id of the first message in the log, once that is known; 0 is nowhere.
    """

    messages: list[str]
    attempts: list[Append]
    invoked: float
    answered: float
    is_refused: bool
    place: int = 0

    @property
    def is_stored(self) -> bool:
        """An answer said so."""
        return self.answered != inf

    @property
    def last(self) -> int:
        return self.place + len(self.messages) - 1

    def retry(self, append: Append) -> None:
        if append.outcome == "refused":
            if self.is_refused:
                self.invoked = min(self.invoked, append.invoked)
        elif self.is_refused:
            self.invoked, self.is_refused = append.invoked, False
        else:
            self.invoked = min(self.invoked, append.invoked)
        self.answered = min(self.answered, _answered(append))
        self.attempts.append(append)


def _answered(append: Append) -> float:
    if append.returned is not None and append.outcome in {"ok", "pending"}:
        return append.returned
    return inf


class AllAsked:
    """Everything that was asked in one history, by append and by message."""

    def __init__(self, history: History) -> None:
        """Raises: HistoryError: two appends that are no retries share a message."""
        self.each: list[Asked] = []
        self.of: dict[str, Asked] = {}
        by_key: dict[tuple[str, tuple[str, ...]], Asked] = {}
        for append in history.appends:
            name = None if append.key is None else (append.key, tuple(append.messages))
            if name is not None and name in by_key:
                by_key[name].retry(append)
                continue
            asked = Asked(
                append.messages,
                [append],
                append.invoked,
                _answered(append),
                append.outcome == "refused",
            )
            if name is not None:
                by_key[name] = asked
            self.each.append(asked)
            for message in append.messages:
                if self.of.setdefault(message, asked) is not asked:
                    before = history.number(self.of[message].attempts[0])
                    raise HistoryError(
                        f"line {history.number(append)}: {message!r} was appended on line "
                        f"{before} too; only retries of one key share their messages"
                    )

    def find(self, places: dict[str, int]) -> None:
        """Note where in the log each append stands, which begins where any of it stands."""
        get = places.get
        for asked in self.each:
            messages = asked.messages
            place = get(messages[0], 0)
            if not place and len(messages) > 1:
                place = next((got - n for n, one in enumerate(messages) if (got := get(one, 0))), 0)
            asked.place = max(place, 0)

    def answers(self) -> Iterable[tuple[Asked, Append]]:
        """Yield every attempt that was answered "ok" or "pending", with what it asked."""
        for asked in self.each:
            for append in asked.attempts:
                if append.outcome in {"ok", "pending"}:
                    yield asked, append
