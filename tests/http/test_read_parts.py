"""Parts of the log over HTTP: one entry, the end, since a time, by lines, compressed, unchanged."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator

import pytest

from replog.core.entry import EntryId
from replog.node.views import Freshness
from replog.storage.batch import encode_message, entry_line
from tests.http.raw import Answer
from tests.http.served import Served
from tests.support.waiting import wait_until

LONG = "{} " + "lorem ipsum " * 100


def fill(served: Served, count: int, *, text: str = "entry {}") -> list[object]:
    entries: list[object] = []
    for place in range(1, count + 1):
        message = text.format(place)
        served.node.lines.append(entry_line(EntryId(place), encode_message(message)))
        served.node.times_ms.append(1000 * place)
        entries.append({"id": place, "message": message})
    return entries


def ask(
    served: Served, target: str, headers: dict[str, str] | None = None, *, method: str = "GET"
) -> Answer:
    with served.connect() as connection:
        return connection.request(method, target, None, headers)


@pytest.fixture(scope="module")
def tenfold() -> Iterator[tuple[Served, list[object]]]:
    with Served() as served:
        yield served, fill(served, 10)


@pytest.fixture(params=[0, 1000], ids=["read", "at hand"])
def ten(request: pytest.FixtureRequest, tenfold: tuple[Served, list[object]]) -> Served:
    """Ten entries, which come in chunks or at once."""
    served, _ = tenfold
    served.node.at_hand_entries = request.param
    return served


# --- which entries -------------------------------------------------------------------------


@pytest.mark.parametrize("last", [0, 1, 3, 10, 11, 10**15 - 1])
@pytest.mark.parametrize("limit", [None, 0, 2, 50])
def test_last_counts_from_the_end(
    ten: Served, tenfold: tuple[Served, list[object]], last: int, limit: int | None
) -> None:
    answer = ask(ten, f"/logs?last={last}" + ("" if limit is None else f"&limit={limit}"))
    expected = tenfold[1][max(0, 10 - last) :]
    shown = expected if limit is None else expected[:limit]
    assert json.loads(answer.body) == shown
    has_more = bool(limit) and len(shown) < len(expected)
    stop = max(0, 10 - last) + (limit or 0) + 1
    link = f'</logs?from={stop}&limit={limit}>; rel="next"'
    assert answer.headers.get("link") == (link if has_more else None)


@pytest.mark.parametrize(
    ("since", "first"),
    [
        ("1970-01-01T00:00:00Z", 1), ("1970-01-01T00:00:01Z", 1), ("1970-01-01T00:00:01.001Z", 2),
        ("1970-01-01T00:00:10Z", 10), ("1970-01-01T00:00:10.001Z", 11),
        ("2026-11-22T22:10:00Z", 11), ("1969-12-31T23:00:00Z", 1),
        ("1970-01-01T02:00:05%2B02:00", 5),
    ],
)  # fmt: skip
def test_since_begins_at_a_time(
    ten: Served, tenfold: tuple[Served, list[object]], since: str, first: int
) -> None:
    assert json.loads(ask(ten, f"/logs?since={since}").body) == tenfold[1][first - 1 :]
    page = ask(ten, f"/logs?since={since}&limit=2")
    assert json.loads(page.body) == tenfold[1][first - 1 : first + 1]
    link = f'</logs?from={first + 2}&limit=2>; rel="next"' if first < 9 else None
    assert page.headers.get("link") == link


def test_one_entry_is_an_object(ten: Served, tenfold: tuple[Served, list[object]]) -> None:
    for id in (1, 7, 10):  # noqa: A001 - the word for it
        answer = ask(ten, f"/logs/{id}")
        assert (answer.status, json.loads(answer.body)) == (200, tenfold[1][id - 1])
        assert answer.body == ten.node.lines[id - 1][:-1]
        assert answer.headers["content-length"] == str(len(answer.body))
        lines = ask(ten, f"/logs/{id}", {"Accept": "application/x-ndjson"})
        assert lines.body == ten.node.lines[id - 1]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_entry_that_is_not_there_is_404_with_what_is(ten: Served, method: str) -> None:
    answer = ask(ten, "/logs/11", method=method)
    assert answer.status == 404
    if method == "GET":
        problem = answer.problem()
        assert (problem["type"], problem["committed"]) == ("/problems/unknown-id", 10)


@pytest.mark.parametrize(
    "text", ["0", "-1", "x", "1.0", "01", "+1", "%20", "1e3", "9" * 400, "%FF"]
)
def test_an_id_that_is_none_is_refused(ten: Served, text: str) -> None:
    problem = ask(ten, f"/logs/{text}").problem()
    assert (problem["type"], problem["parameter"]) == ("/problems/bad-parameter", "id")


@pytest.mark.parametrize("query", ["from=1", "limit=1", "last=1", "wait=1", "level=", "min_id=x"])
def test_an_entry_takes_no_parameters_but_those_of_freshness(ten: Served, query: str) -> None:
    assert ask(ten, f"/logs/3?{query}").problem()["type"] == "/problems/bad-parameter"


def test_an_entry_that_is_damaged_is_a_problem(master: Served) -> None:
    fill(master, 5)
    master.node.damaged_id = 4
    for target in ("/logs/4", "/logs/5", "/logs?from=3&limit=2", "/logs?from=4&limit=1"):
        assert ask(master, target).problem()["type"] == "/problems/damaged"
    assert ask(master, "/logs/2").status == 200


# --- headers -------------------------------------------------------------------------------


def test_the_headers_say_what_is_served_and_how_fresh_it_is(ten: Served) -> None:
    for target in ("/logs", "/logs?last=2", "/logs/3", "/logs?from=99"):
        headers = ask(ten, target).headers
        assert headers["log-committed"] == "10"
        assert headers["log-head"] == f"10;{ten.node.head.hash.hex()}"
        assert headers["log-first"] == "1"
        assert headers["log-lag"] == "0.000"
        assert headers["log-level"] == "committed"
        assert headers["vary"] == "Accept, Accept-Encoding"
    assert ask(ten, "/logs?level=master").headers["log-level"] == "master"


def test_the_lag_is_left_out_where_it_is_not_known(secondary: Served) -> None:
    secondary.node.lag_s = None
    assert "log-lag" not in ask(secondary, "/logs").headers
    secondary.node.lag_s = 1.23456
    assert ask(secondary, "/logs").headers["log-lag"] == "1.235"


@pytest.mark.parametrize(
    "target",
    [
        "/logs", "/logs?limit=3", "/logs?from=4&limit=3", "/logs?last=2", "/logs?from=99",
        "/logs?since=1970-01-01T00:00:05Z", "/logs/3", "/logs?limit=0", "/logs?limit=3&wait=0",
    ],
)  # fmt: skip
@pytest.mark.parametrize("accept", ["application/json", "application/x-ndjson"])
@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_head_is_get_without_its_body(ten: Served, target: str, accept: str, encoding: str) -> None:
    headers = {"Accept": accept, "Accept-Encoding": encoding}
    with ten.connect() as connection:
        got = connection.request("GET", target, None, headers)
        head = connection.request("HEAD", target, None, headers)
        assert connection.request("GET", target, None, headers).body == got.body
    ignored = {"date", "transfer-encoding"}
    assert {n: v for n, v in head.headers.items() if n not in ignored} == {
        n: v for n, v in got.headers.items() if n not in ignored
    }
    assert (head.status, head.body) == (200, b"")


# --- forms ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["application/x-ndjson", "application/jsonl", "application/ndjson"]
)
def test_entries_come_as_lines_where_accept_asks(ten: Served, name: str) -> None:
    answer = ask(ten, "/logs?from=3", {"Accept": name})
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.body == b"".join(ten.node.lines[2:])
    empty = ask(ten, "/logs?from=99", {"Accept": name})
    assert (empty.status, empty.body) == (200, b"")


@pytest.mark.parametrize("target", ["/logs", "/logs/3", "/logs?from=99"])
def test_a_form_that_entries_do_not_have_is_406(ten: Served, target: str) -> None:
    problem = ask(ten, target, {"Accept": "text/html"}).problem()
    assert problem["type"] == "/problems/not-acceptable"
    assert "application/x-ndjson" in str(problem["detail"])


def test_lines_break_off_too(master: Served) -> None:
    fill(master, 9)
    master.node.damaged_id = 6
    with master.connect() as connection:
        connection.send(b"GET /logs HTTP/1.1\r\nHost: x\r\nAccept: application/x-ndjson\r\n\r\n")
        received = connection.read_to_end()
    assert b'{"id":4,' in received
    assert b'{"id":6,' not in received
    assert not received.endswith(b"0\r\n\r\n")


# --- gzip ----------------------------------------------------------------------------------


@pytest.mark.parametrize("at_hand", [0, 1000])
@pytest.mark.parametrize("chunk_entries", [1, 7, 100])
@pytest.mark.parametrize("accept", ["application/json", "application/x-ndjson"])
def test_gzip_gives_the_same_bytes(
    master: Served, at_hand: int, chunk_entries: int, accept: str
) -> None:
    fill(master, 60, text=LONG)
    master.node.at_hand_entries, master.node.chunk_entries = at_hand, chunk_entries
    for target in ("/logs", "/logs?limit=50", "/logs/7", "/logs?from=59&limit=5"):
        plain = ask(master, target, {"Accept": accept})
        packed = ask(master, target, {"Accept": accept, "Accept-Encoding": "gzip"})
        assert "content-encoding" not in plain.headers
        assert packed.headers["content-encoding"] == "gzip"
        assert gzip.decompress(packed.body) == plain.body
        assert len(packed.body) < len(plain.body)


def test_a_short_answer_is_not_worth_gzip(master: Served) -> None:
    fill(master, 3)
    master.node.at_hand_entries = 1000
    for target in ("/logs", "/logs/1", "/logs?from=99"):
        answer = ask(master, target, {"Accept-Encoding": "gzip"})
        assert "content-encoding" not in answer.headers


@pytest.mark.parametrize("what", ["damage", "early end", "stop"])
def test_gzip_that_breaks_off_has_no_valid_end(master: Served, what: str) -> None:
    fill(master, 400, text=LONG)
    if what == "damage":
        master.node.damaged_id = 300
    elif what == "early end":
        master.node.ends_early_at = 300
    else:
        master.node.stops_at = 301
    with master.connect() as connection:
        connection.send(b"GET /logs HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n")
        _, _, body = connection.read_to_end().partition(b"\r\n\r\n")
    decompressor = zlib.decompressobj(31)
    received = decompressor.decompress(body)
    assert not decompressor.eof
    assert b'{"id":300,' not in received
    with pytest.raises(EOFError):
        gzip.decompress(body)


def test_the_loop_goes_on_while_large_pieces_are_compressed(master: Served) -> None:
    fill(master, 40, text="{} " + "x y z " * 100_000)
    master.node.chunk_entries = 10
    with master.connect() as connection:
        connection.send(b"GET /logs HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n")
        wait_until(lambda: master.node.open_reads == 1, "the read begins")
        with master.connect() as other:
            assert other.request("GET", "/livez").status == 200
        assert len(json.loads(gzip.decompress(connection.answer().body))) == 40


# --- what never changes --------------------------------------------------------------------


@pytest.mark.parametrize("target", ["/logs/3", "/logs?limit=3", "/logs?from=8&limit=3"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_never_changes_has_a_tag_and_is_not_sent_twice(
    ten: Served, target: str, method: str
) -> None:
    first = ask(ten, target, method=method)
    tag = first.headers["etag"]
    assert tag.startswith(f'"{ten.node.log_id}.')
    assert first.headers["cache-control"] == "no-cache"
    for known in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        again = ask(ten, target, {"If-None-Match": known}, method=method)
        assert (again.status, again.body) == (304, b"")
        assert again.headers["etag"] == tag
        assert again.headers["cache-control"] == "no-cache"
        assert again.headers["vary"] == "Accept, Accept-Encoding"
    for unknown in ('"x"', tag[:-2] + '"', tag.strip('"')):
        assert ask(ten, target, {"If-None-Match": unknown}, method=method).status == 200


def test_a_connection_goes_on_after_304(ten: Served) -> None:
    with ten.connect() as connection:
        for _ in range(3):
            answer = connection.request("GET", "/logs/3", None, {"If-None-Match": "*"})
            assert answer.status == 304


@pytest.mark.parametrize(
    "target",
    [
        "/logs", "/logs?from=3", "/logs?limit=11", "/logs?from=9&limit=3", "/logs?last=3",
        "/logs?last=3&limit=3", "/logs?from=99&limit=3", "/logs?limit=0", "/logs?limit=3&wait=1",
    ],
)  # fmt: skip
def test_what_may_grow_has_none(ten: Served, target: str) -> None:
    answer = ask(ten, target, {"If-None-Match": "*"})
    assert answer.status == 200
    assert "etag" not in answer.headers
    assert answer.headers["cache-control"] == "no-store"


PAGES = ("/logs?from=2&limit=1", "/logs?from=2&limit=2")
"""The first one ends where another page ends that begins before it."""


def test_a_tag_is_of_one_log_one_range_one_form_and_one_coding(master: Served) -> None:
    fill(master, 30, text=LONG)
    master.node.at_hand_entries = 1000
    tags = [
        ask(master, target, {"Accept": accept, "Accept-Encoding": encoding}).headers["etag"]
        for target in ("/logs/1", "/logs?limit=1", "/logs?limit=2", *PAGES)
        for accept in ("application/json", "application/x-ndjson")
        for encoding in ("identity", "gzip")
    ]
    assert len(set(tags)) == len(tags)
    master.node.lines[0] = master.node.lines[0].replace(b"lorem", b"merol")
    other = ask(master, "/logs?from=2&limit=2").headers["etag"]
    assert other not in tags, "another history below it is another log"


def test_a_client_that_has_it_in_the_other_coding_has_it(master: Served) -> None:
    fill(master, 30, text=LONG)
    packed = ask(master, "/logs?limit=9", {"Accept-Encoding": "gzip"}).headers["etag"]
    again = ask(master, "/logs?limit=9", {"If-None-Match": packed})
    assert (again.status, again.headers["etag"]) == (304, packed)


# --- freshness -----------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/logs", "/logs/1"])
def test_what_is_asked_for_reaches_the_node(secondary: Served, path: str) -> None:
    fill(secondary, 2)
    for query, freshness in [
        ("", Freshness()),
        ("min_id=2", Freshness(EntryId(2), timeout_s=10.0)),
        ("level=master&timeout=0.5", Freshness(is_linearizable=True, timeout_s=0.5)),
        ("max_lag_ms=250&timeout=0", Freshness(max_lag_s=0.25, timeout_s=0.0)),
    ]:
        assert ask(secondary, f"{path}?{query}").status == 200
        assert secondary.node.freshness[-1] == freshness


@pytest.mark.parametrize("path", ["/logs", "/logs/1"])
def test_a_node_that_is_not_fresh_enough_says_why(secondary: Served, path: str) -> None:
    fill(secondary, 2)
    problem = ask(secondary, f"{path}?min_id=3&level=master").problem()
    assert (problem["status"], problem["type"]) == (504, "/problems/not-fresh")
    assert (problem["committed"], problem["retryable"]) == (2, True)
    secondary.node.is_fresh = False
    answer = ask(secondary, f"{path}?level=master&max_lag_ms=1")
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert answer.problem()["type"] == "/problems/no-master"
    secondary.node.lag_s = 1.5
    problem = ask(secondary, f"{path}?max_lag_ms=1").problem()
    assert (problem["type"], problem["lag_ms"]) == ("/problems/too-far-behind", 1500)
    secondary.node.lag_s = None
    problem = ask(secondary, f"{path}?max_lag_ms=1&min_id=2").problem()
    assert (problem["type"], problem["lag_ms"]) == ("/problems/too-far-behind", None)
    assert ask(secondary, path).status == 200


def test_a_long_poll_is_answered_when_the_entry_is_there(master: Served) -> None:
    with master.connect() as waiting, master.connect() as other:
        waiting.send(b"GET /logs?from=1&wait=60&limit=1 HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: len(master.app.log_routes.reads._followers) == 1, "it waits")
        other.append(b'{"message":"here"}')
        answer = waiting.answer()
    assert json.loads(answer.body) == [{"id": 1, "message": "here"}]
    assert "etag" not in answer.headers
    assert ask(master, "/logs?from=2&wait=0.01").body == b"[]"
