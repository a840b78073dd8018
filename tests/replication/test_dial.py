"""Dialling: where to, how often, and what is said when it fails (R1)."""

from __future__ import annotations

import asyncio
import itertools
import random

import pytest

from replog.core.errors import ConfigurationError
from replog.replication.dial import back_off, close_reason, dial, link_url
from replog.replication.link import ConnectionLostError


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:8001", "ws://127.0.0.1:8001/replication"),
        ("http://127.0.0.1:8001/", "ws://127.0.0.1:8001/replication"),
        ("https://log.example/a/", "wss://log.example/a/replication"),
        ("http://[::1]:8001", "ws://[::1]:8001/replication"),
    ],
)
def test_a_link_goes_to_the_http_port_of_the_node(url: str, expected: str) -> None:
    assert link_url(url) == expected


@pytest.mark.parametrize("url", ["", "127.0.0.1:8001", "ftp://host", "http://", "ws://host:1"])
def test_what_is_no_url_of_a_node_is_named(url: str) -> None:
    with pytest.raises(ConfigurationError, match="http://127"):
        link_url(url)


@pytest.mark.parametrize("seed", range(20))
def test_pauses_start_short_grow_and_stay_within_their_bounds(seed: int) -> None:
    pauses = list(itertools.islice(back_off(random.Random(seed)), 200))
    assert pauses[0] == pytest.approx(0.1)
    assert all(0.1 <= pause <= 2.0 for pause in pauses)
    assert all(pause >= 1.2 for pause in pauses[5:])
    assert len(set(pauses[5:])) > 100, "jitter keeps masters out of step"


@pytest.mark.parametrize("text", ["", "short", "é" * 200, "x" * 500])
def test_a_reason_fits_into_a_closing_frame(text: str) -> None:
    cut = close_reason(text)
    assert len(cut.encode()) <= 123
    assert text.startswith(cut)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://127.0.0.1:1", "connection refused"),
        ("http://no-such-node.invalid:8001", "does not resolve"),
        ("http://a..b:8001", "no name of a host"),
    ],
)
def test_a_node_that_cannot_be_reached_is_said_with_the_reason(url: str, why: str) -> None:
    with pytest.raises(ConnectionLostError, match=why):
        asyncio.run(dial(url))
