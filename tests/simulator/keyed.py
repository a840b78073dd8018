"""The judge of keys and conditions: stored once, or not at all (P6).

PURE. It knows every attempt of every client, and the keys in the bytes of the one log.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from replog.core.effects import Pending, RefusalReason, Refused, Stored
from tests.simulator.promise import broken
from tests.simulator.reader import FoundBatch
from tests.simulator.requests import Append

LOOKED_UP = frozenset(
    {RefusalReason.PRECONDITION_FAILED, RefusalReason.DISK_FULL, RefusalReason.NO_QUORUM}
)
"""Refusals that a client with a key gets only where the key is not stored."""


@dataclass(slots=True)
class KeyJudge:
    """What each message was asked for under, and where each key stands.

    Attributes:
        messages: those of the committed log.
        window: entries behind the last one in which a key may stand once only.
        attempts: every append that ever carried a message.
        key_of: the key of each message that has one.
        ids_of, key_at: the keys of the committed log, by either side.
    """

    messages: list[bytes]
    window: int = 0
    attempts: dict[bytes, list[Append]] = field(default_factory=dict)
    key_of: dict[bytes, str] = field(default_factory=dict)
    ids_of: dict[str, list[int]] = field(default_factory=dict)
    key_at: dict[int, str] = field(default_factory=dict)
    made_at: dict[int, int] = field(default_factory=dict)
    _claims: dict[int, int] = field(default_factory=dict)

    def asked(self, append: Append) -> None:
        """A client sends this, for the first time or again."""
        for message in append.messages:
            self.attempts.setdefault(message, []).append(append)
        for message, key in zip(append.messages, append.keys, strict=False):
            if key is not None:
                self.key_of[message] = key

    def is_retried(self, message: bytes) -> bool:
        """Whether its client has a key, and so may ask again and again."""
        return any(attempt.keys for attempt in self.attempts.get(message, ()))

    def may_be_stored(self, message: bytes) -> bool:
        """Whether somebody asked for it who was not told that it is not stored."""
        return any(
            not isinstance(attempt.outcome, Refused) for attempt in self.attempts.get(message, ())
        )

    # --- the log ------------------------------------------------------------------------

    def committed(self, batch: FoundBatch, *, now: int) -> None:
        """The one log grew by this batch: each key stands in its window once."""
        in_batch: dict[str, list[int]] = {}
        for entry_id, key in batch.keys:
            in_batch.setdefault(key, []).append(entry_id)
        stored = dict(batch.keys)
        for entry_id, message in enumerate(batch.messages, batch.first_id):
            self.made_at[entry_id] = now
            wanted, found = self.key_of.get(message), stored.get(entry_id)
            if wanted != found:
                broken("P6", f"entry {entry_id} has key {found}, wanted was {wanted}")
        for key, ids in in_batch.items():
            if len(ids) != 1 and (len(ids) != 2 or not self._is_run(key, ids[0], ids[1])):
                broken("P6", f"key {key} stands at {ids} in one batch")
            before = self.ids_of.setdefault(key, [])
            if before and ids[0] - before[-1] <= self.window:
                broken(
                    "P6", f"key {key} stands at {before} and at {ids}; the window is {self.window}"
                )
            before += ids
            self.key_at.update((entry_id, key) for entry_id in ids)

    def _is_run(self, key: str, first_id: int, last_id: int) -> bool:
        """Whether somebody gave this key to these entries together."""
        messages = tuple(self.messages[first_id - 1 : last_id])
        return any(
            attempt.messages == messages and attempt.keys[0] == attempt.keys[-1] == key
            for attempt in self.attempts[messages[0]]
        )

    def holds(self, append: Append, first_id: int) -> bool:
        """Whether the log has this append from `first_id` on, keys included."""
        stop = first_id - 1 + len(append.messages)
        return first_id >= 1 and (
            tuple(self.messages[first_id - 1 : stop]) == append.messages
            and all(
                key is None or self.key_at.get(first_id + place) == key
                for place, key in enumerate(append.keys)
            )
        )

    def ids_in_window(self, append: Append) -> Iterable[int]:
        """Return the ids in the window where one of the append's keys stands last."""
        begins_at = len(self.messages) - self.window + 1
        for key in append.keys:
            ids = self.ids_of.get(key) if key is not None else None
            if ids and ids[-1] >= begins_at:
                yield ids[-1]

    # --- answers ------------------------------------------------------------------------

    def answered(self, append: Append, outcome: Stored | Pending) -> None:
        """An append with keys was told its ids: there it stands, with its keys."""
        first_id, last_id = outcome.first_id, outcome.last_id
        append.first_id = first_id
        if append.last_id != last_id:
            broken("P6", f"{append} was told {outcome}")
        if last_id > len(self.messages):
            is_unknown = isinstance(outcome, Pending)  # the disk failed in between
            if not is_unknown:
                broken("P6", f"{append} was told {outcome}, which is not committed")
            return
        if not self.holds(append, first_id):
            broken("P6", f"{append} was told {outcome}, is not there")
        if outcome.is_replayed:
            others = self.attempts[append.messages[0]]
            if len(others) <= 1:
                broken("P6", f"{append} was told {outcome} at its first try")
            return
        other = self._claims.setdefault(first_id, append.request)
        if other != append.request:
            broken("P6", f"{append} and {other} both stored {first_id}")
        if self.made_at[first_id] < append.asked_at:
            broken("P6", f"{append} was told {outcome}, which stood there before it asked")

    def refused(self, append: Append, outcome: Refused) -> None:
        """An append with keys was refused: for what is in the log, or for what is not."""
        if outcome.reason is RefusalReason.KEY_REUSED:
            key = self.key_at.get(outcome.id or 0)
            if key not in append.keys:
                broken("P6", f"{append} was told {outcome}: it has key {key}")
            is_same = self._stands_last(append)
            if is_same:
                broken("P6", f"{append} was told {outcome}, and is what stands there")
        elif outcome.reason in LOOKED_UP:
            ids = list(self.ids_in_window(append))
            if ids:
                broken("P6", f"{append} was told {outcome}, its keys stand at {ids}")

    def _stands_last(self, append: Append) -> bool:
        """Whether the append is what its keys stand for in the window, and all of that."""
        places: dict[str, list[int]] = {}
        for place, key in enumerate(append.keys):
            if key is not None:
                places.setdefault(key, []).append(place)
        begins_at = len(self.messages) - self.window + 1
        firsts: set[int] = set()
        for key, wanted in places.items():
            ids = self.ids_of.get(key, [])
            older, last = ids[: -len(wanted)], ids[-len(wanted) :]
            is_here = len(last) == len(wanted) and last[-1] >= begins_at
            if not is_here or (older and older[-1] >= begins_at):
                return False
            firsts.update(entry_id - place for entry_id, place in zip(last, wanted, strict=True))
        return len(firsts) == 1 and self.holds(append, firsts.pop())

    def expected(self, append: Append, outcome: Stored | Pending | Refused, ends_at: int) -> None:
        """A conditional append was answered; the log ends durably at `ends_at`."""
        expect = append.expect
        if isinstance(outcome, Refused):
            if outcome.reason is RefusalReason.PRECONDITION_FAILED:
                if expect is None:
                    broken("P6", f"{append} was told {outcome}")
                if outcome.last_id == expect:
                    broken("P6", f"{append} was told {outcome}")
                if outcome.last_id != ends_at:
                    broken(
                        "P6",
                        f"{append} was told {outcome}, the master's log ends durably at {ends_at}",
                    )
        elif expect is not None and not outcome.is_replayed and outcome.first_id != expect + 1:
            broken("P6", f"{append} was told {outcome}")
