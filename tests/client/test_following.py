"""Following a cluster that is made up: each entry once, from nodes that get what is new."""

from __future__ import annotations

from itertools import islice

import httpx2
import pytest

from replog.client import Entry, OtherLogError, UnreachableError
from replog.client.following import SILENT_BEATS
from tests.client.desk import Desk
from tests.client.fake_cluster import URLS, FakeCluster, answer, line, problem, refuse, stream

A, B, C = URLS
BEATS = SILENT_BEATS * [b"\n"]


def entries(*ids: int) -> list[Entry]:
    return [Entry(number, f"m{number}") for number in ids]


def messages(count: int) -> list[str]:
    return [f"m{number}" for number in range(1, count + 1)]


def streams(desk: Desk) -> list[str]:
    return [asked for asked in desk.cluster.asked() if "stream" in asked]


def test_following_goes_on_at_another_node_with_each_entry_once(desk: Desk) -> None:
    desk.cluster.fail(A, stream(b"\n", line(1), line(2)[:7], None))
    desk.cluster.fail(B, stream(line(2), line(3)), answer(problem("stopping")))
    desk.cluster.fail(C, stream(line(3), line(4), line(5)))  # 3 again: from an earlier place
    desk.cluster.messages = messages(7)
    with desk.client() as client:
        following = client.follow(1)
        assert list(islice(following, 7)) == entries(1, 2, 3, 4, 5, 6, 7)
        following.close()
    assert desk.cluster.open_streams == 0
    streams = [asked for asked in desk.cluster.asked() if "stream" in asked]
    assert streams[:4] == [
        "GET a/logs/stream?from=1",
        "GET b/logs/stream?from=2",
        "GET c/logs/stream?from=4",
        "GET a/logs/stream?from=6",
    ]


def test_a_follower_does_not_go_on_in_another_log(desk: Desk) -> None:
    desk.cluster.log_ids = {A: None, C: "two"}
    desk.cluster.fail(A, stream(b"\n"))
    desk.cluster.fail(B, stream(line(1)))
    with desk.client() as client:
        following = client.follow(1)
        assert next(following) == Entry(1, "m1")
        with pytest.raises(OtherLogError):
            next(following)
    assert desk.cluster.asked()[-1] == "GET c/health"


def test_a_stream_with_a_gap_is_not_believed(desk: Desk) -> None:
    desk.cluster.fail(A, stream(line(1) + line(3)))
    desk.cluster.fail(B, stream(line(1), line(2), line(3)))
    with desk.client() as client:
        following = client.follow(1)
        assert list(islice(following, 3)) == entries(1, 2, 3)
        following.close()


def test_following_begins_behind_what_is_there_and_stays_there(desk: Desk) -> None:
    desk.cluster.messages = ["m1", "m2"]
    desk.cluster.fail(B, answer(problem("stopping")))
    with desk.client() as client:
        following = client.follow()
        desk.cluster.fail(
            A,
            lambda cluster, request: cluster.perform(request),  # where it ends: 2
            stream(b"\n", None),
        )
        desk.cluster.fail(C, stream(line(3)))
        assert next(following) == Entry(3, "m3")
        following.close()
    assert desk.cluster.asked()[0] == "HEAD a/logs"
    assert {asked for asked in desk.cluster.asked() if "stream" in asked} == {
        "GET a/logs/stream?from=3",
        "GET b/logs/stream?from=3",
        "GET c/logs/stream?from=3",
    }


def test_following_gives_up_where_no_node_was_ever_there(desk: Desk) -> None:
    desk.cluster.always = dict.fromkeys(URLS, refuse)
    with desk.client(retry_for=0.1) as client, pytest.raises(UnreachableError):
        next(client.follow(1))


# --- nodes to which nothing new comes -----------------------------------------------------------


@pytest.mark.parametrize("status", ["no-master", "superseded", "log-found-elsewhere"])
def test_a_node_that_gets_nothing_new_is_not_followed_where_another_one_does(
    desk: Desk, status: str
) -> None:
    desk.cluster.messages = messages(3)
    desk.cluster.statuses[A] = status
    with desk.client() as client:
        following = client.follow(1)
        assert list(islice(following, 3)) == entries(1, 2, 3)
        following.close()
    assert streams(desk) == ["GET b/logs/stream?from=1"]


