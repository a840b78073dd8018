"""The harnesses of row 7 see a bug that is put into a node on purpose.

NETWORK.
"""

from __future__ import annotations

import pytest

from proving.harness import Violation
from proving.harnesses.rejoin.latency import judged


def test_appends_that_wait_longer_while_a_secondary_catches_up_are_seen() -> None:
    usual = [0.001] * 98 + [0.002] * 2
    assert judged(usual, usual)["µs of p99, S2 catching up"] == 2000
    with pytest.raises(Violation, match=r"2000 µs without, 3100 µs while .*: 1\.55 x"):
        judged(usual, [0.001] * 98 + [0.0031] * 2)
