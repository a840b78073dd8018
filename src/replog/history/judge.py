"""Judges a history: were the promises kept, as far as clients and disks can tell?

PURE. It takes no node's word for anything, and works in about linear time: it sorts, and looks
at each message that stands in the history a few times.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from replog.history.asked import AllAsked
from replog.history.disks import judge_disks
from replog.history.findings import Finding, Kind
from replog.history.live import judge_liveness
from replog.history.log import log_of
from replog.history.losses import Losses
from replog.history.reading import History, read_history
from replog.history.seen import Sights, judge_freshness
from replog.history.told import judge_appends

_ORDER = {kind: place for place, kind in enumerate(Kind)}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of judging a history.

    Attributes:
        findings: what was broken, by kind, in the order of `Kind`; empty if all was kept.
        counts: of what was judged: "appends", "reads", "disks", "faults", and "entries" of the log.
    """

    findings: tuple[Finding, ...]
    counts: Mapping[str, int]


def judge(source: Iterable[bytes]) -> Verdict:
    """Judge the lines of a history.

    Raises:
        HistoryError: it is none, or it leaves open what has to be known.
    """
    history = read_history(source)
    asked = AllAsked(history)
    log = log_of(history)
    asked.find(log.places)
    held = Losses(history.faults, history.nodes)
    # A master shows all that it holds durably; a secondary may learn anew what it may show.
    shown = Losses(history.faults, history.nodes, powered=history.nodes[1:])
    sights = Sights(history, log, asked, forgot=held.wiped_at(history.nodes[0]))

    def findings() -> Iterator[Finding]:
        yield from judge_appends(history, log, asked, held)
        yield from sights.judge_reads()
        yield from judge_freshness(history, asked, sights.reads, shown=shown, held=held)
        yield from judge_disks(history, log, asked, sights, held)
        yield from judge_liveness(history, log)

    found = sorted(findings(), key=lambda finding: (_ORDER[finding.kind], finding.line))
    return Verdict(tuple(found), _counts(history, len(log)))


def _counts(history: History, entries: int) -> Mapping[str, int]:
    return {
        "appends": len(history.appends),
        "reads": len(history.reads),
        "disks": len(history.disks),
        "faults": len(history.faults),
        "entries": entries,
    }
