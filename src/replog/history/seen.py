"""What readers were shown, held against the log: a prefix of it, never less than before?

PURE.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from math import inf

from replog.history.asked import AllAsked, Answer
from replog.history.findings import Finding, Kind, quoted
from replog.history.lines import Disk, Read
from replog.history.log import Log
from replog.history.losses import Losses
from replog.history.reading import History, HistoryError


class Sights:
    """How far each read and each disk agrees with the log, and what it shows else.

    Attributes:
        last: for each read that was answered, by identity, the last id that it showed.
        held: for each disk, by identity, up to which id it holds the log; None is unknown.
    """

    def __init__(self, history: History, log: Log, asked: AllAsked, *, forgot: float) -> None:
        """`forgot` is when the master lost its disk last."""
        self._history, self._log, self._asked, self._forgot = history, log, asked, forgot
        self.reads = [read for read in history.reads if read.outcome == "ok"]
        sights: list[Disk | Read] = [*self.reads, *history.disks]
        hashed = [sight for sight in sights if sight.messages is None]
        self._digests = log.digests([_stretch(sight) for sight in hashed])
        for sight in hashed:
            self._require_known(sight)
        of = asked.of
        whens = (
            one.invoked if message is not None and (one := of.get(message)) else -inf
            for message in log.messages
        )
        self._asked_by = [-inf, *accumulate(whens, max)]

    def _require_known(self, sight: Disk | Read) -> None:
        stretch = _stretch(sight)
        if stretch in self._digests or (self._log.is_final and stretch[1] > len(self._log)):
            return
        ids = range(stretch[0], stretch[1] + 1)
        unknown = next(place for place in ids if self._log.at(place) is None)
        raise HistoryError(
            f"line {self._history.number(sight)}: sha256 covers id {unknown}, and no other line "
            "says what stands there; give the messages of a read or of a disk"
        )

    def judge_reads(self) -> Iterator[Finding]:
        """Yield what each read shows that the log does not have there, or not so early."""
        for read in self.reads:
            finding = self._judge(read)
            if finding is not None:
                yield finding
                continue
            last = last_of(read)
            assert read.returned is not None, read
            if last < read.first or self._may_be_gone(read):
                continue
            if self._asked_by[last] > read.returned:
                text = f"{read.node} showed id {last} or one before it before it was asked for"
                yield Finding(Kind.PHANTOM, self._history.number(read), text)

    def judge_disk(self, disk: Disk) -> Finding | None:
        """Return what a disk holds that the log does not have there."""
        return self._judge(disk)

    def held(self, disk: Disk) -> int | None:
        """Return up to which id a disk holds the log; None where that cannot be told."""
        if disk.messages is None:
            return disk.last if self._digests.get(_stretch(disk)) == disk.sha256 else None
        differs_at = self._log.differs_at(1, disk.messages)
        return len(disk.messages) if differs_at is None else differs_at - 1

    def _judge(self, sight: Disk | Read) -> Finding | None:
        """Return what a sight shows that the log does not have there.

        Of what was seen before the master lost its disk, only what cannot be otherwise is: it may
        have been taken back (P3).
        """
        ids = sight.ids if isinstance(sight, Read) else None
        found: tuple[Kind, str] | None = None
        if ids is not None and ids != list(range(first_of(sight), first_of(sight) + len(ids))):
            found = Kind.NOT_A_PREFIX, f"showed ids that are not dense: {ids}"
        elif sight.messages is None:
            if self._digests.get(_stretch(sight)) != sight.sha256 and not self._may_be_gone(sight):
                text = f"had other entries than the log, or more, in ids {first_of(sight)} to "
                found = Kind.NOT_A_PREFIX, f"{text}{sight.last}"
        else:
            place = self._log.differs_at(first_of(sight), sight.messages)
            if place is not None:
                found = self._explain(sight, sight.messages[place - first_of(sight)], place)
        if found is None:
            return None
        kind, text = found
        return Finding(kind, self._history.number(sight), f"{sight.node} {text}")

    def _explain(self, sight: Disk | Read, message: str, place: int) -> tuple[Kind, str] | None:
        there = self._log.at(place)
        stands = f"{quoted(there)} stands there" if there is not None else "the log ends before it"
        text = f"had {quoted(message)} as id {place}"
        if message not in self._asked.of:
            return Kind.PHANTOM, f"{text}: nobody asked for it"
        if self._may_be_gone(sight):
            return None
        if message in self._log.places:
            proper = self._log.places[message]
            return Kind.NOT_A_PREFIX, f"{text}: it stands at id {proper}, and {stands}"
        return Kind.TAKEN_BACK, f"{text}: it is gone, and {stands}"

    def _may_be_gone(self, sight: Disk | Read) -> bool:
        moment = sight.at if isinstance(sight, Disk) else sight.invoked
        return moment <= self._forgot


def first_of(sight: Disk | Read) -> int:
    return sight.first if isinstance(sight, Read) else 1


def last_of(sight: Disk | Read) -> int:
    """Return the last id of a sight; `first - 1` where it shows nothing."""
    if sight.messages is None:
        assert sight.last is not None, sight
        return sight.last
    return first_of(sight) - 1 + len(sight.messages)


def _stretch(sight: Disk | Read) -> tuple[int, int]:
    return first_of(sight), last_of(sight)


def judge_freshness(
    history: History, asked: AllAsked, reads: Sequence[Read], shown: Losses, held: Losses
) -> Iterator[Finding]:
    """Yield each read that shows less than an earlier one at its node, or than an answer.

    Args:
        shown: since when a node can be held to what it showed.
        held: since when a node can be held to what it stored.
    """
    answers = asked.answers
    ends = sorted(reads, key=lambda read: read.returned or 0.0)
    floors = {node: _Floors() for node in history.nodes}
    answered = ended = 0
    for read in sorted(reads, key=lambda read: read.invoked):
        while answered < len(answers) and answers[answered].returned < read.invoked:
            _note_answer(history, floors, held, answers[answered])
            answered += 1
        while ended < len(ends) and (ends[ended].returned or 0.0) < read.invoked:
            _note_read(floors, shown, ends[ended])
            ended += 1
        assert read.returned is not None, read
        floor = floors[read.node]
        if not read.is_whole:
            continue
        last = last_of(read)
        if floor.shown > last and floor.shown_since == shown.since(read.node, read.returned):
            text = f"{read.node} showed up to id {last}, and up to {floor.shown} before"
            yield Finding(Kind.WENT_BACKWARDS, history.number(read), text)
        elif floor.answered > last and (
            (read.has_master or read.node == history.nodes[0])
            and floor.answered_since == held.since(read.node, read.returned)
        ):
            text = f"{read.node} showed up to id {last}; id {floor.answered} had been answered"
            yield Finding(Kind.STALE, history.number(read), text)


class _Floors:
    """Up to which id a node has to show, and since when that is counted."""

    __slots__ = ("answered", "answered_since", "shown", "shown_since")

    def __init__(self) -> None:
        self.answered = self.shown = 0
        self.answered_since = self.shown_since = -inf


def _note_answer(
    history: History, floors: dict[str, _Floors], held: Losses, answer: Answer
) -> None:
    """An answer at all nodes binds each of them to show the entry, any answer the master (P4)."""
    nodes = history.nodes
    for node in nodes if answer.copies >= len(nodes) else nodes[:1]:
        floor, since = floors[node], held.since(node, answer.returned)
        if since != floor.answered_since:
            floor.answered, floor.answered_since = 0, since
        if answer.invoked > since and answer.last > floor.answered:
            floor.answered = answer.last


def _note_read(floors: dict[str, _Floors], shown: Losses, read: Read) -> None:
    assert read.returned is not None, read
    floor, since = floors[read.node], shown.since(read.node, read.returned)
    if since != floor.shown_since:
        floor.shown, floor.shown_since = 0, since
    last = last_of(read)
    if read.invoked > since and last >= read.first:
        floor.shown = max(floor.shown, last)
