"""What an append that waits says: for whom, once, and nothing that is not known.

SHELL.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator

import pytest
from typer.testing import CliRunner, Result

from replog.cli import waiting
from replog.cli.main import app
from replog.cli.waiting import THREAD_NAME, explained
from tests.cli.scripted_node import Answer, ScriptedNode, scripted_node
from tests.support.waiting import wait_until

END = ". What the master has stored gets there by itself; Ctrl-C only ends the waiting.\n"
MANY = 100_000


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedNode]:
    monkeypatch.setattr(waiting, "LOOKS_S", (0.0, 0.0))
    monkeypatch.setattr(waiting, "LOOK_AGAIN_S", 0.001)
    with scripted_node() as node:
        yield node


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    text = ""

    def read() -> str:
        nonlocal text
        text += capsys.readouterr().err
        return text

    return read


def secondary(name: str, **members: object) -> dict[str, object]:
    row = {"url": f"http://{name}", "health": "HEALTHY", "link": "streaming"}
    return {**row, "last_id": 7, "lag": 0, "delay_s": 0.0, **members}


def health(*secondaries: dict[str, object], status: str = "ok", last_id: int = 7) -> Answer:
    members = {"role": "master", "status": status, "last_id": last_id}
    return Answer(json.dumps(members | {"secondaries": list(secondaries)}).encode())


AWAY = secondary("away", health="UNHEALTHY", link="down", last_id=5, lag=2)


def looked(node: ScriptedNode, times: int) -> None:
    wait_until(lambda: len(node.asked) >= times, f"it looks {times} times")


def is_watching() -> bool:
    return any(thread.name == THREAD_NAME for thread in threading.enumerate())


def test_who_lacks_the_entry_is_named_once_with_their_state(
    node: ScriptedNode, said: Callable[[], str]
) -> None:
    slow = secondary("slow", last_id=6, lag=1, delay_s=2.5)
    unknown = secondary("unknown", health="UNHEALTHY", link="down", last_id=None, lag=None)
    node.answers = [health(secondary("there"), AWAY, slow, unknown)] * MANY
    with explained(node.url):
        looked(node, 8)
    assert said() == (
        "… waiting: not yet on http://away (unhealthy, 2 entries behind), "
        "http://slow (healthy, 1 entry behind, with a delay of 2.5 s), "
        f"http://unknown (unhealthy){END}"
    )
    assert set(node.asked) == {("GET /health", b"")}


def test_a_lag_that_changes_is_no_news_another_health_is(
    node: ScriptedNode, said: Callable[[], str]
) -> None:
    node.answers = [
        health(AWAY),
        health(AWAY),
        health(AWAY | {"lag": 9}, last_id=14),
        *[health(AWAY | {"health": "SUSPECTED", "link": "proving", "lag": 3})] * MANY,
    ]
    with explained(node.url):
        looked(node, 8)
    assert said() == (
        f"… waiting: not yet on http://away (unhealthy, 2 entries behind){END}"
        f"… waiting: not yet on http://away (suspected, 3 entries behind){END}"
    )


def test_a_link_that_does_not_come_back_by_itself_is_told_as_such(
    node: ScriptedNode, said: Callable[[], str]
) -> None:
    node.answers = [health(secondary("other", last_id=None, lag=None, link="diverged"))] * MANY
    with explained(node.url):
        wait_until(lambda: "http://other (diverged)" in said(), "it is said")


def test_a_node_that_held_it_when_it_went_away_does_not_count(
    node: ScriptedNode, said: Callable[[], str]
) -> None:
    node.answers = [health(secondary("away", link="down", health="SUSPECTED"))] * MANY
    with explained(node.url):
        wait_until(lambda: "http://away (suspected, 0 entries behind)" in said(), "it is said")


def test_entries_that_came_later_keep_nobody_waiting(
    node: ScriptedNode, said: Callable[[], str]
) -> None:
    node.answers = [health(), *[health(secondary("busy", last_id=7, lag=20), last_id=27)] * MANY]
    with explained(node.url):
        looked(node, 8)
    assert said() == ""


def test_a_master_that_starts_says_so_and_only_then_who_is_missing(
    node: ScriptedNode, said: Callable[[], str]
) -> None:
    node.answers = [
        health(status="starting", last_id=5),
        health(status="starting", last_id=5),
        *[health(AWAY)] * MANY,
    ]
    with explained(node.url):
        looked(node, 8)
    first, second = said().splitlines()
    assert first.startswith("… waiting: the master is starting")
    assert second.startswith("… waiting: not yet on http://away")


@pytest.mark.parametrize("answer", [Answer(b"{}", status=503), Answer(b"<html>"), Answer(b"{}")])
def test_where_the_health_is_not_told_nothing_is_said(
    node: ScriptedNode, said: Callable[[], str], answer: Answer
) -> None:
    node.answers = [answer] * MANY
    with explained(node.url):
        looked(node, 5)
    assert said() == ""


def test_what_is_learnt_after_the_answer_is_not_said(
    node: ScriptedNode, said: Callable[[], str]
) -> None:
    late = health(AWAY)
    node.answers = [health(AWAY), Answer(late.body, waits=True)]
    with explained(node.url):
        looked(node, 2)
    node.release()
    wait_until(lambda: not is_watching(), "the watching ends")
    assert said() == ""


@pytest.mark.parametrize(
    ("flags", "watches"),
    [
        ([], True),
        (["-w", "all"], True),
        (["-w", "majority", "--timeout", "60"], True),
        (["-w", "1"], False),
        (["-w", "all", "--timeout", "3"], False),
    ],
)
def test_an_append_that_waits_for_others_is_watched_and_answered_as_ever(
    node: ScriptedNode, flags: list[str], watches: bool
) -> None:
    body = b'{"status":"success","log":{"id":7,"message":"m"}}'
    node.answers = [Answer(body, waits=True)]
    node.health = [health()] * MANY
    results: list[Result] = []

    def append() -> None:
        results.append(CliRunner().invoke(app, ["append", "x", *flags, "--url", node.url]))

    appending = threading.Thread(target=append)
    appending.start()
    try:
        wait_until(lambda: "POST /logs" in dict(node.asked), "the append is on its way")
        assert is_watching() is watches
    finally:
        node.release()
        appending.join()
    assert (results[0].exit_code, results[0].stdout, results[0].stderr) == (0, "7\n", "")
    wait_until(lambda: not is_watching(), "the watching ends")
