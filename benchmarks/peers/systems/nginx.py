"""nginx, which serves one file: the limit for reads.

SHELL.
"""

from __future__ import annotations

import os
import shutil
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.peers.install import path_of, said_version
from benchmarks.peers.processes import Processes
from benchmarks.peers.systems.system import HOST, Portrait
from replog.testing import free_ports

NAME = "nginx"
PROGRAM = "nginx"
SERVED = "/log.json"
PORTRAIT = Portrait(
    name=NAME,
    program=PROGRAM,
    settings="one worker, `sendfile on`, no access log; a file of what `GET /logs` answers",
    promise="",
    source="",
    is_synced=False,
)


def version() -> str:
    return said_version(PROGRAM, "-v").rpartition("/")[2]


@contextmanager
def serving(directory: Path, url: str) -> Iterator[int]:
    """Serve what `url` answers now as `SERVED`; give the port."""
    (port,) = free_ports(1)
    with Processes(directory) as processes:
        with urllib.request.urlopen(url) as answer, (directory / SERVED[1:]).open("wb") as file:  # noqa: S310
            shutil.copyfileobj(answer, file, 1 << 20)
        settings = directory / "nginx.conf"
        settings.write_text(_configuration(directory, port))
        processes.start(NAME, [path_of(PROGRAM), "-p", directory, "-c", settings, "-e", "stderr"])

        def is_up() -> bool:
            head = urllib.request.Request(f"http://{HOST}:{port}{SERVED}", method="HEAD")
            with urllib.request.urlopen(head, timeout=5) as answer:  # noqa: S310 - it is http
                return bool(answer.status == 200)

        processes.wait_until(is_up, "an answer of nginx")
        yield port


def _configuration(directory: Path, port: int) -> str:
    temporary = "".join(
        f"    {kind}_temp_path {directory};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    owner = "user root;\n" if os.geteuid() == 0 else ""
    return (
        f"{owner}daemon off;\nworker_processes 1;\npid {directory}/pid;\n"
        "events { worker_connections 64; }\nhttp {\n    access_log off;\n    sendfile on;\n"
        f"{temporary}    server {{ listen {HOST}:{port}; root {directory}; }}\n}}\n"
    )
