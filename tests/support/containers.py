"""A `Cluster` of containers: compose.yaml as it stands, under a project name of its own.

SHELL. Ports are free ones, volumes are the project's own, and `close` removes all of it.
"""

from __future__ import annotations

import hashlib
import secrets
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

from replog.testing import free_ports
from tests.support.cluster import (
    MASTER,
    S1,
    S2,
    clean_environment,
    replog,
    resident_bytes,
    wait_live,
)

ROOT = Path(__file__).parents[2]
FILES = ("compose.yaml", "tests/docker/override.yaml")
PORTS = {MASTER: "MASTER_PORT", S1: "SECONDARY_1_PORT", S2: "SECONDARY_2_PORT"}
DELAYS = {S1: "SECONDARY_1_DELAY", S2: "SECONDARY_2_DELAY"}
BUILD_TIMEOUT_S = 600


def _answers(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@cache
def compose_commands() -> tuple[tuple[str, ...], ...]:
    """Return every Compose that is here: v2's `docker compose`, then 1.29's `docker-compose`."""
    known = (("docker", "compose"), ("docker-compose",))
    return tuple(command for command in known if _answers(*command, "version"))


@cache
def why_not() -> str | None:
    """Return why no container can be started here, None where one can."""
    if not _answers("docker", "info"):
        return "no Docker engine answers `docker info`"
    if not compose_commands():
        return "neither `docker compose` nor `docker-compose` is here"
    return None


def docker(*arguments: str) -> str:
    """Run one command of the engine's own client and return what it printed."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"docker {' '.join(arguments)}\n{done.stdout}{done.stderr}"
    return done.stdout.strip()


@contextmanager
def built_image(directory: Path) -> Iterator[str]:
    """Build the image once, as Compose does it, and take it away at the end."""
    cluster = ComposeCluster(directory, image=f"replog-test:{secrets.token_hex(4)}")
    cluster.compose("build", MASTER, timeout_s=BUILD_TIMEOUT_S)
    try:
        yield cluster.image
    finally:
        with suppress(AssertionError):  # the engine may not know the ID any more that it looked up
            docker("rmi", "--force", cluster.image)
        assert not docker("images", "--quiet", cluster.image), "the image is taken away"


class ComposeCluster:
    """compose.yaml, started node by node; `close` takes its containers and volumes away.

    Compose makes containers; what happens to one that is there is the engine's, which
    answers in a tenth of the time.
    """

    nodes: tuple[str, ...] = (MASTER, S1, S2)

    def __init__(
        self, directory: Path, *, image: str, settings: dict[str, str] | None = None
    ) -> None:
        self.project = f"replog-test-{secrets.token_hex(4)}"
        self.image = image
        self.ports = dict(zip(self.nodes, free_ports(3), strict=True))
        self._directory = directory
        ports = {PORTS[node]: str(port) for node, port in self.ports.items()}
        self._environment = clean_environment({**ports, **(settings or {}), "TEST_IMAGE": image})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.compose("down", "--volumes", "--remove-orphans", "--timeout", "5")

    def compose(self, *arguments: str, timeout_s: float = 120) -> str:
        """Run one Compose command over the project and return what it printed."""
        files = [word for name in FILES for word in ("-f", str(ROOT / name))]
        command = [*compose_commands()[0], "-p", self.project, *files, *arguments]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
            env=self._environment,
            timeout=timeout_s,
        )
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def container(self, node: str) -> str:
        """Return the container's id, empty where there is none."""
        labels = {"project": self.project, "service": node}
        filters = [f"--filter=label=com.docker.compose.{k}={v}" for k, v in labels.items()]
        return docker("ps", "--all", "--quiet", *filters)

    # --- what every story uses --------------------------------------------------------------

    def url(self, node: str) -> str:
        return f"http://127.0.0.1:{self.ports[node]}"

    def start(self, node: str, *, delay_s: float | None = None) -> None:
        container = self.container(node)
        if delay_s is not None:
            self._environment[DELAYS[node]] = str(delay_s)
            if container:  # its environment is fixed; its volume stays
                docker("rm", container)
                container = ""
        if container:
            docker("start", container)
        else:
            self.compose("up", "--detach", "--no-deps", "--no-build", node)

    def stop(self, node: str) -> None:
        docker("stop", self.container(node))
        status = self.inspect(node, "{{.State.ExitCode}}")
        assert status == "0", f"{node} ended with {status}\n{self.explain()}"

    def kill(self, node: str) -> None:
        docker("kill", "--signal", "KILL", self.container(node))

    def empty(self, node: str) -> None:
        docker("rm", self.container(node))
        docker("volume", "rm", f"{self.project}_{node}-data")

    def memory_bytes(self, node: str) -> int:
        # Read inside: where the engine has a machine of its own, this one cannot see the process.
        return resident_bytes(docker("exec", self.container(node), "cat", "/proc/1/status"))

    def segments(self, node: str) -> dict[str, str]:
        with self._copies(node) as [copy]:
            files = sorted((copy / "segments").glob("*"))
            return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    @contextmanager
    def directories(self) -> Iterator[Mapping[str, Path]]:
        """Give fresh copies of the nodes' data directories."""
        with self._copies(*self.nodes) as copies:
            yield dict(zip(self.nodes, copies, strict=True))

    def verify(self) -> None:
        with self._copies(*self.nodes) as copies:
            checked = replog("verify", *copies)
        assert checked.returncode == 0, f"{checked.stdout}{checked.stderr}"

    def explain(self) -> str:
        return self.compose("logs", "--no-color", "--tail", "40")

    # --- conveniences -----------------------------------------------------------------------

    def inspect(self, node: str, template: str) -> str:
        return docker("inspect", "--format", template, self.container(node))

    def start_all(self) -> Self:
        self.compose("up", "--detach", "--no-build")
        for node in self.nodes:
            wait_live(self, node)
        return self

    def cut_off(self, node: str) -> None:
        """Take the node's network away; the node runs on."""
        docker("network", "disconnect", f"{self.project}_default", self.container(node))

    def reconnect(self, node: str) -> None:
        """Give a node that was cut off its network again."""
        network = f"{self.project}_default"
        docker("network", "connect", "--alias", node, network, self.container(node))

    @contextmanager
    def _copies(self, *nodes: str) -> Iterator[list[Path]]:
        """Give fresh copies of the nodes' data directories, as the containers see them."""
        with TemporaryDirectory(dir=self._directory) as directory:
            copies = [Path(directory) / node for node in nodes]
            for node, copy in zip(nodes, copies, strict=True):
                docker("cp", f"{self.container(node)}:/data", str(copy))
            yield copies
