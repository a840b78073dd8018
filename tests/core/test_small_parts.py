"""Small parts of the core by themselves, at the ends that nodes seldom reach.

PURE.
"""

from __future__ import annotations

from replog.core.effects import Effect, RefusalReason, Refused
from replog.core.entry import GENESIS, EntryId, Tick
from replog.core.events import LinkId, RequestId
from replog.core.keys import KeyWindow
from replog.core.mending import Mending
from replog.core.messages import FetchEnd
from replog.core.reads import FreshRead, FreshReads
from replog.core.refusals import unread, unserved
from tests.core.desk import damage

FIRST, SECOND = RequestId(1), RequestId(2)


def two_reads(*, barrier: int | None) -> FreshReads:
    """Two that wait for entry 5 or for the master's word, until tick 9; one hung up."""
    reads = FreshReads()
    for request in (FIRST, SECOND):
        reads.add(FreshRead(request, EntryId(5), EntryId(5), barrier, Tick(9)))
    reads.abandon(FIRST)
    return reads


def test_a_read_that_hung_up_is_not_reached_expired_or_given_up() -> None:
    assert [read.request for read in two_reads(barrier=None).reached(EntryId(5))] == [SECOND]
    assert list(two_reads(barrier=None).expired(Tick(9))) == [SECOND]
    assert list(two_reads(barrier=1).unanswerable()) == [SECOND]


def test_a_read_that_hung_up_does_not_wait_for_what_the_master_says() -> None:
    reads = two_reads(barrier=1)
    reads.marked(1, EntryId(7))
    assert reads.reached(EntryId(6)) == []
    assert [read.request for read in reads.reached(EntryId(7))] == [SECOND]
    assert len(reads) == 0


def test_why_a_key_cannot_be_looked_up_is_said() -> None:
    assert unread("no space").reason is RefusalReason.DISK_FULL
    assert unread("").reason is RefusalReason.DAMAGED
    late = unserved(Refused(RefusalReason.DAMAGED, "damage was found"))
    assert late.reason is RefusalReason.NOT_READY
    assert late.detail.startswith("damage was found; until then")


def test_nothing_is_asked_for_while_a_repair_is_stored_or_where_nothing_is_damaged() -> None:
    out: list[Effect] = []
    Mending([]).begin(LinkId(1), out)
    Mending([damage(2, 2)], is_storing=True).begin(LinkId(1), out)
    Mending([damage(2, 2)]).end_window(LinkId(1), FetchEnd(GENESIS, found=True), Tick(0), out)
    assert out == []


def test_a_window_may_have_moved_past_every_key() -> None:
    window = KeyWindow(entries=2)
    window.load([(EntryId(1), "a"), (EntryId(2), "b")])
    window.stored([], last_id=EntryId(3))
    assert len(window._ids) == 1
    window.stored([], last_id=EntryId(10))
    assert len(window._ids) == 0
