"""What several tests of real processes begin with.

SHELL.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cluster import ProcessCluster


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[ProcessCluster]:
    """A master and two secondaries that answer."""
    with ProcessCluster(tmp_path) as started:
        yield started.start_all()