def test_where_no_node_has_a_master_their_entries_are_followed(desk: Desk) -> None:
    desk.cluster.messages = messages(3)
    desk.cluster.statuses = {A: "no-master", B: "superseded"}
    desk.cluster.always[C] = refuse
    with desk.client() as client:
        following = client.follow(1)
        assert list(islice(following, 3)) == entries(1, 2, 3)
        following.close()
    assert streams(desk) == ["GET a/logs/stream?from=1"]


def test_a_stream_of_a_node_that_lost_its_master_is_left_for_one_that_has_it(desk: Desk) -> None:
    def loses_its_master(cluster: FakeCluster, request: httpx2.Request) -> httpx2.Response:
        cluster.statuses[A] = "no-master"
        return stream(line(1), *BEATS, line(2))(cluster, request)

    desk.cluster.messages = messages(3)
    desk.cluster.fail(A, loses_its_master)
    with desk.client() as client:
        following = client.follow(1)
        assert list(islice(following, 3)) == entries(1, 2, 3)
        following.close()
    assert streams(desk) == ["GET a/logs/stream?from=1", "GET b/logs/stream?from=2"]
    assert desk.cluster.open_streams == 0


@pytest.mark.parametrize(
    ("statuses", "log_ids"),
    [
        ({}, {}),  # it is well: nobody appends
        (dict.fromkeys(URLS, "no-master"), {}),
        ({A: "no-master"}, {B: None, C: "two"}),
    ],
)
def test_a_silent_stream_is_kept_where_no_other_node_has_more(
    desk: Desk, statuses: dict[str, str], log_ids: dict[str, str | None]
) -> None:
    def is_silent(cluster: FakeCluster, request: httpx2.Request) -> httpx2.Response:
        cluster.statuses, cluster.log_ids = statuses, log_ids
        return stream(*BEATS, *BEATS, line(1))(cluster, request)

    desk.cluster.fail(A, is_silent)
    with desk.client() as client:
        following = client.follow(1)
        assert next(following) == Entry(1, "m1")
        following.close()
    assert streams(desk) == ["GET a/logs/stream?from=1"]


def test_another_node_that_is_none_does_not_end_a_silent_stream(desk: Desk) -> None:
    def loses_its_master(cluster: FakeCluster, request: httpx2.Request) -> httpx2.Response:
        cluster.statuses[A] = "no-master"
        cluster.always[B] = answer(httpx2.Response(404, text="a web server"))
        cluster.always[C] = answer(httpx2.Response(200, text="a web server"))
        return stream(*BEATS, line(1))(cluster, request)

    desk.cluster.fail(A, loses_its_master)
    with desk.client() as client:
        following = client.follow(1)
        assert next(following) == Entry(1, "m1")
        following.close()


def test_entries_between_the_signs_of_life_are_no_silence(desk: Desk) -> None:
    desk.cluster.fail(A, stream(*BEATS[1:], line(1), *BEATS[1:], line(2)))
    with desk.client() as client:
        following = client.follow(1)
        assert list(islice(following, 2)) == entries(1, 2)
        following.close()
    assert desk.cluster.asked() == ["GET a/health", "GET a/logs/stream?from=1"]


# --- nodes without a log ------------------------------------------------------------------------


def test_no_stream_is_opened_at_a_node_without_a_log(desk: Desk) -> None:
    desk.cluster.log_ids = {A: None, B: "two", C: "two"}
    desk.cluster.messages = messages(2)
    desk.cluster.fail(A, stream(line(1)))  # of the log that it just got: not the others'
    with desk.client() as client:
        following = client.follow(1)
        assert list(islice(following, 2)) == entries(1, 2)
        following.close()
    assert streams(desk) == ["GET b/logs/stream?from=1"]


def test_a_follower_waits_for_a_node_that_has_no_log_yet(desk: Desk) -> None:
    def health(cluster: FakeCluster, request: httpx2.Request) -> httpx2.Response:
        if cluster.asked().count("GET a/health") == 4:
            cluster.messages = messages(1)
            cluster.log_ids.clear()
        return cluster.perform(request)

    desk.cluster.log_ids[A] = None
    desk.cluster.always[A] = health
    with desk.client(A, retry_for=0.01) as client:  # it is reached: that is no failure
        following = client.follow(1)
        assert next(following) == Entry(1, "m1")
        following.close()
