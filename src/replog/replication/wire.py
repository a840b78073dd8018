"""Translates between the messages of a link and their frames.

PURE.

Control messages are JSON text frames, so that a link can be read with any WebSocket tool:

    {"type":"acknowledgement","head":{"epoch":1,"last_id":7,"hash":"<64 hex>"}} 5b1c09d4

`Batches` is a binary frame: one line of the same form, then the bytes of the segment file as
they are, to the end of the frame.

    {"type":"batches","epoch":1,"after":{…},"head":{…},"committed_id":5} 07d1a3ff\\n<payload>

The 8 hex digits are the check: CRC-32 over the JSON of this frame and of every one before it
that went the same way on the same link. TCP's own sum lets one bad packet in 65,536 through; a
wrong epoch that is believed is stored, and refuses its master for ever. As the check covers what
came before, a frame that was lost or doubled is found with the next one. A payload needs none:
its hashes are compared before it is stored.
"""

from __future__ import annotations

from binascii import crc32
from typing import Final

import msgspec

from replog.core.errors import WireError
from replog.core.messages import Batches, Message
from replog.replication.forms import batches_message, control_message, line_of

FRAME_BYTES_MAX: Final = 40 * 1024 * 1024
"""A link takes frames up to here: a batch of 32 MiB (the format's limit) and its lines."""

_HEADER_BYTES_MAX: Final = 4096
"""The JSON line before a payload is shorter than this; it is not searched for beyond."""

_CHECK_BYTES: Final = 9
"""A space and 8 hex digits."""


class Codec:
    """One end of one link: all that it sends and receives passes here once, in order."""

    __slots__ = ("_received", "_sent")

    def __init__(self) -> None:
        self._sent = 0
        self._received = 0

    def encode(self, message: Message) -> str | bytes:
        """Return the frame for `message`: text for control messages, binary for `Batches`."""
        if isinstance(message, Batches):
            return b"\n".join((self._sealed(line_of(message)), message.payload))
        return self._sealed(line_of(message)).decode()

    def _sealed(self, line: bytes) -> bytes:
        self._sent = crc32(line, self._sent)
        return b"%b %08x" % (line, self._sent)

    def decode(self, frame: str | bytes) -> Message:
        """Return the message in `frame`.

        The payload of `Batches` is cut off the frame and not looked into.

        Raises:
            WireError: these bytes are not what was sent next; close the link (R5).
        """
        before = self._received
        try:
            if isinstance(frame, bytes):
                return self._decode_batches(frame)
            return control_message(self._opened(frame.encode()))
        except (msgspec.DecodeError, UnicodeError, ValueError, RecursionError) as error:
            self._received = before
            raise WireError(f"a frame of {len(frame)} bytes is no message: {error}") from error

    def _decode_batches(self, frame: bytes) -> Batches:
        end = frame.find(b"\n", 0, _HEADER_BYTES_MAX)
        if end < 0:
            raise WireError(f"a binary frame of {len(frame)} bytes does not begin with a line")
        return batches_message(self._opened(frame[:end]), frame[end + 1 :])

    def _opened(self, line: bytes) -> bytes:
        """Return a line without its check, which must be right."""
        json = line[:-_CHECK_BYTES]
        check = crc32(json, self._received)
        if line[-_CHECK_BYTES:] != b" %08x" % check:
            raise WireError(
                f"a frame whose check is {line[-_CHECK_BYTES:]!r}, not {check:08x}: "
                f"it was changed on its way, or one before it was lost"
            )
        self._received = check
        return json
