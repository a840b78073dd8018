"""`python -m benchmarks` and `benchmarks.peers` work: their figures are for people, not for tests.

SHELL.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path

from tests.support.cluster import clean_environment

ROOT = Path(__file__).parents[2]


def measure(*arguments: str | Path) -> str:
    """Run `python -m` to its end; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", *map(str, arguments)],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_benchmark_runs_through_and_reports_every_figure(tmp_path: Path) -> None:
    report = json.loads(measure("benchmarks", "--smoke", "--json", "--directory", tmp_path))
    assert [line["clients"] for line in report["appends"]["appends"]] == [1, 4]
    for line in report["appends"]["appends"]:
        assert line["per_second"]["median"] > 0
        assert 0 < line["p50_ms"]["median"] <= line["p99_ms"]["median"]
    assert report["producer"]["per_second"]["median"] > 0
    following = report["following"]
    assert (following["followers"], following["followers_wrong"]) == (20, 0)
    assert following["appends_followed_p50_ms"]["median"] > 0
    (large,) = report["large"]
    assert large["entries"] == 2000
    for figure in (
        "read_mb_per_second",
        "read_secondary_mb_per_second",
        "catch_up_mb_per_second",
        "restart_master_s",
        "restart_secondary_s",
    ):
        assert large[figure]["median"] > 0, figure
    judging = report["judging"]
    assert judging["judged"].startswith("800 appends, 200 reads, 3 disks, "), judging
    assert judging["judged"].endswith(" entries, ok"), judging
    assert judging["cpu_s"]["median"] > 0
    for part, when in itertools.product((report["appends"], large), ("before", "after")):
        memory = part[f"memory_mb_{when}"]
        assert set(memory) == {"master", "secondary-1", "secondary-2"}
        assert all(megabytes > 0 for megabytes in memory.values())
    assert list(tmp_path.iterdir()) == [], "something was left behind"


def test_one_part_is_measured_alone(tmp_path: Path) -> None:
    row: list[str | Path] = ["--smoke", "--only", "judging", "--directory", tmp_path]
    report = json.loads(measure("benchmarks", *row, "--json"))
    assert report["judging"]["operations"] == 1000
    assert (report["appends"], report["producer"], report["following"]) == (None, None, None)
    assert report["large"] == []
    assert "replog check, s" in measure("benchmarks", *row)


def test_the_comparison_runs_without_any_peer_and_writes_its_document(tmp_path: Path) -> None:
    data, documents = tmp_path / "data", tmp_path / "documents"
    for directory in (data, documents):
        directory.mkdir()
    row: list[str | Path] = ["--smoke", "--only", "appends", "--peers", "none", "--directory", data]
    report = json.loads(measure("benchmarks.peers", *row, "--json", "--write", documents))
    assert [one["row"] for one in report["runs"]] == ["appends"]
    of_clients = {
        one["quantity"]["text"]: one["samples"]
        for one in report["sampled"]
        if one["system"] == "replog" and "appends/s" in one["quantity"]["text"]
    }
    assert set(of_clients) == {"1 client, appends/s", "4 clients, appends/s"}
    assert all(samples > [0] for samples in of_clients.values())
    assert "## Single appends" in (documents / "benchmarks-peers.md").read_text()
    assert (documents / "benchmarks-peers.svg").read_text().startswith("<svg")
    assert list(data.iterdir()) == [], "something was left behind"
