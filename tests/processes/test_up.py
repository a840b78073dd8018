"""`replog up` as a person runs it: real nodes, real signals, and nothing left behind.

NETWORK.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from replog.testing import free_ports
from tests.support.cluster import answers, call, clean_environment
from tests.support.waiting import DEADLINE_S, wait_until


@dataclass
class Up:
    """A running `replog up` on three ports in a row, and what it has said."""

    process: subprocess.Popen[str]
    port: int
    lines: list[str]
    error_path: Path

    @property
    def urls(self) -> list[str]:
        return [f"http://127.0.0.1:{self.port + offset}" for offset in range(3)]

    def said(self) -> str:
        return "\n".join(self.lines) + self.error_path.read_text()

    def complaints(self) -> list[str]:
        """Return what it said on stderr, but for the waits that a slow machine makes long."""
        lines = self.error_path.read_text().splitlines()
        return [line for line in lines if not line.startswith("not ready yet: ")]

    def node_pids(self) -> dict[str, int]:
        """Return the nodes' processes by name."""
        return {
            arguments.partition("--name ")[2].split()[0]: pid
            for pid, arguments in children_of(self.process.pid).items()
        }


def children_of(parent: int) -> dict[int, str]:
    """Return the command lines of child processes. Linux need not have `ps`, macOS has it."""
    if Path("/proc/self/stat").exists():
        found = {}
        for path in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it ended meanwhile
                if int((path / "stat").read_text().rpartition(")")[2].split()[1]) == parent:
                    arguments = (path / "cmdline").read_bytes().replace(b"\0", b" ")
                    found[int(path.name)] = arguments.decode()
        return found
    command = ["ps", "-A", "-ww", "-o", "pid=,ppid=,args="]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = [line.split(maxsplit=2) for line in listed.splitlines()]
    return {int(pid): arguments for pid, of, arguments in rows if int(of) == parent}


def three_ports_in_a_row() -> int:
    """Return the first of three ports that nobody listens on right now."""
    for _ in range(100):
        [port] = free_ports(1)
        if not any(answers(f"http://127.0.0.1:{port + offset}/livez") for offset in (1, 2)):
            return port
    raise AssertionError("no three free ports in a row")


