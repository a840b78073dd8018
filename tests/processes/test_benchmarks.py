"""`python -m benchmarks` works: its figures are for people, not for tests.

SHELL.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.support.cluster import clean_environment

ROOT = Path(__file__).parents[2]


def test_the_benchmark_runs_through_and_reports_every_figure(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--smoke", "--json", "--directory", str(tmp_path)],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert [line["clients"] for line in report["appends"]["appends"]] == [1, 4]
    assert all(line["per_second"]["median"] > 0 for line in report["appends"]["appends"])
    assert report["producer"]["per_second"]["median"] > 0
    following = report["following"]
    assert (following["followers"], following["followers_wrong"]) == (20, 0)
    assert following["appends_followed_p50_ms"]["median"] > 0
    (large,) = report["large"]
    assert large["entries"] == 2000
    for figure in ("read_mb_per_second", "catch_up_mb_per_second", "restart_master_s"):
        assert large[figure]["median"] > 0
    assert set(large["memory_mb_after"]) == {"master", "secondary-1", "secondary-2"}
    assert list(tmp_path.iterdir()) == [], "something was left behind"
