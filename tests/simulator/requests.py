"""What clients of the simulated log ask for, and what they were told.

PURE.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from replog.core.effects import AnswerRead, AppendOutcome
from replog.core.write_concern import WriteConcern

CONCERNS: tuple[WriteConcern | None, ...] = (None, None, 1, 1, 2, 3, "majority", "all", "all", 0, 9)


@dataclass(slots=True)
class Append:
    """One append of a client, and what became of it.

    Attributes:
        keys: as in `AppendRequested`; a retry is another `Append` with the same ones.
        expect: the end of the log that it is to follow on (P6).
        first_id: where it stands, once that is known.
        is_heard: somebody still waits for the answer, or had it.
    """

    request: int
    messages: tuple[bytes, ...]
    concern: WriteConcern | None
    required: int | None
    deadline: int | None
    asked_at: int
    keys: tuple[str | None, ...] = ()
    expect: int | None = None
    first_id: int | None = None
    outcome: AppendOutcome | None = None
    is_heard: bool = True

    @property
    def last_id(self) -> int | None:
        return None if self.first_id is None else self.first_id + len(self.messages) - 1


@dataclass(slots=True)
class Receipt:
    """A question for the copies of a stored entry (P2)."""

    request: int
    id: int
    required: int | None
    deadline: int | None


@dataclass(slots=True)
class Read:
    """A read that waits.

    Attributes:
        floor: what it must show at least if there is a master (P4).
        committed_id: what was committed when it was asked for.
    """

    request: int
    node: str
    floor: int
    committed_id: int
    asked_at: int
    min_id: int = 0
    is_linearizable: bool = False
    max_lag: int | None = None
    timeout: int | None = None
    answer: AnswerRead | None = None

    @property
    def asks_more(self) -> bool:
        return bool(self.min_id) or self.is_linearizable or self.max_lag is not None


@dataclass(slots=True)
class Wish:
    """Something that a client wants stored once: it asks as often as it needs to (P6)."""

    messages: tuple[bytes, ...]
    keys: tuple[str | None, ...]
    expect: int | None
    attempts: list[Append] = field(default_factory=list)
