"""The history on which the judge is timed is an honest one, and has a bit of everything.

PURE.
"""

from __future__ import annotations

from collections import Counter

import pytest

from benchmarks.histories import made_history
from replog.history.judge import judge
from replog.history.reading import read_history


@pytest.mark.parametrize("seed", range(5))
def test_every_promise_is_kept_in_it(seed: int) -> None:
    verdict = judge(made_history(2_000, seed=seed))
    assert verdict.findings == ()
    counts = {name: verdict.counts[name] for name in ("appends", "reads", "disks")}
    assert counts == {"appends": 1_600, "reads": 400, "disks": 3}


def test_it_has_every_outcome_and_reads_by_hash() -> None:
    history = read_history(made_history(2_000))
    assert {append.outcome for append in history.appends} == {"ok", "pending", "refused", "unknown"}
    assert {append.w for append in history.appends} == {1, 2, 3}
    assert {read.node for read in history.reads} == set(history.nodes)
    hashed = Counter(read.sha256 is not None for read in history.reads)
    assert hashed == {True: 20, False: 380}
    assert any(read.first > 1 for read in history.reads)
