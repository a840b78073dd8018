"""Reading from a disk that does not give every block.

DISK.
"""

from __future__ import annotations

import errno

from replog.storage.filesystem import File

_READ_BYTES = 1024 * 1024
_BLOCK_BYTES = 4096


def read_what_can_be_read(file: File, offset: int, stop: int) -> bytes:
    """Return `[offset, stop)` of a file; zeros stand for blocks that the disk does not give."""
    parts = []
    while offset < stop:
        size = min(_READ_BYTES, stop - offset)
        try:
            part = file.read_at(offset, size)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            part = _read_block_by_block(file, offset, size)
        if not part:
            break
        parts.append(part)
        offset += len(part)
    return b"".join(parts)


def _read_block_by_block(file: File, offset: int, size: int) -> bytes:
    parts = []
    for at in range(offset, offset + size, _BLOCK_BYTES):
        wanted = min(_BLOCK_BYTES, offset + size - at)
        try:
            parts.append(file.read_at(at, wanted).ljust(wanted, b"\0"))
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            parts.append(bytes(wanted))
    return b"".join(parts)
