"""What disks held, beside what was answered: on as many of them as `w` says, and equal at last?

PURE.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import inf

from replog.history.asked import AllAsked, Answer
from replog.history.findings import Finding, Kind, quoted
from replog.history.lines import Disk
from replog.history.log import END, Log
from replog.history.losses import Losses
from replog.history.reading import History, HistoryError
from replog.history.seen import Sights, last_of


def judge_disks(
    history: History, log: Log, asked: AllAsked, sights: Sights, losses: Losses
) -> Iterator[Finding]:
    """Yield what the snapshots lack, and hold too much."""
    snapshots = _snapshots(history)
    for name, disks in snapshots.items():
        yield from _contents(history, log, sights, disks.values(), is_end=name == END)
    yield from _counted(history, asked, sights, snapshots, losses)


def _snapshots(history: History) -> dict[str, dict[str, Disk]]:
    """Return the disks of each snapshot, by node, earliest snapshot first."""
    found: dict[str, dict[str, Disk]] = {}
    for disk in history.disks:
        if found.setdefault(disk.snapshot, {}).setdefault(disk.node, disk) is not disk:
            raise HistoryError(
                f"line {history.number(disk)}: a second disk of {disk.node} in "
                f"snapshot {disk.snapshot!r}"
            )
    return dict(sorted(found.items(), key=lambda each: _moment(each[1])))


def _moment(disks: dict[str, Disk]) -> float:
    return min(disk.at for disk in disks.values())


def _contents(
    history: History, log: Log, sights: Sights, disks: Iterable[Disk], *, is_end: bool
) -> Iterator[Finding]:
    """Yield what disks hold that is not the log.

    Before the end a secondary's disk may hold more: what its master never knew as durable, was
    answered to nobody, and will be cut (R3). So there only what nobody asked for is wrong.
    """
    for disk in disks:
        finding = sights.judge_disk(disk)
        if is_end:
            last, number = last_of(disk), history.number(disk)
            if finding is not None:
                yield Finding(Kind.DIVERGED, number, f"at the end {finding.text}")
            elif last < len(log):
                text = f"at the end {disk.node} held up to id {last}, another one {len(log)}"
                yield Finding(Kind.DIVERGED, number, text)
        elif finding is not None and (
            disk.node == history.nodes[0] or finding.kind is Kind.PHANTOM
        ):
            yield finding


def _counted(
    history: History,
    asked: AllAsked,
    sights: Sights,
    snapshots: dict[str, dict[str, Disk]],
    losses: Losses,
) -> Iterator[Finding]:
    """Yield for each snapshot and `w` the furthest append that is on too few of its disks."""
    answers = asked.answers
    bounds = [_Bounds(None), *(_Bounds(node) for node in history.nodes if losses.has(node))]
    counted = 0
    for name, disks in snapshots.items():
        moment = _moment(disks)
        while counted < len(answers) and answers[counted].returned <= moment:
            for bound in bounds:
                bound.note(answers[counted], losses)
            counted += 1
        for bound in bounds:
            since = bound.since_at(moment, losses)
            if since == bound.since:
                clean = {
                    node: disk
                    for node, disk in disks.items()
                    if losses.since(node, moment) <= since
                }
                yield from _short(history, sights, bound, clean, name)


class _Bounds:
    """For each number of copies the furthest answer since a node lost its disk last.

    Without a node it is the furthest of all. What was asked for after the last loss of one node is
    on as many disks of nodes that lost none since; what was before it may have been on that one.
    """

    def __init__(self, node: str | None) -> None:
        self._node = node
        self.since = -inf
        self.furthest: dict[int, Answer] = {}

    def since_at(self, at: float, losses: Losses) -> float:
        return -inf if self._node is None else losses.since(self._node, at)

    def note(self, answer: Answer, losses: Losses) -> None:
        since = self.since_at(answer.returned, losses)
        if since != self.since:
            self.since, self.furthest = since, {}
        if answer.invoked > since:
            before = self.furthest.get(answer.copies)
            if before is None or before.last < answer.last:
                self.furthest[answer.copies] = answer


def _short(
    history: History, sights: Sights, bound: _Bounds, clean: dict[str, Disk], snapshot: str
) -> Iterator[Finding]:
    """Yield the appends of `bound` that `clean` disks hold too few times.

    Any other node may be one that was counted, be it that its disk is lost, or was not looked at.
    """
    held = {node: sights.held(disk) for node, disk in clean.items()}
    others = len(history.nodes) - sum(last is not None for last in held.values())
    for copies, answer in sorted(bound.furthest.items()):
        holding = [node for node, last in held.items() if last is not None and last >= answer.last]
        master = held.get(history.nodes[0])
        if len(holding) + others >= copies and (master is None or master >= answer.last):
            continue
        append = answer.append
        text = (
            f'{quoted(append.messages[-1])}, id {answer.last}, was answered "{append.outcome}" at '
            f"w={append.w}; in snapshot {snapshot!r} it is on {len(holding)} of "
            f"{len(history.nodes)} disks"
            + (f" (of {others} nothing is known)" if others else "")
            + ("" if master is None or master >= answer.last else ", and not on the master's")
        )
        yield Finding(Kind.TOO_FEW_DISKS, history.number(append), text)
