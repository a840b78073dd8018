"""Clients of both kinds.

SHELL.
"""

from __future__ import annotations

import pytest

from replog.client import Client
from tests.client.both import AnyClient, MakeClient
from tests.client.desk import Desk


@pytest.fixture(params=["Client", "AsyncClient"])
def make_client(request: pytest.FixtureRequest) -> MakeClient:
    return Client if request.param == "Client" else AnyClient


@pytest.fixture
def desk(make_client: MakeClient) -> Desk:
    return Desk(make_client)
