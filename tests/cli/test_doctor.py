"""`replog doctor`: what it finds, shows, advises and returns.

SHELL.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from replog.cli.main import app
from tests.cli.log_server import ShownLog, log_server
from tests.cli.scripted_node import scripted_node

ONE = [(("a", "b"), ""), (("c",), ""), (("d", "e", "f"), "")]


def seen(url: str, **members: object) -> dict[str, object]:
    return {
        "url": url,
        "health": "HEALTHY",
        "link": "streaming",
        "lag": 0,
        "delay_s": 0.0,
    } | members


def doctor(log: ShownLog, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["doctor", *arguments, "--url", log.url])


def examined(stack: ExitStack, master: ShownLog, *others: ShownLog) -> None:
    """Serve them, the others as the master's secondaries."""
    for log in (*others, master):
        stack.enter_context(log_server(log))
    master.role = "master"
    master.health = {"secondaries": [seen(log.url) for log in others], **master.health}


def test_nodes_with_one_log_are_well(stack: ExitStack) -> None:
    master, same, behind = ShownLog(ONE), ShownLog(ONE), ShownLog(ONE[:2])
    examined(stack, master, same, behind)
    result = doctor(master)
    assert result.exit_code == 0
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    head = master.hash_at(6)[:12]
    assert rows == [
        ["NODE", "ROLE", "STATE", "LAST", "COMMITTED", "HEAD", "LOG"],
        [master.url, "master", "ok", "6", "6", head, "what the others are compared with"],
        [same.url, "secondary", "ok", "6", "6", head, "identical"],
        [behind.url, "secondary", "ok", "3", "3", behind.hash_at(3)[:12], "the same up to its 3"],
    ]
    assert result.stderr == "✓ 3 nodes, one log, nothing to do\n"


def test_a_secondary_that_is_asked_brings_in_its_master_and_the_others(stack: ExitStack) -> None:
    master, one, two = ShownLog(ONE), ShownLog(ONE), ShownLog(ONE)
    examined(stack, master, one, two)
    one.health = {"master": {"url": master.url}}
    urls = [row.split("\t")[0] for row in doctor(one, "-o", "raw").stdout.splitlines()]
    assert urls == [master.url, one.url, two.url]


def test_the_first_entry_that_differs_is_shown_from_both_nodes(stack: ExitStack) -> None:
    master = ShownLog(ONE)
    other = ShownLog([*ONE[:2], (("d", "E\x1b[2J", "f"), "")])
    examined(stack, master, other)
    result = doctor(master)
    assert result.exit_code == 7
    assert result.stdout.splitlines()[-2:] == [
        f'  {master.url}  {{"id": 5, "message": "e"}}',
        f'  {other.url}  {{"id": 5, "message": "E\\u001b[2J"}}',
    ]
    assert result.stderr.startswith(f"✗ {other.url}: differs from id 5 on\n  keep both directories")


def test_what_differs_is_told_to_programs(stack: ExitStack) -> None:
    master, other = ShownLog(ONE), ShownLog([(("a", "B"), "")])
    examined(stack, master, other)
    result = doctor(master, "--json")
    [told] = json.loads(result.stdout)["comparisons"]
    assert (result.exit_code, told["first_difference"], told["same_up_to"]) == (7, 2, 0)
    assert told["lines"] == ['{"id": 2, "message": "b"}', '{"id": 2, "message": "B"}']


def test_batches_that_differ_around_the_same_entries_are_told(stack: ExitStack) -> None:
    master, other = ShownLog(ONE), ShownLog([*ONE[:2], (ONE[2][0], "another epoch")])
    examined(stack, master, other)
    result = doctor(master)
    assert result.exit_code == 7
    assert "its entries are alike, and their batches (epoch, time, keys) differ from 4 on" in (
        result.stderr
    )


def test_another_log_is_told_with_the_first_entry_that_differs(stack: ExitStack) -> None:
    master, other = ShownLog(ONE), ShownLog([(("a", "x"), "")], log_id="other")
    examined(stack, master, other)
    result = doctor(master)
    assert result.exit_code == 7
    assert f"✗ {other.url}: another log; differs from id 2 on" in result.stderr


batches = st.lists(st.lists(st.sampled_from("ab"), min_size=1, max_size=4), max_size=8)


