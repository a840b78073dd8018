"""Hosts of their own for nodes: network namespaces on one switch, whose packets can be dropped.

NETWORK. Linux, as root; nothing but `ip` and `bridge` of iproute2. What is dropped is dropped
without a word, and the kernels of both ends do what they do: send again, back off, give up.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from tests.support.cluster import ProcessCluster
from tests.support.in_namespace import NAMESPACE

_SUBNETS = 200


class Hosts:
    """One host for each node of a cluster, joined by a switch that this process is at as well.

    The addresses are of 198.18.0.0/15 (RFC 2544: for tests of networks).
    """

    def __init__(self, cluster: ProcessCluster) -> None:
        self._tag = f"rl{os.getpid() % 1_000_000}"
        self._subnet = f"198.18.{os.getpid() % _SUBNETS}"
        self._switch = f"{self._tag}s"
        self._number = {node: number for number, node in enumerate(cluster.nodes, start=1)}
        for name, node in cluster.node.items():
            node.host = self.address(name)
            node.program = "tests.support.in_namespace"
            node.settings = {NAMESPACE: f"/run/netns/{self._host(name)}"}
        known = [node.url for node in cluster.node.values()][1:]
        options = [word for url in known for word in ("--secondary", url)]
        cluster.master.options = (*options, *cluster.master.options[2 * len(known) :])

    def address(self, node: str) -> str:
        return f"{self._subnet}.{self._number[node]}"

    def _host(self, node: str) -> str:
        return f"{self._tag}n{self._number[node]}"

    def _port(self, node: str) -> str:
        return f"port{self._number[node]}"

    def __enter__(self) -> Self:
        switch = self._switch
        with ExitStack() as unfinished:
            unfinished.callback(self.close)
            # In a namespace of its own, where nobody filters what a bridge forwards.
            _ip("netns", "add", switch)
            self._on_switch("link", "add", "switch", "type", "bridge")
            self._on_switch("link", "set", "switch", "up")
            _ip("link", "add", switch, "type", "veth", "peer", "name", "uplink", "netns", switch)
            self._on_switch("link", "set", "uplink", "master", "switch", "up")
            _ip("address", "add", f"{self._subnet}.254/24", "dev", switch)
            _ip("link", "set", switch, "up")
            for node in self._number:
                self._add(node)
            unfinished.pop_all()
        return self

    def _add(self, node: str) -> None:
        host = self._host(node)
        _ip("netns", "add", host)
        peer = ("peer", "name", "eth0", "netns", host)
        self._on_switch("link", "add", self._port(node), "type", "veth", *peer)
        self._on_switch("link", "set", self._port(node), "master", "switch", "up")
        _ip("-n", host, "address", "add", f"{self.address(node)}/24", "dev", "eth0")
        _ip("-n", host, "link", "set", "lo", "up")
        _ip("-n", host, "link", "set", "eth0", "up")

    def _on_switch(self, *arguments: str) -> None:
        _ip("-n", self._switch, *arguments)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        for host in (*map(self._host, self._number), self._switch):
            subprocess.run(["ip", "netns", "delete", host], capture_output=True, check=False)
        subprocess.run(["ip", "link", "delete", self._switch], capture_output=True, check=False)

    # --- what may happen -------------------------------------------------------------------

    def part(self, *nodes: str) -> None:
        """Drop what these send each other; everybody else still reaches them."""
        for node in nodes:
            self._isolate(node, "on")

    def unplug(self, node: str) -> None:
        """Drop what anybody sends the node, and what it sends."""
        self._on_switch("link", "set", self._port(node), "nomaster")

    def misdirect(self, sender: str, receiver: str) -> None:
        """Drop what the one sends the other, and let pass what comes the other way."""
        nobody = "02:00:00:00:00:99"
        where = ("dev", "eth0", "nud", "permanent")
        host = self._host(sender)
        _ip("-n", host, "neighbour", "replace", self.address(receiver), "lladdr", nobody, *where)

    def heal(self) -> None:
        for node in self._number:
            self._on_switch("link", "set", self._port(node), "master", "switch")
            self._isolate(node, "off")
            _ip("-n", self._host(node), "neighbour", "flush", "nud", "permanent", "dev", "eth0")

    def _isolate(self, node: str, word: str) -> None:
        _run("bridge", "-n", self._switch, "link", "set", "dev", self._port(node), "isolated", word)


def _ip(*arguments: str) -> None:
    _run("ip", *arguments)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
