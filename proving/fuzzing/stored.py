"""The decoders of what stands on disks and travels on links.

PURE.
"""

from __future__ import annotations

import json
import re
from itertools import pairwise
from zlib import crc32

from proving.fuzzing.in_memory import disk_of, file_of
from proving.fuzzing.resealed import resealed
from proving.fuzzing.target import Target, Wrong
from replog.core.entry import GENESIS, EntryId, Epoch, Head, LogId, NodeId
from replog.core.errors import FormatError, StorageError, WireError
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
from replog.history.reading import HistoryError, read_history
from replog.replication.wire import Codec
from replog.storage.batch import (
    BadBatch,
    encode_message,
    header_line,
    scan_run,
    spans,
    verify_run,
)
from replog.storage.layout import segment_name
from replog.storage.lines import PLAIN_TRAILER, LineError, parse_header, parse_trailer, plain_keys
from replog.storage.marks import MARKS_BYTES, Marks
from replog.storage.node_state import NodeState, _encode, load_node_state
from replog.storage.place import BEGINNING
from replog.storage.scan import Found, glance, scan
from tests.support import format1
from tests.support.small_log import LOG, Append, make

HEAD = Head(Epoch(3), EntryId(9), bytes(range(32)))

SEGMENT, _HEADS = make(
    [
        Append(("one", "two \u2028\x85\0", '"}}\n{"batch":{')),
        Append(("three",), keys={0: "order-77"}),
        Append((), opens_epoch=True),
        Append(("é" * 40, ""), keys={0: "k", 1: "é"}, later_ms=0),
    ],
    seal=True,
)
UNUSUAL = format1.batch(
    format1.header(rest=',"note":[1,2]') + format1.entries(1, "a", "b"),
    first=1,
    last=2,
    prev=bytes(32),
    rest=',"note":{"x":[1,"y"]},"keys":{"1":"\\u0041"},"seal":true',
).payload
MUST = format1.batch(
    format1.header() + format1.entries(1, "a"), first=1, last=1, prev=bytes(32),
    rest=',"must":{"x":1}'
).payload  # fmt: skip

GOOD = frozenset({SEGMENT, UNUSUAL, MUST})

TOKENS = (
    *(b'{"segment":{', b'"format":', b'"log_id":"', b'"first":', b'"prev":"', b'{"id":',
      b'"message":"'),
    *(b'{"batch":{', b'"last":', b'"epoch":', b'"commit":', b'"time":"', b'"keys":{',
      b'"seal":true'),
    *(b'"hash":"', b'"}}\n', b'"must":{', b"0" * 64, b"2026-11-22T12:00:00.000Z", b"\n", b'","'),
)  # fmt: skip


# --- link frames ----------------------------------------------------------------------------


def decode_frame(data: bytes) -> bool:
    """A frame is a message or a `WireError`; what is decoded is encoded and decoded alike.

    Half of the frames have a check that is right again.
    """
    frame = data if data in FRAMES or len(data) % 2 else _checked(data)
    good = [_decode_frame(each) for each in (frame, frame.decode(errors="replace"))]
    return any(good)


def _decode_frame(frame: str | bytes) -> bool:
    try:
        message = Codec().decode(frame)
    except WireError:
        return False
    again = Codec().encode(message)
    if Codec().decode(again) != message:
        raise Wrong(f"{frame!r} is {message}, and is encoded as {again!r}")
    return True


def _checked(data: bytes) -> bytes:
    """Return a first frame of a link whose line has the check that it must have."""
    line, newline, payload = data.partition(b"\n")
    line = re.sub(rb" [0-9a-f]{8}\Z", b"", line)
    return b"%b %08x%b%b" % (line, crc32(line), newline, payload)


def _messages() -> tuple[Message, ...]:
    damage = Damage(HEAD, EntryId(12), "00000000000000000001.ndjson", 100, "rot", EntryId(12))
    owner = NodeId("n")
    return (
        Hello(1, NodeId("s"), LogId("log"), Epoch(1), owner, 0.5, ("http://a", "http://b")),
        Hello(1, NodeId("s"), None, Epoch(0), None, 0.0, ()),
        Welcome(LogId("log"), owner, Epoch(2), "http://m", ("http://m",)),
        Report(HEAD, EntryId(7), (damage,)),
        Probe(EntryId(5)),
        ProbeAnswer(EntryId(5), HEAD, None),
        ProbeAnswer(EntryId(5), HEAD, HEAD),
        Fetch(HEAD, None),
        FetchEnd(HEAD, found=True),
        Cut(HEAD),
        StreamStart(HEAD),
        Batches(Epoch(3), GENESIS, HEAD, EntryId(4), SEGMENT[:100]),
        CommitNews(Epoch(3), EntryId(4)),
        Acknowledgement(HEAD, None),
        Acknowledgement(HEAD, EntryId(3)),
        ReadBarrier(Epoch(3), 17),
        ReadMark(Epoch(3), 17, EntryId(4)),
        Heartbeat(Epoch(3), 0.25, EntryId(9), HEAD.last_id),  # type: ignore[arg-type]  # a tick
        Refusal(RefusalKind.STALE_EPOCH, "epoch 4 is known", Epoch(4), owner),
    )


