"""Each kind of broken promise, planted by hand, is found, and nothing else is.

PURE.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from replog.history.findings import Kind
from tests.history.made import S1, S2, M, Made, digest

Plant = Callable[[Made], None]


def lost_at_the_end(made: Made) -> None:
    made.append("a", id=1)
    made.append("b", id=2)
    made.disks("a", "a", "a")


def lost_though_pending(made: Made) -> None:
    made.append("a", id=1)
    made.pending("b", id=2)
    made.disks("a", "a", "a")


def lost_and_replaced(made: Made) -> None:
    made.append("a", id=1, w=1)
    made.unknown("b")
    made.disks("b", "b", "b")


def lost_where_disks_are_hashes(made: Made) -> None:
    made.append("a", id=1)
    made.append("b", id=2)
    made.disks("a", "a", "a")
    for disk in made.lines[-3:]:
        disk.messages, disk.last, disk.sha256 = None, 1, digest("a")  # type: ignore[union-attr]


def lost_with_the_masters_disk_alone(made: Made) -> None:
    made.append("a", id=1, w=2)
    made.fault("wiped", M)
    made.disks("", "", "")


def stored_twice(made: Made) -> None:
    made.append("a", id=1)
    made.unknown("b")
    made.disks("abb", "abb", "abb")


def stored_twice_under_a_key(made: Made) -> None:
    made.unknown("a", key="k")
    made.append("a", id=1, key="k")
    made.disks("aa", "aa", "aa")


def one_key_stored_for_two(made: Made) -> None:
    made.append("a", id=1, key="k")
    made.append("b", id=2, key="k")
    made.disks("ab", "ab", "ab")


def never_asked_for(made: Made) -> None:
    made.append("a", id=1)
    made.disks("ax", "ax", "ax")


def never_asked_for_and_gone_again(made: Made) -> None:
    made.append("a", id=1)
    made.read("ax", S1)
    made.disks("a", "a", "a")


def never_asked_for_on_one_disk(made: Made) -> None:
    made.append("a", id=1)
    made.disks("a", "ax", "a", snapshot="middle")
    made.disks("a", "a", "a")


def stored_though_refused(made: Made) -> None:
    made.refused("a")
    made.disks("a", "a", "a")


def shown_before_it_was_asked_for(made: Made) -> None:
    made.read("a")
    made.append("a", id=1)
    made.disks("a", "a", "a")


def half_a_batch(made: Made) -> None:
    made.unknown("a", "b")
    made.disks("a", "a", "a")


def a_batch_with_another_between(made: Made) -> None:
    made.unknown("a", "b")
    made.unknown("c")
    made.disks("acb", "acb", "acb")


def told_another_id(made: Made) -> None:
    made.append("a", id=1)
    made.append("b", id=3)
    made.disks("ab", "ab", "ab")


def told_two_ids(made: Made) -> None:
    made.append("a", id=1, key="k")
    made.append("a", id=2, key="k")
    made.disks("a", "a", "a")


def told_one_id_twice(made: Made) -> None:
    made.append("a", id=1)
    made.append("b", id=1)
    made.read("a", S2)


def behind_what_came_later(made: Made) -> None:
    made.append("a", id=2, invoked=1, returned=2)
    made.append("b", id=1, invoked=3, returned=4)
    made.moment = 4
    made.disks("ba", "ba", "ba")


def an_unknown_one_before_what_was_answered(made: Made) -> None:
    made.append("a", id=2)
    made.unknown("b")
    made.disks("ba", "ba", "ba")


def a_gap(made: Made) -> None:
    for place, message in enumerate("abcd", 1):
        made.append(message, id=place, w=1)
    made.read("abd", S1)
    made.disks("abcd", "abcd", "abcd")


def ids_with_a_gap(made: Made) -> None:
    made.append("a", id=1)
    made.append("b", id=2)
    made.read("ab", S1).ids = [1, 3]
    made.disks("ab", "ab", "ab")


def entries_in_another_order(made: Made) -> None:
    made.unknown("a")
    made.unknown("b")
    made.read("ba", S1)
    made.disks("ab", "ab", "ab")


def a_hash_of_others(made: Made) -> None:
    made.append("a", id=1)
    read = made.read(None, S1)
    read.last, read.sha256 = 1, digest("b")
    made.disks("a", "a", "a")


def read_and_gone(made: Made) -> None:
    made.unknown("a")
    made.read("a", S1)
    made.disks("", "", "")


def read_and_replaced(made: Made) -> None:
    made.unknown("a")
    made.read("a", S1)
    made.append("b", id=1)
    made.disks("b", "b", "b")


def on_the_masters_disk_and_gone(made: Made) -> None:
    made.unknown("a")
    made.disks("a", None, None, snapshot="middle")
    made.disks("", "", "")


def less_than_before(made: Made) -> None:
    made.append("a", id=1, w=2)
    made.read("a", S1)
    made.read("", S1)
    made.disks("a", "a", "a")


def less_than_another_client_was_shown(made: Made) -> None:
    made.append("a", id=1, w=2)
    made.read("a", S1)
    made.read("", S1).client = 7
    made.disks("a", "a", "a")


def less_after_a_kill(made: Made) -> None:
    made.append("a", id=1, w=2)
    made.read("a", S1)
    made.fault("kill", S1)
    made.read("", S1)
    made.disks("a", "a", "a")


def less_at_the_master_after_a_power_cut(made: Made) -> None:
    made.unknown("a")
    made.read("a", M)
    made.fault("lost-power")
    made.read("", M)
    made.disks("a", "a", "a")


def answered_and_not_at_the_master(made: Made) -> None:
    made.append("a", id=1, w=1)
    made.read("", M)
    made.disks("a", "a", "a")


def answered_at_all_and_not_at_a_secondary(made: Made) -> None:
    made.append("a", id=1, w=3)
    made.read("", S2)
    made.disks("a", "a", "a")


def on_too_few_disks(made: Made) -> None:
    made.append("a", id=1, w=2)
    made.disks("a", "", "", snapshot="cut")
    made.disks("a", "a", "a")


def not_on_the_masters(made: Made) -> None:
    made.append("a", id=1, w=2)
    made.disks("", "a", "a", snapshot="cut")
    made.disks("a", "a", "a")


def pending_and_on_no_disk(made: Made) -> None:
    made.pending("a", id=1, w=3)
    made.disks("", "", "", snapshot="cut")
    made.disks("a", "a", "a")


def on_too_few_with_one_wiped(made: Made) -> None:
    made.append("a", id=1, w=3)
    made.fault("wiped", S1)
    made.disks("a", "", "", snapshot="cut")
    made.disks("a", "a", "a")


def on_too_few_after_one_was_wiped(made: Made) -> None:
    made.append("a", id=1, w=3)
    made.fault("wiped", S1)
    made.append("b", id=2, w=3)
    made.disks("ab", "", "ab", snapshot="cut")
    made.disks("ab", "ab", "ab")


def one_shorter_at_the_end(made: Made) -> None:
    made.append("a", id=1, w=2)
    made.disks("a", "a", "")


def one_other_at_the_end(made: Made) -> None:
    made.append("a", id=1, w=2)
    made.unknown("b")
    made.disks("a", "a", "b")


def no_answer_when_all_was_well(made: Made) -> None:
    made.fault("healed", within_s=1.5)
    made.unknown("a", given_up=9.0)
    made.moment = 10
    made.disks("", "", "")


def an_answer_too_late(made: Made) -> None:
    made.fault("healed", within_s=2)
    made.append("a", id=1, returned=8)
    made.moment = 10
    made.disks("a", "a", "a")


def refused_long_after_all_was_well(made: Made) -> None:
    made.fault("healed", within_s=2)
    made.append("a", id=1)
    made.moment = 10
    made.refused("b")
    made.disks("a", "a", "a")


PLANTED: list[tuple[Plant, Kind]] = [
    (lost_at_the_end, Kind.LOST),
    (lost_though_pending, Kind.LOST),
    (lost_and_replaced, Kind.LOST),
    (lost_where_disks_are_hashes, Kind.LOST),
    (lost_with_the_masters_disk_alone, Kind.LOST),
    (stored_twice, Kind.DUPLICATE),
    (stored_twice_under_a_key, Kind.DUPLICATE),
    (one_key_stored_for_two, Kind.DUPLICATE),
    (never_asked_for, Kind.PHANTOM),
    (never_asked_for_and_gone_again, Kind.PHANTOM),
    (never_asked_for_on_one_disk, Kind.PHANTOM),
    (stored_though_refused, Kind.PHANTOM),
    (shown_before_it_was_asked_for, Kind.PHANTOM),
    (half_a_batch, Kind.TORN),
    (a_batch_with_another_between, Kind.TORN),
    (told_another_id, Kind.INCONSISTENT_ID),
    (told_two_ids, Kind.INCONSISTENT_ID),
    (told_one_id_twice, Kind.INCONSISTENT_ID),
    (behind_what_came_later, Kind.OUT_OF_ORDER),
    (an_unknown_one_before_what_was_answered, Kind.OUT_OF_ORDER),
    (a_gap, Kind.NOT_A_PREFIX),
    (ids_with_a_gap, Kind.NOT_A_PREFIX),
    (entries_in_another_order, Kind.NOT_A_PREFIX),
    (a_hash_of_others, Kind.NOT_A_PREFIX),
    (read_and_gone, Kind.TAKEN_BACK),
    (read_and_replaced, Kind.TAKEN_BACK),
    (on_the_masters_disk_and_gone, Kind.TAKEN_BACK),
    (less_than_before, Kind.WENT_BACKWARDS),
    (less_than_another_client_was_shown, Kind.WENT_BACKWARDS),
    (less_after_a_kill, Kind.WENT_BACKWARDS),
    (less_at_the_master_after_a_power_cut, Kind.WENT_BACKWARDS),
    (answered_and_not_at_the_master, Kind.STALE),
    (answered_at_all_and_not_at_a_secondary, Kind.STALE),
    (on_too_few_disks, Kind.TOO_FEW_DISKS),
    (not_on_the_masters, Kind.TOO_FEW_DISKS),
    (pending_and_on_no_disk, Kind.TOO_FEW_DISKS),
    (on_too_few_with_one_wiped, Kind.TOO_FEW_DISKS),
    (on_too_few_after_one_was_wiped, Kind.TOO_FEW_DISKS),
    (one_shorter_at_the_end, Kind.DIVERGED),
    (one_other_at_the_end, Kind.DIVERGED),
    (no_answer_when_all_was_well, Kind.NOT_LIVE),
    (an_answer_too_late, Kind.NOT_LIVE),
    (refused_long_after_all_was_well, Kind.NOT_LIVE),
]


@pytest.mark.parametrize(("plant", "kind"), PLANTED, ids=lambda one: getattr(one, "__name__", ""))
def test_what_was_planted_is_found_and_nothing_else(plant: Plant, kind: Kind) -> None:
    made = Made()
    plant(made)
    assert made.kinds() == [kind], [str(finding) for finding in made.judge().findings]


def test_every_kind_was_planted() -> None:
    assert {kind for _, kind in PLANTED} == set(Kind)


def test_a_long_message_is_named_by_its_beginning() -> None:
    made = Made()
    made.append("x" * 100_000, id=1)
    made.disks("", "", "")
    [finding] = made.judge().findings
    assert len(finding.text) < 200
    assert f"'{'x' * 80}'… (100000 characters) was answered" in finding.text
