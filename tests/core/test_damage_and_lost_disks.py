"""A node that knows of damage, or lost its disk, says what it can prove and no more (R9, R13)."""

from __future__ import annotations

import hashlib

import pytest

from replog.core.admission import damaged_detail
from replog.core.effects import (
    AnswerAppend,
    CloseLink,
    CutLog,
    Effect,
    LookUp,
    NoteCommit,
    RefusalReason,
    Refused,
    Send,
    SendBatches,
    Show,
    StoreLossSettled,
)
from replog.core.entry import GENESIS, NO_EPOCH, EntryId, Epoch, Head, LogId, NodeId, Tick
from replog.core.events import (
    AppendRequested,
    BatchesSent,
    CutDone,
    CutRefused,
    DamageFound,
    DamageRepaired,
    DialFailed,
    EpochStored,
    LinkId,
    LinkOpened,
    LookedUp,
    Persisted,
    Received,
    RequestId,
    SecondaryIndex,
    Ticked,
)
from replog.core.master import Master
from replog.core.messages import (
    Cut,
    Damage,
    Fetch,
    Hello,
    Message,
    Probe,
    ProbeAnswer,
    Refusal,
    Report,
    StreamStart,
    Welcome,
)
from replog.core.secondary import Secondary

LOG = LogId("log")
LINK = LinkId(7)


def head(last_id: int) -> Head:
    return Head(Epoch(1), EntryId(last_id), hashlib.sha256(b"%d" % last_id).digest())


def damage(first_id: int, last_id: int) -> Damage:
    before = head(first_id - 1) if first_id > 1 else GENESIS
    return Damage(before, EntryId(last_id), "1.ndjson", 0, "a bit flipped", EntryId(last_id))


def sent(effects: list[Effect]) -> list[Message]:
    return [effect.message for effect in effects if isinstance(effect, Send)]


def hello(log_id: LogId | None, *, epoch: int, owner: str) -> Hello:
    return Hello(1, NodeId("s"), log_id, Epoch(epoch), NodeId(owner), 0.0)


def a_master(
    *,
    log_id: LogId | None,
    last_id: int = 0,
    take_over: bool = False,
    is_loss_unsettled: bool = False,
) -> Master:
    return Master(
        node_id=NodeId("m"),
        log_id=log_id,
        fresh_log_id=LogId("fresh"),
        epoch=Epoch(1) if log_id else NO_EPOCH,
        epoch_owner=NodeId("m") if log_id else None,
        head=head(last_id) if last_id else GENESIS,
        members=("http://m", "http://s") if log_id else (),
        url="http://m",
        secondaries=("http://s",),
        take_over=take_over,
        is_loss_unsettled=is_loss_unsettled,
        now=Tick(0),
    )


def appended(master: Master) -> object:
    effects = master.step(AppendRequested(RequestId(1), (b'"x"',)))
    return next((effect.outcome for effect in effects if isinstance(effect, AnswerAppend)), "waits")


def test_an_emptied_master_names_the_restore_and_not_the_other_reign() -> None:
    for take_over in (False, True):
        master = a_master(log_id=None, take_over=take_over)
        master.step(LinkOpened(LINK, SecondaryIndex(0)))
        master.step(Received(LINK, hello(LOG, epoch=4, owner="the master before")))
        outcome = appended(master)
        assert isinstance(outcome, Refused)
        assert outcome.reason is RefusalReason.LOG_FOUND_ELSEWHERE
        assert "replog restore --from" in outcome.detail


def test_a_master_damaged_at_run_time_judges_nobody_behind_its_damage() -> None:
    master = a_master(log_id=LOG, last_id=10)
    master.step(LinkOpened(LINK, SecondaryIndex(0)))
    master.step(Received(LINK, hello(LOG, epoch=1, owner="m")))
    master.step(EpochStored(Epoch(2)))
    master.step(DamageFound(damage(2, 6)))
    # The disk answers for what is below the damage only, whatever the secondary holds.
    asked = master.step(Received(LINK, Report(head(9), EntryId(9))))
    assert LookUp(LINK, (head(9),)) in asked
    master.step(LookedUp(LINK, (head(9),), (False,)))
    master.step(Received(LINK, ProbeAnswer(EntryId(8), head(1), head(9))))
    effects = master.step(LookedUp(LINK, (head(1), head(9)), (True, False)))
    assert not [word for word in sent(effects) if isinstance(word, Refusal | Cut)]
    assert Fetch(head(1), EntryId(6)) in sent(effects)


def test_a_master_still_judges_what_differs_below_its_damage() -> None:
    master = a_master(log_id=LOG, last_id=10)
    master.step(LinkOpened(LINK, SecondaryIndex(0)))
    master.step(Received(LINK, hello(LOG, epoch=1, owner="m")))
    master.step(EpochStored(Epoch(2)))
    master.step(DamageFound(damage(8, 9)))
    master.step(Received(LINK, Report(head(5), EntryId(5))))
    probe = sent(master.step(LookedUp(LINK, (head(5),), (False,))))
    assert [word for word in probe if isinstance(word, Probe)]
    master.step(Received(LINK, ProbeAnswer(EntryId(4), head(3), head(5))))
    effects = master.step(LookedUp(LINK, (head(3), head(5)), (True, False)))
    assert [word for word in sent(effects) if isinstance(word, Refusal)]