def _frames() -> tuple[bytes, ...]:
    encoded = (Codec().encode(message) for message in _messages())
    return tuple(frame.encode() if isinstance(frame, str) else frame for frame in encoded)


FRAMES = _frames()


# --- batches and segments -------------------------------------------------------------------


def decode_batches(data: bytes) -> bool:
    """Bytes of a link are good batches, `BadBatch` or `FormatError`; half of them are resealed."""
    return _decode_batches(data if data in GOOD or len(data) % 2 else resealed(data))


def _decode_batches(data: bytes) -> bool:
    try:
        lenient = scan_run(data, after=GENESIS, log_id=LOG, last_time=b"")
        run = verify_run(data, after=GENESIS, log_id=LOG, last_time=b"", strict=True)
    except (BadBatch, FormatError):
        return False
    if lenient.bad is not None or lenient.run.stop != run.stop != len(data):
        raise Wrong(f"strictly it is {run}, else {lenient}")
    if [span.stop for span in spans(data)] != [batch.stop for batch in run.batches]:
        raise Wrong(f"the batches of {run} are not what stands there")
    next_id = 1
    for batch in run.batches:
        for line in data[batch.entries_start : batch.entries_stop].splitlines(keepends=True):
            next_id = _check_entry(line, next_id)
        if batch.last_id != next_id - 1:
            raise Wrong(f"{batch} ends with entry {next_id - 1}")
    return True


def _check_entry(line: bytes, next_id: int) -> int:
    """bytes.splitlines knows more line ends than format 1 does; a strict entry holds none."""
    entry = json.loads(line)
    if entry["id"] != next_id or line != b'{"id":%d,"message":%b}\n' % (
        next_id,
        encode_message(entry["message"]),
    ):
        raise Wrong(f"{line!r} is no canonical line of entry {next_id}")
    return next_id + 1


def decode_segment(data: bytes) -> bool:
    """Whatever a segment's file holds, it is read to its end, and what is good in it is found."""
    return _decode_segment(data if data in GOOD or len(data) % 2 else resealed(data))


def _decode_segment(data: bytes) -> bool:
    file = file_of(data)
    found = Found(segment_name(EntryId(1)), EntryId(1), _HEADS[-1].last_id + 1, len(data))  # type: ignore[arg-type]  # ids
    seen = glance(file, found, BEGINNING, log_id=LOG)
    try:
        scanned = scan(file, found, BEGINNING, log_id=LOG)
    except FormatError:
        return True
    edges = [edge for run in scanned.runs for edge in (run.start.offset, run.stop.offset)]
    if edges != sorted(edges) or not all(0 <= edge <= len(data) for edge in edges):
        raise Wrong(f"runs overlap: {scanned.runs}")
    for run in scanned.runs:
        payload = data[run.start.offset : run.stop.offset]
        ids = [(span.first_id, span.last_id) for span in spans(payload)]
        if not ids or any(before[1] + 1 != after[0] for before, after in pairwise(ids)):
            raise Wrong(f"{run} holds {ids}")
    covered = sum(run.stop.offset - run.start.offset for run in scanned.runs)
    if covered < len(data) and not scanned.bad:
        raise Wrong(f"{len(data) - covered} bytes are neither good nor bad: {scanned}")
    if seen is not None and scanned.runs and not scanned.bad:
        last = scanned.runs[-1].stop
        if (seen.stop.offset, seen.stop.head) != (last.offset, last.head):
            raise Wrong(f"at a glance it ends at {seen.stop}, read whole at {last}")
    return bool(scanned.runs)


def decode_trailer(data: bytes) -> bool:
    """The quick way to read a trailer and the thorough one say the same."""
    line = data if data.endswith(b"\n") else data + b"\n"
    try:
        trailer = parse_trailer(line)
    except LineError:
        trailer = None
    plain = PLAIN_TRAILER.fullmatch(line)
    if trailer is None or plain is None:
        return trailer is not None
    first, last, epoch, commit = (int(plain[group]) for group in range(1, 5))
    keys = plain_keys(plain[6], first=first, last=last)
    said = (trailer.first_id, trailer.last_id, trailer.epoch, trailer.committed_id)
    if said != (first, last, epoch, commit):
        raise Wrong(f"{trailer} is quickly read as {plain.groups()}")
    if keys is None:  # the group holds more than keys, a seal perhaps: the thorough way is taken
        return True
    if keys != trailer.keys or trailer.seal != (plain[7] is not None):
        raise Wrong(f"{trailer} has quickly the keys {keys}")
    return True


