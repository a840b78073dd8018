"""What disks held, beside what was answered: on as many of them as `w` says, and equal at last?

PURE.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import inf

from replog.history.asked import AllAsked, Asked
from replog.history.findings import Finding, Kind
from replog.history.lines import Append, Disk
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
    answers = sorted(
        ((append.returned, one, append) for one, append in asked.answers() if one.place),
        key=lambda each: each[0] or 0.0,
    )
    bounds = [_Bounds(None), *(_Bounds(node) for node in history.nodes)]
    counted = 0
    for name, disks in snapshots.items():
        moment = _moment(disks)
        while counted < len(answers) and (answers[counted][0] or 0.0) <= moment:
            _, one, append = answers[counted]
            for bound in bounds:
                bound.note(one, append, losses)
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
    """For each `w` the furthest append that was asked for since a node lost its disk last.

    Without a node it is the furthest of all. Appends at `w` after the last loss of one node are
    on `w` disks of nodes that lost none since; those before it may have been on that one.
    """

    def __init__(self, node: str | None) -> None:
        self._node = node
        self.since = -inf
        self.furthest: dict[int, tuple[Asked, Append]] = {}

    def since_at(self, at: float, losses: Losses) -> float:
        return -inf if self._node is None else losses.since(self._node, at)

    def note(self, one: Asked, append: Append, losses: Losses) -> None:
        assert append.returned is not None, append
        since = self.since_at(append.returned, losses)
        if since != self.since:
            self.since, self.furthest = since, {}
        if append.invoked > since:
            w = append.w if append.outcome == "ok" else 1
            if w not in self.furthest or self.furthest[w][0].last < one.last:
                self.furthest[w] = one, append


def _short(
    history: History, sights: Sights, bound: _Bounds, clean: dict[str, Disk], snapshot: str
) -> Iterator[Finding]:
    """Yield the appends of `bound` that `clean` disks hold too few times.

    Any other node may be one that was counted, be it that its disk is lost, or was not looked at.
    """
    held = {node: sights.held(disk) for node, disk in clean.items()}
    others = len(history.nodes) - sum(last is not None for last in held.values())
    for w, (one, append) in sorted(bound.furthest.items()):
        holding = [node for node, last in held.items() if last is not None and last >= one.last]
        master = held.get(history.nodes[0])
        if len(holding) + others >= w and (master is None or master >= one.last):
            continue
        text = (
            f'{one.messages[0]!r}, id {one.place}, was answered "{append.outcome}" at w={w}; '
            f"in snapshot {snapshot!r} it is on {len(holding)} of {len(history.nodes)} disks"
            + (f" (of {others} nothing is known)" if others else "")
            + ("" if master is None or master >= one.last else ", the master's not among them")
        )
        yield Finding(Kind.TOO_FEW_DISKS, history.number(append), text)
