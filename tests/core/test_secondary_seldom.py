"""What a secondary seldom meets: late and wrong words, defects of a node, damage found twice.

PURE.
"""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from replog.core import effects as do
from replog.core import events as ev
from replog.core.entry import GENESIS, EntryId, Epoch, Head, Tick
from replog.core.events import LinkId
from replog.core.joining import SAID_MAX
from replog.core.messages import (
    Acknowledgement,
    Batches,
    CommitNews,
    Cut,
    Fetch,
    FetchEnd,
    Heartbeat,
    Message,
    Probe,
    ReadMark,
    Refusal,
    RefusalKind,
    Report,
    StreamStart,
)
from replog.core.text import printable
from tests.core.desk import LINK, LOG, WELCOME, Desk, damage, is_closed, persists, said, sent
from tests.core.disk import frame

OTHER = LinkId(2)
ELSE = Head(Epoch(1), EntryId(2), bytes(range(32)))


def streaming(held: int = 2) -> Desk:
    desk = Desk(held)
    desk.stream()
    return desk


def greeting(held: int = 2) -> Desk:
    """A second link that has not said its welcome yet, beside one that streams."""
    desk = streaming(held)
    desk.step(ev.LinkOpened(OTHER))
    return desk


def test_bad_bytes_are_told_to_who_sent_them_and_end_the_link() -> None:
    desk = streaming()
    effects = desk.step(ev.ReceivedBad(LINK, "no message"))
    assert sent(effects) == [Refusal(RefusalKind.BAD_BYTES, "no message")]
    assert is_closed(effects)
    assert desk.step(ev.ReceivedBad(LINK, "no message")) == []


def test_who_is_told_of_bad_bytes_verifies_what_it_sent() -> None:
    desk = streaming()
    effects = desk.receive(Refusal(RefusalKind.BAD_BYTES, "rot"))
    assert do.VerifySent(LINK) in effects
    assert said(effects) == ["the master refused this node: rot"]
    assert said(desk.receive(Refusal(RefusalKind.OTHER_LOG, "rot"))) == []


@pytest.mark.parametrize(
    "message",
    [
        CommitNews(Epoch(1), EntryId(2)),
        CommitNews(Epoch(2), EntryId(2)),
        ReadMark(Epoch(1), 1, EntryId(2)),
        Heartbeat(Epoch(1), committed_id=EntryId(2)),
        StreamStart(LOG[1].head),
        Cut(LOG[0].head),
        FetchEnd(GENESIS, found=True),
    ],
)
def test_a_link_without_a_welcome_brings_no_news(message: Message) -> None:
    desk = greeting()
    effects = desk.receive(message, link=OTHER)
    assert (sent(effects), is_closed(effects), desk.core.visible) == ([], False, 0)


@pytest.mark.parametrize(
    "message",
    [
        CommitNews(Epoch(2), EntryId(2)),
        ReadMark(Epoch(2), 1, EntryId(2)),
        Heartbeat(Epoch(2), committed_id=EntryId(2)),
    ],
)
def test_news_of_another_epoch_are_none(message: Message) -> None:
    desk = streaming()
    desk.receive(message)
    assert desk.core.visible == 0


def test_a_heartbeat_tells_what_is_committed() -> None:
    desk = streaming()
    desk.receive(Heartbeat(Epoch(1), committed_id=EntryId(1)))
    assert desk.core.visible == 1
    assert desk.core.has_master


def test_batches_before_a_welcome_or_of_another_epoch_end_their_link() -> None:
    desk = greeting()
    assert is_closed(desk.receive(frame([LOG[2]]), link=OTHER))
    desk = streaming()
    after, head = LOG[1].head, LOG[2].head
    effects = desk.receive(Batches(Epoch(2), after, head, EntryId(0), b"x"))
    assert is_closed(effects)
    assert "batches of epoch 2 in epoch 1" in said(effects)[0]


def test_what_a_secondary_is_never_told_ends_the_link() -> None:
    desk = streaming()
    effects = desk.receive(Acknowledgement(LOG[1].head))
    assert is_closed(effects)
    assert "unexpected Acknowledgement" in said(effects)[0]


def test_a_probe_and_a_fetch_are_answered_from_the_log() -> None:
    desk = streaming()
    assert do.AnswerProbe(LINK, EntryId(1)) in desk.receive(Probe(EntryId(1)))
    for through in (None, EntryId(9)):
        [answer] = desk.receive(Fetch(GENESIS, through))
        assert isinstance(answer, do.AnswerFetch)
        assert answer.through == 2


def test_what_is_held_is_acknowledged_again_and_what_does_not_follow_ends_the_link() -> None:
    desk = streaming()
    effects = desk.receive(frame([LOG[1]]))
    assert do.LookUp(LINK, (LOG[1].head,)) in effects
    effects = desk.step(ev.LookedUp(LINK, (LOG[1].head,), (True,)))
    assert sent(effects) == [Acknowledgement(LOG[1].head)]
    assert is_closed(desk.step(ev.LookedUp(LINK, (ELSE,), (False,))))
    assert desk.step(ev.LookedUp(LINK, (ELSE,), (False,))) == [], "its link is gone"


