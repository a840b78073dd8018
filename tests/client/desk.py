"""A fake cluster, and clients of either kind for it.

SHELL.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx2

from replog.client import Client
from tests.client.both import AnyClient, MakeClient
from tests.client.fake_cluster import URLS, FakeCluster


class Desk:
    """A fake cluster, and clients for it."""

    def __init__(self, make: MakeClient) -> None:
        self.cluster = FakeCluster()
        self._make = make

    @contextmanager
    def client(
        self, *urls: str, retry_for: float | None = 30.0, reads_at: str = URLS[0]
    ) -> Iterator[Client | AnyClient]:
        transport = httpx2.MockTransport(self.cluster)
        with self._make(urls or URLS, retry_for=retry_for, transport=transport) as client:
            inner = client if isinstance(client, Client) else client.client
            if reads_at in inner.urls:
                inner.calls.nodes.answers_reads(reads_at)
            yield client
