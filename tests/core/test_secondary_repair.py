"""How a secondary mends damage, and what it says to people (R13).

PURE.
"""

from __future__ import annotations

import pytest

from replog.core import effects as do
from replog.core import events as ev
from replog.core.damage import with_found
from replog.core.entry import GENESIS, EntryId, Epoch, Tick
from replog.core.events import LinkId, RequestId
from replog.core.messages import (
    Batches,
    CommitNews,
    Damage,
    Fetch,
    FetchEnd,
    Heartbeat,
    Refusal,
    RefusalKind,
    Report,
    StreamStart,
)
from tests.core.desk import (
    LINK,
    LOG,
    WELCOME,
    Desk,
    answers,
    damage,
    is_closed,
    said,
    sent,
)
from tests.core.disk import frame

# --- R13: repair ----------------------------------------------------------------------------


def repairing(last: int | None = 3) -> Desk:
    desk = Desk(1, damage=(damage(2, last),))
    desk.stream()
    return desk


def test_exactly_the_damaged_range_is_asked_for_and_handed_to_the_disk() -> None:
    desk = Desk(1, damage=(damage(2, 3),))
    desk.step(ev.LinkOpened(LINK))
    assert sent(desk.receive(WELCOME)) == [Report(LOG[0].head, EntryId(0), (damage(2, 3),))]
    assert sent(desk.receive(StreamStart(LOG[0].head))) == [Fetch(LOG[0].head, EntryId(3))]
    effects = desk.receive(frame([LOG[1]]), FetchEnd(LOG[1].head, found=True))
    assert sent(effects) == [Fetch(LOG[1].head, EntryId(3))]
    effects = desk.receive(frame([LOG[2]]), FetchEnd(LOG[2].head, found=True))
    assert effects == [do.Repair(damage(2, 3), (frame([LOG[1]]), frame([LOG[2]])))]
    effects = desk.step(ev.DamageRepaired(damage(2, 3), LOG[3].head))
    assert sent(effects) == [Report(LOG[3].head, EntryId(0), number=1)]


def test_ranges_that_turn_out_to_be_one_are_asked_for_as_one() -> None:
    desk = Desk(1, damage=(damage(2, 2), damage(3, 3)))
    desk.stream()
    desk.receive(frame([LOG[1]]), FetchEnd(LOG[1].head, found=True))
    failed = ev.RepairFailed(damage(2, 2), "it does not close the chain")
    effects = desk.step(ev.DamageFound(damage(2, 3)), failed)
    assert sent(effects) == [Report(LOG[0].head, EntryId(0), (damage(2, 3),), number=1)]
    assert sent(desk.receive(StreamStart(LOG[0].head))) == [Fetch(LOG[0].head, EntryId(3))]
    desk.receive(frame([LOG[1], LOG[2]]), FetchEnd(LOG[2].head, found=True))
    effects = desk.step(ev.DamageRepaired(damage(2, 3), LOG[3].head))
    assert sent(effects) == [Report(LOG[3].head, EntryId(0), number=2)]


def test_what_was_shown_and_lost_from_the_end_is_shown_when_it_is_here_again() -> None:
    """Simulator seed 674071: readers were told of an entry, and the feed was not."""
    desk = Desk()
    desk.stream()
    desk.store(LOG[0], LOG[1], committed=2)
    desk.receive(CommitNews(Epoch(1), EntryId(2)))
    assert desk.core.visible == 2
    desk.step(ev.DamageFound(damage(2, None)))
    desk.receive(StreamStart(LOG[0].head))
    desk.step(ev.CutDone(LOG[0].head))
    assert desk.core.visible == 1, "the log ends there"
    desk.receive(StreamStart(LOG[0].head), CommitNews(Epoch(1), EntryId(2)))
    effects = desk.store(LOG[1], committed=2)
    assert do.Show(EntryId(2)) in effects
    assert desk.core.visible == 2


@pytest.mark.parametrize(
    ("found", "ranges"),
    [
        (damage(2, 2), None),
        (damage(1, 1), [damage(1, 1), damage(2, 2), damage(4, 4)]),
        (damage(3, 3), [damage(2, 2), damage(3, 3), damage(4, 4)]),
        (damage(2, 3), [damage(2, 3), damage(4, 4)]),
        (damage(2, 4), [damage(2, 4)]),
        (damage(2, None), [damage(2, None)]),
        (damage(3, None), [damage(2, 2), damage(3, None)]),
    ],
)
def test_a_range_takes_the_place_of_its_parts(found: Damage, ranges: list[Damage] | None) -> None:
    assert with_found([damage(2, 2), damage(4, 4)], found) == ranges


def test_a_master_that_cannot_give_the_range_is_asked_now_and_then_and_it_is_said_once() -> None:
    desk = repairing()
    desk.receive(frame([LOG[1]]))
    assert sent(desk.receive(FetchEnd(LOG[1].head, found=True)))
    lines = []
    for turn in range(1, 4):
        effects = desk.receive(FetchEnd(LOG[1].head, found=True))
        assert not sent(effects), "not at once"
        lines += said(effects)
        desk.step(ev.Ticked(Tick(600 * turn - 200)))
        desk.receive(Heartbeat(Epoch(1)))
        later = desk.step(ev.Ticked(Tick(600 * turn)))
        assert Fetch(LOG[0].head, EntryId(3)) in sent(later)
        desk.receive(frame([LOG[1]]), FetchEnd(LOG[1].head, found=True))
    assert len(lines) == 1, lines


def test_a_damaged_secondary_counts_and_shows_only_what_is_below() -> None:
    desk = Desk(4, note=4)
    desk.step(ev.DamageFound(damage(2, 2)))
    assert desk.core.visible == 1
    desk.step(ev.LinkOpened(LINK))
    (report,) = sent(desk.receive(WELCOME))
    assert report == Report(LOG[0].head, EntryId(1), (damage(2, 2),))
    effects = desk.step(ev.ReadRequested(RequestId(1)))
    assert answers(effects) == [do.AnswerRead(RequestId(1), EntryId(1), has_master=True)]


def test_unasked_batches_during_a_repair_close_the_link() -> None:
    assert is_closed(repairing().receive(frame([LOG[3]])))


# --- lines for people -----------------------------------------------------------------------


def test_a_master_that_refuses_at_each_dial_is_said_once() -> None:
    desk = Desk(2)
    lines = []
    for number in range(1, 20):
        link = LinkId(number)
        lines += said(desk.step(ev.LinkOpened(link)))
        lines += said(desk.receive(WELCOME, link=link))
        lines += said(desk.receive(Refusal(RefusalKind.DIVERGED, "diverged"), link=link))
        lines += said(desk.step(ev.LinkClosed(link, "diverged")))
    assert len(lines) == 3, lines


def test_a_payload_of_the_world_is_its_batches() -> None:
    both: Batches = frame([LOG[0], LOG[1]])
    assert (both.after, both.head) == (GENESIS, LOG[1].head)