def decode_header(data: bytes) -> bool:
    line = data if data.endswith(b"\n") else data + b"\n"
    try:
        header = parse_header(line)
    except LineError:
        return False
    made = header_line(header.log_id, header.first_id, bytes.fromhex(header.prev.decode()))
    if header.format == 1 and len(made) == len(line) and made != line:
        raise Wrong(f"{line!r} is {header}, which is written {made!r}")
    return True


# --- node files -----------------------------------------------------------------------------


def decode_marks(data: bytes) -> bool:
    marks = Marks.open(disk_of(data.ljust(MARKS_BYTES)), "marks")
    return marks.durable is not None


def decode_node_state(data: bytes) -> bool:
    """What is taken is, byte for byte, what would be written."""
    try:
        state = load_node_state(disk_of(data), "node.json")
    except StorageError:  # FormatError is one
        return False
    if state is None or _encode(state) != data:
        raise Wrong(f"{data!r} is taken for {state}")
    return True


def _node_states() -> tuple[bytes, ...]:
    states = (
        NodeState(node_id=NodeId("n-1")),
        NodeState(
            log_id=LogId("log-1"),
            node_id=NodeId("n-1"),
            role="master",
            epoch=Epoch(7),
            epoch_owner=NodeId("n-2"),
            members=("http://a", "http://é"),
            is_loss_unsettled=True,
        ),
    )
    return tuple(map(_encode, states))


def _marks() -> tuple[bytes, ...]:
    lines = (
        b'{"durable":{"sequence":8,"id":9,"epoch":3,"hash":"%b","segment":1,"offset":812,"commit":9'
        % HEAD.hash.hex().encode(),
        b'{"commit":{"sequence":41,"id":9',
    )
    from replog.storage.marks import _complete  # noqa: PLC0415 - what a writer writes

    durable, commit = (_complete(line) for line in lines)
    return (durable + durable + commit + commit, durable[:4096] + b"x" * 4096 + commit * 2)


# --- histories ------------------------------------------------------------------------------


def decode_history(data: bytes) -> bool:
    try:
        read_history(data.split(b"\n"))
    except HistoryError:
        return False
    return True


HISTORY = (
    b'{"op":"nodes","format":1,"nodes":["http://a","http://b"]}\n'
    b'{"op":"append","client":1,"invoked":0.1,"returned":0.2,"outcome":"ok","messages":["a"],"w":2,'
    b'"first_id":1}\n'
    b'{"op":"append","client":1,"invoked":0.1,"outcome":"unknown","messages":["b"],"w":2,'
    b'"key":"k"}\n'
    b'{"op":"read","client":2,"invoked":0.3,"returned":0.4,"outcome":"ok",'
    b'"node":"http://a","first":1,'
    b'"messages":["a"]}\n'
    b'{"op":"fault","at":0.5,"what":"kill","node":"http://b"}\n'
    b'{"op":"disk","at":0.9,"snapshot":"end","node":"http://a","messages":["a"]}\n'
    b'{"op":"disk","at":0.9,"snapshot":"end","node":"http://b","last":1,'
    b'"sha256":"%b"}' % (b"0" * 64)
)  # fmt: skip

_LINES = (SEGMENT + UNUSUAL + MUST).split(b"\n")
_TRAILERS = tuple(line for line in _LINES if line.startswith(b'{"batch":{'))
_HEADER_LINES = tuple(each.split(b"\n")[0] for each in (SEGMENT, UNUSUAL))
_JSON = tuple(
    b'"%b":' % name for name in (b"type", b"epoch", b"head", b"id", b"log_id", b"members")
)

STORED = (
    Target("link-frames", "messages of a link", decode_frame, FRAMES, _JSON),
    Target("batches", "batches from a link", decode_batches, (SEGMENT, UNUSUAL, MUST), TOKENS),
    Target("segments", "a segment's file", decode_segment, (SEGMENT, UNUSUAL, MUST), TOKENS),
    Target("trailers", "a batch's trailer", decode_trailer, _TRAILERS, TOKENS),
    Target("headers", "a segment's header", decode_header, _HEADER_LINES, TOKENS),
    Target("marks", "the file of marks", decode_marks, _marks(), TOKENS, MARKS_BYTES),
    Target("node-state", "node.json", decode_node_state, _node_states(), ()),
    Target("histories", "recorded histories", decode_history, (HISTORY,), ()),
)
