"""`replog up`, the parts that start no process.

SHELL.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from typer.testing import CliRunner

from replog.cli import local_cluster
from replog.cli.local_cluster import (
    PlannedNode,
    end_processes,
    environment_of_nodes,
    listen,
    plan_nodes,
    reasons_not_ready,
    refuse_running,
    remove_data,
    tell,
)
from replog.cli.main import app
from replog.cli.output import CommandError
from replog.cli.up import parse_delays
from replog.config.load import load_settings
from replog.core.errors import DirectoryLockedError
from replog.http import server
from replog.node.node import STOP_WITHIN_S
from replog.replication.link import CLOSE_WITHIN_S
from replog.storage.filesystem import PosixFilesystem
from replog.testing import free_ports
from tests.cli.scripted_node import Answer, ScriptedNode, scripted_node
from tests.support.waiting import DEADLINE_S


def plan(secondaries: int = 2) -> list[PlannedNode]:
    return plan_nodes(
        secondaries=secondaries,
        port=9000,
        data_dir="data",
        delays={2: 1.5},
        log_level="warning",
    )


def test_the_master_comes_last_and_knows_every_secondary() -> None:
    nodes = plan()
    assert [node.name for node in nodes] == ["secondary-1", "secondary-2", "master"]
    assert [node.url for node in nodes] == [f"http://127.0.0.1:{p}" for p in (9001, 9002, 9000)]
    assert nodes[2].command_for_people() == (
        "replog serve --role master --port 9000 --data-dir data/master --log-level warning "
        "--secondary http://127.0.0.1:9001 --secondary http://127.0.0.1:9002"
    )


def test_a_delay_goes_to_its_secondary_alone() -> None:
    assert ["--delay" in node.arguments for node in plan()] == [False, True, False]
    assert plan()[1].arguments[-2:] == ("--delay", "1.5")


def test_a_cluster_can_be_a_master_alone() -> None:
    assert [node.name for node in plan(secondaries=0)] == ["master"]


def test_what_is_set_for_one_node_does_not_reach_the_others() -> None:
    assert environment_of_nodes({"REPLOG_PORT": "1", "PATH": "/bin"}) == {"PATH": "/bin"}


def test_every_planned_node_has_settings_that_load() -> None:
    for node in plan():
        words = iter(node.arguments)
        flags: dict[str, str | None] = {}
        for flag, value in zip(words, words, strict=True):
            name = flag.removeprefix("--").replace("-", "_").replace("secondary", "secondaries")
            flags[name] = f"{flags[name]},{value}" if name in flags else value
        settings = load_settings(flags=flags, environment={})
        assert (settings.role, settings.data_dir) == (node.role, node.data_dir)


@pytest.mark.parametrize(
    "text", ["1", "0=1", "3=1", "1=-1", "1=x", "=", "1=nan", "1=inf", "1=3600.1"]
)
def test_a_delay_that_is_none_is_usage(text: str) -> None:
    with pytest.raises(CommandError, match="expected N=SECONDS"):
        parse_delays([text], secondaries=2)


def test_delays_are_by_the_number_of_the_secondary() -> None:
    assert parse_delays(["1=2.0", "2=0"], secondaries=2) == {1: 2.0, 2: 0.0}


def test_a_taken_port_is_one_line_and_starts_nothing(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        arguments = ["up", "--secondaries", "0", "--port", str(port), "--data-dir", str(tmp_path)]
        result = CliRunner().invoke(app, arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.count("\n") == 1
    assert f"port {port} on 127.0.0.1 cannot be taken" in result.stderr
    assert result.stderr.endswith(", or choose others: replog up --port PORT\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("held", "said"),
    [
        (["master", "secondary-1"], "the cluster in {} runs already: end that with Ctrl-C where"),
        (
            ["secondary-1"],
            "secondary-1 of {0} runs already: end that with kill $(lsof -t {0}/secondary-1/lock), ",
        ),
    ],
)
def test_what_runs_already_is_named_and_nothing_is_started_beside_it(
    tmp_path: Path, held: list[str], said: str
) -> None:
    for name in ("master", "secondary-1"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "lock").touch()
    locks = [PosixFilesystem().lock(str(tmp_path / name / "lock")) for name in held]
    arguments = ["up", "--fresh", "--secondaries", "1", "--data-dir", str(tmp_path)]
    result = CliRunner().invoke(app, [*arguments, "--port", str(free_ports(1)[0])])
    for lock in locks:
        lock.close()
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"replog: {said.format(tmp_path)}")
    beside = "or start another cluster beside it: replog up --port PORT --data-dir DIR\n"
    assert result.stderr.endswith(beside)


def test_two_that_run_already_are_named_in_one_line(tmp_path: Path) -> None:
    nodes = [PlannedNode(name, 1, str(tmp_path / name), ()) for name in ("a", "b", "c")]
    for node in nodes:
        Path(node.data_dir).mkdir()
    locks = [PosixFilesystem().lock(f"{node.data_dir}/lock") for node in nodes[:2]]
    with pytest.raises(CommandError, match=r"^a and b of data run already: end that with kill"):
        refuse_running(nodes, "data")
    for lock in locks:
        lock.close()
    refuse_running(nodes, "data")


def test_what_is_to_be_typed_is_the_command_that_make_runs_where_no_path_leads_to_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.argv", [".venv/bin/replog", "up"])
    monkeypatch.setenv("PATH", str(tmp_path))
    assert plan()[0].command_for_people().startswith(".venv/bin/replog serve --role secondary ")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        node = PlannedNode("master", taken.getsockname()[1], "", ())
        with pytest.raises(CommandError, match=r": \.venv/bin/replog up --port PORT"):
            listen([node])
    (tmp_path / "replog").touch(mode=0o755)
    # This shell's PATH may lead to it, and that of the next one not.
    assert plan()[0].command_for_people().startswith(".venv/bin/replog serve --role secondary ")
    monkeypatch.setattr("sys.argv", ["/somewhere/else/bin/replog", "up"])
    assert plan()[0].command_for_people().startswith("replog serve --role secondary ")


def test_the_command_that_make_sets_up_runs_through_a_link_and_knows_what_was_typed(
    tmp_path: Path,
) -> None:
    command = tmp_path / "bin" / "replog"
    command.parent.mkdir()
    command.symlink_to(Path(sys.executable).with_name("replog"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        arguments = ["up", "--secondaries", "0", "--port", str(taken.getsockname()[1])]
        done = subprocess.run(
            [command, *arguments], cwd=tmp_path, env={"PATH": "/usr/bin:/bin"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.endswith(": bin/replog up --port PORT\n"), done.stderr


def test_ports_are_taken_all_or_none() -> None:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        trial.listen()
        free, taken = free_ports(1)[0], trial.getsockname()[1]
        first, second = PlannedNode("a", free, "", ()), PlannedNode("b", taken, "", ())
        with pytest.raises(CommandError):
            listen([first, second])
    listeners = listen([first, second])
    assert [listener.getsockname()[1] for listener in listeners.values()] == [free, taken]
    for listener in listeners.values():
        listener.close()


@pytest.mark.parametrize(
    "arguments", [["--port", "65535"], ["--secondaries", "-1"], ["--log-level", "loud"]]
)
def test_wrong_flags_are_usage(arguments: list[str]) -> None:
    assert CliRunner().invoke(app, ["up", *arguments]).exit_code == 2


def test_fresh_deletes_the_directories_of_nodes_and_nothing_else(tmp_path: Path) -> None:
    for name in ("master", "secondary-1", "secondary-12", "secondary-x", "photos", "7"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "node.json").touch()
    (tmp_path / "secondary-2").mkdir()
    (tmp_path / "secondary-2" / "thesis.txt").touch()
    (tmp_path / "master-plan.txt").touch()
    assert remove_data(str(tmp_path)) == 3
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["7", "master-plan.txt", "photos", "secondary-2", "secondary-x"]


def test_fresh_deletes_nothing_while_a_node_runs_on_it(tmp_path: Path) -> None:
    for name in ("master", "secondary-1"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "node.json").touch()
    held = PosixFilesystem().lock(str(tmp_path / "secondary-1" / "lock"))
    with pytest.raises(DirectoryLockedError, match="secondary-1"):
        remove_data(str(tmp_path))
    held.close()
    assert (tmp_path / "master" / "node.json").exists()
    remove_data(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_fresh_without_an_earlier_run_is_no_error(tmp_path: Path) -> None:
    assert remove_data(str(tmp_path / "none")) == 0


def ready(node: ScriptedNode) -> str:
    port = int(node.url.rpartition(":")[2])
    return asyncio.run(reasons_not_ready(PlannedNode("master", port, "data", ())))


@pytest.mark.parametrize(
    ("answer", "reasons"),
    [
        (Answer(b'{"status":"ready"}'), ""),
        (Answer(json.dumps({"reasons": ["no log", "x"]}).encode(), status=503), "no log, x"),
        (Answer(json.dumps({"detail": "Wait."}).encode(), status=503), "Wait."),
        (Answer(b"<html>", status=500), "is not ready"),
    ],
)
def test_a_node_is_ready_when_it_says_so(answer: Answer, reasons: str) -> None:
    with scripted_node() as node:
        node.answers = [answer]
        assert ready(node) == reasons


def test_a_node_that_is_not_there_is_not_ready() -> None:
    with scripted_node() as node:
        pass
    assert ready(node) == "does not answer"


def test_who_waits_long_is_told_why_and_nothing_once_all_are_ready(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(local_cluster, "EXPLAIN_AFTER_S", -1)
    with scripted_node() as node:
        no_log = Answer(json.dumps({"reasons": ["no log"]}).encode(), status=503)
        node.answers = [no_log, no_log, Answer(b'{"status":"ready"}')]
        port = int(node.url.rpartition(":")[2])
        planned = PlannedNode("master", port, "data", ())
        cluster = local_cluster.LocalCluster([planned], data_dir="data", is_fresh=False)
        asyncio.run(cluster._wait_until_ready())
    assert capfd.readouterr().err == "not ready yet: master: no log\n"


WILLING = "import time; print('ready', flush=True); time.sleep(600)"
UNWILLING = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {WILLING}"


def ends_of(*codes: str, within_s: float) -> list[int | None]:
    """Start a process for each code, end them all, and return their exit statuses."""

    async def story() -> list[int | None]:
        processes = {}
        for number, code in enumerate(codes):
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE
            )
            processes[f"node {number}"] = process
            assert process.stdout is not None
            assert await process.stdout.readline() == b"ready\n"
        await end_processes(processes, within_s=within_s)
        return [process.returncode for process in processes.values()]

    return asyncio.run(story())


def test_processes_are_asked_to_end(capfd: pytest.CaptureFixture[str]) -> None:
    assert ends_of(WILLING, WILLING, within_s=DEADLINE_S) == [-15, -15]
    assert capfd.readouterr().err == ""


def test_a_process_that_ends_between_two_signals_keeps_its_exit_status(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def tell_and_wait(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
        tell(process, number)
        if number is signal.SIGTERM:  # it has ended, and its exit status is not taken yet
            with suppress(ChildProcessError):  # or a thread of asyncio's has taken it by now
                os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)

    monkeypatch.setattr(local_cluster, "tell", tell_and_wait)
    assert ends_of(WILLING, WILLING, within_s=DEADLINE_S) == [-15, -15]


def test_processes_that_do_not_listen_are_killed_and_named(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert ends_of(UNWILLING, UNWILLING, within_s=0.1) == [-9, -9]
    said = [f"node {number} did not end within 0.1 s: killed" for number in (0, 1)]
    assert capfd.readouterr().err.splitlines() == said


def test_a_node_has_the_time_for_its_stop_that_it_gives_itself() -> None:
    parts = (server.STOP_GRACE_S, server._CLOSE_S, CLOSE_WITHIN_S, STOP_WITHIN_S)
    assert sum(parts) < local_cluster.STOP_WITHIN_S < 1, parts


def test_nothing_is_ended_where_nothing_runs() -> None:
    assert ends_of(within_s=DEADLINE_S) == []
