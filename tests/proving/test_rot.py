"""The harnesses of row 6 see what breaks their promises: each planted bug is caught.

SHELL. The simulated disk is touched, and for nodes in this process a real one.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from proving.harness import Violation
from proving.harnesses.rot import bits, clusters
from replog.node.views import Role
from replog.storage import proof, recovery
from replog.storage.segment import Segment

LAST_OF_MASTER = bits.SETTINGS.index(bits.Setting(Role.MASTER, is_last=True))
SEALED = bits.SETTINGS.index(bits.Setting(Role.MASTER, is_last=False))


def test_a_bad_end_that_is_cut_though_it_counted_is_seen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(recovery, "may_have_counted", lambda tail: False)
    with pytest.raises(Violation, match="R13: the rot behind"):
        bits.flip_bits((LAST_OF_MASTER + 1) * bits.CASES_EACH - 1, tmp_path)


def test_a_lost_end_that_is_not_missed_is_seen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The commit note and the mark are what says how far the log went."""
    monkeypatch.setattr(recovery, "durable_id", lambda found, marks: 0)
    case = LAST_OF_MASTER * bits.CASES_EACH + bits.CASES_EACH * 3 // 4
    with pytest.raises(Violation, match="R13: the rot behind"):
        bits.cut_off(case, tmp_path)


def test_bytes_that_are_served_unverified_are_seen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def believe(segment: Segment, *_: object, **__: object) -> None:
        segment.verified = segment.stop

    monkeypatch.setattr(Segment, "verify_next", believe)
    with pytest.raises(Violation, match="wrong"):
        bits.flip_bits(SEALED * bits.CASES_EACH + 5, tmp_path)


def test_a_master_that_denies_what_its_rotten_trailer_says_is_seen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without the proof a secondary cuts off good entries (decision 88)."""
    monkeypatch.setattr(proof, "_is_end", lambda contents, head: False)
    with pytest.raises(Violation, match="made s2 cut what is good"):
        clusters.spoil_cluster(13, tmp_path)
