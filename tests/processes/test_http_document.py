"""docs/http.md: every curl line is run in its order, and answered as the document shows.

SHELL. On a cluster of processes; a second's silence of a node makes the 202 that is shown.
"""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from replog.http.app import create_app
from replog.http.openapi import openapi_document
from tests.house.source import ROOT
from tests.http.fake_node import FakeNode
from tests.support.cluster import MASTER, S1, S2, ProcessCluster, call
from tests.support.shown import is_as_shown
from tests.support.waiting import wait_until

TEXT = (ROOT / "docs" / "http.md").read_text()
HEADER = re.compile(r"[A-Z][\w-]*: ")
FILLED = 1042
"""Before the first read: the document reads entries above a thousand."""

OTHER_SPELLINGS = {"write_concern", "writeConcern"}
"""Of `w`."""


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
        return [] if self.is_endless else [one for one in self.below if HEADER.match(one)]

    @property
    def body(self) -> str:
        """The answer that is shown, or what the comment behind the command says of it."""
        head = [*self.headers, *(line for line in self.below if line.startswith("HTTP/1.1 "))]
        said = re.search(r" # (\{.*\})", self.command)
        return "\n".join(line for line in self.below if line not in head) or (
            said[1] if said else ""
        )

    @property
    def is_endless(self) -> bool:
        return "curl -N" in self.command

    @property
    def awaited(self) -> str | None:
        """The message that comes after the request, where it waits for one."""
        if not self.is_endless and "wait=" not in self.command.partition("/logs?")[2]:
            return None
        told = re.search(r'"message":"([^"]*)"', self.body)
        return told[1] if told else "what comes"


@dataclass(frozen=True)
class Got:
    status: int
    head: str
    body: str

    @property
    def headers(self) -> dict[str, str]:
        lines = [line.partition(": ") for line in self.head.splitlines()[1:]]
        return {name.lower(): value for name, _, value in lines}


def shown() -> Iterator[Shown]:
    """Yield the commands in order, with the answers below them.

    An answer behind words belongs to the command above them where it begins with its status.
    """
    current: Shown | None = None
    is_below = False
    for line in TEXT.splitlines():
        text = line.strip()
        if line.startswith("    ") and re.search(r"\bcurl ", text):
            if current is not None:
                yield current
            current, is_below = Shown(text), True
        elif line.startswith("    ") and current is not None:
            is_below = is_below or text.startswith("HTTP/1.1 ")
            if is_below:
                current.below.append(text)
        elif text:
            is_below = False
    assert current is not None
    yield current


COMMANDS = list(shown())


# --- every call has a command --------------------------------------------------------------


@dataclass(frozen=True)
class Called:
    method: str
    path: str
    names: frozenset[str]
    """Query parameters and headers."""


def called(command: str) -> Called:
    words = iter(shlex.split(command[command.index("curl ") :], comments=True)[1:])
    method, url, names = "GET", "", set[str]()
    for word in words:
        match word:
            case "-X":
                method = next(words)
            case "-H":
                names.add(next(words).partition(":")[0])
            case "-d" | "--data-binary":
                next(words)
                method = "POST" if method == "GET" else method
            case "-I":
                method = "HEAD"
            case "-i" | "-N" | "--compressed":
                pass
            case _:
                url = word
    path, _, query = url.removeprefix("localhost:").partition("/")[2].partition("?")
    names |= {part.partition("=")[0] for part in query.split("&")}
    return Called(method, f"/{path}", frozenset(names))


@pytest.mark.parametrize("is_parameter", [False, True], ids=["route", "parameter"])
def test_every_route_and_every_parameter_has_a_command(is_parameter: bool) -> None:
    app = create_app(FakeNode()).fastapi
    document = openapi_document(app)["paths"]
    assert isinstance(document, dict)
    calls = [called(one.command) for one in COMMANDS]
    missing: list[str] = []
    for path, item in {**document, "/docs": {"get": {}}, "/openapi.json": {"get": {}}}.items():
        form = re.compile(re.sub(r"\{\w+\}", r"(?!stream$)[^/]+", path))
        here = [one for one in calls if form.fullmatch(one.path)]
        for method, operation in item.items():
            if method == "head":  # is GET without its body, which one command shows
                continue
            mine = [one for one in here if one.method == method.upper()]
            names = frozenset().union(*(one.names for one in mine))
            wanted = {one["name"] for one in operation.get("parameters", ()) if one["in"] != "path"}
            if is_parameter:
                missing += [f"{path} {one}" for one in wanted - OTHER_SPELLINGS - names]
            elif not mine:
                missing.append(f"{method} {path}")
    assert missing == []
    assert any(one.method == "HEAD" for one in calls)


