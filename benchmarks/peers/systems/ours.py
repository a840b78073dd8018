"""This system: three nodes as `replog serve`.

SHELL.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import replog
from benchmarks.load import HttpExchange
from benchmarks.nodes import measured_nodes
from benchmarks.peers.systems.system import MESSAGE, Endpoint, Portrait
from tests.support.connection import append_request

NAME = "replog"


class Ours:
    portrait = Portrait(
        name=NAME,
        program=None,
        settings="a master and two secondaries, default settings; `POST /logs` at `w=all`",
        promise=(
            "All three nodes have called fdatasync on the entry: it survives power loss of all at "
            "once. No automatic failover."
        ),
        source="[README](../README.md#what-it-promises)",
        is_synced=True,
    )

    def version(self) -> str:
        return replog.__version__

    @contextmanager
    def run(self, directory: Path) -> Iterator[Endpoint]:
        request = append_request(MESSAGE)
        with measured_nodes(directory) as cluster:
            cluster.start_all()
            yield Endpoint(cluster.master.port, lambda: HttpExchange(lambda: request))