@contextmanager
def up(directory: Path, *arguments: str, environment: dict[str, str] | None = None) -> Iterator[Up]:
    """Start `replog up` in `directory` and wait for its greeting."""
    port = three_ports_in_a_row()
    error_path = directory / "stderr"
    command = [sys.executable, "-m", "replog", "up", "--port", str(port), *arguments]
    with error_path.open("w") as error:
        process = subprocess.Popen(
            command,
            cwd=directory,
            stdout=subprocess.PIPE,
            stderr=error,
            text=True,
            env=clean_environment(environment),
            start_new_session=True,
        )
    running = Up(process, port, [], error_path)
    pids: Sequence[int] = ()
    try:
        assert process.stdout is not None
        while not (running.lines and running.lines[-1].startswith("ready in ")):
            line = process.stdout.readline()
            assert line, running.said()
            running.lines.append(line.rstrip("\n"))
        pids = list(running.node_pids().values())
        yield running
    finally:
        process.kill()
        process.communicate()
        for pid in pids:
            wait_until(lambda pid=pid: not is_running(pid), f"node {pid} is gone")  # type: ignore[misc]


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def is_halted(pid: int) -> bool:
    """Return whether a process is stopped. Linux need not have `ps`, macOS has it."""
    stat = Path(f"/proc/{pid}/stat")
    if stat.exists():
        return stat.read_text().rpartition(")")[2].split()[0] == "T"
    command = ["ps", "-o", "state=", "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout[:1] == "T"


def end(running: Up, number: signal.Signals) -> str:
    """Send a signal and return what was said on stdout after it; the exit status is 0."""
    running.process.send_signal(number)
    rest, _ = running.process.communicate(timeout=DEADLINE_S)
    assert running.process.returncode == 0, running.said()
    return rest


def test_it_greets_with_the_nodes_and_a_line_to_try_and_passes_no_settings_on(
    tmp_path: Path,
) -> None:
    theirs = {"REPLOG_PORT": "1", "REPLOG_ROLE": "nonsense", "REPLOG_DATA_DIR": "/nowhere"}
    with up(tmp_path, environment=theirs) as running:
        port = running.port
        assert [line.split("\t") for line in running.lines[:-1]] == [
            ["ROLE", "URL", "DATA"],
            ["master", f"http://127.0.0.1:{port}", "replog-data/master"],
            ["secondary", f"http://127.0.0.1:{port + 1}", "replog-data/secondary-1"],
            ["secondary", f"http://127.0.0.1:{port + 2}", "replog-data/secondary-2"],
        ]
        greeting = re.fullmatch(r"ready in \d+\.\d s · try:  (curl .*)", running.lines[-1])
        assert greeting is not None
        assert greeting[1] == f"""curl -d '{{"message":"hello"}}' http://127.0.0.1:{port}/logs"""
        answer = call("POST", f"{running.urls[0]}/logs", body='{"message":"hello"}')
        assert answer.text == '{"status":"success","log":{"id":1,"message":"hello"}}'
        for url in running.urls:
            assert call("GET", f"{url}/logs").text == '[{"id":1,"message":"hello"}]'


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_all_nodes_and_names_the_data(tmp_path: Path, number: signal.Signals) -> None:
    with up(tmp_path) as running:
        pids = running.node_pids()
        assert sorted(pids) == ["master", "secondary-1", "secondary-2"]
        assert end(running, number) == "stopped · data is in replog-data\n"
        assert not any(is_running(pid) for pid in pids.values())
        assert running.complaints() == []


def test_a_node_that_was_halted_ends_with_the_others_at_ctrl_c(tmp_path: Path) -> None:
    with up(tmp_path) as running:
        pids = running.node_pids()
        os.kill(pids["secondary-1"], signal.SIGSTOP)
        wait_until(lambda: is_halted(pids["secondary-1"]), "it is halted")
        assert end(running, signal.SIGINT) == "stopped · data is in replog-data\n"
        assert not any(is_running(pid) for pid in pids.values())
        assert running.complaints() == []


def test_nodes_end_with_their_parent_even_when_that_is_killed(tmp_path: Path) -> None:
    with up(tmp_path) as running:
        pids = running.node_pids()
        running.process.kill()
        running.process.wait()
        for name, pid in pids.items():
            wait_until(lambda pid=pid: not is_running(pid), f"{name} ends")  # type: ignore[misc]


def test_data_is_kept_between_runs_unless_fresh_and_a_delay_is_that_of_its_secondary(
    tmp_path: Path,
) -> None:
    with up(tmp_path) as running:
        call("POST", f"{running.urls[0]}/logs", body='{"message":"kept"}')
        end(running, signal.SIGINT)
    with up(tmp_path, "--delay", "2=0.5") as running:

        def delays() -> list[float]:
            rows = call("GET", f"{running.urls[0]}/health").json()["secondaries"]
            return [row["delay_s"] for row in rows]

        assert call("GET", f"{running.urls[0]}/logs").text == '[{"id":1,"message":"kept"}]'
        wait_until(lambda: delays() == [0.0, 0.5], "the master knows", explain=running.said)
        end(running, signal.SIGINT)
    with up(tmp_path, "--fresh") as running:
        assert call("GET", f"{running.urls[0]}/logs").text == "[]"
        assert "deleted the data of 3 nodes in replog-data\n" in running.said()


def test_a_node_that_dies_is_said_and_the_line_that_is_printed_starts_it_again(
    tmp_path: Path,
) -> None:
    with up(tmp_path) as running:
        os.kill(running.node_pids()["secondary-2"], signal.SIGKILL)
        told = f"secondary-2 ({running.urls[2]}) was ended by SIGKILL"
        wait_until(lambda: told in running.said(), "the death is said", explain=running.said)
        form = re.compile(r"^ +replog (serve --role secondary .*secondary-2.*)\n", re.MULTILINE)
        wait_until(lambda: bool(form.search(running.said())), "the way back", explain=running.said)
        # The others go on.
        answer = call("POST", f"{running.urls[0]}/logs?w=2", body='{"message":"on two"}')
        assert answer.status_code == 200
        line = form.search(running.said())
        assert line is not None
        command = [sys.executable, "-m", "replog", *shlex.split(line[1])]
        again = subprocess.Popen(command, cwd=tmp_path, env=clean_environment())
        try:
            answer = call("POST", f"{running.urls[0]}/logs?w=all", body='{"message":"on all"}')
            assert answer.status_code == 200
            end(running, signal.SIGINT)
            assert again.poll() is None, "it belongs to who started it"
        finally:
            again.terminate()
        assert again.wait(DEADLINE_S) == 0


def test_a_node_that_cannot_start_ends_all_and_says_why(tmp_path: Path) -> None:
    (tmp_path / "replog-data").mkdir()
    (tmp_path / "replog-data" / "secondary-1").write_text("a file, not a directory")
    port = three_ports_in_a_row()
    command = [sys.executable, "-m", "replog", "up", "--port", str(port)]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=DEADLINE_S,
        env=clean_environment(), check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "replog-data/secondary-1" in done.stderr
    assert "secondary-1 " in done.stderr
    assert "exit status 1 before all nodes were ready: the others are stopped" in done.stderr
    assert "Start it again" not in done.stderr, "that would be one node alone"
    assert "Traceback" not in done.stderr
    assert not any(answers(f"http://127.0.0.1:{port + offset}/livez") for offset in range(3))
