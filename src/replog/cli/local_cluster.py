"""The processes of `replog up`: started, watched, and ended together.

SHELL. Each node is a process of its own with its stdin on a pipe whose other end only this
process holds: it ends when that pipe does, so no node outlives its parent, however the parent
dies. That works alike on Linux and macOS, and needs no cooperation of a dying parent.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from replog.cli.output import (
    CommandError,
    ExitCode,
    fail,
    note,
    own_command,
    print_table,
    style_of,
)
from replog.config.table import ENVIRONMENT_PREFIX
from replog.core.errors import DirectoryLockedError
from replog.storage.filesystem import PosixFilesystem

HOST = "127.0.0.1"
POLL_INTERVAL_S = 0.02
BACKLOG = 2048
EXPLAIN_AFTER_S = 5.0
STOP_WITHIN_S = 0.85
"""A node gives its streams 0.4 s, its links 0.2 s and its disk 0.2 s, and the whole cluster is to
be gone within one second. A node that is killed loses nothing: it is made for that."""
EXPECTED_AT_END = ("WARNING", "INFO   ", "DEBUG  ")
LOG_LINE_BYTES_MAX = 1024 * 1024
NODE_NAME = re.compile(r"master|secondary-[1-9][0-9]*")
LOCK_FILE = "lock"
NODE_FILE = "node.json"
"""What makes a directory a node's: nothing else is ever deleted."""


@dataclass(frozen=True, slots=True)
class PlannedNode:
    """One node to start; `arguments` follow `replog serve`."""

    name: str
    port: int
    data_dir: str
    arguments: tuple[str, ...]

    @property
    def role(self) -> str:
        return self.name.partition("-")[0]

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def command_for_people(self) -> str:
        return shlex.join([own_command(), "serve", *self.arguments])


def plan_nodes(
    *, secondaries: int, port: int, data_dir: str, delays: Mapping[int, float], log_level: str
) -> list[PlannedNode]:
    """Return the nodes in the order of their start: the secondaries, then the master."""

    def node(name: str, offset: int, *more: str) -> PlannedNode:
        directory = os.path.join(data_dir, name)
        role = name.partition("-")[0]
        arguments = ["--role", role, "--port", str(port + offset), "--data-dir", directory]
        return PlannedNode(
            name, port + offset, directory, (*arguments, "--log-level", log_level, *more)
        )

    numbers = range(1, secondaries + 1)
    nodes = [
        node(f"secondary-{n}", n, *(["--delay", str(delays[n])] if n in delays else []))
        for n in numbers
    ]
    links = [word for n in numbers for word in ("--secondary", f"http://{HOST}:{port + n}")]
    return [*nodes, node("master", 0, *links)]


def environment_of_nodes(environment: Mapping[str, str]) -> dict[str, str]:
    """What is set for one node on this machine is not meant for three others."""
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith(ENVIRONMENT_PREFIX)
    }


def refuse_running(nodes: Sequence[PlannedNode], data_dir: str) -> None:
    """End the command where nodes of `data_dir` run already: nothing is started beside them."""
    locks = {node.name: os.path.join(node.data_dir, LOCK_FILE) for node in nodes}
    running = {name: lock for name, lock in locks.items() if _is_held(lock)}
    if not running:
        return
    if len(running) == len(nodes):
        what, how = f"the cluster in {data_dir} runs", "Ctrl-C where it runs"
    else:
        what = f"{' and '.join(running)} of {data_dir} run{'s' * (len(running) == 1)}"
        how = f"kill $(lsof -t {shlex.join(running.values())})"
    fail(
        f"{what} already: end that with {how}, or start another cluster beside it: "
        f"{own_command()} up --port PORT --data-dir DIR",
        ExitCode.ENVIRONMENT,
    )


def _is_held(lock: str) -> bool:
    if not os.path.exists(lock):
        return False
    try:
        PosixFilesystem().lock(lock).close()
    except DirectoryLockedError:
        return True
    except OSError:
        return False  # the node that may not open it says so
    return False


