"""What received batches become on this disk: the same bytes, at the same places.

PURE.
"""

from __future__ import annotations

from binascii import unhexlify
from collections.abc import Iterator, Sequence
from dataclasses import replace

from replog.core.entry import Head
from replog.core.messages import Batches
from replog.storage.index import SPACING_BYTES, End
from replog.storage.lines import HEADER_BEGINNING, LineError, parse_trailer
from replog.storage.place import Place
from replog.storage.span import NEXT_TRAILER, BadBatch, spans
from replog.storage.writer import Piece


def pieces_of(batches: Sequence[Batches], end: Place, *, opens: bool) -> tuple[Piece, ...]:
    """Say what to write into which file, one piece for each; `opens` is that of the first.

    Raises:
        BadBatch: they do not follow on `end`.
    """
    pieces: list[Piece] = []
    payloads: list[bytes] = []
    for batch in batches:
        piece = piece_of(batch, end, opens=opens)
        if pieces and not opens:
            before = pieces[-1]
            ends = before.ends + piece.ends
            pieces[-1] = Piece(b"", before.opens, piece.stop, piece.seals, ends)
        else:
            _join(pieces, payloads)
            pieces.append(piece)
        payloads.append(piece.payload)
        end, opens = piece.stop, piece.seals
    _join(pieces, payloads)
    return tuple(pieces)


def _join(pieces: list[Piece], payloads: list[bytes]) -> None:
    """Give the last piece its bytes, joined once: one copy of each byte, however many frames."""
    if payloads:
        pieces[-1] = replace(pieces[-1], payload=b"".join(payloads))
        payloads.clear()


def piece_of(batches: Batches, end: Place, *, opens: bool) -> Piece:
    """Check that batches of one segment fit on the end of the log, and where they end.

    Their bytes have been verified on their own; here it is seen that they will verify in
    their place as well: otherwise the next start would find damage.
    """
    payload = batches.payload
    if batches.after != end.head:
        raise BadBatch(0, f"it follows on {batches.after}, the log ends at {end.head}")
    if payload.startswith(HEADER_BEGINNING) != opens:
        raise BadBatch(0, "its segment does not begin where this log's does")
    first = next(spans(payload), None)
    if first is None or first.prev != end.head.hash or first.first_id != end.head.last_id + 1:
        raise BadBatch(0, f"it does not begin behind {end.head}")
    if first.time < end.time:
        raise BadBatch(0, "its time is before that of the batch before")
    offset = 0 if opens else end.offset
    ends: tuple[End, ...] = ()
    last_hash, last_time, seals = first.hash, first.time, first.seal
    if first.stop < len(payload):
        try:
            last = parse_trailer(payload[payload.rfind(NEXT_TRAILER) + 1 :])
            ends = tuple(_ends_in(payload, offset))
        except LineError as error:
            raise BadBatch(0, str(error)) from error
        last_hash, last_time, seals = unhexlify(last.hash), last.time, last.seal
    if last_hash != batches.head.hash:
        raise BadBatch(0, f"it does not end at {batches.head}")
    stop = Place(offset + len(payload), batches.head, last_time)
    return Piece(payload, opens, stop, seals, (*ends, (stop.offset, stop.head)))


def _ends_in(payload: bytes, base: int) -> Iterator[End]:
    """Yield batch ends as far from one another as the index wants them. Raises: LineError."""
    at = SPACING_BYTES
    while (before := payload.find(NEXT_TRAILER, at)) != -1:
        stop = payload.find(b"\n", before + 1) + 1
        trailer = parse_trailer(payload[before + 1 : stop])
        yield base + stop, Head(trailer.epoch, trailer.last_id, unhexlify(trailer.hash))
        at = stop + SPACING_BYTES