# --- and is answered as shown --------------------------------------------------------------


def rewritten(text: str, cluster: ProcessCluster, tag: str = "") -> str:
    """Put the cluster's ports in place of the document's."""
    for number, node in enumerate(cluster.nodes):
        text = text.replace(f"localhost:{8000 + number}", cluster.url(node))
    return re.sub(r'If-None-Match: "[^"]*"', lambda _: f"If-None-Match: {tag}", text)


def received(said: str, cluster: ProcessCluster) -> Got:
    """Return an answer with the document's ports in place of the cluster's."""
    head, _, body = said.replace("\r\n", "\n").partition("\n\n")
    for number, node in enumerate(cluster.nodes):
        port = 8000 + number
        head = head.replace(cluster.url(node), f"http://127.0.0.1:{port}")
        body = body.replace(cluster.url(node), f"http://127.0.0.1:{port}")
    return Got(int(head.split()[1]) if head else 0, head, body)


class Running:
    """A command that was started; it is ended with the block."""

    def __init__(self, one: Shown, cluster: ProcessCluster, directory: Path, tag: str) -> None:
        self._cluster = cluster
        self._path = directory / "said"
        self._errors = directory / "errors"
        shell = "exec " if one.command.startswith("curl ") else ""
        command = shell + rewritten(one.command, cluster, tag).replace("curl ", "curl -sS -i ", 1)
        with self._path.open("wb") as said, self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", command], stdout=said, stderr=errors, stdin=subprocess.DEVNULL
            )

    def got(self) -> Got:
        return received(self._path.read_text(), self._cluster)

    def end(self) -> Got:
        assert self._process.wait(60) == 0, self._errors.read_text()
        return self.got()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


def run(one: Shown, cluster: ProcessCluster, directory: Path, tag: str = "") -> Got:
    with ExitStack() as stack:
        running = Running(one, cluster, directory, tag)
        stack.callback(running.close)
        if one.awaited is None:
            return running.end()
        if one.is_endless:
            wait_until(lambda: running.got().status == 200, f"{one.command} is answered")
        if not (one.is_endless and ("from=" in one.command or "Last-Event" in one.command)):
            append(cluster, [one.awaited])
        if not one.is_endless:
            return running.end()
        expected = one.body or '…"id":…'
        wait_until(
            lambda: is_as_shown(running.got().body, expected),
            f"{one.command} shows {expected}",
            explain=lambda: repr(running.got()),
        )
        return running.got()


def check(one: Shown, got: Got) -> None:
    assert got.status == one.status, (one.command, got)
    for line in one.headers:
        name, _, value = line.partition(": ")
        assert is_as_shown(got.headers.get(name.lower(), "none"), value), (one.command, got)
    if one.body:
        assert is_as_shown(got.body, one.body), (one.command, got)


def append(cluster: ProcessCluster, messages: list[str]) -> None:
    body = json.dumps([{"message": message} for message in messages])
    assert call("POST", f"{cluster.url(MASTER)}/logs?w=2", body=body).status_code == 200


def _fill(cluster: ProcessCluster) -> None:
    """Let the log end where the document's reads expect it."""
    last = int(call("GET", f"{cluster.url(MASTER)}/health").json()["last_id"])
    append(cluster, [f"order {number} paid" for number in range(last + 1, FILLED + 1)])
    shows = f"{cluster.url(S1)}/logs/{FILLED}"
    wait_until(lambda: call("GET", shows).status_code == 200, "the secondary shows them")


def test_every_command_is_answered_as_it_is_shown(tmp_path: Path) -> None:
    with ProcessCluster(tmp_path) as cluster:
        cluster.start_all()
        tag, is_filled = "", False
        for one in COMMANDS:
            if one.status == 202:
                cluster.node[S2].send(signal.SIGSTOP)
            if "8001/logs" in one.command and not is_filled:
                is_filled = True
                _fill(cluster)
            got = run(one, cluster, tmp_path, tag)
            cluster.node[S2].send(signal.SIGCONT)
            if "Idempotency-Key" in one.command:
                assert "idempotency-replayed" not in got.headers
                got = run(one, cluster, tmp_path)  # "sent again …"
            check(one, got)
            tag = got.headers.get("etag", tag)
    assert len(COMMANDS) == len(re.findall(r"^    .*\bcurl ", TEXT, re.MULTILINE)) > 30
    assert "`curl local" not in TEXT, "a command stands in a line of its own, so that it is run"