def test_a_stream_that_does_not_fit_the_log_ends_its_link() -> None:
    desk = Desk(2)
    desk.step(ev.LinkOpened(LINK))
    desk.receive(WELCOME)
    desk.step(ev.EpochStored(Epoch(1)))
    assert is_closed(desk.receive(StreamStart(LOG[0].head)))


def test_batches_of_a_stream_that_this_node_has_ended_are_neither_stored_nor_held_against_it() -> (
    None
):
    """They were on their way when damage was found and the log was reported anew (R13)."""
    desk = streaming()
    assert Report in map(type, sent(desk.step(ev.DamageFound(damage(2, 2)))))
    assert desk.receive(frame(LOG[2:3], committed=EntryId(3))) == []
    assert not persists(desk.step(ev.Ticked(Tick(1))))
    started = desk.receive(StreamStart(LOG[0].head))
    assert sent(started) == [Fetch(LOG[0].head, EntryId(2))]
    assert desk.core.facts.durable == LOG[1].head


def test_an_epoch_of_before_tells_no_head() -> None:
    desk = Desk(2)
    desk.step(ev.LinkOpened(LINK))
    desk.receive(replace(WELCOME, epoch=Epoch(3)))
    assert sent(desk.step(ev.EpochStored(Epoch(2)))) == []
    assert sent(desk.step(ev.EpochStored(Epoch(3)))) == [Report(LOG[1].head, EntryId(0))]


def test_a_full_disk_is_said_once_and_goes_by_itself() -> None:
    desk = streaming()
    desk.receive(frame([LOG[2]]))
    refused = ev.PersistRefused("no space")
    assert said(desk.step(refused)) == ["the disk is full: no space; trying on"]
    assert said(desk.step(refused)) == []
    assert persists(desk.step(ev.Ticked(Tick(150))))
    desk.step(ev.Persisted(LOG[2].head))
    assert desk.core.facts.durable == LOG[2].head


def test_what_is_stored_later_is_no_reason_to_say_that_the_disk_is_full_again() -> None:
    desk = Desk(2)
    desk.step(ev.LinkOpened(LINK))
    desk.receive(WELCOME)
    desk.step(ev.StoreDelayed("no space"))
    assert desk.core.is_disk_full
    desk.step(ev.EpochStored(Epoch(1)))
    assert not desk.core.is_disk_full


def test_a_delay_is_told_to_a_master_that_is_there() -> None:
    desk = Desk(2)
    assert sent(desk.step(ev.DelayChanged(Tick(200)))) == []
    desk.stream()
    [beat] = sent(desk.step(ev.DelayChanged(Tick(300))))
    assert isinstance(beat, Heartbeat)
    assert beat.delay_s == pytest.approx(3.0)


def test_damage_is_told_once_and_repaired_in_place_or_as_the_new_end() -> None:
    desk = streaming(4)
    found = ev.DamageFound(damage(2, 2))
    assert len(said(desk.step(found))) == 1
    assert said(desk.step(found)) == []
    repaired = desk.step(ev.DamageRepaired(damage(2, 2), LOG[2].head))
    assert said(repaired) == ["repaired from entry 2 on"]
    assert desk.core.facts.durable == LOG[3].head
    desk = streaming(2)
    desk.step(ev.DamageFound(damage(2, None)))
    desk.step(ev.DamageRepaired(damage(2, None), LOG[3].head))
    assert desk.core.facts.durable == LOG[3].head


def test_an_event_of_a_master_is_a_defect() -> None:
    with pytest.raises(AssertionError, match="no event for a secondary"):
        Desk().step(ev.DialFailed(ev.SecondaryIndex(0), "refused"))


@pytest.mark.parametrize("end", [ev.StopRequested(), ev.PersistFailed("sync failed")])
def test_the_end_is_noted(end: ev.Event) -> None:
    desk = streaming()
    desk.step(end)
    assert desk.core.facts.is_stopping


def test_what_fails_in_ever_new_words_is_said_on_and_not_kept() -> None:
    desk = streaming()
    for number in range(2 * SAID_MAX):
        effects = desk.receive(Refusal(RefusalKind.OTHER_LOG, f"reason {number}"))
        assert said(effects) == [f"the master refused this node: reason {number}"]
    assert len(desk.core._joining._said) <= SAID_MAX


@pytest.mark.parametrize(
    ("text", "shown"),
    [("plain é", "plain é"), ("a\nb", "a\\nb"), ("\x1b[31m", "\\x1b[31m"), ("", "")],
)
def test_text_of_others_cannot_steer_a_terminal(text: str, shown: str) -> None:
    assert printable(text) == shown
