"""Segments whose bytes were changed, with hashes that are right again.

PURE. Nearly every change breaks a hash, and a decoder looks no further then; behind a right hash
stands what only a writer with a defect, or one who means harm, makes.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Final

_END: Final = re.compile(rb'"prev":"([0-9a-f]{64})","hash":"([0-9a-f]{64})"\}\}\n')


def resealed(data: bytes, prev: bytes = bytes(32)) -> bytes:
    """Return `data` with each trailer's `prev` and `hash` as they must be behind `prev`."""
    made: list[bytes] = []
    start = 0
    for end in _END.finditer(data):
        hashed = data[start : end.start(1)] + prev.hex().encode() + data[end.end(1) : end.start(2)]
        prev = sha256(prev + hashed).digest()
        made += [hashed, prev.hex().encode(), b'"}}\n']
        start = end.end()
    return b"".join([*made, data[start:]])
