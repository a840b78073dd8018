"""Following the log of a node: `GET /logs/stream`, and what is asked of `GET /logs` to wait.

NETWORK.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from replog.core.entry import EntryId
from replog.http import follow_routes
from replog.http.followers import Followers, Patience
from replog.http.limits import Limits
from replog.node.views import Role
from replog.storage.batch import encode_message, entry_line
from tests.http.served import Served
from tests.support.following import Stream, opened
from tests.support.waiting import wait_until

LINES = {"Accept": "application/x-ndjson"}
OFTEN = Patience(beat_s=0.02)


def followers(served: Served) -> Followers:
    return served.app.log_routes.follows.followers


def store(served: Served, *messages: str) -> None:
    """Store entries that nobody sees yet."""

    def on_loop() -> None:
        for message in messages:
            entry_id = EntryId(len(served.node.lines) + 1)
            served.node.lines.append(entry_line(entry_id, encode_message(message)))

    served.on_loop(on_loop)


def show(served: Served, last: int | None = None) -> None:
    """Let readers see everything, or what is not after `last`."""
    node = served.node
    served.on_loop(lambda: node.feed.show(EntryId(len(node.lines) if last is None else last)))


def append(served: Served, *messages: str) -> None:
    store(served, *messages)
    show(served)


def be_patient(served: Served, patience: Patience) -> None:
    """Set how long streams are silent, before the first one opens."""
    followers(served).patience = patience


@pytest.fixture(params=list(Role))
def node(request: pytest.FixtureRequest) -> Iterator[Served]:
    with Served(request.param) as served:
        yield served


# --- what is sent ---------------------------------------------------------------------------


def test_entries_come_as_they_become_visible_and_those_before_do_not(node: Served) -> None:
    append(node, "before")
    with opened(lambda: Stream(node.port)) as stream:
        assert stream.status == 200
        assert stream.headers["content-type"] == "text/event-stream"
        assert stream.headers["cache-control"] == "no-store"
        assert stream.headers["log-committed"] == "1"
        append(node, "one", "zwei\n\r ö😀")
        assert stream.message() == (2, "one")
        assert stream.message() == (3, "zwei\n\r ö😀")
        append(node, "")
        assert stream.message() == (4, "")


def test_from_gives_what_is_there_and_goes_on(node: Served) -> None:
    append(node, *"abcdefg")
    with Stream(node.port, "?from=3") as stream:
        assert stream.ids(5) == [3, 4, 5, 6, 7]
        append(node, "h")
        assert stream.ids(1) == [8]


def test_last_event_id_goes_on_after_it_whatever_from_says(master: Served) -> None:
    append(master, *"abc")
    for headers in ({"Last-Event-ID": "2"}, {"last-event-id": "2", **LINES}):
        with Stream(master.port, "?from=1", headers) as stream:
            entry = stream.line() if "Accept" in headers else stream.message()
            assert entry in (b'{"id":3,"message":"c"}', (3, "c"))
    with Stream(master.port, headers={"Last-Event-ID": "0"}) as stream:
        assert stream.ids(3) == [1, 2, 3]


@pytest.mark.parametrize("before", [0, 2])
def test_a_browser_that_is_cut_off_before_its_first_entry_misses_none(
    node: Served, before: int
) -> None:
    """It sends the last id that it was told, also of an event without data: of no event."""
    append(node, *"ab"[:before])
    with Stream(node.port) as stream:
        beginning = stream.event()
    assert (beginning.kind, beginning.id, beginning.data) == ("retry", before, "")
    append(node, "x")
    with Stream(node.port, headers={"Last-Event-ID": str(beginning.id)}) as stream:
        assert stream.event().id == before
        assert stream.message() == (before + 1, "x")


def test_lines_are_the_entries_as_they_are(node: Served) -> None:
    append(node, "a", "b")
    for accept in ("application/x-ndjson", "application/jsonl", "application/ndjson;q=1"):
        with Stream(node.port, "?from=1", {"Accept": accept}) as stream:
            assert stream.headers["content-type"] == "application/x-ndjson"
            assert stream.line() == b'{"id":1,"message":"a"}'
            assert stream.line() == b'{"id":2,"message":"b"}'


def test_what_is_stored_and_not_committed_is_not_sent(node: Served) -> None:
    be_patient(node, OFTEN)
    store(node, "a", "b", "c")
    show(node, 2)
    with Stream(node.port, "?from=1", LINES) as stream:
        assert json.loads(stream.line())["id"] == 1
        assert json.loads(stream.line())["id"] == 2
        assert [stream.line(), stream.line()] == [b"", b""], "more than heartbeats came"
        show(node)
        while not (line := stream.line()):
            pass
        assert json.loads(line)["id"] == 3


def test_what_was_committed_before_the_request_is_not_news_where_it_is_shown_late(
    master: Served,
) -> None:
    """A node that has just started learns what is committed a moment later."""
    store(master, "a", "b", "c")
    with opened(lambda: Stream(master.port)) as stream:
        show(master)
        append(master, "d")
        assert stream.message() == (4, "d")


def test_one_who_is_ahead_of_the_log_waits_for_its_entry(master: Served) -> None:
    with opened(lambda: Stream(master.port, "?from=3")) as stream:
        for message in "abcd":
            append(master, message)
        assert stream.ids(2) == [3, 4]


def test_a_log_that_hides_a_damaged_end_makes_followers_wait(master: Served) -> None:
    append(master, "a", "b")
    with Stream(master.port, "?from=1") as stream:
        assert stream.ids(2) == [1, 2]
        store(master, "c", "d")
        show(master, 1)
        show(master, 4)
        assert stream.ids(2) == [3, 4]


def test_silence_is_filled_with_heartbeats(node: Served) -> None:
    be_patient(node, OFTEN)
    with opened(lambda: Stream(node.port)) as events, Stream(node.port, "", LINES) as lines:
        assert [events.event().kind for _ in range(3)] == [":", ":", ":"]
        assert [lines.line() for _ in range(3)] == [b"", b"", b""]


def test_one_who_got_something_since_the_last_beat_gets_no_heartbeat(master: Served) -> None:
    with opened(lambda: Stream(master.port)) as stream:
        hub = followers(master)

        def beat() -> None:
            """Let one beat go by, to its end."""
            master.on_loop(hub._on_beat)
            wait_until(
                lambda: master.on_loop(
                    lambda: not hub._is_beat_due and all(one.is_waiting for one in hub._members)
                ),
                "the beat is over",
            )

        for message in ("a", "b"):
            beat()
            beat()
            append(master, message)
            assert [stream.event().kind, stream.event().kind] == [":", "message"]
            beat()
            append(master, message)
            assert stream.event().kind == "message"


def test_one_who_takes_all_at_once_is_not_slow_however_long_nothing_comes(
    master: Served,
) -> None:
    be_patient(master, Patience(beat_s=0.03, stalled_s=0.01))
    with opened(lambda: Stream(master.port)) as stream:
        assert {stream.event().kind for _ in range(5)} == {":"}
        append(master, "a")
        assert stream.message() == (1, "a")


def test_one_entry_is_read_once_for_all_who_follow(master: Served) -> None:
    master.node.chunk_entries = 100
    with ExitStack() as stack:
        streams = [stack.enter_context(opened(lambda: Stream(master.port))) for _ in range(50)]
        append(master, "a", "b", "c")
        for stream in streams:
            assert stream.ids(3) == [1, 2, 3]
        assert master.node.chunks_read == 1


def test_an_old_client_gets_no_chunks_and_reads_to_the_close() -> None:
    with Served() as served:
        append(served, "a")
        with Stream(served.port, "?from=1", version="1.0") as stream:
            assert "transfer-encoding" not in stream.headers
            assert stream.ids(1) == [1]
            append(served, "b")
            assert stream.ids(1) == [2]
            served.stop()
            assert stream.bye() == {"reason": "stopping", "next": 3}


# --- how it ends ----------------------------------------------------------------------------


def test_a_stop_says_bye_and_where_to_go_on() -> None:
    with Served() as served:
        append(served, "a", "b")
        with (
            Stream(served.port, "?from=1") as behind,
            opened(lambda: Stream(served.port, "?from=9")) as ahead,
            Stream(served.port, "?from=1", LINES) as lines,
        ):
            assert behind.ids(2) == [1, 2]
            assert [lines.line()[:7], lines.line()[:7]] == [b'{"id":1', b'{"id":2']
            served.request_stop()
            assert behind.bye() == {"reason": "stopping", "next": 3}
            assert ahead.bye() == {"reason": "stopping", "next": 9}
            assert lines.rest() == b""
            assert lines.is_whole
            assert behind.headers["connection"] == "close"


def test_a_node_that_stops_takes_no_more_followers(master: Served) -> None:
    master.on_loop(master.node.stopping.set)
    with master.connect() as connection:
        answer = connection.request("GET", "/logs/stream?from=1")
        assert answer.status == 503
        assert answer.problem()["type"] == "/problems/stopping"


def test_damage_ends_the_stream_before_it_with_its_reason(node: Served) -> None:
    append(node, *"abcd")
    node.node.damaged_id = 3
    with Stream(node.port, "?from=1") as stream:
        assert stream.ids(2) == [1, 2]
        assert stream.bye() == {"reason": "damaged", "next": 3}
    wait_until(lambda: node.on_loop(lambda: len(followers(node))) == 0, "it left")


def test_damage_breaks_lines_off(node: Served) -> None:
    append(node, *"abcd")
    node.node.damaged_id = 3
    with Stream(node.port, "?from=1", LINES) as stream:
        assert [stream.line()[:7], stream.line()[:7]] == [b'{"id":1', b'{"id":2']
        assert stream.rest() == b""
        assert not stream.is_whole


def test_one_who_hangs_up_is_forgotten(node: Served) -> None:
    """Nothing is appended: nothing is sent that could fail."""
    with closing(opened(lambda: Stream(node.port)).socket), opened(lambda: Stream(node.port)):
        assert node.on_loop(lambda: len(followers(node))) == 2
    wait_until(lambda: node.on_loop(lambda: len(followers(node))) == 0, "both left")


BIG = 64 * 1024 * "x"


def stalled(served: Served) -> Stream:
    """Return a stream whose client takes nothing of what the node has for it (25 MB)."""
    be_patient(served, Patience(beat_s=0.05, stalled_s=0.2))
    append(served, *(400 * [BIG]))
    return opened(lambda: Stream(served.port, "?from=1", receive_buffer=4096))


def test_one_who_takes_nothing_costs_little_and_is_broken_off(
    master: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(follow_routes, "BYE_S", 0.1)
    with stalled(master) as stream:
        wait_until(lambda: master.on_loop(lambda: len(followers(master))) == 0, "it was ended")
        assert master.node.chunks_read < 200, "the node read all of it for one who takes nothing"
        ids = stream.ids_to_the_end()
        assert ids == list(range(1, len(ids) + 1))
        assert len(ids) < 400
        assert not stream.is_whole
    assert "without completing response" not in caplog.text, "it is told as a defect"
    with Stream(master.port, headers={"Last-Event-ID": str(len(ids))}) as stream:
        assert stream.ids(400 - len(ids)) == list(range(len(ids) + 1, 401))


def test_one_who_takes_it_late_reads_that_it_was_too_slow(
    master: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow_routes, "BYE_S", 30.0)
    with stalled(master) as stream:
        [follower] = followers(master)._members
        wait_until(lambda: follower.reason is not None, "it is to be ended")
        ids, said = stream.ids_to_the_bye()
        assert ids == list(range(1, len(ids) + 1))
        assert said == {"reason": "slow", "next": len(ids) + 1}


def test_others_go_on_beside_one_who_takes_nothing(master: Served) -> None:
    with stalled(master), Stream(master.port, "?from=1") as other:
        assert other.ids(400) == list(range(1, 401))
        append(master, "last")
        assert other.message() == (401, "last")


# --- what is refused ------------------------------------------------------------------------


def test_more_than_the_limit_are_refused_until_one_leaves() -> None:
    with Served(limits=Limits(followers_max=2)) as served, served.connect() as connection:
        with (
            opened(lambda: Stream(served.port)),
            opened(lambda: Stream(served.port)),
        ):
            for target in ("/logs/stream", "/logs?from=1&wait=10"):
                answer = connection.request("GET", target)
                assert (answer.status, answer.headers["retry-after"]) == (503, "1")
                assert answer.problem()["type"] == "/problems/overloaded"
        wait_until(lambda: served.on_loop(lambda: len(followers(served))) == 0, "both left")
        with opened(lambda: Stream(served.port)):
            pass


@pytest.mark.parametrize("given", ["", "x", "-1", "1.5", "01", "1e3", "1000000000000000", "1,2"])
def test_a_last_event_id_that_is_no_id_is_refused(shared: Served, given: str) -> None:
    with shared.connect() as connection:
        answer = connection.request("GET", "/logs/stream", headers={"Last-Event-ID": given})
        assert answer.status == 400
        problem = answer.problem()
        assert (problem["type"], problem["header"]) == ("/problems/bad-header", "Last-Event-ID")


@pytest.mark.parametrize(
    ("target", "accept", "status", "name"),
    [
        ("?from=0", "*/*", 400, "bad-parameter"),
        ("?from=x", "*/*", 400, "bad-parameter"),
        ("?limit=3", "*/*", 400, "bad-parameter"),
        ("?from=1&from=2", "*/*", 400, "bad-parameter"),
        ("", "application/json", 406, "not-acceptable"),
        ("", "text/event-stream;q=0", 406, "not-acceptable"),
    ],
)
def test_what_cannot_be_followed_is_refused(
    shared: Served, target: str, accept: str, status: int, name: str
) -> None:
    with shared.connect() as connection:
        answer = connection.request("GET", f"/logs/stream{target}", headers={"Accept": accept})
        assert (answer.status, answer.problem()["type"]) == (status, f"/problems/{name}")


def test_head_answers_the_headers_alone_and_follows_nothing(shared: Served) -> None:
    with shared.connect() as connection:
        answer = connection.request("HEAD", "/logs/stream", headers=LINES)
        assert answer.status == 200
        assert answer.headers["content-type"] == "application/x-ndjson"
        assert connection.request("HEAD", "/logs/stream").status == 200
    assert shared.on_loop(lambda: len(followers(shared))) == 0


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_nothing_else_is_done_with_a_stream(shared: Served, method: str) -> None:
    with shared.connect() as connection:
        answer = connection.request(method, "/logs/stream", b"")
        assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
