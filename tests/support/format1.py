"""Format 1 written a second time, by the words of docs/storage-format.md alone.

PURE. It shares nothing with `replog.storage`, and makes wrong bytes with right hashes as
willingly as right ones: that is how each check of a receiver is tried on its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

GENESIS_HASH = bytes(32)
NOON = "2026-11-22T12:00:00.000Z"


@dataclass(frozen=True, slots=True)
class Made:
    """Bytes of one batch, and the hash that they have (whatever their trailer says)."""

    payload: bytes
    hash: bytes


def header(
    *,
    log_id: str = "log-1",
    first: int = 1,
    prev: bytes = GENESIS_HASH,
    format: int = 1,
    rest: str = "",
) -> bytes:
    """Return a segment's first line; `rest` is what stands between `first` and `prev`."""
    return (
        f'{{"segment":{{"format":{format},"log_id":"{log_id}","first":{first}{rest}'
        f',"prev":"{prev.hex()}"}}}}\n'
    ).encode()


def entries(first: int, *messages: str) -> bytes:
    """Return entry lines; `messages` are JSON strings without their quotes."""
    lines = [f'{{"id":{first + n},"message":"{m}"}}\n' for n, m in enumerate(messages)]
    return "".join(lines).encode()


def batch(
    lines: bytes,
    *,
    first: int | str,
    last: int | str,
    prev: bytes,
    epoch: int | str = 1,
    commit: int | str = 0,
    time: str = NOON,
    rest: str = "",
    said_prev: bytes | None = None,
    said_hash: bytes | None = None,
) -> Made:
    """Return a batch of `lines`, header line included, with a trailer that says so.

    Args:
        rest: what stands between `time` and `prev`, with its leading comma.
        said_prev: says another previous hash than the one that is hashed.
        said_hash: says another hash than the right one.
    """
    hashed = (
        lines
        + (
            f'{{"batch":{{"first":{first},"last":{last},"epoch":{epoch},"commit":{commit}'
            f',"time":"{time}"{rest},"prev":"{(said_prev or prev).hex()}","hash":"'
        ).encode()
    )
    digest = sha256(prev + hashed).digest()
    return Made(hashed + (said_hash or digest).hex().encode() + b'"}}\n', digest)
