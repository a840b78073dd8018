"""What a secondary stores, acknowledges, shows and refuses (R2-R8, R11-R13, P4).

PURE.
"""

from __future__ import annotations

import pytest

from replog.core import effects as do
from replog.core import events as ev
from replog.core.entry import GENESIS, EntryId, Epoch, Head, LogId, NodeId, Tick
from replog.core.events import LinkId, RequestId
from replog.core.messages import (
    Acknowledgement,
    CommitNews,
    Cut,
    FetchEnd,
    Heartbeat,
    Hello,
    Refusal,
    RefusalKind,
    Report,
    StreamStart,
    Welcome,
)
from tests.core.desk import (
    LINK,
    LOG,
    WELCOME,
    Desk,
    answers,
    damage,
    is_closed,
    persists,
    said,
    sent,
)
from tests.core.disk import Batch, frame, make_batch

# --- R2, R8: hello, welcome, report ---------------------------------------------------------


def test_the_hello_says_no_head_and_the_report_waits_for_the_epoch() -> None:
    desk = Desk(2, note=1)
    hello = sent(desk.step(ev.LinkOpened(LINK)))
    assert hello == [Hello(1, NodeId("s"), LogId("log"), Epoch(1), NodeId("m"), 0.0)]
    newer = Welcome(LogId("log"), NodeId("n"), Epoch(2), "http://n", ())
    effects = desk.receive(newer)
    assert do.StoreEpoch(Epoch(2), NodeId("n")) in effects
    assert not sent(effects)
    assert sent(desk.step(ev.EpochStored(Epoch(2)))) == [Report(LOG[1].head, EntryId(1))]


@pytest.mark.parametrize(
    ("welcome", "kind"),
    [
        (Welcome(LogId("log"), NodeId("m"), Epoch(0), "u", ()), RefusalKind.STALE_EPOCH),
        (Welcome(LogId("log"), NodeId("n"), Epoch(1), "u", ()), RefusalKind.STALE_EPOCH),
        (Welcome(LogId("else"), NodeId("m"), Epoch(2), "u", ()), RefusalKind.OTHER_LOG),
        (Welcome(LogId("log"), NodeId("s"), Epoch(2), "u", ()), RefusalKind.SAME_NODE),
    ],
)
def test_a_master_is_refused(welcome: Welcome, kind: RefusalKind) -> None:
    desk = Desk(2)
    desk.step(ev.LinkOpened(LINK))
    effects = desk.receive(welcome)
    (refusal,) = sent(effects)
    assert isinstance(refusal, Refusal)
    assert refusal.kind is kind
    assert is_closed(effects)
    assert desk.core.facts.link is None


def test_a_newer_link_closes_the_earlier_and_waits_for_its_running_write() -> None:
    desk = Desk(1)
    desk.stream()
    desk.receive(frame([LOG[1]]), frame([LOG[2]]))
    desk.step(ev.LinkOpened(LinkId(2)))
    effects = desk.receive(WELCOME, link=LinkId(2))
    assert do.CloseLink(LINK, "a newer link took its place") in effects
    assert not sent(effects), "the head is not settled while a write runs"
    effects = desk.step(ev.Persisted(LOG[1].head))
    assert sent(effects) == [Report(LOG[1].head, EntryId(0))]
    assert not persists(effects), "what the old link had not stored is dropped"


def test_late_words_of_a_dead_link_change_nothing() -> None:
    desk = Desk(1)
    desk.stream()
    desk.step(ev.LinkClosed(LINK, "gone"))
    late = (frame([LOG[1]]), CommitNews(Epoch(1), EntryId(1)), Cut(GENESIS), StreamStart(GENESIS))
    assert desk.receive(*late) == []


def test_news_of_another_epoch_or_another_link_show_nothing() -> None:
    desk = Desk()
    desk.stream()
    desk.store(LOG[0])
    assert desk.receive(CommitNews(Epoch(7), EntryId(1))) == []
    desk.step(ev.LinkOpened(LinkId(2)))
    assert desk.receive(CommitNews(Epoch(1), EntryId(1)), link=LinkId(2)) == []
    assert desk.core.visible == 0
    assert do.Show(EntryId(1)) in desk.receive(CommitNews(Epoch(1), EntryId(1)))


