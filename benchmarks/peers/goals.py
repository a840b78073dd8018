"""What this log is to reach, as ratios within one run or as figures, and whether it did.

PURE.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from benchmarks.peers.figures import Figures, Quantity
from benchmarks.peers.rows import (
    appends,
    batches,
    catch_up,
    growth,
    history,
    lookups,
    starts,
    stopped,
    visible,
)
from benchmarks.peers.systems import baseline, etcd, nats, nginx, ours

SAME = 1.1
"""What counts as the same, of figures that are to be: a tenth."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A figure to compare with; `text` is its name behind "×"."""

    quantity: Quantity
    system: str
    text: str


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound on a figure of ours, or on its ratio to another's.

    Attributes:
        least, most: the bound, whichever it is; without both, the figure is only printed.
        is_stretch: beyond what has to be.
    """

    quantity: Quantity
    least: float | None = None
    most: float | None = None
    against: Reference | None = None
    is_stretch: bool = False

    def text(self) -> str:
        unit = f" × {self.against.text}" if self.against else ""
        if self.least is not None:
            bound = f"≥ {self.least:,g}{unit}"
        elif self.most is not None:
            bound = f"≤ {self.most:,g}{unit}"
        else:
            bound = f"printed, in{unit}"
        return f"{bound} (stretch)" if self.is_stretch else bound


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a goal came to; `value` is None where it was not measured."""

    goal: Goal
    value: float | None

    def text(self) -> str:
        least, most, value = self.goal.least, self.goal.most, self.value
        if value is None:
            return "not measured"
        if least is None and most is None:
            return ""
        is_missed = (least is not None and value < least) or (most is not None and value > most)
        return "**missed**" if is_missed else "met"

    def value_text(self) -> str:
        if self.value is None:
            return ""
        if self.goal.against is not None:
            return f"{self.value:.2f} ×"
        return f"{self.value:,.{self.goal.quantity.digits}f}"


def judge(goal: Goal, figures: Figures) -> Verdict:
    """Compare the median, or the median of the ratios of rounds that were next to each other.

    So a machine that grows slower from one round to the next touches no ratio.
    """
    own = figures.of(goal.quantity, ours.NAME)
    if goal.against is None:
        return Verdict(goal, median(own) if own else None)
    others = figures.of(goal.against.quantity, goal.against.system)
    ratios = [one / other for one, other in zip(own, others, strict=False)]
    return Verdict(goal, median(ratios) if ratios else None)


def _of(quantity: Quantity, system: str) -> Reference:
    return Reference(quantity, system, system)


def _goals_of_appends() -> list[Goal]:
    one, many, most = appends.p50_ms(1), appends.per_second(32), appends.per_second(256)
    return [
        Goal(one, most=0.6, against=_of(one, etcd.NAME)),
        Goal(many, least=2.5, against=_of(many, etcd.NAME)),
        Goal(many, least=1.0, against=_of(many, nats.NAME)),
        Goal(many, least=30, against=_of(many, baseline.NAME)),
        Goal(most, least=2, against=_of(most, etcd.NAME)),
        Goal(most, least=2.5, against=_of(most, etcd.NAME), is_stretch=True),
        Goal(most, against=_of(most, nats.NAME)),
    ]


def _goals_of_batches() -> list[Goal]:
    published = Reference(batches.PRODUCED, nats.NAME, "JetStream's asynchronous publishing")
    return [
        Goal(batches.BATCHED, least=350_000),
        Goal(batches.BATCHED, least=500_000, is_stretch=True),
        Goal(batches.BATCHED, least=20, against=published),
        Goal(batches.PRODUCED, least=200_000),
        Goal(batches.PRODUCED, least=20, against=published),
    ]


def _goals_of_history() -> list[Goal]:
    goals = []
    for batch_entries, mb_per_second in ((1_000, 350), (1, 150)):
        speed, peak = history.mb_per_second(batch_entries), history.peak_mb(batch_entries)
        short = Reference(history.short_peak_mb(batch_entries), ours.NAME, "a tenth of the log's")
        goals += [
            Goal(speed, least=mb_per_second),
            Goal(speed, against=_of(speed, nginx.NAME)),
            Goal(history.first_byte_ms(batch_entries), most=5),
            Goal(peak, most=SAME, against=short),
        ]
    return goals


def _goals_of_starts() -> list[Goal]:
    goals = []
    for batch_entries in (1_000, 1):
        small, large = starts.SMALL_ENTRIES, starts.LARGE_ENTRIES
        for quantity, most in ((starts.ready_s, 1.0), (starts.memory_mb, 100.0)):
            smaller = Reference(quantity(small, batch_entries), ours.NAME, "at 1 million")
            goals += [
                Goal(quantity(large, batch_entries), most=most),
                Goal(quantity(large, batch_entries), most=SAME, against=smaller),
            ]
    return goals


def all_goals() -> list[Goal]:
    """Return every goal, in the order of the rows."""

    def own(quantity: Quantity, text: str) -> Reference:
        return Reference(quantity, ours.NAME, text)

    copy = Reference(catch_up.MB_PER_SECOND, catch_up.COPY, "a copy with SHA-256 and fdatasync")
    append_p50 = own(visible.APPEND_P50_MS, "the append's")
    append_p99 = own(visible.APPEND_P99_MS, "the append's")
    return [
        *_goals_of_appends(),
        *_goals_of_batches(),
        *_goals_of_history(),
        Goal(lookups.ENTRY_READS, least=8_000),
        Goal(lookups.PAGE_READS, least=3_000),
        Goal(visible.VISIBLE_P50_MS, most=2, against=append_p50),
        Goal(visible.VISIBLE_P99_MS, most=4, against=append_p99),
        Goal(catch_up.MB_PER_SECOND, least=0.5, against=copy),
        *_goals_of_starts(),
        Goal(stopped.ONE_STOPPED, least=1.0, against=own(stopped.ALL_UP, "all up")),
        Goal(growth.LONG, least=0.95, against=own(growth.SHORT, "at 10 thousand")),
    ]
