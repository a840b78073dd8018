"""The codec of a link: what goes in comes out, and garbage is only ever a WireError."""

from __future__ import annotations

import json
import typing
from binascii import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replog.core import messages
from replog.core.entry import GENESIS, EntryId, Epoch, Head, LogId, NodeId
from replog.core.errors import WireError
from replog.core.messages import (
    Acknowledgement,
    Batches,
    CommitNews,
    Cut,
    Damage,
    Fetch,
    FetchEnd,
    Heartbeat,
    Hello,
    Message,
    Probe,
    ProbeAnswer,
    ReadBarrier,
    ReadMark,
    Refusal,
    RefusalKind,
    Report,
    StreamStart,
    Welcome,
)
from replog.replication import wire
from replog.replication.forms import _control_form

counts = st.integers(min_value=0, max_value=2**63 - 1)
ids = counts.map(EntryId)
epochs = counts.map(Epoch)
texts = st.text(st.characters(codec="utf-8"), max_size=40)
node_ids = texts.map(NodeId)
log_ids = texts.map(LogId)
seconds = st.floats(min_value=0, max_value=1e9, allow_nan=False)
heads = st.builds(Head, epochs, ids, st.binary(min_size=32, max_size=32))
damages = st.builds(Damage, heads, st.none() | ids, texts, counts, texts, ids)

urls = st.lists(texts, max_size=4).map(tuple)

MESSAGES: dict[type[Message], st.SearchStrategy[Message]] = {
    Hello: st.builds(
        Hello, counts, node_ids, st.none() | log_ids, epochs, st.none() | node_ids, seconds, urls
    ),
    Welcome: st.builds(Welcome, log_ids, node_ids, epochs, texts, urls),
    Report: st.builds(Report, heads, ids, st.lists(damages, max_size=3).map(tuple)),
    Probe: st.builds(Probe, ids),
    ProbeAnswer: st.builds(ProbeAnswer, ids, heads, st.none() | heads),
    Fetch: st.builds(Fetch, heads, st.none() | ids),
    FetchEnd: st.builds(FetchEnd, heads, st.booleans()),
    Cut: st.builds(Cut, heads),
    StreamStart: st.builds(StreamStart, heads),
    Batches: st.builds(Batches, epochs, heads, heads, ids, st.binary(max_size=200)),
    CommitNews: st.builds(CommitNews, epochs, ids),
    Acknowledgement: st.builds(Acknowledgement, heads, st.none() | ids),
    Heartbeat: st.builds(Heartbeat, epochs, seconds, ids),
    ReadBarrier: st.builds(ReadBarrier, epochs, counts),
    ReadMark: st.builds(ReadMark, epochs, counts, st.none() | ids),
    Refusal: st.builds(Refusal, st.sampled_from(RefusalKind), texts, epochs, st.none() | node_ids),
}


def encode(message: Message) -> str | bytes:
    """Return the frame of the first message of a link."""
    return wire.Codec().encode(message)


def decode(frame: str | bytes) -> Message:
    """Return the first message of a link."""
    return wire.Codec().decode(frame)


def sealed(line: bytes) -> bytes:
    """Return the first line of a link with its check."""
    return b"%b %08x" % (line, crc32(line))


any_message = st.one_of(list(MESSAGES.values()))


def test_no_message_of_the_protocol_is_forgotten_here() -> None:
    assert set(MESSAGES) == set(typing.get_args(messages.Message))


@pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: kind.__name__)
def test_every_message_comes_out_as_it_went_in(kind: type[Message]) -> None:
    @given(MESSAGES[kind])
    def round_trip(message: Message) -> None:
        assert decode(encode(message)) == message

    round_trip()


@given(any_message)
def test_only_batches_are_binary(message: Message) -> None:
    assert isinstance(encode(message), bytes) == isinstance(message, Batches)


def test_batches_have_no_form_in_text() -> None:
    batches = Batches(Epoch(1), GENESIS, GENESIS, EntryId(0), b"")
    with pytest.raises(AssertionError, match="batches travel as a binary frame"):
        _control_form(batches)


@given(any_message)
def test_unknown_members_of_a_later_version_are_ignored(message: Message) -> None:
    frame = encode(message)
    if isinstance(frame, bytes):
        line, _, payload = frame.partition(b"\n")
        longer = json.dumps(json.loads(line[:-9]) | {"later": [1]}).encode()
        later: str | bytes = sealed(longer) + b"\n" + payload
    else:
        longer = json.dumps(json.loads(frame[:-9]) | {"later": {"deep": [1]}}).encode()
        later = sealed(longer).decode()
    assert decode(later) == message