@settings(max_examples=40, deadline=None)
@given(common=batches, ours=batches, theirs=batches)
def test_the_place_that_is_found_is_the_first_that_differs(
    common: list[list[str]], ours: list[list[str]], theirs: list[list[str]]
) -> None:
    with ExitStack() as stack:
        one = ShownLog([(messages, "") for messages in common + ours])
        two = ShownLog([(messages, "") for messages in common + theirs])
        examined(stack, one, two)
        [told] = json.loads(doctor(one, "--json").stdout)["comparisons"]
    pairs = list(zip(one.messages, two.messages, strict=False))
    expected = next((at for at, (a, b) in enumerate(pairs, 1) if a != b), None)
    if expected is not None:
        assert told["first_difference"] == expected
        assert told["lines"] is not None
    elif told["first_difference"] is not None:  # alike, and cut into other batches
        assert told["lines"] is None
        assert one.hash_at(told["first_difference"]) != two.hash_at(told["first_difference"])


def test_a_long_log_is_halved_and_not_read(stack: ExitStack) -> None:
    long = [((f"{number}",), "") for number in range(2000)]
    master, other = ShownLog(long), ShownLog([*long[:1500], (("x",), ""), *long[1501:]])
    examined(stack, master, other)
    [told] = json.loads(doctor(master, "--json").stdout)["comparisons"]
    assert told["first_difference"] == 1501
    assert master.tags_asked < 20


@pytest.mark.parametrize(
    ("members", "words", "code"),
    [
        ({"link": "diverged"}, "its link to the master is diverged\n  keep both", 1),
        ({"link": "down"}, "it answers here, and its link to the master is down\n  wait", 1),
        ({"lag": 3}, "3 entries behind\n  it catches up by itself", 0),
        ({"delay_s": 2.0}, "an injected delay of 2.0 s\n  curl -X PUT", 1),
    ],
)
def test_what_the_master_sees_of_a_secondary_is_told(
    stack: ExitStack, members: dict[str, object], words: str, code: int
) -> None:
    master, other = ShownLog(ONE), ShownLog(ONE)
    examined(stack, master, other)
    master.health = {"secondaries": [seen(other.url, **members)]}
    result = doctor(master)
    assert (result.exit_code, words in result.stderr) == (code, True)


def test_damage_is_told_and_is_exit_code_7(stack: ExitStack) -> None:
    damage = {"first_id": 2, "segment": "1.ndjson", "offset": 99, "reason": "a hash differs"}
    log = ShownLog(ONE, health={"status": "damaged", "damage": [damage]})
    examined(stack, log)
    result = doctor(log)
    assert result.exit_code == 7
    assert f"✗ {log.url}: damage from id 2 on: 1.ndjson at byte 99: a hash differs\n" in (
        result.stderr
    )


def test_a_node_that_does_not_answer_is_told_and_the_others_are_compared(
    stack: ExitStack,
) -> None:
    with scripted_node() as gone:
        pass
    master, same = ShownLog(ONE), ShownLog(ONE)
    examined(stack, master, same)
    master.health = {"secondaries": [seen(gone.url), seen(same.url)]}
    result = doctor(master)
    assert result.exit_code == 1
    assert f"{gone.url}\t-\tunreachable\t-\t-\t-\t-\n" in result.stdout
    assert f"{same.url}\tsecondary\tok\t6\t6\t{same.hash_at(6)[:12]}\tidentical\n" in result.stdout
    refused = "does not answer: connection refused: nothing listens there\n"
    assert f"! {gone.url}: {refused}  start it again: it catches up by itself" in result.stderr


def test_of_a_master_that_does_not_answer_it_is_said_what_goes_on_without_it(
    stack: ExitStack,
) -> None:
    with scripted_node() as gone:
        pass
    other = ShownLog(ONE)
    examined(stack, other)
    other.health = {"role": "secondary", "status": "no-master", "master": {"url": gone.url}}
    result = doctor(other)
    assert result.exit_code == 1
    assert f"! {gone.url}: does not answer: " in result.stderr
    assert (
        "\n  it is the master, start it again on its data directory: reads go on" in result.stderr
    )
    assert "it catches up by itself" not in result.stderr


def test_where_nobody_answers_it_is_exit_code_5() -> None:
    with scripted_node() as gone:
        pass
    result = CliRunner().invoke(app, ["doctor", "--url", gone.url])
    assert (result.exit_code, result.stdout) == (5, "")


def test_an_empty_cluster_is_well(stack: ExitStack) -> None:
    master, other = ShownLog([]), ShownLog([])
    examined(stack, master, other)
    assert doctor(master).exit_code == 0


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made
