"""One end of a link: order, the last word, bounds, and nothing after the end (R2)."""

from __future__ import annotations

import asyncio

import pytest

from replog.core.entry import GENESIS, EntryId, Epoch
from replog.core.events import LinkId
from replog.core.messages import Batches, Heartbeat, Message, Probe, Refusal, RefusalKind
from replog.replication import link as link_module
from replog.replication import wire
from replog.replication.link import LONG_FRAME_BYTES, ConnectionLostError, Link, Take
from tests.replication.owner import Owner
from tests.support.nodes import until

BEAT = Heartbeat(Epoch(1))


class MemoryConnection:
    """The other end is the test: `incoming` is what it sends, `sent` what it got."""

    def __init__(self) -> None:
        self.incoming: asyncio.Queue[str | bytes | None] = asyncio.Queue()
        self.sent: list[str | bytes] = []
        self.rests_s: list[float] = []
        self.takes_at_once = False
        self.sending = asyncio.Event()
        self.may_send = asyncio.Event()
        self.may_send.set()
        self.closed_with: str | None = None
        self.is_aborted = self.is_broken = False
        self.peer = wire.Codec()

    def try_send(self, frame: str | bytes) -> bool:
        if self.takes_at_once:
            self.sent.append(frame)
        return self.takes_at_once

    async def send(self, frame: str | bytes, *, rest_s: float = 0.0) -> None:
        self.rests_s.append(rest_s)
        self.sending.set()
        await self.may_send.wait()
        if self.is_broken:
            raise ConnectionLostError("the connection broke off")
        self.sent.append(frame)

    async def receive(self) -> str | bytes:
        frame = await self.incoming.get()
        if frame is None:
            raise ConnectionLostError("the peer hung up")
        return frame

    def offer_to(self, take: Take) -> None:
        self.take = take

    def expect_batches(self) -> None:
        pass

    async def close(self, reason: str) -> None:
        self.closed_with = reason

    def abort(self) -> None:
        self.is_aborted = True


class Scene:
    def __init__(self) -> None:
        self.connection = MemoryConnection()
        self.owner = Owner()
        self.link = Link(LinkId(1), self.connection, name="test")
        self.running = asyncio.ensure_future(self.link.run(self.owner))

    async def ended(self) -> None:
        await asyncio.wait_for(self.running, 30)


def test_messages_leave_and_arrive_in_order() -> None:
    async def story() -> None:
        scene = Scene()
        probes = [Probe(EntryId(number)) for number in range(100)]
        for probe in probes:
            frame = scene.connection.peer.encode(probe)
            assert scene.link.send(probe) == len(frame)
            scene.connection.incoming.put_nowait(frame)
        scene.connection.incoming.put_nowait(None)
        await scene.ended()
        assert scene.owner.messages == probes
        assert [scene.connection.peer.decode(frame) for frame in scene.connection.sent] == probes
        assert scene.owner.told == ["opened", "closed: the peer hung up"]
        assert scene.connection.is_aborted

    asyncio.run(story())


def test_a_frame_takes_the_rest_that_it_was_sent_with() -> None:
    async def story() -> None:
        scene = Scene()
        scene.connection.may_send.clear()
        for number, rest_s in enumerate((0.0, 0.25, 0.5)):
            scene.link.send(Probe(EntryId(number)), rest_s=rest_s)
        scene.link.send(BEAT)
        scene.connection.may_send.set()
        await until(lambda: len(scene.connection.sent) == 4, "all were sent")
        assert scene.connection.rests_s == [0.0, 0.25, 0.5, 0.0]
        scene.link.close("enough")
        await scene.ended()

    asyncio.run(story())


def test_a_frame_that_could_go_at_once_waits_for_those_that_could_not() -> None:
    async def story() -> None:
        scene = Scene()
        probes = [Probe(EntryId(number)) for number in range(4)]
        scene.connection.may_send.clear()
        scene.link.send(probes[0])
        await scene.connection.sending.wait()
        scene.connection.takes_at_once = True
        scene.link.send(probes[1])  # the first one is on its way still
        assert scene.connection.sent == []
        scene.connection.may_send.set()
        await until(lambda: len(scene.connection.sent) == 2, "both were sent")
        scene.link.send(probes[2])
        scene.link.send(probes[3])
        assert [scene.connection.peer.decode(frame) for frame in scene.connection.sent] == probes
        scene.link.close("enough")
        await scene.ended()

    asyncio.run(story())


def test_what_was_queued_before_a_close_still_reaches_the_peer() -> None:
    async def story() -> None:
        scene = Scene()
        refusal = Refusal(RefusalKind.DIVERGED, "why")
        scene.link.send(refusal)
        scene.link.close("diverged")
        assert scene.link.send(BEAT) == 0
        await scene.ended()
        assert [scene.connection.peer.decode(frame) for frame in scene.connection.sent] == [refusal]
        assert scene.connection.closed_with == "diverged"
        assert scene.owner.told == ["opened", "closed: diverged"]

    asyncio.run(story())


def test_a_peer_that_reads_nothing_does_not_hold_a_close_up() -> None:
    async def story() -> None:
        scene = Scene()
        scene.connection.may_send.clear()
        scene.link.send(BEAT)
        await scene.connection.sending.wait()
        scene.link.close("enough")
        await scene.ended()
        assert scene.connection.is_aborted
        assert scene.owner.told == ["opened", "closed: enough"]

    asyncio.run(story())


def test_nothing_that_arrives_after_the_end_is_passed_on() -> None:
    async def story() -> None:
        scene = Scene()
        scene.owner.on_message = lambda link: link.close("one was enough")
        for _ in range(3):
            scene.connection.incoming.put_nowait(scene.connection.peer.encode(BEAT))
        await scene.ended()
        assert scene.owner.messages == [BEAT]

    asyncio.run(story())


