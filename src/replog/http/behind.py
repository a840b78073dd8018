"""Requests that came behind one that is being answered: cut apart, and bounded.

PURE. A read of a connection may hold thousands of requests. A parser that gets all of it makes
them all, some kilobytes each; so it gets a piece at a time, and the rest waits as it came.
"""

from __future__ import annotations

BEHIND_BYTES_MAX = 4 * 1024 * 1024
"""How much may wait behind requests, on all connections of a server together."""

CHUNKED_BYTES = 512
"""How much of a body in chunks is parsed at least, where so much is here."""

_HEAD_END = b"\r\n\r\n"


class Behind:
    """The bytes that wait behind requests, on all connections of a server."""

    __slots__ = ("limit", "size")

    def __init__(self, limit: int = BEHIND_BYTES_MAX) -> None:
        self.size = 0
        self.limit = limit

    def take(self, size: int) -> bool:
        """Count `size` more bytes, where there is room for them."""
        if self.size + size > self.limit:
            return False
        self.size += size
        return True

    def give_back(self, size: int) -> None:
        self.size -= size
        assert self.size >= 0, self.size


def piece_end(data: bytes, start: int, body_left: int | None) -> int:
    """Return where to cut `data`, so that from `start` on it holds few ends of messages: one.

    Without a known length a message ends with an empty line: a head does, and a chunked body.
    That may be full of them, and is cut at one of some, so that a piece holds some ends of
    small messages. (A line end that is split between two reads makes one more.)

    Args:
        body_left: bytes of the body that are still to come; None where they are in chunks.
    """
    if body_left:
        return min(start + body_left, len(data))
    found = data.find(_HEAD_END, start if body_left == 0 else start + CHUNKED_BYTES)
    return len(data) if found < 0 else found + len(_HEAD_END)
