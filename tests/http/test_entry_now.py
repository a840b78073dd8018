"""One entry without a wait: the answer is that of the ordinary way, or it is left to that way."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from replog.core.entry import EntryId
from replog.http.answer import WholeAnswer
from replog.http.problems import ProblemError
from replog.http.query import entry_id
from replog.http.read_request import parse_wish
from replog.node.views import Role
from replog.storage.batch import encode_message
from replog.storage.lines import entry_line
from tests.http.served import Served

ENTRIES = ("one", "two", "x" * 5000)


@pytest.fixture(scope="module")
def shown() -> Iterator[Served]:
    with Served(Role.SECONDARY) as served:
        for place, text in enumerate(ENTRIES, 1):
            served.node.lines.append(entry_line(EntryId(place), encode_message(text)))
        yield served


@pytest.fixture
def three(shown: Served) -> Iterator[Served]:
    node = shown.node
    node.at_hand_entries, node.has_master, node.lag_s = 1000, True, 0.25
    yield shown
    node.holds_reads, node.has_master = False, True


def now(served: Served, text: str, **headers: str) -> WholeAnswer | None:
    given = [(name.encode(), value.encode()) for name, value in headers.items()]

    async def look() -> WholeAnswer | None:
        try:
            return served.app.log_routes.reads.entry_now(entry_id(text), parse_wish(given))
        except ProblemError:
            return None

    return asyncio.run(look())


@pytest.mark.parametrize("accept", ["*/*", "application/json", "application/x-ndjson"])
@pytest.mark.parametrize("text", ["1", "2", "3"])
@pytest.mark.parametrize("has_master", [True, False])
def test_the_answer_is_that_of_the_ordinary_way(
    three: Served, text: str, accept: str, has_master: bool
) -> None:
    three.node.has_master = has_master
    at_once = now(three, text, accept=accept)
    assert at_once is not None
    headers = {name.decode(): value.decode() for name, value in at_once.headers}
    assert len(headers) == len(at_once.headers)
    for at_hand in (0, 1000):
        three.node.at_hand_entries = at_hand
        with three.connect() as connection:
            answer = connection.request("GET", f"/logs/{text}", None, {"Accept": accept})
        assert (answer.status, answer.body) == (at_once.status, at_once.body)
        assert {name: answer.headers[name] for name in headers} == headers
        assert not {"log-master", "log-lag", "link"} & answer.headers.keys() - headers.keys()


@pytest.mark.parametrize("text", ["", "0", "4", "01", "-1", "x", "9" * 16, "1/acks"])
def test_what_is_refused_is_left_to_the_ordinary_way(three: Served, text: str) -> None:
    assert now(three, text) is None


def test_what_needs_more_is_left_to_the_ordinary_way(three: Served) -> None:
    assert now(three, "1", accept="text/html") is None
    assert now(three, "1", **{"if-none-match": "*"}) is None
    assert now(three, "1", **{"accept-encoding": "gzip"}) is not None  # too short for it
    assert now(three, "3", **{"accept-encoding": "gzip"}) is None
    three.node.holds_reads = True
    assert now(three, "1") is None
    three.node.holds_reads, three.node.at_hand_entries = False, 0
    assert now(three, "1") is None
