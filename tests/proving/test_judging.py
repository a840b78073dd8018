"""A recorded history is judged, and what was broken in it is named.

DISK.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from proving.harness import Violation
from proving.judging import SHOWN, assert_holds, assert_no_defects
from proving.recording import Recording, answered
from replog.history.lines import Append
from tests.history.made import Made


def test_what_was_judged_is_counted(tmp_path: Path) -> None:
    made = Made()
    made.append("a", id=1)
    made.read("a")
    made.disks("a", "a", "a")
    path = tmp_path / "run.jsonl"
    path.write_bytes(b"\n".join(made.data()) + b"\n")
    counts = {"appends": 1, "reads": 1, "disks": 3, "faults": 0, "entries": 1}
    assert assert_holds(path) == counts


def test_what_was_broken_is_named_by_line_and_not_without_end(tmp_path: Path) -> None:
    made = Made()
    for place in range(1, 10):
        made.append(f"{place}", id=place, w=1)
    made.read([f"{place}" for place in range(1, 10)])
    made.disks("1", "1", "1")
    path = tmp_path / "run.jsonl"
    path.write_bytes(b"\n".join(made.data()))
    with pytest.raises(Violation) as raised:
        assert_holds(path)
    said = str(raised.value).splitlines()
    assert said[0] == f"{path}:"
    ended = "the log ends at 1"
    assert said[1] == f"  lost: line 3: '2' was answered \"ok\" as id 2, and {ended}"
    assert said[SHOWN + 1].startswith("  taken-back: line 11: ")
    assert said[SHOWN + 2 :] == ["  lost: and 3 more"]


@pytest.mark.parametrize(
    ("status", "is_defect"),
    [(400, False), (500, True), (501, True), (502, True), (503, False), (504, False), (507, False)],
)
def test_what_is_no_documented_refusal_is_a_defect(
    status: int, is_defect: bool, tmp_path: Path
) -> None:
    with Recording(tmp_path / "run.jsonl", ["http://m:8000"]) as recording:
        answered(recording, Append(1, 0.0, "unknown", ["a"], 1), status, b"{}", {})
    assert bool(recording.defects) == is_defect
    assert_no_defects(recording, ["http://m:8000"])
    if is_defect:
        with pytest.raises(Violation, match=f"http://m:8000 answered {status} to the append"):
            assert_no_defects(recording, ["http://s1:8001"])