def a_welcomed_secondary() -> Secondary:
    secondary = Secondary(
        node_id=NodeId("s"),
        log_id=LOG,
        epoch=Epoch(1),
        epoch_owner=NodeId("m"),
        head=head(24),
        committed_id=EntryId(19),
        delay=Tick(0),
        now=Tick(0),
    )
    secondary.step(LinkOpened(LINK))
    welcome = Welcome(LOG, NodeId("m"), Epoch(1), "http://m", ())
    secondary.step(Received(LINK, welcome))
    return secondary


def test_a_damaged_secondary_reports_and_proves_the_end_below_its_damage() -> None:
    secondary = a_welcomed_secondary()
    rotted = damage(13, 17)
    effects = secondary.step(DamageFound(rotted))
    assert sent(effects) == [Report(head(12), EntryId(12), (rotted,), number=1)]
    effects = secondary.step(Received(LINK, StreamStart(head(12))))
    assert sent(effects) == [Fetch(head(12), EntryId(17))]


def test_a_secondary_whose_end_is_damaged_moves_it_away_and_is_streamed_to() -> None:
    secondary = a_welcomed_secondary()
    rotted = Damage(head(12), None, "1.ndjson", 99, "a bit flipped", EntryId(24))
    report = Report(head(12), EntryId(12), (rotted,), number=1)
    assert sent(secondary.step(DamageFound(rotted))) == [report]
    effects = secondary.step(Received(LINK, StreamStart(head(12))))
    assert CutLog(head(12)) in effects
    assert not sent(effects)
    assert sent(secondary.step(CutDone(head(12)))) == [Report(head(12), EntryId(12), number=2)]


def test_damage_found_below_a_cut_that_is_under_way_is_reported_and_mended_first() -> None:
    """A read found it while the cut was decided: there is no such batch end any more."""
    secondary = a_welcomed_secondary()
    end = Damage(head(12), None, "1.ndjson", 99, "a bit flipped", EntryId(24))
    secondary.step(DamageFound(end))
    assert CutLog(head(12)) in secondary.step(Received(LINK, StreamStart(head(12))))
    below = damage(5, 6)
    assert not sent(secondary.step(DamageFound(below))), "not before the disk has answered"
    report = Report(head(4), EntryId(4), (below, end), number=2)
    assert sent(secondary.step(CutRefused())) == [report]
    effects = secondary.step(Received(LINK, StreamStart(head(4))))
    assert sent(effects) == [Fetch(head(4), EntryId(6))]


def test_a_stream_that_begins_twice_ends_its_link() -> None:
    """Simulator seed 112661: a report came twice, and its master went by the older one."""
    secondary = a_welcomed_secondary()
    assert not secondary.step(Received(LINK, StreamStart(head(24))))
    effects = secondary.step(Received(LINK, StreamStart(head(24))))
    assert CloseLink(LINK, "the stream began twice") in effects


def test_a_stream_that_begins_while_the_end_is_cut_says_nothing() -> None:
    """Its report will say where the log ends then, and the master begins by that."""
    secondary = a_welcomed_secondary()
    secondary.step(DamageFound(Damage(head(12), None, "1.ndjson", 99, "a bit", EntryId(24))))
    assert CutLog(head(12)) in secondary.step(Received(LINK, StreamStart(head(12))))
    assert not secondary.step(Received(LINK, StreamStart(head(12))))
    assert sent(secondary.step(CutDone(head(12)))) == [Report(head(12), EntryId(12), number=2)]


def test_a_secondary_moves_nothing_away_before_its_master_has_proven_the_rest() -> None:
    secondary = a_welcomed_secondary()
    rotted = Damage(head(12), None, "1.ndjson", 99, "a bit flipped", EntryId(24))
    assert CutLog(head(12)) not in secondary.step(DamageFound(rotted))
    late = secondary.step(Received(LinkId(99), StreamStart(head(12))))
    assert not late


def a_streaming_master(last_id: int) -> Master:
    master = a_master(log_id=LOG, last_id=last_id)
    master.step(LinkOpened(LINK, SecondaryIndex(0)))
    master.step(Received(LINK, hello(LOG, epoch=1, owner="m")))
    master.step(EpochStored(Epoch(2)))
    return master


def test_a_report_that_comes_again_behind_a_later_one_says_nothing() -> None:
    """Simulator seed 261922: a master waited for a repair that was done before."""
    master = a_streaming_master(10)
    end = Damage(head(4), None, "1.ndjson", 99, "a bit flipped", EntryId(10))
    master.step(Received(LINK, Report(head(4), EntryId(4), (end,))))
    master.step(Received(LINK, Report(head(4), EntryId(4), number=1)))
    assert not master.step(Received(LINK, Report(head(4), EntryId(4), (end,))))
    (asked,) = asked_to_send(master.step(LookedUp(LINK, (head(4),), (True,))))
    assert (asked.after, asked.through) == (head(4), EntryId(10))