def listen(nodes: Sequence[PlannedNode]) -> dict[str, socket.socket]:
    """Take the port of every node before any of them starts.

    The sockets go to the nodes: what comes before a node is up waits for it, so a master
    that starts faster than its secondaries is not refused, and a taken port is found here.
    """
    listeners: dict[str, socket.socket] = {}
    for node in nodes:
        listener = listeners[node.name] = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Accepted sockets inherit it: answers leave at once.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            listener.bind((HOST, node.port))
            listener.listen(BACKLOG)
        except OSError as error:
            for taken in listeners.values():
                taken.close()
            fail(
                f"port {node.port} on {HOST} cannot be taken ({error.strerror}): stop what "
                f"listens there, or choose others: {own_command()} up --port PORT",
                ExitCode.ENVIRONMENT,
            )
    return listeners


def remove_data(data_dir: str) -> int:
    """Delete the nodes' directories of earlier runs, and nothing that is not one.

    Returns:
        how many there were.

    Raises:
        DirectoryLockedError: a node that runs has one of them open; nothing was deleted.
    """
    names = os.listdir(data_dir) if os.path.isdir(data_dir) else []
    ours = [os.path.join(data_dir, name) for name in sorted(names) if NODE_NAME.fullmatch(name)]
    found = [path for path in ours if os.path.exists(os.path.join(path, NODE_FILE))]
    with contextlib.ExitStack() as locks:
        try:
            for path in found:
                lock = PosixFilesystem().lock(os.path.join(path, LOCK_FILE))
                locks.callback(lock.close)
            for path in found:
                shutil.rmtree(path)
        except OSError as error:
            fail(
                f"--fresh: {error.filename} cannot be deleted: {error.strerror}",
                ExitCode.ENVIRONMENT,
            )
    return len(found)


class LocalCluster:
    """Runs planned nodes until a signal ends them, or until none is left."""

    def __init__(self, nodes: Sequence[PlannedNode], *, data_dir: str, is_fresh: bool) -> None:
        self._nodes = nodes
        self._data_dir = data_dir
        self._is_fresh = is_fresh
        self._started = time.monotonic()
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._listeners: dict[str, socket.socket] = {}
        self._relays: list[asyncio.Task[None]] = []
        self._is_ending = False
        self._is_ready = False

    def run(self) -> int:
        """Return the exit code: 0 after Ctrl-C or SIGTERM."""
        refuse_running(self._nodes, self._data_dir)
        self._listeners = listen(self._nodes)
        if self._is_fresh and (nodes := remove_data(self._data_dir)):
            print(f"deleted the data of {nodes} nodes in {self._data_dir}", flush=True)
        return asyncio.run(self._run())

    async def _run(self) -> int:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        stopping = asyncio.create_task(stop.wait())
        working = asyncio.create_task(self._start_and_watch())
        try:
            await asyncio.wait({stopping, working}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return working.result()
        finally:
            working.cancel()
            stopping.cancel()
            with contextlib.suppress(asyncio.CancelledError, CommandError):
                await working
            await self._end_all()
        print(f"stopped · data is in {self._data_dir}", flush=True)
        return ExitCode.OK

    async def _start_and_watch(self) -> int:
        for node in self._nodes:
            await self._start(node)
        ends = {asyncio.create_task(self._wait_for_end(node)) for node in self._nodes}
        try:
            ready = asyncio.create_task(self._wait_until_ready())
            await asyncio.wait({ready, *ends}, return_when=asyncio.FIRST_COMPLETED)
            if not ready.done():
                ready.cancel()
                return ExitCode.ENVIRONMENT  # a node could not start, and has said why
            self._is_ready = True
            self._greet(time.monotonic() - self._started)
            await asyncio.wait(ends)
        finally:
            for end in ends:
                end.cancel()
        note("replog: no node is left")
        return ExitCode.ENVIRONMENT

    async def _start(self, node: PlannedNode) -> None:
        listener = self._listeners[node.name]
        self._processes[node.name] = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "replog", "serve", *node.arguments),
            *("--name", node.name, "--until-stdin-ends", "--listen-fd", str(listener.fileno())),
            pass_fds=(listener.fileno(),),
            env=environment_of_nodes(os.environ),
            stdin=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=LOG_LINE_BYTES_MAX,
            start_new_session=True,  # Ctrl-C comes to this process, which ends the nodes
        )
        listener.close()  # it is the node's alone now: its port must close when it dies
        self._relays.append(asyncio.create_task(self._relay(self._processes[node.name])))

    async def _relay(self, process: asyncio.subprocess.Process) -> None:
        """Pass on what a node says. That links break is no news while all nodes are ended."""
        assert process.stderr is not None
        style = style_of(sys.stderr)
        async for line in process.stderr:
            text = line.decode(errors="replace").rstrip("\n")
            if not (self._is_ending and any(f" {level} " in text for level in EXPECTED_AT_END)):
                note(text.replace(" WARNING ", f" {style.yellow('WARNING')} ", 1))

    async def _wait_for_end(self, node: PlannedNode) -> None:
        status = await self._processes[node.name].wait()
        how = (
            f"ended with exit status {status}" if status >= 0 else f"was ended by {_name(-status)}"
        )
        what = f"{style_of(sys.stderr).red('✗')} {node.name} ({node.url}) {how}"
        if self._is_ready:
            note(f"{what}. Start it again with:")
            note(f"    {node.command_for_people()}")
        else:
            note(f"{what} before all nodes were ready: the others are stopped as well")

    async def _wait_until_ready(self) -> None:
        told = ""
        waiting = list(self._nodes)
        while waiting:
            answers = [(node, await reasons_not_ready(node)) for node in waiting]
            waiting = [node for node, reasons in answers if reasons]
            text = "; ".join(f"{node.name}: {reasons}" for node, reasons in answers if reasons)
            is_long = time.monotonic() - self._started > EXPLAIN_AFTER_S
            if is_long and text not in {told, ""}:
                told = text
                note(f"not ready yet: {text}")
            if waiting:
                await asyncio.sleep(POLL_INTERVAL_S)

    def _greet(self, took_s: float) -> None:
        by_role = sorted(self._nodes, key=lambda node: node.port)
        rows = [(node.role, node.url, node.data_dir) for node in by_role]
        print_table(("ROLE", "URL", "DATA"), rows)
        url = by_role[0].url
        print(f"""ready in {took_s:.1f} s · try:  curl -d '{{"message":"hello"}}' {url}/logs""")
        sys.stdout.flush()

    async def _end_all(self) -> None:
        self._is_ending = True
        await end_processes(self._processes, within_s=STOP_WITHIN_S)
        await asyncio.gather(*self._relays)


