"""The commands that follow, measure, compare and explain, against real nodes.

NETWORK.
"""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.support.cluster import (
    MASTER,
    S1,
    S2,
    ProcessCluster,
    answers,
    call,
    clean_environment,
    replog,
)
from tests.support.commands import running
from tests.support.tools import needs
from tests.support.waiting import DEADLINE_S, wait_until


class Lines:
    """What a process prints, read beside the test."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.seen: list[str] = []
        self._process = process
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.seen.append(line.rstrip("\n"))

    def wait(self, count: int) -> None:
        wait_until(
            lambda: len(self.seen) >= count, f"{count} lines", explain=lambda: str(self.seen)
        )


def append(cluster: ProcessCluster, *texts: str) -> None:
    lines = "".join(f"{text}\n" for text in texts)
    done = replog("append", "-", "--url", cluster.url(MASTER), stdin=lines)
    assert done.returncode == 0, done.stderr


def wait_alive(cluster: ProcessCluster, node: str) -> None:
    wait_until(
        lambda: answers(f"{cluster.url(node)}/livez"), f"{node} is back", explain=cluster.explain
    )


# --- tail ---------------------------------------------------------------------------------------


def test_tail_prints_at_once_and_goes_on_over_restarts_with_each_entry_once(
    cluster: ProcessCluster,
) -> None:
    append(cluster, *(f"old {number}" for number in range(1, 13)))
    with running("tail", "--url", cluster.url(S1)) as process:
        lines = Lines(process)
        lines.wait(10)
        assert lines.seen[0] == "3\told 3"
        append(cluster, "one")
        lines.wait(11)
        cluster.kill(S1)
        appended = replog("append", "while it is away", "-w", "1", "--url", cluster.url(MASTER))
        assert appended.stdout == "14\n"
        cluster.start(S1)
        lines.wait(12)
        append(cluster, "two", "three")
        lines.wait(14)
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE_S) == 130
        assert process.stderr is not None
        said = process.stderr.read()
    assert [line.split("\t")[0] for line in lines.seen] == [str(id_) for id_ in range(3, 17)]
    assert lines.seen[-4:] == ["13\tone", "14\twhile it is away", "15\ttwo", "16\tthree"]
    assert said.count("reconnecting") == 1
    assert said.count("\n") == 1


# --- append - -----------------------------------------------------------------------------------


def test_lines_are_stored_once_and_in_order_though_the_master_is_killed_between(
    cluster: ProcessCluster,
) -> None:
    with running("append", "-", "--url", cluster.url(MASTER)) as process:
        lines = Lines(process)
        assert process.stdin is not None
        for number in range(5000):
            process.stdin.write(f"line {number}\n")
            if number == 2500:
                process.stdin.flush()
                lines.wait(1)
                cluster.kill(MASTER)
                cluster.start(MASTER)
        process.stdin.close()
        assert process.wait(DEADLINE_S) == 0
        lines.wait(5000)
    got = replog("get", "-o", "raw", "--url", cluster.url(MASTER)).stdout.splitlines()
    assert got == [f"line {number}" for number in range(5000)]
    assert lines.seen == [str(id_) for id_ in range(1, 5001)]


def test_a_key_is_stored_once_and_an_expectation_is_kept(cluster: ProcessCluster) -> None:
    url = cluster.url(MASTER)
    assert replog("append", "x", "--key", "k", "--url", url).stdout == "1\n"
    assert replog("append", "x", "--key", "k", "--url", url).stdout == "1\n"
    assert replog("append", "y", "--key", "k", "--url", url).returncode == 2
    assert replog("append", "y", "--expect", "1", "--url", url).stdout == "2\n"
    moved = replog("append", "z", "--expect", "1", "--url", url)
    assert (moved.returncode, moved.stdout) == (6, "")


# --- acks ---------------------------------------------------------------------------------------


def test_the_way_to_wait_that_a_pending_append_names_is_one(cluster: ProcessCluster) -> None:
    cluster.stop(S2)
    pending = replog("append", "x", "-w", "all", "--timeout", "0", "--url", cluster.url(MASTER))
    assert pending.returncode == 4
    words = shlex.split(pending.stderr.splitlines()[-1].partition("wait for it:")[2])
    assert words[:5] == ["replog", "acks", "1", "-w", "all"]
    now = replog("acks", "1", "--wait", "0", "--url", cluster.url(MASTER))
    assert now.returncode == 4
    with running(*words[1:]) as process:
        cluster.start(S2)
        stdout, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0
    urls = {line.split("\t")[0] for line in stdout.splitlines()[1:]}
    assert urls == set(map(cluster.url, cluster.nodes))
    assert replog("acks", "2", "--url", cluster.url(S1)).returncode == 3  # it finds the master


# --- doctor -------------------------------------------------------------------------------------


def test_doctor_finds_where_two_masters_made_two_logs_of_one(cluster: ProcessCluster) -> None:
    append(cluster, *(f"line {number}" for number in range(50)))
    well = replog("doctor", "--url", cluster.url(MASTER))
    assert well.returncode == 0, well.stdout + well.stderr
    # A copy of the secondary takes over, and both go on by themselves.
    cluster.stop(MASTER)
    cluster.stop(S1)
    cluster.stop(S2)
    lone = cluster.node[S1]
    lone.role, role = "master", lone.role
    lone.start("--take-over")
    wait_alive(cluster, S1)
    for text in ("theirs", "and more"):
        assert replog("append", text, "-w", "1", "--url", lone.url).returncode == 0
    cluster.stop(S1)
    lone.role = role
    cluster.start(MASTER)
    wait_alive(cluster, MASTER)
    ours = replog("append", "ours", "-w", "1", "--url", cluster.url(MASTER))
    assert ours.returncode == 0, ours.stderr
    cluster.start(S1)
    cluster.start(S2)
    wait_alive(cluster, S1)
    wait_alive(cluster, S2)
    found = replog("doctor", "--url", cluster.url(MASTER))
    assert found.returncode == 7, found.stdout + found.stderr
    assert f'  {cluster.url(MASTER)}  {{"id":51,"message":"ours"}}\n' in found.stdout
    assert f'  {lone.url}  {{"id":51,"message":"theirs"}}\n' in found.stdout
    assert f"✗ {lone.url}: differs from id 51 on\n  keep both directories" in found.stderr


# --- get ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_million_entries_go_through_a_pipe_in_constant_memory(tmp_path: Path) -> None:
    lines = "".join(f"{number:0100}\n" for number in range(1_000_000))
    with ProcessCluster(tmp_path, secondaries=0) as alone:
        url = alone.start_all().url(MASTER)
        done = replog("append", "-", "--url", url, stdin=lines, timeout_s=300)
        assert done.returncode == 0, done.stderr
        small, one = peak_and_count("--limit", "1", "--url", url)
        large, all_ = peak_and_count("--url", url)
    assert (one, all_) == (1, 1_000_000)
    assert large - small < 16 * 1024, f"{small} KiB for one entry, {large} KiB for all"


def peak_and_count(*arguments: str) -> tuple[int, int]:
    """Return the memory in KiB that `replog get` took at the most, and how many lines it wrote."""
    code = (
        "import resource, sys\n"
        "from replog.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, "get", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_environment(),
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        count = sum(1 for _ in process.stdout)
        kib = int(process.stderr.read())
    return (kib if sys.platform != "darwin" else kib // 1024), count


# --- bench, cheat -------------------------------------------------------------------------------


def test_bench_that_fails_says_why_and_one_that_measures_says_on_what(
    cluster: ProcessCluster,
) -> None:
    url = cluster.url(MASTER)
    refused = replog("bench", "tail", "-w", "9", "--url", url)
    assert refused.returncode == 2
    assert "w is 9" in refused.stderr
    assert replog("bench", "read", "--url", url).returncode == 3
    append(cluster, *"abc")
    last_id = 3
    for line, entries in (
        ("append -n 20 --clients 4", 20),
        ("append -n 25 --batch 10 -w 1", 25),
        ("read -n 50 --batch 7", 50),
        ("tail -n 6 --batch 2 --clients 3", 6),
    ):
        arguments = line.split()
        shown = replog("bench", *arguments, "--url", url)
        assert shown.returncode == 0, shown.stderr
        head, row = (line.split("\t") for line in shown.stdout.splitlines())
        told = dict(zip(head, row, strict=True))
        assert told["ENTRIES"] == str(entries)
        assert {"P50 (MEDIAN)", "P99", "ENTRIES/S"} <= set(head)
        assert "machine of the clients: " in shown.stderr
        is_read = arguments[0] == "read"
        assert ("fsync" in shown.stderr, told["W"] == "-") == (not is_read, is_read)
        last_id += 0 if is_read else entries
        assert call("GET", f"{url}/logs?last=1").json()[0]["id"] == last_id


@needs("curl")
def test_every_line_of_the_cheat_sheet_works_as_it_stands(
    cluster: ProcessCluster, tmp_path: Path
) -> None:
    """On an empty log, and then on one that has entries."""
    (tmp_path / "FILE").write_text('{"message":"from a file"}\n')
    lines = sheet_of(cluster)
    run_lines(lines, tmp_path)
    more = sheet_of(cluster)
    assert len(more) == len(lines) + 4, "those of an entry"
    run_lines([line for line in more if line not in lines], tmp_path)
    assert (
        json.loads(replog("get", "--last", "1", "--json", "--url", cluster.url(MASTER)).stdout)[
            "message"
        ]
        == "next"
    )


def sheet_of(cluster: ProcessCluster) -> list[str]:
    sheet = replog("cheat", "--url", cluster.url(MASTER)).stdout
    lines = [line.strip() for line in sheet.splitlines() if line.startswith("  curl ")]
    assert len(lines) > 10
    return lines


def run_lines(lines: list[str], directory: Path) -> None:
    for line in lines:
        # A stream has no end of its own: two seconds of it, and curl's status for that.
        is_stream = "/logs/stream" in line
        command = line.replace("curl ", f"curl -sS --fail --max-time {2 if is_stream else 30} ", 1)
        done = subprocess.run(
            command, shell=True, capture_output=True, text=True, cwd=directory, check=False
        )
        assert done.returncode == (28 if is_stream else 0), f"{line}\n{done.stderr}"
