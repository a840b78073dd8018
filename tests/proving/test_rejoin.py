"""The harnesses of row 7 see a bug that is put into a node on purpose.

NETWORK.
"""

from __future__ import annotations

import pytest

from proving.harness import Violation
from proving.harnesses.rejoin.latency import Pairs, judged


def test_appends_that_wait_longer_while_a_secondary_catches_up_are_seen() -> None:
    usual = [0.002, *[0.001] * 98, 0.002]
    same, longer = Pairs(usual, usual), Pairs(usual, [0.0031, *[0.001] * 98, 0.0031])
    counts = judged(same, longer)
    assert counts["µs of p99, S2 catching up"] == 2000
    assert counts["µs of p99 on shared cores, S2 catching up"] == 3100
    with pytest.raises(Violation, match=r"2000 µs without, 3100 µs while .*: 1\.55 x"):
        judged(longer, same)
