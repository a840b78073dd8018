"""One bit of a link is turned over, each in turn: no message comes out that was not sent (R5)."""

from __future__ import annotations

import pytest
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, State
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from replog.core.entry import GENESIS, EntryId, Epoch, Head, LogId, NodeId
from replog.core.errors import WireError
from replog.core.messages import (
    Acknowledgement,
    Batches,
    CommitNews,
    Heartbeat,
    Hello,
    Message,
    Probe,
    StreamStart,
    Welcome,
)
from replog.replication import wire
from replog.replication.dial import _content

HEAD = Head(Epoch(1), EntryId(7), bytes(range(32)))
SAID: dict[str, tuple[Message, ...]] = {
    "secondary": (
        Hello(1, NodeId("a1"), LogId("b2"), Epoch(3), NodeId("c4"), 0.0),
        Acknowledgement(HEAD),
        Heartbeat(Epoch(3)),
    ),
    "master": (
        Welcome(LogId("b2"), NodeId("c4"), Epoch(3), "http://m:1", ("http://s:1",)),
        Probe(EntryId(5)),
        StreamStart(GENESIS),
        Batches(Epoch(3), GENESIS, HEAD, EntryId(7), b"lines"),
        CommitNews(Epoch(3), EntryId(7)),
        Heartbeat(Epoch(3)),
    ),
}


def ends(side: str) -> tuple[Protocol, Protocol]:
    """Return who sends and who receives on a link that stands; the master is its client."""
    client = ClientProtocol(parse_uri("ws://s/replication"), state=State.OPEN)
    server = ServerProtocol(state=State.OPEN)
    return (server, client) if side == "secondary" else (client, server)


def sent_by(side: str) -> bytes:
    sender, _ = ends(side)
    codec = wire.Codec()
    for message in SAID[side]:
        frame = codec.encode(message)
        if isinstance(frame, bytes):
            sender.send_binary(frame)
        else:
            sender.send_text(frame.encode())
    return b"".join(sender.data_to_send())


def received(side: str, data: bytes) -> list[Message]:
    """Return the messages of a link up to what ends it."""
    _, receiver = ends(side)
    receiver.receive_data(data)
    codec, messages, begun = wire.Codec(), list[Message](), None
    for event in receiver.events_received():
        if not isinstance(event, Frame) or event.opcode not in {
            Opcode.TEXT,
            Opcode.BINARY,
            Opcode.CONT,
        }:
            continue
        frame = event
        if begun is not None:
            frame = Frame(begun.opcode, bytes(begun.data) + bytes(event.data), event.fin)
        begun = None if frame.fin else frame
        content = _content(frame)
        if begun is None and content is not None:
            try:
                messages.append(codec.decode(content))
            except WireError:
                break
    return messages


def without_payload(message: Message) -> Message:
    """A payload is compared with its hashes where it is stored."""
    if not isinstance(message, Batches):
        return message
    return Batches(message.epoch, message.after, message.head, message.committed_id, b"")


@pytest.mark.parametrize("side", SAID)
def test_what_is_received_was_sent_before_the_bit_and_nothing_is_after_a_lost_one(
    side: str,
) -> None:
    data, said = sent_by(side), list(SAID[side])
    assert received(side, data) == said
    expected = [without_payload(message) for message in said]
    harmless = 0
    for bit in range(8 * len(data)):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        told = [without_payload(message) for message in received(side, bytes(changed))]
        assert told == expected[: len(told)], f"bit {bit % 8} of byte {bit // 8}"
        harmless += len(told) == len(said)
    payload = sum(len(each.payload) for each in said if isinstance(each, Batches))
    assert harmless <= 8 * (payload + 4), (
        "but for a payload, and the bytes that mask it, all end it"
    )
