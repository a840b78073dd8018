"""What a master seldom meets: words of links that are gone, and what nobody should say to it.

PURE.
"""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from replog.core import effects as do
from replog.core import events as ev
from replog.core.entry import GENESIS, EntryId, Epoch, NodeId, Tick
from replog.core.events import LinkId
from replog.core.messages import (
    Acknowledgement,
    Batches,
    CommitNews,
    Fetch,
    FetchEnd,
    Heartbeat,
    Message,
    ProbeAnswer,
    ReadBarrier,
    Refusal,
    RefusalKind,
    Report,
)
from replog.core.progress import LinkState
from tests.core.desk import is_closed, said, sent
from tests.core.greetings import LOG, greet, hello
from tests.core.world import World, serving_world

GONE = LinkId(999)


def link_of(world: World, place: int = 0) -> LinkId:
    link = world.master.replicas.peers[place].link
    assert link is not None
    return link


@pytest.mark.parametrize(
    "event",
    [
        ev.Received(GONE, Heartbeat(Epoch(1))),
        ev.ReceivedBad(GONE, "no message"),
        ev.LookedUp(GONE, (GENESIS,), (True,)),
        ev.LinkClosed(GONE, "gone"),
        ev.KeysLoaded((), number=99),
        ev.KeysConfirmed(ev.RequestId(1), None, is_same=False, number=99),
    ],
)
def test_late_words_are_nobodys(event: ev.Event) -> None:
    assert serving_world().master.step(event) == []


def test_bad_bytes_are_told_to_who_sent_them_and_end_the_link() -> None:
    world = serving_world()
    link = link_of(world)
    effects = world.master.step(ev.ReceivedBad(link, "no message"))
    assert sent(effects) == [Refusal(RefusalKind.BAD_BYTES, "no message")]
    assert is_closed(effects)


def test_who_is_told_of_bad_bytes_verifies_what_it_sent() -> None:
    world = serving_world()
    link = link_of(world)
    effects = world.master.step(ev.Received(link, Refusal(RefusalKind.BAD_BYTES, "rot")))
    assert do.VerifySent(link) in effects
    assert is_closed(effects)
    assert any("refused what it was sent: rot" in text for text in said(effects))


@pytest.mark.parametrize("message", [CommitNews(Epoch(1), EntryId(0))])
def test_what_a_master_is_never_told_ends_the_link(message: Message) -> None:
    world = serving_world()
    effects = world.master.step(ev.Received(link_of(world), message))
    assert is_closed(effects)
    assert any("unexpected CommitNews" in text for text in said(effects))


@pytest.mark.parametrize(
    "message",
    [
        Acknowledgement(GENESIS),
        Fetch(GENESIS, None),
        ProbeAnswer(EntryId(1), GENESIS, None),
        Batches(Epoch(1), GENESIS, LOG[0].head, EntryId(0), b"x"),
        FetchEnd(GENESIS, found=True),
        ReadBarrier(Epoch(1), 1),
    ],
)
def test_a_secondary_that_was_not_proven_counts_and_gets_nothing(message: Message) -> None:
    world = serving_world()
    world.cut(2)
    greet(world, 1, hello("s2", epoch=1))
    effects = world.master.step(ev.Received(link_of(world, 1), message))
    frames = [one for one in sent(effects) if isinstance(one, Batches | Report)]
    assert (frames, [one for one in effects if isinstance(one, do.AnswerFetch)]) == ([], [])


def test_a_disk_that_takes_no_epoch_is_said() -> None:
    world = serving_world()
    world.master.step(ev.StoreDelayed("no space"))
    assert any("no space" in text for text in said(world.master.step(ev.Ticked(Tick(9_000)))))


def test_an_event_of_a_secondary_is_a_defect() -> None:
    with pytest.raises(AssertionError, match="no event for a master"):
        serving_world().master.step(ev.CutRefused())


def test_a_proven_secondary_is_answered_what_it_lost_and_may_say_the_same_twice() -> None:
    world = serving_world()
    link = link_of(world)
    for through in (None, EntryId(0)):
        [answer] = world.master.step(ev.Received(link, Fetch(GENESIS, through)))
        assert isinstance(answer, do.AnswerFetch)
        assert answer.through == 0
    head = world.master.replicas.peers[0].acknowledged
    assert head is not None
    assert world.master.step(ev.Received(link, Acknowledgement(head))) == []


def test_an_answer_about_a_log_that_is_proven_already_changes_nothing() -> None:
    world = serving_world()
    assert world.master.step(ev.LookedUp(link_of(world), (GENESIS,), (True,))) == []


def test_another_format_is_refused_and_shown_until_the_next_link() -> None:
    world = serving_world()
    world.cut(2)
    effects = greet(world, 1, replace(hello("s2", epoch=1), format=2))
    [answer] = sent(effects)
    assert isinstance(answer, Refusal)
    assert answer.kind is RefusalKind.FORMAT
    peer = world.master.replicas.peers[1]
    assert peer.shown_state is LinkState.REFUSED
    assert peer.counted_id == 0


def test_a_master_is_superseded_once() -> None:
    world = serving_world()
    stale = Refusal(RefusalKind.STALE_EPOCH, "newer", Epoch(9), NodeId("other"))
    first = said(world.master.step(ev.Received(link_of(world), stale)))
    second = said(world.master.step(ev.Received(link_of(world, 1), stale)))
    assert sum("epoch 9" in text for text in first) == 1
    assert sum("epoch 9" in text for text in second) == 0
