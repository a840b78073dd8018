"""The judge of freshness: a read shows what its client asked it to show (P4).

PURE. Time is that of the simulated world: no clock of a node is believed.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field

from replog.core.effects import AnswerRead
from tests.simulator.clock import UNITS_PER_TICK
from tests.simulator.promise import broken
from tests.simulator.requests import Read


@dataclass(slots=True)
class FreshJudge:
    """What was committed when, and whether answers are as fresh as they say.

    Attributes:
        drift: how far a node's clock may be from the world's, per mille.
    """

    drift: int = 0
    _times: list[int] = field(default_factory=lambda: [-1])
    _ids: list[int] = field(default_factory=lambda: [0])

    def committed(self, committed_id: int, *, now: int) -> None:
        self._times.append(now)
        self._ids.append(committed_id)

    def contest_ended(self, *, since: int, now: int) -> None:
        """Two masters ran from `since` to `now`, and one knew nothing of the other's commits.

        Who followed it was level with its master all the same, and says so afterwards: what
        was committed meanwhile is known to be so from now on.
        """
        first = bisect_left(self._times, since)
        self._times[first:] = [now] * (len(self._times) - first)

    def committed_at(self, now: int, *, ticks_ago: int) -> int:
        """Return what was committed so long ago, and a tick: a node knows no part of one."""
        time = now - self._at_most((ticks_ago + 1) * UNITS_PER_TICK)
        return self._ids[max(bisect_right(self._times, time) - 1, 0)]

    def _at_most(self, units: int) -> int:
        """Return how long what a node takes for `units` may have been."""
        return units + units * self.drift // 990

    def answered(
        self, read: Read, answer: AnswerRead, *, now: int, is_ending: bool, tick_max: int
    ) -> None:
        """Check an answer.

        Args:
            is_ending: the node stops, or its disk failed.
            tick_max: units between two ticks of a node, at the most.
        """
        shown = answer.committed_id
        if answer.lag is not None:
            then = self.committed_at(now, ticks_ago=answer.lag)
            if shown < then:
                broken("P4", f"{read} was told {answer} at {now}; {then} was committed by then")
        if read.timeout is not None and read.asks_more:
            until = read.asked_at + self._at_most((read.timeout + 2) * UNITS_PER_TICK) + tick_max
            if now > until:
                broken("P4", f"{read} was told {answer} at {now}: after its timeout")
        if answer.is_met:
            if shown < read.min_id:
                broken("P4", f"{read} was told {answer} at {now}")
            is_fresh = not read.is_linearizable or shown >= read.committed_id
            if not is_fresh:
                broken("P4", f"{read} was told {answer} at {now}: older than the question")
            if read.max_lag is not None:
                then = self.committed_at(now, ticks_ago=read.max_lag)
                if shown < then:
                    broken(
                        "P4", f"{read} was told {answer} at {now}; {then} was committed so long ago"
                    )
            return
        if not read.asks_more:
            broken("P4", f"{read} was told {answer} at {now}: a plain read is never refused")
        if not read.is_linearizable and read.max_lag is None:
            waited = now - read.asked_at
            is_late = (
                read.timeout is not None and self._at_most(waited) >= read.timeout * UNITS_PER_TICK
            )
            if not is_late and not is_ending:
                broken("P4", f"{read} was told {answer} at {now}: before its timeout")