def test_the_next_frame_waits_until_the_node_has_taken_this_one() -> None:
    async def story() -> None:
        scene = Scene()
        scene.owner.may_take.clear()
        for _ in range(3):
            scene.connection.incoming.put_nowait(scene.connection.peer.encode(BEAT))
        await scene.owner.taking.wait()
        await asyncio.sleep(0)
        assert scene.connection.incoming.qsize() == 2
        scene.owner.may_take.set()
        scene.connection.incoming.put_nowait(None)
        await scene.ended()
        assert len(scene.owner.messages) == 3

    asyncio.run(story())


def test_a_frame_is_passed_on_as_it_comes_while_the_link_waits_for_one() -> None:
    async def story() -> None:
        scene = Scene()
        take = await offered(scene)
        assert take(scene.connection.peer.encode(Probe(EntryId(1))))
        assert scene.owner.messages == [Probe(EntryId(1))]
        scene.owner.takes_now = False
        assert not take(scene.connection.peer.encode(Probe(EntryId(2)))), (
            "the node wants to wait for it"
        )
        assert not take(b"garbage"), "whoever receives it tells"
        assert scene.owner.told == ["opened"]
        scene.owner.takes_now = True
        scene.link.close("the end")
        assert not take(scene.connection.peer.encode(Probe(EntryId(3)))), "R2"
        await scene.ended()
        assert scene.owner.messages == [Probe(EntryId(1))]

    asyncio.run(story())


def test_no_frame_overtakes_one_that_the_node_is_at() -> None:
    async def story() -> None:
        scene = Scene()
        take = await offered(scene)
        scene.owner.may_take.clear()
        scene.connection.incoming.put_nowait(scene.connection.peer.encode(Probe(EntryId(1))))
        await scene.owner.taking.wait()
        second = scene.connection.peer.encode(Probe(EntryId(2)))
        assert not take(second)
        scene.owner.may_take.set()
        await until(lambda: len(scene.owner.messages) == 1, "the first is taken")
        assert take(second)
        scene.link.close("the end")
        await scene.ended()
        assert scene.owner.messages == [Probe(EntryId(1)), Probe(EntryId(2))]

    asyncio.run(story())


def test_a_long_frame_is_left_to_be_received() -> None:
    async def story() -> None:
        scene = Scene()
        take = await offered(scene)
        batches = Batches(Epoch(1), GENESIS, GENESIS, EntryId(0), bytes(LONG_FRAME_BYTES))
        assert not take(scene.connection.peer.encode(batches))
        scene.link.close("the end")
        await scene.ended()
        assert scene.owner.messages == []

    asyncio.run(story())


def test_a_defect_met_by_a_frame_as_it_comes_is_not_swallowed() -> None:
    async def story() -> None:
        scene = Scene()
        take = await offered(scene)

        def fail(link: Link, message: Message) -> bool:
            raise AssertionError("the defect")

        scene.owner.received_now = fail  # type: ignore[method-assign]
        assert take(scene.connection.peer.encode(Probe(EntryId(1))))
        with pytest.raises(AssertionError, match="the defect"):
            await scene.ended()
        assert scene.owner.told[-1].startswith("closed")

    asyncio.run(story())


async def offered(scene: Scene) -> Take:
    """Return what the link takes frames by, once it waits for one."""
    await scene.owner.opened.wait()
    await until(lambda: hasattr(scene.connection, "take"), "the link receives")
    return scene.connection.take


def test_garbage_is_told_and_what_follows_is_the_owners_to_judge() -> None:
    async def story() -> None:
        scene = Scene()
        scene.connection.incoming.put_nowait("garbage")
        scene.connection.incoming.put_nowait(scene.connection.peer.encode(BEAT))
        scene.connection.incoming.put_nowait(None)
        await scene.ended()
        assert scene.owner.told == ["opened", "bad", "closed: the peer hung up"]
        assert scene.owner.messages == [BEAT]

    asyncio.run(story())


def test_a_peer_that_takes_nothing_is_given_up_when_too_much_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def story() -> None:
        monkeypatch.setattr(link_module, "OUTGOING_BYTES_MAX", 10_000)
        scene = Scene()
        scene.connection.may_send.clear()
        batches = Batches(Epoch(1), GENESIS, GENESIS, EntryId(0), b"x" * 3000)
        assert [scene.link.send(batches) > 0 for _ in range(6)] == [True] * 4 + [False] * 2
        await scene.ended()
        assert "bytes wait" in scene.owner.told[-1]

    asyncio.run(story())


def test_a_cancelled_link_is_dropped_and_told_as_closed() -> None:
    async def story() -> None:
        scene = Scene()
        await scene.owner.opened.wait()
        scene.running.cancel()
        await asyncio.wait((scene.running,))
        assert scene.owner.told == ["opened", "closed: the node stops"]
        assert scene.connection.is_aborted

    asyncio.run(story())


def test_a_defect_in_the_node_is_not_swallowed() -> None:
    async def story() -> None:
        scene = Scene()

        def defect(_: Link) -> None:
            raise AssertionError("a defect")

        scene.owner.on_message = defect
        scene.connection.incoming.put_nowait(scene.connection.peer.encode(BEAT))
        with pytest.raises(AssertionError, match="a defect"):
            await scene.ended()
        assert scene.owner.told[-1].startswith("closed")

    asyncio.run(story())


def test_a_connection_that_takes_nothing_any_more_ends_the_link() -> None:
    async def story() -> None:
        scene = Scene()
        scene.connection.is_broken = True
        scene.link.send(BEAT)
        await scene.ended()
        assert scene.owner.told == ["opened", "closed: the connection broke off"]
        assert scene.link.send(BEAT) == 0

    asyncio.run(story())
