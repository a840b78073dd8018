"""A node that cannot start says why in one line, and ends with a code that says whose fault it is.

NETWORK.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from replog.testing import free_ports
from tests.support.cluster import Node, answers, call, clean_environment
from tests.support.tools import needs
from tests.support.waiting import DEADLINE_S, wait_until


def serve(
    *arguments: str | Path,
    environment: dict[str, str] | None = None,
    under: tuple[str, ...] = (),
) -> subprocess.CompletedProcess[str]:
    """Run a node that is expected not to start, `under` another command."""
    return subprocess.run(
        [*under, sys.executable, "-m", "replog", "serve", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        env=clean_environment(environment),
        check=False,
    )


def error_line(done: subprocess.CompletedProcess[str], *, status: int) -> str:
    """Return the one line that the command ended with; before it stands only the log."""
    lines = done.stderr.splitlines()
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    [line] = [line for line in lines if line.startswith("replog: ")]
    assert line == lines[-1]
    assert done.stdout == ""
    return line


def free_port() -> str:
    return str(free_ports(1)[0])


def secondary(directory: Path, *, port: str | None = None) -> list[str | Path]:
    return ["--role", "secondary", "--port", port or free_port(), "--data-dir", directory]


def test_a_taken_port_is_named_and_the_data_directory_not_touched(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        line = error_line(serve(*secondary(tmp_path / "data", port=port)), status=1)
    assert f"Port {port} on 127.0.0.1 is taken" in line
    assert not (tmp_path / "data").exists()


def test_a_host_that_is_not_here_is_named_and_a_misspelt_variable_is_a_warning(
    tmp_path: Path,
) -> None:
    words = [*secondary(tmp_path), "--host", "no-such-host.invalid"]
    done = serve(*words, environment={"REPLOG_PRT": "1"})
    assert "no-such-host.invalid" in error_line(done, status=1)
    assert "REPLOG_PRT is in the environment, and is no setting of replog" in done.stderr


def test_a_directory_that_another_process_has_open_is_named(tmp_path: Path) -> None:
    node = Node("first", tmp_path, free_ports(1)[0], role="secondary")
    node.start()
    try:
        wait_until(lambda: answers(f"{node.url}/livez"), "the first node is up", explain=node.said)
        line = error_line(serve(*secondary(node.data)), status=1)
        assert str(node.data) in line
        assert answers(f"{node.url}/livez")
    finally:
        assert node.end(signal.SIGTERM) == 0


MAY_NOT = ("setpriv", "--bounding-set", "-dac_override") if os.geteuid() == 0 else ()
"""Takes from root what no other user has: to write where nobody may."""


@needs(*MAY_NOT[:1])
def test_a_directory_without_write_permission_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    try:
        line = error_line(serve(*secondary(tmp_path / "data"), under=MAY_NOT), status=1)
    finally:
        tmp_path.chmod(0o755)
    assert f"{tmp_path}/data" in line


def test_a_path_that_cannot_be_a_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    line = error_line(serve(*secondary(tmp_path / "file" / "data")), status=1)
    assert f"{tmp_path}/file/data" in line


def test_a_flag_that_is_wrong_is_usage(tmp_path: Path) -> None:
    done = serve(*secondary(tmp_path, port="http"))
    assert error_line(done, status=2) == (
        'replog: --port (the command line): got "http", expected a whole number from 1 to 65535'
    )


def test_a_variable_that_is_wrong_is_the_environment(tmp_path: Path) -> None:
    done = serve(
        "--role", "master", "--data-dir", tmp_path, environment={"REPLOG_WRITE_CONCERN": "most"}
    )
    assert error_line(done, status=1) == (
        'replog: REPLOG_WRITE_CONCERN (the environment): got "most", expected a number of nodes '
        'from 1 on, "majority" or "all"'
    )


def test_a_file_that_is_wrong_is_named_with_its_setting(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    path.write_text('role = "master"\nprot = 8000\n')
    line = error_line(serve("--config", path), status=1)
    assert f'{path}: unknown setting "prot"' in line


def test_ctrl_c_ends_a_node_with_status_0(tmp_path: Path) -> None:
    node = Node("one", tmp_path, free_ports(1)[0], role="secondary")
    node.start()
    wait_until(lambda: answers(f"{node.url}/livez"), "it is up", explain=node.said)
    assert node.end(signal.SIGINT) == 0, node.said()
    assert "Traceback" not in node.said()


STUCK = """
import time
from replog.cli.main import main
from replog.storage.log import Log

