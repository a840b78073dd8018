"""A served master and a served secondary for each test.

NETWORK.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from replog.node.views import Role
from tests.http.served import Served


@pytest.fixture
def master() -> Iterator[Served]:
    with Served() as served:
        yield served


@pytest.fixture
def secondary() -> Iterator[Served]:
    with Served(Role.SECONDARY) as served:
        yield served


@pytest.fixture(scope="module")
def shared() -> Iterator[Served]:
    """One master for all cases of a module that leave it as they found it."""
    with Served() as served:
        yield served
