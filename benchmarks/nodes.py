"""The nodes that are measured: each a process of its own that imports everything itself.

SHELL.
"""

from __future__ import annotations

from pathlib import Path

from tests.support.cluster import ProcessCluster


def measured_nodes(directory: Path, *, secondaries: int = 2) -> ProcessCluster:
    """Return a master and its secondaries, as a shell would start them; none runs yet.

    The nodes of tests are forked from a process that has imported everything: their starts take
    a fifth of the time, and the memory that they share is counted for each of them.
    """
    return ProcessCluster(directory, secondaries=secondaries, imports=True)
