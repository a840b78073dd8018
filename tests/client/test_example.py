"""examples/stock.py: tills that sell at once never sell more than there is."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from replog.client import Client
from tests.house.source import ROOT
from tests.support.cluster import ProcessCluster, clean_environment
from tests.support.waiting import DEADLINE_S

pytestmark = pytest.mark.processes

TILLS = 5


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[ProcessCluster]:
    with ProcessCluster(tmp_path) as running:
        yield running.start_all()


def start(cluster: ProcessCluster, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(ROOT / "examples" / "stock.py"), *arguments],
        env=clean_environment({"LOG_URLS": ",".join(cluster.urls)}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_tills_at_work_at_once_sell_no_more_than_there_is(cluster: ProcessCluster) -> None:
    assert start(cluster, "receive", "10").communicate(timeout=DEADLINE_S)[0] == "10 left\n"
    tills = [start(cluster, "sell", "3") for _ in range(TILLS)]
    said = sorted(till.communicate(timeout=DEADLINE_S)[0] for till in tills)
    assert said == ["1 left\n", "4 left\n", "7 left\n", *(TILLS - 3) * ["sold out: 1 left\n"]]
    with Client(cluster.urls) as client:
        assert len(list(client.read())) == 4
    watching = start(cluster, "watch")
    try:
        assert watching.stdout is not None
        seen = [watching.stdout.readline() for _ in range(4)]
    finally:
        watching.kill()
        watching.communicate()
    assert seen == [f"{number}: {left} left\n" for number, left in enumerate((10, 7, 4, 1), 1)]
