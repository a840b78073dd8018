"""Reads on real nodes: the same on every one of them, unchanged by a restart, broken off by rot."""

from __future__ import annotations

import gzip
import json
import time
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import httpx2
import pytest

from tests.http.raw import Connection, request_bytes
from tests.support import stories
from tests.support.cluster import MASTER, S1, ProcessCluster, call, wait_live
from tests.support.waiting import DEADLINE_S, wait_until

BATCHES: Final = 6
ENTRIES: Final = 900
"""Of one batch; six of them are two segments."""

PARTS: Final = (
    "/logs/1", "/logs/1700", f"/logs/{BATCHES * ENTRIES}", "/logs?limit=5",
    "/logs?from=890&limit=20", "/logs?from=2000&limit=2500", "/logs?from=700&limit=1",
)  # fmt: skip
"""Parts that never change: within a batch, over batches, over segments."""


def filled(cluster: ProcessCluster) -> list[str]:
    """Fill a cluster with batches; return a time before each of them."""
    url = cluster.start_all().url(MASTER)
    moments = []
    for number in range(BATCHES):
        moments.append(datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"))
        time.sleep(0.005)  # times of batches are milliseconds apart
        body = [{"message": f"{number}-{place} " + "lorem " * 900} for place in range(ENTRIES)]
        answer = httpx2.post(f"{url}/logs?w=all", json=body, timeout=60)
        assert answer.status_code == 200, answer.text
        time.sleep(0.005)
    stories.wait_equal(cluster)
    return moments


def get(url: str, headers: dict[str, str]) -> httpx2.Response:
    with httpx2.Client(timeout=DEADLINE_S, trust_env=False) as client:
        return client.get(url, headers=headers)


def tags(
    cluster: ProcessCluster,
    node: str,
    accept: str,
    encoding: str,
    contents: dict[tuple[str, str], str],
) -> dict[str, str]:
    """Return the tag of each part, whose content is that of `contents`, and put there if new."""
    found = {}
    headers = {"Accept": accept, "Accept-Encoding": encoding}
    for part in PARTS:
        answer = get(cluster.url(node) + part, headers)
        assert answer.status_code == 200, answer.text
        text = answer.text
        entries = list(map(json.loads, text.splitlines())) if "jsonl" in accept else answer.json()
        assert entries
        found[part] = answer.headers["etag"]
        assert contents.setdefault((part, accept), text) == text
        again = get(cluster.url(node) + part, {**headers, "If-None-Match": found[part]})
        assert (again.status_code, again.content) == (304, b"")
    return found


def test_a_part_is_the_same_on_every_node_and_after_a_restart(tmp_path: Path) -> None:
    with ProcessCluster(tmp_path) as cluster:
        moments = filled(cluster)
        contents: dict[tuple[str, str], str] = {}
        for accept, encoding in (("application/json", "identity"), ("application/jsonl", "gzip")):
            one = tags(cluster, MASTER, accept, encoding, contents)
            assert len(set(one.values())) == len(one)
            for node in cluster.nodes:
                assert tags(cluster, node, accept, encoding, contents) == one, node
        one = tags(cluster, S1, "application/json", "identity", contents)
        cluster.stop(S1)
        cluster.start(S1)
        wait_live(cluster, S1)
        # Nothing is verified now, and nothing at hand: the long way gives the same.
        assert tags(cluster, S1, "application/json", "identity", contents) == one
        for node in cluster.nodes:
            for number, moment in enumerate(moments):
                found = call("GET", f"{cluster.url(node)}/logs?since={moment}&limit=1").json()
                assert found[0]["id"] == number * ENTRIES + 1, (node, moment)


@pytest.mark.parametrize("accept", ["application/json", "application/x-ndjson"])
def test_rot_in_the_middle_leaves_gzip_without_an_end(tmp_path: Path, accept: str) -> None:
    with ProcessCluster(tmp_path, secondaries=1) as cluster:
        filled(cluster)
        cluster.stop(MASTER)  # nobody is there to repair it
        cluster.stop(S1)
        cluster.start(S1)
        wait_live(cluster, S1)
        path = cluster.node[S1].segment_files()[0]
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        headers = {"Accept": accept, "Accept-Encoding": "gzip", "Connection": "close"}
        with Connection(cluster.node[S1].port) as connection:
            connection.send(request_bytes("GET", "/logs", None, headers).replace(b"1.1", b"1.0", 1))
            head, _, body = connection.read_to_end().partition(b"\r\n\r\n")
        assert b"content-encoding: gzip" in head
        decompressor = zlib.decompressobj(31)
        shown = decompressor.decompress(body)
        assert not decompressor.eof
        assert b'"id":900,' in shown
        with pytest.raises(EOFError):
            gzip.decompress(body)
        wait_until(lambda: path.name in cluster.node[S1].said(), "the segment is named")