def tell(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """Send a signal to a process that may have ended.

    Not by asyncio's own `send_signal`: that polls first, and where the process has just ended
    takes its exit status away from the watcher, which then reports 255.
    """
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)


async def end_processes(
    processes: Mapping[str, asyncio.subprocess.Process], *, within_s: float
) -> None:
    """End every process that runs: asked first, all at once; killed where it does not listen."""
    running = {name: process for name, process in processes.items() if process.returncode is None}
    ends = {asyncio.create_task(process.wait()) for process in running.values()}
    for process in running.values():
        tell(process, signal.SIGTERM)
        tell(process, signal.SIGCONT)  # one that was halted with SIGSTOP hears it then
    if ends:
        await asyncio.wait(ends, timeout=within_s)
    for name, process in running.items():
        if process.returncode is None:
            note(f"{name} did not end within {within_s:g} s: killed")
            tell(process, signal.SIGKILL)
    await asyncio.gather(*ends)


async def reasons_not_ready(node: PlannedNode) -> str:
    """Ask a node's /readyz: "" is ready. Plain sockets: an HTTP library costs 0.1 s to import."""
    try:
        async with asyncio.timeout(1.0):
            reader, writer = await asyncio.open_connection(HOST, node.port)
            try:
                writer.write(f"GET /readyz HTTP/1.0\r\nHost: {HOST}\r\n\r\n".encode())
                answer = await reader.read()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return "does not answer"
    head, _, body = answer.partition(b"\r\n\r\n")
    if b" 200 " in head.partition(b"\r\n")[0] + b" ":
        return ""
    return _reasons_in(body) or "is not ready"


def _reasons_in(body: bytes) -> str:
    try:
        members: object = json.loads(body)
    except ValueError:
        return ""
    if not isinstance(members, dict):
        return ""
    reasons = members.get("reasons")
    if isinstance(reasons, list):
        return ", ".join(str(reason) for reason in reasons)
    return str(members.get("detail") or "")


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
