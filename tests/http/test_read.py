"""`GET /logs` and `HEAD /logs`: the array, its parts, its headers, and how it breaks off."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from replog.core.entry import EntryId
from replog.storage.batch import encode_message, entry_line
from tests.http.served import Served
from tests.support.waiting import wait_until


def _fill(served: Served, count: int, *, text: str = "entry {} \n ,[]\u2028") -> list[object]:
    entries: list[object] = []
    for place in range(1, count + 1):
        message = text.format(place)
        served.node.lines.append(entry_line(EntryId(place), encode_message(message)))
        entries.append({"id": place, "message": message})
    return entries


def test_an_empty_log_is_an_empty_array(secondary: Served) -> None:
    with secondary.connect() as connection:
        answer = connection.request("GET", "/logs")
        assert (answer.status, answer.body) == (200, b"[]")
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["log-committed"] == "0"
        assert "log-master" not in answer.headers


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 101])
@pytest.mark.parametrize("chunk_entries", [1, 2, 100])
def test_the_array_holds_every_entry_however_it_is_chunked(
    master: Served, count: int, chunk_entries: int
) -> None:
    entries = _fill(master, count)
    master.node.chunk_entries = chunk_entries
    with master.connect() as connection:
        answer = connection.request("GET", "/logs")
        assert json.loads(answer.body) == entries
        assert answer.body == b"[" + b",".join(line[:-1] for line in master.node.lines) + b"]"
        assert ("content-length" in answer.headers) is (chunk_entries >= count)
        assert connection.request("GET", "/logs").body == answer.body


@pytest.mark.parametrize("first", [None, 1, 2, 5, 9, 10, 11, 500])
@pytest.mark.parametrize("limit", [None, 0, 1, 2, 3, 9, 10, 11, 10**15 - 1])
def test_from_and_limit_give_a_part_of_the_array(
    tenfold: tuple[Served, list[object]], first: int | None, limit: int | None
) -> None:
    served, entries = tenfold
    given = {"from": first, "limit": limit}
    query = "&".join(f"{name}={value}" for name, value in given.items() if value is not None)
    expected = entries[(first or 1) - 1 :]
    expected = expected if limit is None else expected[:limit]
    with served.connect() as connection:
        answer = connection.request("GET", f"/logs?{query}")
        assert json.loads(answer.body) == expected
        stop = (first or 1) + (limit or 0)
        has_more = bool(limit) and stop <= 10
        link = f'</logs?from={stop}&limit={limit}>; rel="next"'
        assert answer.headers.get("link") == (link if has_more else None)


@pytest.fixture(scope="module")
def tenfold() -> Iterator[tuple[Served, list[object]]]:
    with Served() as served:
        yield served, _fill(served, 10)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("from=0", "from"),
        ("from=-1", "from"),
        ("from=1.0", "from"),
        ("from=", "from"),
        ("from=x", "from"),
        ("from=01", "from"),
        ("from=%D9%A2", "from"),
        ("from=" + "9" * 5000, "from"),
        ("limit=-1", "limit"),
        ("limit=all", "limit"),
        ("from=1&from=1", '"from" is given twice'),
        ("form=1", '"form" is unknown'),
        ("w=1", '"w" is unknown'),
        ("from=%FF", "not UTF-8"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_bad_parameter_is_refused_by_name(
    tenfold: tuple[Served, list[object]], method: str, query: str, says: str
) -> None:
    served, _ = tenfold
    with served.connect() as connection:
        answer = connection.request(method, f"/logs?{query}")
        assert answer.status == 400
        if method == "GET":
            assert answer.problem()["type"] == "/problems/bad-parameter"
            assert says in str(answer.problem()["detail"])
        assert connection.request("GET", "/logs?limit=1").status == 200


def test_head_has_the_headers_and_no_body(tenfold: tuple[Served, list[object]]) -> None:
    served, _ = tenfold
    with served.connect() as connection:
        answer = connection.request("HEAD", "/logs?limit=2")
        assert answer.status == 200
        assert answer.headers["log-committed"] == "10"
        assert 'rel="next"' in answer.headers["link"]
        assert connection.request("GET", "/logs?limit=1").status == 200


def test_a_secondary_without_its_master_says_so_in_a_header(secondary: Served) -> None:
    secondary.node.has_master = False
    with secondary.connect() as connection:
        assert connection.request("GET", "/logs").headers["log-master"] == "unreachable"
        assert connection.request("HEAD", "/logs").headers["log-master"] == "unreachable"


def test_damage_before_the_first_byte_is_a_problem(master: Served) -> None:
    _fill(master, 5)
    master.node.damaged_id = 1
    with master.connect() as connection:
        answer = connection.request("GET", "/logs")
        assert answer.status == 503
        problem = answer.problem()
        assert problem["type"] == "/problems/damaged"
        assert "byte offset 4711" in str(problem["detail"])
        assert json.loads(connection.request("GET", "/logs?from=3").body)[0]["id"] == 3


@pytest.mark.parametrize("what", ["damage", "early end"])
def test_an_array_is_broken_off_and_never_valid_but_shorter(
    master: Served, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    _fill(master, 9)
    if what == "damage":
        master.node.damaged_id = 6
    else:
        master.node.ends_early_at = 5
    with master.connect() as connection:
        connection.send(b"GET /logs HTTP/1.1\r\nHost: x\r\n\r\n")
        received = connection.read_to_end()
    assert b'{"id":4,' in received
    assert b'{"id":6,' not in received
    assert not received.endswith(b"0\r\n\r\n")
    assert b"]\r\n" not in received
    wait_until(
        lambda: any("broken off in the middle" in r.getMessage() for r in caplog.records),
        "the break is logged",
    )
    assert not any(r.exc_info for r in caplog.records)
    with master.connect() as another:
        assert another.request("GET", "/logs?limit=2").status == 200


def test_a_read_that_a_stop_forestalls_is_a_problem_to_retry(master: Served) -> None:
    _fill(master, 3)
    master.on_loop(master.node.stopping.set)
    with master.connect() as connection:
        answer = connection.request("GET", "/logs")
        assert (answer.status, answer.headers["retry-after"]) == (503, "2")
        assert answer.problem()["type"] == "/problems/stopping"


def test_a_reader_that_does_not_read_holds_the_stream_back(master: Served) -> None:
    _fill(master, 600, text="{} " + "x" * 50_000)  # 30 MB, far beyond the sockets' buffers
    with master.connect() as connection:
        connection.send(b"GET /logs HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: master.node.open_reads == 1, "the read begins")
        for _ in range(50):  # other requests go on, and give the stream every chance to run
            with master.connect() as other:
                assert other.request("GET", "/logs?limit=1").status == 200
        read = master.node.chunks_read - 50
        assert read < 250, "the node read the log ahead of its reader"
        assert len(json.loads(connection.answer().body)) == 600


def test_a_read_ends_when_its_client_hangs_up(master: Served) -> None:
    _fill(master, 2000, text="{} " + "x" * 50_000)
    with master.connect() as connection:
        connection.send(b"GET /logs HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: master.node.open_reads == 1, "the read begins")
    wait_until(lambda: master.node.open_reads == 0, "the read ends")
    assert master.node.chunks_read < 1000


def test_an_http_1_0_client_gets_no_chunks_and_knows_the_end_by_the_close(master: Served) -> None:
    entries = _fill(master, 9)
    with master.connect() as connection:
        connection.send(b"GET /logs HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        head, _, body = connection.read_to_end().partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head
    assert b"connection: close" in head
    assert json.loads(body) == entries


def test_rot_leaves_an_http_1_0_client_with_what_is_no_json(master: Served) -> None:
    _fill(master, 9)
    master.node.damaged_id = EntryId(8)
    with master.connect() as connection:
        connection.send(b"GET /logs HTTP/1.0\r\n\r\n")
        _, _, body = connection.read_to_end().partition(b"\r\n\r\n")
    with pytest.raises(json.JSONDecodeError):
        json.loads(body)