def test_what_is_known_to_be_committed_is_not_cut_though_damage_hides_it() -> None:
    desk = Desk(2, note=4, damage=(damage(3, 3),))
    assert desk.core.visible == 2
    desk.step(ev.LinkOpened(LINK))
    assert sent(desk.receive(WELCOME)) == [Report(LOG[1].head, EntryId(2), (damage(3, 3),))]
    desk.receive(StreamStart(LOG[1].head), frame([LOG[2]]), FetchEnd(LOG[2].head, found=True))
    desk.step(ev.DamageRepaired(damage(3, 3), LOG[3].head), ev.LinkClosed(LINK, "gone"))
    desk.step(ev.LinkOpened(LinkId(2)))
    assert sent(desk.receive(WELCOME, link=LinkId(2))) == [Report(LOG[3].head, EntryId(4))]
    effects = desk.receive(Cut(LOG[2].head), link=LinkId(2))
    (refusal,) = sent(effects)
    assert isinstance(refusal, Refusal)
    assert refusal.kind is RefusalKind.DIVERGED
    assert not any(isinstance(effect, do.CutLog) for effect in effects)


# --- R5: batches ----------------------------------------------------------------------------


def test_everything_that_arrived_shares_one_fdatasync_and_one_acknowledgement() -> None:
    desk = Desk()
    desk.stream()
    first = desk.receive(frame([LOG[0]]))
    assert persists(first) == [do.PersistBatches((frame([LOG[0]]),))]
    assert not persists(desk.receive(frame([LOG[1]]), frame([LOG[2]])))
    effects = desk.step(ev.Persisted(LOG[0].head))
    assert sent(effects) == [Acknowledgement(LOG[0].head)]
    assert persists(effects) == [do.PersistBatches((frame([LOG[1]]), frame([LOG[2]])))]
    assert sent(desk.step(ev.Persisted(LOG[2].head))) == [Acknowledgement(LOG[2].head)]


def test_nothing_is_acknowledged_when_it_is_only_written() -> None:
    desk = Desk()
    desk.stream()
    desk.receive(frame([LOG[0]]))
    assert desk.step(ev.Written(LOG[0].head, 10)) == []


def test_a_duplicate_is_acknowledged_only_if_it_is_held_durably() -> None:
    desk = Desk()
    desk.stream()
    desk.store(LOG[0], LOG[1])
    effects = desk.receive(frame([LOG[0]]))
    assert effects == [do.LookUp(LINK, (LOG[0].head,))]
    answer = desk.step(ev.LookedUp(LINK, (LOG[0].head,), (True,)))
    assert sent(answer) == [Acknowledgement(LOG[1].head)]


@pytest.mark.parametrize("stranger", [LOG[3], make_batch(GENESIS, 1, "other")])
def test_what_neither_follows_nor_is_held_closes_the_link(stranger: Batch) -> None:
    desk = Desk()
    desk.stream()
    desk.store(LOG[0], LOG[1])
    assert not desk.core.facts.intake.is_storing, "what may be stored would be stored now"
    assert desk.receive(frame([stranger])) == [do.LookUp(LINK, (stranger.head,))]
    effects = desk.step(ev.LookedUp(LINK, (stranger.head,), (False,)))
    assert is_closed(effects)
    assert not sent(effects)


@pytest.mark.parametrize("epoch", [0, 2])
def test_batches_of_another_epoch_close_the_link(epoch: int) -> None:
    desk = Desk()
    desk.stream()
    assert is_closed(desk.receive(frame([LOG[0]], epoch=Epoch(epoch))))


def test_batches_before_a_welcome_close_the_link() -> None:
    desk = Desk()
    desk.step(ev.LinkOpened(LINK))
    assert is_closed(desk.receive(frame([LOG[0]])))


def test_bad_bytes_close_the_link() -> None:
    desk = Desk()
    desk.stream()
    assert is_closed(desk.step(ev.ReceivedBad(LINK, "bad hash")))


# --- R3: cut --------------------------------------------------------------------------------


def test_a_cut_is_done_before_the_next_report() -> None:
    desk = Desk(3)
    desk.step(ev.LinkOpened(LINK))
    desk.receive(WELCOME)
    assert desk.receive(Cut(LOG[0].head)) == [do.CutLog(LOG[0].head)]
    assert sent(desk.step(ev.CutDone(LOG[0].head))) == [Report(LOG[0].head, EntryId(0), number=1)]