@given(st.one_of(st.binary(max_size=300), texts))
def test_garbage_is_never_anything_but_a_wire_error(frame: str | bytes) -> None:
    with pytest.raises(WireError):
        decode(frame)


@given(any_message, st.data())
def test_a_frame_with_one_changed_place_is_no_other_message(
    message: Message, data: st.DataObject
) -> None:
    """What a network changes is found; but for a payload, whose hashes the receiver compares."""
    frame = encode(message)
    end = frame.find(b"\n") + 1 if isinstance(frame, bytes) else len(frame)
    place = data.draw(st.integers(0, end - 1))
    changed: str | bytes
    if isinstance(frame, bytes):
        byte = bytes([data.draw(st.integers(0, 255))])
        changed = frame[:place] + byte + frame[place + 1 :]
    else:
        character = data.draw(st.characters())  # lone surrogates too
        changed = frame[:place] + character + frame[place + 1 :]
    if changed != frame:
        with pytest.raises(WireError):
            decode(changed)


@given(st.lists(any_message, min_size=2, max_size=5), st.data())
def test_a_frame_that_was_lost_doubled_or_overtaken_is_found_with_the_next_one(
    sent: list[Message], data: st.DataObject
) -> None:
    sender, receiver = wire.Codec(), wire.Codec()
    frames = [sender.encode(message) for message in sent]
    lost = data.draw(st.integers(0, len(frames) - 2))
    arrived = data.draw(
        st.sampled_from(
            [
                frames[:lost] + frames[lost + 1 :],
                frames[: lost + 1] + frames[lost:],
                [*frames[:lost], frames[lost + 1], frames[lost]],
            ]
        )
    )
    told: list[Message] = []
    with pytest.raises(WireError):
        told.extend(map(receiver.decode, arrived))
    assert told == sent[: len(told)]


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "null",
        "[]",
        "{}",
        '{"type":"greeting"}',
        '{"type":1}',
        '{"type":"probe"}',
        '{"type":"probe","id":-1}',
        '{"type":"probe","id":1.5}',
        '{"type":"probe","id":9223372036854775808}',
        '{"type":"probe","id":1}{"type":"probe","id":2}',
        '{"type":"cut","to":{"epoch":1,"last_id":1,"hash":"ab"}}',
        '{"type":"cut","to":{"epoch":1,"last_id":1,"hash":"' + "A" * 64 + '"}}',
        '{"type":"cut","to":{"epoch":1,"last_id":1,"hash":"' + "a" * 64 + '\\n"}}',
        '{"type":"refusal","kind":"bored","detail":"","epoch":0,"epoch_owner":null}',
        '{"type":"batches"}',
        "[" * 100_000,
        b"",
        b"\n",
        b"{}\n",
        b'{"type":"probe","id":1}\n',
        b'{"type":"probe","id":1}',
        b"x" * 10_000 + b"\n",
        '{"type":"heartbeat","epoch":1,"delay_s":-1}',
        '{"type":"heartbeat","epoch":1,"delay_s":NaN}',
    ],
    ids=lambda frame: repr(frame[:50]),
)
def test_what_is_no_message_is_a_wire_error(frame: str | bytes) -> None:
    with pytest.raises(WireError):
        decode(frame)
    line, _, payload = (frame.encode() if isinstance(frame, str) else frame).partition(b"\n")
    if isinstance(frame, str):
        sealed_frame: str | bytes = sealed(frame.encode()).decode()
    else:
        sealed_frame = sealed(line) + b"\n" + payload
    with pytest.raises(WireError):
        decode(sealed_frame)


def test_a_message_that_follows_what_was_no_message_is_one() -> None:
    codec = wire.Codec()
    with pytest.raises(WireError):
        codec.decode(sealed(b'{"type":"probe","id":-1}').decode())
    assert codec.decode(encode(Probe(EntryId(1)))) == Probe(EntryId(1))


def test_an_acknowledgement_can_be_read_by_a_person() -> None:
    zeros = "0" * 64
    assert encode(Acknowledgement(GENESIS)) == (
        '{"type":"acknowledgement","head":{"epoch":0,"last_id":0,"hash":"' + zeros + '"}} 4d01f0a7'
    )


def test_a_payload_may_hold_any_byte() -> None:
    payload = bytes(range(256)) * 3
    batches = Batches(Epoch(1), GENESIS, GENESIS, EntryId(0), payload)
    frame = encode(batches)
    assert isinstance(frame, bytes)
    assert frame.endswith(b"\n" + payload)
    assert decode(frame) == batches
