"""Runs that keep their promises always pass, and what is changed in their histories is found.

PURE.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from random import Random

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from replog.history.findings import Kind
from replog.history.judge import judge
from replog.history.lines import Append, Disk, Line, Read
from tests.history.random_runs import RandomRun

seeds = st.integers(min_value=0, max_value=2**32)
steps = st.integers(min_value=1, max_value=200)


def kinds(lines: list[Line]) -> set[Kind]:
    return {finding.kind for finding in judge(map(msgspec.json.encode, lines)).findings}


@settings(max_examples=200, deadline=None)
@given(seeds, steps)
def test_a_run_that_keeps_its_promises_passes(seed: int, steps: int) -> None:
    run = RandomRun(Random(seed), steps)
    assert judge(map(msgspec.json.encode, run.lines)).findings == ()


Mutation = Callable[[Random, RandomRun], bool]
"""Changes a run so that a promise is broken; False where there is nothing to change."""


def end_disks(run: RandomRun) -> list[list[str]]:
    """Return the messages of the disks at the end, to be changed in place."""
    ends = (line for line in run.lines if isinstance(line, Disk) and line.snapshot == "end")
    return [disk.messages for disk in ends if disk.messages is not None]


def answered(run: RandomRun) -> list[Append]:
    lines = (line for line in run.lines if isinstance(line, Append))
    return [line for line in lines if line.outcome in {"ok", "pending"}]


def lose_the_last(random: Random, run: RandomRun) -> bool:
    """Every disk loses its last entry at the end, of which an answer told."""
    for messages in end_disks(run):
        messages.pop()
    return True


def store_one_twice(random: Random, run: RandomRun) -> bool:
    if not run.log:
        return False
    message = random.choice(run.log)
    for messages in end_disks(run):
        messages.append(message)
    return True


def store_a_stranger(random: Random, run: RandomRun) -> bool:
    for messages in end_disks(run):
        messages.append("never asked for")
    return True


def swap_two(random: Random, run: RandomRun) -> bool:
    told = {one.messages[0]: one for one in answered(run)}
    places = [place for place, (one, _) in enumerate(pairwise(run.log)) if one in told]
    if not places:
        return False
    place = random.choice(places)
    for messages in end_disks(run):
        messages[place : place + 2] = reversed(messages[place : place + 2])
    return True


def tell_another_id(random: Random, run: RandomRun) -> bool:
    if not (told := answered(run)):
        return False
    one = random.choice(told)
    assert one.first_id is not None
    one.first_id += random.choice((-1, 1)) if one.first_id > 1 else 1
    return True


def refuse_what_was_stored(random: Random, run: RandomRun) -> bool:
    if not (told := [one for one in answered(run) if one.key is None]):
        return False
    one = random.choice(told)
    one.outcome, one.first_id = "refused", None
    return True


def reads(run: RandomRun, at_least: int) -> list[Read]:
    lines = (line for line in run.lines if isinstance(line, Read))
    return [line for line in lines if line.messages and len(line.messages) >= at_least]


def leave_one_out(random: Random, run: RandomRun) -> bool:
    if not (found := reads(run, 2)):
        return False
    messages = random.choice(found).messages
    assert messages is not None
    del messages[random.randrange(len(messages) - 1)]
    return True


def show_a_stranger(random: Random, run: RandomRun) -> bool:
    if not (found := reads(run, 1)):
        return False
    messages = random.choice(found).messages
    assert messages is not None
    messages[random.randrange(len(messages))] = "never asked for"
    return True


def show_too_early(random: Random, run: RandomRun) -> bool:
    if not (found := reads(run, 1)):
        return False
    read = random.choice(found)
    read.invoked = read.returned = -1.0
    return True


def cut_one_disk(random: Random, run: RandomRun) -> bool:
    if not run.log:
        return False
    random.choice(end_disks(run)).pop()
    return True


def forget_at_the_master(random: Random, run: RandomRun) -> bool:
    """A read at the master, when all was over, shows less than was answered."""
    if not (told := answered(run)):
        return False
    furthest = max((one.first_id or 0) + len(one.messages) - 1 for one in told)
    end = run.lines[-1]
    assert isinstance(end, Disk)
    shown = run.log[: random.randrange(furthest)]
    run.lines.append(Read(9, end.at + 1, run.nodes[0], "ok", returned=end.at + 2, messages=shown))
    return True


def empty_all_disks_once(random: Random, run: RandomRun) -> bool:
    told = answered(run)
    if not told:
        return False
    last = max(one.returned or 0.0 for one in told)
    run.lines += [Disk(last + 0.0001, "planted", node, messages=[]) for node in run.nodes]
    return True


@pytest.mark.parametrize(
    ("mutation", "among"),
    [
        (lose_the_last, {Kind.LOST, Kind.TORN}),
        (store_one_twice, {Kind.DUPLICATE}),
        (store_a_stranger, {Kind.PHANTOM}),
        (swap_two, {Kind.INCONSISTENT_ID, Kind.TORN}),
        (tell_another_id, {Kind.INCONSISTENT_ID}),
        (refuse_what_was_stored, {Kind.PHANTOM}),
        (leave_one_out, {Kind.NOT_A_PREFIX}),
        (show_a_stranger, {Kind.PHANTOM}),
        (show_too_early, {Kind.PHANTOM}),
        (cut_one_disk, {Kind.DIVERGED}),
        (forget_at_the_master, {Kind.STALE, Kind.WENT_BACKWARDS}),
        (empty_all_disks_once, {Kind.TOO_FEW_DISKS}),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(min_value=30, max_value=100))
def test_what_is_changed_is_found(
    mutation: Mutation, among: set[Kind], seed: int, steps: int
) -> None:
    random = Random(seed)
    run = RandomRun(random, steps, is_plain=True)
    assume(mutation(random, run))
    assert kinds(run.lines) & among
