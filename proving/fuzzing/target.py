"""What a decoder is to whoever tries it: bytes in, and nothing but its documented errors out.

PURE.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """One decoder.

    Attributes:
        name: lower-case words with hyphens.
        what: what it decodes, in a few words.
        decode: decodes, and checks what holds of whatever was decoded. Returns whether the bytes
            were good; any exception is a finding.
        seeds: good inputs, from which others are made.
        tokens: what its grammar is made of.
        bytes_max: what the node limits such an input to, or 64 KiB where that is more.
        growth: bytes that each byte of an input may take while it is decoded, at its highest.
    """

    name: str
    what: str
    decode: Callable[[bytes], bool]
    seeds: tuple[bytes, ...]
    tokens: tuple[bytes, ...]
    bytes_max: int = 64 * 1024
    growth: int = 100


class Wrong(AssertionError):
    """What was decoded contradicts the bytes, or another decoder of the same bytes."""
