"""The plain version of this system (`benchmarks.peers.baseline`), as three uvicorn processes.

SHELL.
"""

from __future__ import annotations

import importlib.metadata
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.load import HttpExchange
from benchmarks.peers.processes import Processes
from benchmarks.peers.systems.system import HOST, MESSAGE, Endpoint, Portrait
from replog.testing import free_ports
from tests.support.cluster import clean_environment
from tests.support.connection import append_request

NAME = "baseline"
ROOT = Path(__file__).parents[3]


class Baseline:
    portrait = Portrait(
        name=NAME,
        program=None,
        settings=(
            "[FastAPI and `requests`](../benchmarks/peers/baseline.py), three uvicorn processes; "
            "`POST /logs`"
        ),
        promise="All three have it in memory: a restart of all loses everything.",
        source="[its source](../benchmarks/peers/baseline.py)",
        is_synced=False,
    )

    def version(self) -> str:
        of = importlib.metadata.version
        return f"FastAPI {of('fastapi')}, requests {of('requests')}, uvicorn {of('uvicorn')}"

    @contextmanager
    def run(self, directory: Path) -> Iterator[Endpoint]:
        ports = dict(zip(["master", "b", "c"], free_ports(3), strict=True))
        urls = [f"http://{HOST}:{port}" for name, port in ports.items() if name != "master"]
        with Processes(directory) as processes:
            for name, port in ports.items():
                settings = {"SECONDARIES": " ".join(urls)} if name == "master" else {}
                environment = clean_environment(settings)
                environment["PYTHONPATH"] += f":{ROOT}"
                processes.start(name, _command(port), environment=environment)
            processes.wait_until(lambda: all(map(_answers, ports.values())), "the baseline")
            request = append_request(MESSAGE)
            yield Endpoint(ports["master"], lambda: HttpExchange(lambda: request))


def _command(port: int) -> list[str]:
    options = ["--host", HOST, "--port", str(port), "--log-level", "warning", "--no-access-log"]
    return [sys.executable, "-m", "uvicorn", "benchmarks.peers.baseline:app", *options]


def _answers(port: int) -> bool:
    with urllib.request.urlopen(f"http://{HOST}:{port}/logs", timeout=5) as answer:
        return bool(answer.status == 200)