def never_returns(log, id):
    print("reading", flush=True)
    time.sleep(600)

Log.time_of = never_returns
main()
"""
"""A node whose disk does not answer one kind of read, in place of a disk that hangs."""


def test_a_stop_does_not_wait_for_a_read_that_hangs(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-c", STUCK, "serve", "--role", "master"]
    with subprocess.Popen(
        [*command, "--port", port, "--data-dir", tmp_path / "data"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=clean_environment(),
    ) as node, ThreadPoolExecutor(1) as threads:  # fmt: skip
        try:
            wait_until(lambda: answers(f"{url}/readyz"), "it is up")
            assert call("POST", f"{url}/logs", body='{"message":"m"}').status_code == 200
            asking = threads.submit(call, "GET", f"{url}/logs/1/acks")
            assert node.stdout is not None
            assert node.stdout.readline() == "reading\n"
            node.send_signal(signal.SIGTERM)
            _, said = node.communicate(timeout=DEADLINE_S)
        finally:
            node.kill()
        with pytest.raises(httpx2.TransportError):
            asking.result(DEADLINE_S)
    assert node.returncode == 0, said
    assert "Traceback" not in said
    assert "stopped; the log ends at" in said.splitlines()[-1]


IMPORTING = """
import signal, time
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
print("importing", flush=True)
time.sleep(600)
"""
"""In place of a module that takes long to import; Ctrl-C reaches it also in the background."""


@pytest.mark.parametrize(
    ("command", "number", "status"),
    [
        ("serve", signal.SIGTERM, 0),
        ("serve", signal.SIGINT, 0),
        ("up", signal.SIGTERM, 0),
        ("get", signal.SIGINT, 130),
        ("get", signal.SIGTERM, -signal.SIGTERM),
    ],
)
def test_a_signal_while_a_command_still_imports_ends_it_as_later(
    tmp_path: Path, command: str, number: signal.Signals, status: int
) -> None:
    (tmp_path / "typer.py").write_text(IMPORTING)
    environment = clean_environment()
    environment["PYTHONPATH"] = f"{tmp_path}:{environment['PYTHONPATH']}"
    with subprocess.Popen(
        [sys.executable, "-m", "replog", command],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "importing\n"
            process.send_signal(number)
            _, said = process.communicate(timeout=DEADLINE_S)
        finally:
            process.kill()
    assert (process.returncode, said) == (status, "")


def test_a_signal_during_the_start_ends_it_too_without_a_traceback(tmp_path: Path) -> None:
    node = Node("one", tmp_path, free_ports(1)[0], role="secondary")
    node.start()
    wait_until(lambda: "starting as" in node.said(), "it starts", explain=node.said)
    assert node.end(signal.SIGTERM) == 0, node.said()
    assert "Traceback" not in node.said()


SIGNALLED = """
import os, signal, sys

moment, number = sys.argv.pop(1), int(sys.argv.pop(1))
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

coming = [number]

def come():
    if coming:
        print("signalled", flush=True)
        os.kill(os.getpid(), coming.pop())

class Dropped:
    def __del__(self):
        come()

def before(act, call):
    def first(*arguments, **keywords):
        act()
        return call(*arguments, **keywords)
    return first

if moment == "the event loop begins":  # it keeps what it found at its import
    signal.set_wakeup_fd = before(come, signal.set_wakeup_fd)
elif moment == "the log is opened":
    from replog.storage.log import Log
    Log.open = before(come, Log.open)
elif moment == "something is dropped":
    from replog.storage.log import Log
    Log.open = before(Dropped, Log.open)

from replog.__main__ import main
main()
"""
"""A node that a signal meets at one moment of its start. What Python raises where something is
dropped is lost, and what it raises within the event loop leaves that in pieces."""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    "moment", ["the event loop begins", "the log is opened", "something is dropped"]
)
def test_a_signal_at_any_moment_of_the_start_ends_a_node_in_order(
    tmp_path: Path, moment: str, number: signal.Signals
) -> None:
    arguments = secondary(tmp_path / "data")
    done = subprocess.run(
        [sys.executable, "-c", SIGNALLED, moment, str(int(number)), "serve", *arguments],
        capture_output=True, text=True, env=clean_environment(), timeout=DEADLINE_S, check=False,
    )  # fmt: skip
    assert done.stdout == "signalled\n"
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "ERROR" not in done.stderr
