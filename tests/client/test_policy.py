"""What is decided after an answer: by tables, with a clock that is set by hand."""

from __future__ import annotations

import contextlib

import pytest

from replog.client import errors
from replog.client.errors import ERROR_OF_PROBLEM, ProblemError, RequestError, UnavailableError
from replog.client.ops import Answer, Failed
from replog.client.policy import (
    Again,
    Elsewhere,
    Final,
    Nodes,
    Patience,
    Surroundings,
    judge,
    most_telling,
)
from replog.http.problems import PROBLEMS, Problem

URL = "http://a"
ELSEWHERE = {"not-the-master", "ask-the-master", "superseded", "log-found-elsewhere"}


class Clock:
    def __init__(self, *, jitter: float = 0.0) -> None:
        self.now = 100.0
        self.surroundings = Surroundings(lambda: self.now, lambda: jitter, lambda: "key")

    def patience(self, retry_for_s: float | None) -> Patience:
        return Patience(self.surroundings, retry_for_s=retry_for_s)


def answered(name: str, **members: object) -> Answer:
    made = Problem(PROBLEMS[name], "detail", members)
    body = made.body()
    headers = {key.decode(): value.decode() for key, value in made.all_headers(body)}
    return Answer(URL, made.status, headers, body)


@pytest.mark.parametrize("name", PROBLEMS)
def test_every_problem_of_a_node_is_judged_by_what_it_says_of_itself(name: str) -> None:
    verdict = judge(answered(name))
    assert not isinstance(verdict, Answer)
    assert isinstance(verdict.error, ProblemError)
    assert verdict.error.problem.name == name
    assert isinstance(verdict, Elsewhere) == (name in ELSEWHERE)
    if isinstance(verdict, Again):
        is_in_doubt = name in {"internal-error", "outcome-unknown"}
        assert PROBLEMS[name].is_retryable or is_in_doubt
        assert verdict.after_s == (PROBLEMS[name].retry_after_s or 0)
        assert verdict.may_be_stored == is_in_doubt
    elif isinstance(verdict, Final):
        assert not PROBLEMS[name].is_retryable


def test_the_tree_of_errors_mirrors_the_problems_of_a_node() -> None:
    assert set(ERROR_OF_PROBLEM) <= set(PROBLEMS)
    for name, kind in ERROR_OF_PROBLEM.items():
        status = PROBLEMS[name].status
        parent = RequestError if status < 500 else UnavailableError
        assert issubclass(kind, parent) or name == "internal-error"
    named = {
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, ProblemError)
    }
    assert named - set(ERROR_OF_PROBLEM.values()) == {ProblemError, RequestError, UnavailableError}


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_a_proxy_answers_is_asked_again_and_leaves_a_doubt(status: int) -> None:
    verdict = judge(Answer(URL, status, {"retry-after": "3"}, b"<html>"))
    assert isinstance(verdict, Again)
    assert (verdict.after_s, verdict.may_be_stored) == (3.0, True)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(URL, 404, {}, b"nothing here"),
        Answer(URL, 301, {}, b""),
        Answer(URL, 400, {"content-type": "application/problem+json"}, b"{"),
        Answer(URL, 400, {"content-type": "application/problem+json"}, b"[1]"),
    ],
)
def test_what_no_node_says_is_final(answer: Answer) -> None:
    assert isinstance(judge(answer), Final)


@pytest.mark.parametrize("has_left", [False, True])
def test_silence_leaves_a_doubt_only_where_the_request_left(has_left: bool) -> None:
    verdict = judge(Failed(URL, "x", has_left))
    assert isinstance(verdict, Again)
    assert verdict.may_be_stored is has_left


def test_the_master_is_where_a_secondary_says() -> None:
    verdict = judge(answered("not-the-master", master="http://m"))
    assert isinstance(verdict, Elsewhere)
    assert verdict.master == "http://m"
    unknown = judge(answered("not-the-master", master=None))
    assert isinstance(unknown, Elsewhere)
    assert unknown.master is None


def test_pauses_double_up_to_two_seconds() -> None:
    patience = Clock().patience(None)
    pauses = [patience.pause_s() for _ in range(8)]
    assert pauses == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]
    patience.restore()
    assert patience.pause_s() == 0.05


def test_chance_shortens_a_pause_by_up_to_half_and_never_what_a_node_asks_for() -> None:
    patience = Clock(jitter=1.0).patience(None)
    assert patience.pause_s() == 0.025
    assert patience.pause_s(at_least_s=5.0) == 5.0


def test_patience_counts_from_the_first_failure_and_tries_once_more_at_its_end() -> None:
    clock = Clock()
    patience = clock.patience(10.0)
    clock.now += 1000  # an answer that took long is no failure
    assert patience.pause_s() == 0.05
    clock.now += 9.5
    assert patience.pause_s(at_least_s=5.0) == pytest.approx(0.5)
    clock.now += 0.5
    assert patience.pause_s() is None
    patience.is_alive()
    assert patience.pause_s() is not None


def test_the_time_of_the_call_ends_it_before_its_patience_does() -> None:
    clock = Clock()
    patience = Patience(clock.surroundings, retry_for_s=None, within_s=1.0)
    clock.now += 0.98
    assert patience.pause_s() == pytest.approx(0.02)
    clock.now += 0.02
    assert patience.pause_s() is None


def test_without_patience_there_is_one_round() -> None:
    assert Clock().patience(0.0).pause_s() is None


def test_nodes_are_tried_with_the_likeliest_first() -> None:
    nodes = Nodes(["a", "b", "c", "a"], lock=contextlib.nullcontext(), first_to_read=1)
    assert nodes.to_append() == ["a", "b", "c"]
    nodes.is_master("x")
    assert nodes.to_append() == ["x", "a", "b", "c"]
    nodes.is_master("b")
    assert nodes.to_append() == ["b", "a", "c"]
    assert nodes.to_read() == ["b", "c", "a"]
    nodes.failed_reads("b")
    assert nodes.to_read() == ["c", "a", "b"]
    nodes.failed_reads("b")
    assert nodes.to_read() == ["c", "a", "b"]
    nodes.answers_reads("b")
    assert nodes.to_read() == ["b", "c", "a"]
    nodes.saw(7)
    nodes.saw(5)
    assert nodes.seen_id == 7


def test_a_nodes_word_says_more_than_silence() -> None:
    silence = judge(Failed(URL, "x", has_left=False))
    damaged = judge(answered("damaged"))
    secondary = judge(answered("not-the-master", master=None))
    assert isinstance(silence, Again)
    assert isinstance(damaged, Again)
    assert isinstance(secondary, Elsewhere)
    assert most_telling([secondary.error, damaged.error, silence.error]) is damaged.error
    assert most_telling([secondary.error, silence.error]) is silence.error
