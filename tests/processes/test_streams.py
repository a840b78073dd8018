"""Commands whose standard streams are closed, full or of another alphabet."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from replog.testing import free_ports
from tests.support.cluster import answers, clean_environment
from tests.support.waiting import DEADLINE_S, wait_until

REPLOG = f"exec {sys.executable} -m replog"


def shell(command: str, **settings: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["/bin/sh", "-c", command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(settings),
    )


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_node_with_closed_streams_serves_and_ends_with_0(tmp_path: Path, closed: str) -> None:
    [port] = free_ports(1)
    process = shell(f"{REPLOG} serve --role master --port {port} --data-dir {tmp_path}/d {closed}")
    try:
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/readyz"), "it is ready")
    finally:
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, said
    assert "Traceback" not in said


def test_a_full_output_and_another_alphabet_are_no_tracebacks(tmp_path: Path) -> None:
    [port] = free_ports(1)
    node = shell(f"{REPLOG} serve --role master --port {port} --data-dir {tmp_path}/d")
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: answers(f"{url}/readyz"), "it is ready")
        shell(f"{REPLOG} append 'ö😀' --url {url}").communicate(timeout=DEADLINE_S)
        full = shell(f"{REPLOG} get --url {url} >/dev/full")
        _, said = full.communicate(timeout=DEADLINE_S)
        assert full.returncode == 1
        assert said.count("\n") == 1, said
        assert "the output cannot be written" in said
        ascii_only = shell(
            f"{REPLOG} get --url {url}", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0", LC_ALL="C"
        )
        shown, said = ascii_only.communicate(timeout=DEADLINE_S)
        assert (ascii_only.returncode, said) == (0, "")
        assert "ö😀" in shown
    finally:
        node.send_signal(signal.SIGTERM)
        node.communicate(timeout=DEADLINE_S)