@pytest.mark.parametrize("to", [LOG[0].head, LOG[2].head])
def test_a_cut_below_what_is_committed_or_to_nowhere_is_refused(to: Head) -> None:
    desk = Desk(3, note=2)
    desk.step(ev.LinkOpened(LINK))
    desk.receive(WELCOME)
    effects = desk.receive(Cut(to))
    assert is_closed(effects)
    assert not any(isinstance(effect, do.CutLog) for effect in effects)


def test_what_arrived_as_committed_is_never_cut_though_the_link_ended_before_it_was_shown() -> None:
    desk = Desk()
    desk.stream()
    desk.receive(frame([LOG[0], LOG[1]], committed=EntryId(1)))
    desk.step(ev.LinkClosed(LINK, "gone"))
    desk.step(ev.Persisted(LOG[1].head))
    desk.step(ev.LinkOpened(LinkId(2)))
    (report,) = sent(desk.receive(WELCOME, link=LinkId(2)))
    assert report == Report(LOG[1].head, EntryId(1))
    assert is_closed(desk.receive(Cut(GENESIS), link=LinkId(2)))


# --- R7, P4: showing and reading ------------------------------------------------------------


def test_what_is_not_known_to_be_committed_is_not_shown() -> None:
    desk = Desk()
    desk.stream()
    desk.store(LOG[0], LOG[1], committed=1)
    assert desk.core.visible == 1
    effects = desk.receive(CommitNews(Epoch(1), EntryId(2)))
    assert effects == [do.NoteCommit(EntryId(2)), do.Show(EntryId(2))]


def test_news_beyond_what_is_durable_or_proven_shows_only_that() -> None:
    desk = Desk(2)
    desk.step(ev.LinkOpened(LINK))
    desk.receive(WELCOME)
    desk.receive(CommitNews(Epoch(1), EntryId(9)))
    assert desk.core.visible == 0, "nothing is proven on this link yet"
    desk.receive(StreamStart(LOG[1].head))
    assert desk.core.visible == 2
    desk.receive(frame([LOG[2]]))
    assert desk.core.visible == 2, "on its way to the disk"
    desk.step(ev.Persisted(LOG[2].head))
    assert desk.core.visible == 3


def test_a_read_waits_for_all_that_was_durable_when_it_came() -> None:
    desk = Desk()
    desk.stream()
    desk.store(LOG[0])
    assert desk.step(ev.ReadRequested(RequestId(1))) == []
    desk.store(LOG[1], committed=0)
    effects = desk.receive(CommitNews(Epoch(1), EntryId(1)))
    assert answers(effects) == [do.AnswerRead(RequestId(1), EntryId(1), has_master=True)]


def test_a_read_is_released_without_a_master_when_the_link_ends() -> None:
    desk = Desk()
    desk.stream()
    desk.store(LOG[0])
    desk.step(ev.ReadRequested(RequestId(1)))
    effects = desk.step(ev.LinkClosed(LINK, "gone"))
    assert answers(effects) == [do.AnswerRead(RequestId(1), EntryId(0), has_master=False)]


def test_a_silent_master_is_declared_down_by_ticks_only() -> None:
    desk = Desk()
    desk.stream()
    desk.store(LOG[0])
    desk.step(ev.ReadRequested(RequestId(1)))
    desk.step(ev.Ticked(Tick(400)))
    desk.receive(Heartbeat(Epoch(1)))
    assert not answers(desk.step(ev.Ticked(Tick(899))))
    effects = desk.step(ev.Ticked(Tick(900)))
    assert is_closed(effects)
    assert answers(effects) == [do.AnswerRead(RequestId(1), EntryId(0), has_master=False)]


@pytest.mark.parametrize("end", [ev.StopRequested(), ev.PersistFailed("EIO")])
def test_a_stop_releases_reads_as_without_a_master(end: ev.Event) -> None:
    desk = Desk()
    desk.stream()
    desk.store(LOG[0])
    desk.step(ev.ReadRequested(RequestId(1)))
    released = do.AnswerRead(RequestId(1), EntryId(0), has_master=False)
    assert answers(desk.step(end)) == [released]
    later = do.AnswerRead(RequestId(2), EntryId(0), has_master=False)
    assert answers(desk.step(ev.ReadRequested(RequestId(2)))) == [later]


