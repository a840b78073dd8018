"""examples/ as a person runs them, beside a crash of the master.

SHELL.
"""

from __future__ import annotations

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from replog.client import Client
from tests.house.source import ROOT
from tests.support.cluster import MASTER, ProcessCluster, clean_environment
from tests.support.waiting import wait_until

RECEIVED = 20
PIECES = 3
TILLS = 2
SALES = 4


def start(urls: tuple[str, ...], output: Path, *arguments: str) -> subprocess.Popen[bytes]:
    with output.open("ab") as said:
        return subprocess.Popen(
            [sys.executable, str(ROOT / "examples" / "stock.py"), *arguments],
            env=clean_environment({"LOG_URLS": ",".join(urls)}),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
        )


def test_tills_and_a_watcher_agree_though_the_master_dies_between_the_sales(
    tmp_path: Path,
) -> None:
    watched = tmp_path / "watched"
    with ProcessCluster(tmp_path) as cluster, ExitStack() as stack:
        urls = cluster.start_all().urls
        watcher = start(urls, watched, "watch")
        stack.callback(watcher.wait)
        stack.callback(watcher.kill)

        def sell(till: int) -> list[str]:
            """Return what each sale of a till said."""
            said = tmp_path / f"till-{till}"
            for _ in range(SALES):
                assert start(urls, said, "sell", str(PIECES)).wait(60) in {0, 1}, said.read_text()
            return said.read_text().splitlines()

        assert start(urls, tmp_path / "received", "receive", str(RECEIVED)).wait(60) == 0
        with ThreadPoolExecutor(TILLS) as pool:
            tills = [pool.submit(sell, till) for till in range(TILLS)]
            wait_until(lambda: "2: 17 left" in watched.read_text(), "a piece is sold")
            cluster.kill(MASTER)
            cluster.start(MASTER)
            said = [line for till in tills for line in till.result()]

        lefts = list(range(RECEIVED, -1, -PIECES))
        assert sorted(said) == sorted(
            [*(f"{left} left" for left in lefts[1:]), *2 * [f"sold out: {lefts[-1]} left"]]
        )
        shown = [f"{id_}: {left} left" for id_, left in enumerate(lefts, 1)]
        wait_until(
            lambda: watched.read_text().splitlines() == shown,
            f"the watcher shows {shown}",
            explain=watched.read_text,
        )
        with Client(urls) as client:
            assert len(list(client.read())) == len(lefts)


def test_an_example_is_short_and_says_how_to_run_it() -> None:
    examples = sorted((ROOT / "examples").glob("*.py"))
    assert examples
    for path in examples:
        text = path.read_text()
        assert len(text.splitlines()) <= 80, path.name
        assert re.search(rf"^    python examples/{path.name}", text, re.MULTILINE), path.name
