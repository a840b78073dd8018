"""docs/http.md: every curl line is run in its order, and answered as the document shows.

SHELL. On a cluster of processes; a second's silence of a node makes the 202 that is shown.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.house.source import ROOT
from tests.support.cluster import S2, ProcessCluster, call
from tests.support.waiting import wait_until

TEXT = (ROOT / "docs" / "http.md").read_text()
ENDLESS_S = 1
"""How long a stream is listened to."""

ENTRIES = 1100
"""The reads of the document ask for entries above a thousand."""


@dataclass
class Shown:
    """A command of the document, and what stands below it."""

    command: str
    below: list[str] = field(default_factory=list)

    @property
    def status(self) -> int:
        lines = [line for line in self.below if line.startswith("HTTP/1.1 ")]
        return int(lines[0].split()[1]) if lines else 200

    @property
    def headers(self) -> list[str]:
        return [line for line in self.below if re.match(r"(Log|Idempotency|Allow)[\w-]*: ", line)]

    @property
    def body(self) -> object:
        """The answer, where the document shows it whole and it is an append's."""
        lines = [line for line in self.below if line.startswith('{"status":"')]
        return json.loads(lines[0]) if lines else None

    @property
    def is_endless(self) -> bool:
        return "curl -N" in self.command


@dataclass(frozen=True)
class Got:
    status: int
    head: str
    body: str


def shown() -> Iterator[Shown]:
    """Yield the commands with what the rest of their section shows, up to the next command."""
    current: Shown | None = None
    for line in TEXT.splitlines():
        text = line.strip()
        if line.startswith("#") and current is not None:
            yield current
            current = None
        elif line.startswith("    ") and re.search(r"\bcurl ", text):
            if current is not None:
                yield current
            current = Shown(text)
        elif line.startswith("    ") and current is not None:
            current.below.append(text)
    assert current is None, "the document ends in words"


def run(cluster: ProcessCluster, one: Shown, tag: str) -> Got:
    """Run a command with the cluster's ports in place of the document's."""
    bound = ENDLESS_S if one.is_endless else 30
    command = one.command.replace("curl ", f"curl -sS -i --max-time {bound} ", 1)
    command = re.sub(r'If-None-Match: "[^"]*"', lambda _: f"If-None-Match: {tag}", command)
    for number, node in enumerate(cluster.nodes):
        command = command.replace(f"localhost:{8000 + number}", cluster.url(node))
    done = subprocess.run(["bash", "-c", command], capture_output=True, timeout=60, check=False)
    assert done.returncode == 0 or one.is_endless, (command, done.stderr)
    head, _, body = done.stdout.decode().replace("\r\n", "\n").partition("\n\n")
    for number, node in enumerate(cluster.nodes):
        body = body.replace(cluster.url(node), f"http://127.0.0.1:{8000 + number}")
    return Got(int(head.split()[1]), head, body)


def check(one: Shown, got: Got) -> None:
    assert got.status == one.status, (one.command, got)
    names = [line.partition(":")[0].lower() for line in one.headers]
    told = {line.partition(":")[0].lower(): line for line in got.head.splitlines()[1:]}
    assert set(names) <= told.keys(), (one.command, got)
    for line in one.headers:
        name, _, value = line.partition(": ")
        if name in ("Log-Acks", "Idempotency-Replayed", "Allow"):
            assert told[name.lower()].partition(": ")[2] == value, (one.command, got)
    if one.body is not None:
        assert json.loads(got.body) == one.body, (one.command, got)


def test_every_command_is_answered_as_it_is_shown(tmp_path: Path) -> None:
    with ProcessCluster(tmp_path) as cluster:
        cluster.start_all()
        tag, count, is_filled = "", 0, False
        for one in shown():
            if one.status == 202:
                cluster.node[S2].send(signal.SIGSTOP)
            if "8001/logs" in one.command and not is_filled:
                is_filled = True
                _fill(cluster)
            got = run(cluster, one, tag)
            cluster.node[S2].send(signal.SIGCONT)
            if "Idempotency-Key" in one.command:
                assert "idempotency-replayed" not in got.head.lower()
                got = run(cluster, one, tag)  # "sent again …"
            check(one, got)
            found = re.search(r'^etag: (".*")$', got.head, re.IGNORECASE | re.MULTILINE)
            tag = found[1] if found else tag
            count += 1
        assert count == len(re.findall(r"^    .*\bcurl ", TEXT, re.MULTILINE)) > 30


def _fill(cluster: ProcessCluster) -> None:
    body = json.dumps([{"message": f"filler {number}"} for number in range(ENTRIES)])
    assert call("POST", f"{cluster.url('master')}/logs", body=body).status_code == 200
    last = f"{cluster.url('secondary-1')}/logs/{ENTRIES}"
    wait_until(lambda: call("GET", last).status_code == 200, "the secondary shows them")