def test_a_read_whose_client_hung_up_is_forgotten() -> None:
    desk = Desk()
    desk.stream()
    desk.store(LOG[0])
    desk.step(ev.ReadRequested(RequestId(1)), ev.RequestAbandoned(RequestId(1)))
    assert answers(desk.receive(CommitNews(Epoch(1), EntryId(1)))) == []


def test_a_read_does_not_wait_for_what_turns_out_damaged() -> None:
    desk = Desk()
    desk.stream()
    desk.store(LOG[0], LOG[1], LOG[2], committed=1)
    assert not answers(desk.step(ev.ReadRequested(RequestId(1))))
    effects = desk.step(ev.DamageFound(damage(2, 2)))
    assert answers(effects) == [do.AnswerRead(RequestId(1), EntryId(1), has_master=True)]


# --- R12, full disks ------------------------------------------------------------------------


def test_a_delay_is_latency_not_throughput_and_delays_batches_only() -> None:
    desk = Desk()
    desk.stream()
    desk.step(ev.DelayChanged(Tick(100)))
    assert not persists(desk.receive(frame([LOG[0]])))
    desk.step(ev.Ticked(Tick(50)))
    assert not persists(desk.receive(frame([LOG[1]])))
    assert not persists(desk.step(ev.Ticked(Tick(100))))
    assert persists(desk.step(ev.Ticked(Tick(101)))) == [do.PersistBatches((frame([LOG[0]]),))]
    desk.step(ev.Persisted(LOG[0].head))
    assert desk.core.visible == 0
    desk.receive(CommitNews(Epoch(1), EntryId(1)))
    assert desk.core.visible == 1, "news are not delayed"
    assert persists(desk.step(ev.Ticked(Tick(151)))) == [do.PersistBatches((frame([LOG[1]]),))]


def test_a_full_disk_is_tried_again_in_order_and_said_once() -> None:
    desk = Desk()
    desk.stream()
    desk.receive(frame([LOG[0]]), frame([LOG[1]]))
    lines = said(desk.step(ev.PersistRefused("no space")))
    for second in range(1, 5):
        effects = desk.step(ev.Ticked(Tick(100 * second)))
        assert persists(effects) == [do.PersistBatches((frame([LOG[0]]), frame([LOG[1]])))]
        lines += said(desk.step(ev.PersistRefused("no space")))
    assert len(lines) == 1, lines
    desk.receive(Heartbeat(Epoch(1)))
    assert persists(desk.step(ev.Ticked(Tick(500))))


def test_what_a_full_disk_refused_of_a_dead_link_is_dropped() -> None:
    desk = Desk()
    desk.stream()
    desk.receive(frame([LOG[0]]))
    desk.step(ev.LinkClosed(LINK, "gone"), ev.PersistRefused("no space"))
    assert not persists(desk.step(ev.Ticked(Tick(500))))


def test_what_a_delay_holds_back_is_dropped_with_its_link() -> None:
    desk = Desk()
    desk.stream()
    desk.step(ev.DelayChanged(Tick(100)))
    desk.receive(frame([LOG[0]]))
    desk.step(ev.LinkClosed(LINK, "gone"))
    desk.stream(link=LinkId(2))
    assert not persists(desk.step(ev.Ticked(Tick(101))))


@pytest.mark.parametrize("epoch", [0, 2])
def test_news_of_another_epoch_are_not_believed(epoch: int) -> None:
    desk = Desk()
    desk.stream()
    desk.store(LOG[0])
    assert desk.receive(CommitNews(Epoch(epoch), EntryId(1))) == []
    assert desk.core.visible == 0


def test_a_delay_that_is_taken_back_lets_go_of_what_it_held() -> None:
    desk = Desk()
    desk.stream()
    desk.step(ev.DelayChanged(Tick(300_000)))
    assert not persists(desk.receive(frame([LOG[0]]), frame([LOG[1]])))
    desk.step(ev.DelayChanged(Tick(0)))
    assert persists(desk.step(ev.Ticked(Tick(1)))) == [
        do.PersistBatches((frame([LOG[0]]), frame([LOG[1]])))
    ]


def test_a_longer_delay_does_not_hold_back_what_is_on_its_way() -> None:
    desk = Desk()
    desk.stream()
    desk.step(ev.DelayChanged(Tick(100)))
    desk.receive(frame([LOG[0]]))
    desk.step(ev.DelayChanged(Tick(500)))
    assert persists(desk.step(ev.Ticked(Tick(101))))