def test_a_new_link_counts_its_reports_anew() -> None:
    secondary = a_welcomed_secondary()
    secondary.step(DamageFound(damage(13, 17)))
    secondary.step(LinkOpened(LinkId(8)))
    welcome = Welcome(LOG, NodeId("m"), Epoch(1), "http://m", ())
    (report,) = sent(secondary.step(Received(LinkId(8), welcome)))
    assert isinstance(report, Report)
    assert report.number == 0
    (again,) = sent(secondary.step(Received(LinkId(8), welcome)))
    assert again == Report(report.head, report.committed_id, report.damage, number=1)


def asked_to_send(effects: list[Effect]) -> list[SendBatches]:
    return [effect for effect in effects if isinstance(effect, SendBatches)]


def test_a_damaged_master_streams_what_is_below_its_damage_and_no_more() -> None:
    master = a_streaming_master(10)
    master.step(DamageFound(damage(4, 6)))
    effects = master.step(Received(LINK, Report(GENESIS, EntryId(0))))
    (asked,) = asked_to_send(effects)
    assert asked.through == EntryId(3)
    effects = master.step(BatchesSent(LINK, head(3), 100, EntryId(3), asked.after))
    assert not asked_to_send(effects)
    effects = master.step(DamageRepaired(damage(4, 6), head(10)))
    (asked,) = asked_to_send(effects)
    assert (asked.after, asked.through) == (head(3), EntryId(10))


def test_a_stream_that_met_damage_goes_on_after_the_repair() -> None:
    master = a_streaming_master(10)
    effects = master.step(Received(LINK, Report(GENESIS, EntryId(0))))
    (asked,) = asked_to_send(effects)
    master.step(DamageFound(damage(1, 2)))
    assert not asked_to_send(master.step(BatchesSent(LINK, asked.after, 0, EntryId(10), GENESIS)))
    effects = master.step(DamageRepaired(damage(1, 2), head(10)))
    (asked,) = asked_to_send(effects)
    assert (asked.after, asked.through) == (GENESIS, EntryId(10))


def test_a_master_hears_everybody_although_its_damage_was_mended_before_a_restart() -> None:
    master = a_master(log_id=LOG, last_id=10, is_loss_unsettled=True)
    master.step(DialFailed(SecondaryIndex(0), "refused"))
    master.step(EpochStored(Epoch(2)))
    master.step(Ticked(Tick(10_000)))
    outcome = appended(master)
    assert isinstance(outcome, Refused)
    assert outcome.reason is RefusalReason.DAMAGED
    assert "http://s" in outcome.detail

    master.step(LinkOpened(LINK, SecondaryIndex(0)))
    master.step(Received(LINK, hello(LOG, epoch=1, owner="m")))
    effects = master.step(Received(LINK, Report(head(10), EntryId(10))))
    assert StoreLossSettled() in effects, "and not asked for again at the next start"
    assert appended(master) == "waits"


def test_a_master_notes_what_it_shows_at_its_start() -> None:
    """Simulator seed 1349: killed and started as a secondary, it showed less than before."""
    effects = a_master(log_id=LOG, last_id=9).start()
    assert effects[:2] == [NoteCommit(EntryId(9)), Show(EntryId(9))]


def test_damage_does_not_take_the_note_of_a_master_back() -> None:
    """What it hides was committed all the same, and the next start must know how far."""
    master = a_master(log_id=LOG, last_id=9)
    master.start()
    master.step(DamageFound(damage(4, 5)))
    effects = master.step(Persisted(head(10)))
    assert Show(EntryId(3)) in effects
    assert not [effect for effect in effects if isinstance(effect, NoteCommit)]
    effects = master.step(DamageRepaired(damage(4, 5), head(10)))
    noted = effects.index(NoteCommit(EntryId(10)))
    assert effects[noted + 1] == Show(EntryId(10))


@pytest.mark.parametrize(
    ("others", "last_id", "way"),
    [
        (("http://s1", "http://s2"), 3, "from the first of http://s1, http://s2 that holds it"),
        (("http://s1", "http://s2"), None, "once all of http://s1, http://s2 have said what they"),
        ((), 3, "no other node is configured that could hold it"),
    ],
)
def test_a_damaged_master_names_the_ways_out(
    others: tuple[str, ...], last_id: EntryId | None, way: str
) -> None:
    found = Damage(GENESIS, last_id, "1.ndjson", 7, "a hash differs", EntryId(3))
    detail = damaged_detail(found, others)
    assert detail.startswith("damage in segment 1.ndjson at byte 7, entry 1 to ")
    assert way in detail
    assert "--accept-loss" in detail
