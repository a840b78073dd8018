"""What is measured is started as a shell starts it.

DISK.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.nodes import measured_nodes
from tests.house.source import ROOT


def test_measured_nodes_import_everything_themselves(tmp_path: Path) -> None:
    cluster = measured_nodes(tmp_path, secondaries=1)
    assert [node.imports for node in cluster.node.values()] == [True, True]


def test_no_benchmark_makes_its_nodes_otherwise() -> None:
    makers = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "benchmarks").rglob("*.py")
        if "ProcessCluster(" in path.read_text()
    }
    assert makers == {"benchmarks/nodes.py"}
