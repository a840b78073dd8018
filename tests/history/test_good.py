"""Histories in which every promise was kept, however odd they look.

PURE.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.history.made import S1, S2, M, Made, digest


def nothing_happened(made: Made) -> None:
    del made


def answered_read_and_on_all_disks(made: Made) -> None:
    made.append("a", "b", id=1)
    made.append("c", id=3, w=1)
    made.read("abc", M)
    made.read("ab", S1)
    made.read("b", S2, first=2)
    made.disks("abc", "abc", "abc")


def an_unknown_one_is_stored_late(made: Made) -> None:
    made.unknown("a")
    made.append("b", id=1)
    made.read("b", M)
    made.disks("ba", "ba", "ba")


def an_unknown_one_is_never_stored(made: Made) -> None:
    made.unknown("a")
    made.append("b", id=1)
    made.disks("b", "b", "b")


def an_unknown_batch_is_stored_whole(made: Made) -> None:
    made.unknown("a", "b")
    made.disks("ab", "ab", "ab")


def refused_and_then_taken_under_the_same_key(made: Made) -> None:
    made.refused("a", key="k")
    made.append("b", id=1)
    made.append("a", id=2, key="k")
    made.disks("ba", "ba", "ba")


def stored_first_and_refused_when_repeated(made: Made) -> None:
    made.unknown("a", key="k")
    made.refused("a", key="k")
    made.disks("a", "a", "a")


def a_retry_is_told_the_first_id(made: Made) -> None:
    made.unknown("a", key="k")
    made.append("b", id=2)
    made.append("a", id=1, key="k")
    made.disks("ab", "ab", "ab")


def a_key_of_something_else_is_refused(made: Made) -> None:
    made.append("a", id=1, key="k")
    made.refused("b", key="k")
    made.disks("a", "a", "a")


def at_the_same_time_in_any_order(made: Made) -> None:
    made.append("a", id=2, invoked=1, returned=4)
    made.append("b", id=1, invoked=2, returned=3)
    made.moment = 4
    made.disks("ba", "ba", "ba")


def read_while_it_was_appended(made: Made) -> None:
    made.append("a", id=1, invoked=1, returned=9)
    made.moment = 2
    made.read("", M)
    made.read("a", M)
    made.read("", S1)
    made.moment = 9
    made.disks("a", "a", "a")


def without_a_master_a_secondary_shows_less(made: Made) -> None:
    made.append("a", id=1, w=3)
    made.read("", S1).has_master = False
    made.disks("a", "a", "a")


def a_secondary_that_was_not_asked_for_lags(made: Made) -> None:
    made.append("a", id=1, w=2)
    made.read("", S1)
    made.read("", S2)
    made.disks("a", "a", "a")


def a_page_ends_early(made: Made) -> None:
    made.append("a", "b", id=1)
    made.read("ab", M)
    made.read("a", M).is_whole = False
    made.read("", M, first=9)
    made.disks("ab", "ab", "ab")


def after_a_power_cut_a_secondary_shows_less(made: Made) -> None:
    made.append("a", id=1, w=2)
    made.read("a", S1)
    made.fault("lost-power")
    made.read("", S1)
    made.disks("a", "a", "a")


def a_wiped_secondary_shows_and_holds_nothing(made: Made) -> None:
    made.append("a", id=1, w=3)
    made.read("a", S1)
    made.fault("wiped", S1)
    made.read("", S1)
    made.disks("a", "", "a", snapshot="cut")
    made.disks("a", "a", "a")


def a_secondary_wiped_while_an_append_waited(made: Made) -> None:
    made.append("a", id=1, w=3, invoked=1, returned=3)
    made.moment = 1
    made.fault("wiped", S1)
    made.moment = 3
    made.disks("a", "", "a", snapshot="cut")
    made.disks("a", "a", "a")


def rot_hides_what_comes_behind_it_until_it_is_repaired(made: Made) -> None:
    made.append("a", id=1)
    made.fault("rotted", S1)
    made.append("b", id=2)
    made.read("ab", S1)
    made.disks("ab", "", "ab", snapshot="cut")
    made.read("", S1)
    made.fault("repaired", S1)
    made.read("ab", S1)
    made.disks("ab", "ab", "ab")


def a_wiped_master_lost_what_it_alone_held(made: Made) -> None:
    made.append("a", id=1, w=2)
    made.append("b", id=2, w=1)
    made.append("k", id=3, w=1, key="k")
    made.read("abk", M)
    made.fault("wiped", M)
    made.fault("restored", M)
    made.read("a", M)
    made.append("c", id=2, w=3)
    made.append("k", id=3, w=3, key="k")
    made.read("ack", M)
    made.disks("ack", "ack", "ack")


def a_secondary_held_what_never_counted(made: Made) -> None:
    made.unknown("a")
    made.disks("", "a", None, snapshot="cut")
    made.append("b", id=1)
    made.disks("b", "b", "b")


def a_snapshot_of_one_disk(made: Made) -> None:
    made.append("a", id=1, w=2)
    made.disks(None, "", None, snapshot="stopped")
    made.disks("a", "a", "a")


def hashes_stand_for_messages(made: Made) -> None:
    made.append("a", id=1)
    made.append('"é\u2028\\', id=2)
    both = ["a", '"é\u2028\\']
    for first, last in ((1, 2), (1, 1), (2, 2), (3, 2)):
        read = made.read(None, S1, first=first)
        read.is_whole = last == 2
        read.last, read.sha256 = last, digest(both[first - 1 : last], first)
    made.disks(both, both, both)


def no_disk_was_looked_at(made: Made) -> None:
    made.append("a", id=1)
    made.pending("b", id=2)
    made.unknown("c")
    made.read("ab", S1)
    made.append("d", id=4)


def pages_were_read_in_any_order(made: Made) -> None:
    for place, message in enumerate("abcd", 1):
        made.append(message, id=place, w=1)
    for node in (M, S1):
        made.read("bcd", node, first=2)
        made.read("d", node, first=4)
    made.read("ab", M).is_whole = False


def an_id_was_told_and_nobody_knows_whether_it_is_stored(made: Made) -> None:
    made.unknown("a").first_id = 1
    made.append("b", id=1)
    made.disks("b", "b", "b")


def nobody_read_and_no_disk_was_looked_at(made: Made) -> None:
    made.append("a", id=1)
    made.append("b", id=5, key="k")
    made.append("b", id=5, key="k")


def answered_in_time_when_all_was_well(made: Made) -> None:
    made.unknown("a", given_up=9.5)
    made.moment = 3
    made.fault("healed", within_s=4)
    made.unknown("b")
    made.append("c", id=1)
    made.moment = 10
    made.pending("d", id=2)
    made.refused("e", key="of another")
    made.disks("cd", "cd", "cd")


def the_next_fault_came_too_soon(made: Made) -> None:
    made.fault("healed", within_s=5)
    made.unknown("a", given_up=9.0)
    made.fault("kill", M)
    made.disks("", "", "")


def refused_for_what_it_asked(made: Made) -> None:
    made.fault("healed", within_s=2)
    made.append("a", id=1)
    made.moment = 10
    made.append("b", w=4).outcome = "refused"
    made.disks("a", "a", "a")


GOOD: list[Callable[[Made], None]] = [
    nothing_happened,
    answered_read_and_on_all_disks,
    an_unknown_one_is_stored_late,
    an_unknown_one_is_never_stored,
    an_unknown_batch_is_stored_whole,
    refused_and_then_taken_under_the_same_key,
    stored_first_and_refused_when_repeated,
    a_retry_is_told_the_first_id,
    a_key_of_something_else_is_refused,
    at_the_same_time_in_any_order,
    read_while_it_was_appended,
    without_a_master_a_secondary_shows_less,
    a_secondary_that_was_not_asked_for_lags,
    a_page_ends_early,
    after_a_power_cut_a_secondary_shows_less,
    a_wiped_secondary_shows_and_holds_nothing,
    a_secondary_wiped_while_an_append_waited,
    rot_hides_what_comes_behind_it_until_it_is_repaired,
    a_wiped_master_lost_what_it_alone_held,
    a_secondary_held_what_never_counted,
    a_snapshot_of_one_disk,
    hashes_stand_for_messages,
    no_disk_was_looked_at,
    pages_were_read_in_any_order,
    an_id_was_told_and_nobody_knows_whether_it_is_stored,
    nobody_read_and_no_disk_was_looked_at,
    answered_in_time_when_all_was_well,
    the_next_fault_came_too_soon,
    refused_for_what_it_asked,
]


@pytest.mark.parametrize("make", GOOD, ids=lambda make: make.__name__)
def test_nothing_is_found(make: Callable[[Made], None]) -> None:
    made = Made()
    make(made)
    assert [str(finding) for finding in made.judge().findings] == []
