"""Inputs like good ones: bytes flipped, cut, spliced, repeated, numbers and tokens exchanged.

PURE. What is drawn depends on the given source of randomness alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from random import Random
from typing import Final

_NUMBER: Final = re.compile(rb"[0-9]+")
_NUMBERS: Final = (
    *(b"0", b"1", b"2", b"00", b"01", b"-1", b"255", b"256", b"65535", b"65536", b"4294967296"),
    *(b"9007199254740991", b"9007199254740992", b"9223372036854775807", b"9223372036854775808"),
    *(b"18446744073709551616", b"1e999", b"1.5", b"9" * 30, b"1" * 400, b"1" * 5000),
)
_BYTES: Final = (
    *(b"\x00", b"\xff", b"\x80", b"\xc0\x80", b"\xed\xa0\x80", b"\xe2\x80\xa8", b"\xc2\x85"),
    *(b"\xf0\x9f\x98\x80", b"\n", b"\r\n", b"\r", b" ", b"\t", b'"', b"\\", b"\\u0000", b"\\ud800"),
    *(b"{", b"}", b"[", b"]", b":", b",", b"null", b"true", b"{}", b"[]", b'""', b"%", b"&", b"="),
)

BLOATED_EVERY: Final = 2_000
"""One input of so many is large: a part of it is repeated until it is."""

NESTED_EVERY: Final = 20
"""One of so many that are to be nested is: they are large as well, and take long."""


def mutated(random: Random, corpus: Sequence[bytes], tokens: Sequence[bytes], size: int) -> bytes:
    """Return an input of at most `size` bytes, made of one of `corpus`."""
    data = bytearray(random.choice(corpus))
    for _ in range(1 + int(random.expovariate(0.6))):
        random.choice(_WAYS)(random, data, corpus, tokens)
    if random.randrange(BLOATED_EVERY) == 0:
        _bloat(random, data, size)
    return bytes(data[:size])


Way = Callable[[Random, bytearray, Sequence[bytes], Sequence[bytes]], None]


def _flip(random: Random, data: bytearray, _: Sequence[bytes], __: Sequence[bytes]) -> None:
    if data:
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def _set(random: Random, data: bytearray, _: Sequence[bytes], __: Sequence[bytes]) -> None:
    if data:
        data[random.randrange(len(data))] = random.randrange(256)


def _cut(random: Random, data: bytearray, _: Sequence[bytes], __: Sequence[bytes]) -> None:
    at = random.randrange(len(data) + 1)
    del data[at:]


def _remove(random: Random, data: bytearray, _: Sequence[bytes], __: Sequence[bytes]) -> None:
    at = random.randrange(len(data) + 1)
    del data[at : at + random.choice((1, 1, 2, 4, 16, 64))]


def _insert(random: Random, data: bytearray, _: Sequence[bytes], tokens: Sequence[bytes]) -> None:
    at = random.randrange(len(data) + 1)
    data[at:at] = random.choice(random.choice((_BYTES, tokens or _BYTES)))


def _replace(random: Random, data: bytearray, _: Sequence[bytes], tokens: Sequence[bytes]) -> None:
    """Put one token in the place of another."""
    if not tokens:
        return
    old, new = random.choice(tokens), random.choice(tokens)
    at = data.find(old, random.randrange(len(data) + 1))
    if at >= 0:
        data[at : at + len(old)] = new


def _repeat(random: Random, data: bytearray, _: Sequence[bytes], __: Sequence[bytes]) -> None:
    start = random.randrange(len(data) + 1)
    piece = data[start : start + random.choice((1, 4, 16, 64, 256))]
    data[start:start] = piece * random.choice((1, 1, 2, 8))


def _splice(random: Random, data: bytearray, corpus: Sequence[bytes], _: Sequence[bytes]) -> None:
    """Go on as another input does."""
    other = random.choice(corpus)
    at, start = random.randrange(len(data) + 1), random.randrange(len(other) + 1)
    data[at:] = other[start:]


def _number(random: Random, data: bytearray, _: Sequence[bytes], __: Sequence[bytes]) -> None:
    found = _NUMBER.search(data, random.randrange(len(data) + 1))
    if found is not None:
        new = random.choice(_NUMBERS)
        if random.randrange(2):
            new = b"%d" % max(0, int(found[0][:18]) + random.choice((-1, 1)))
        data[found.start() : found.end()] = new


def _bloat(random: Random, data: bytearray, size: int) -> None:
    start = random.randrange(len(data) + 1)
    piece = bytes(data[start : start + random.choice((1, 2, 3, 8, 40))])
    data[start:start] = (piece or b"[") * (size // len(piece or b"["))


def _nest(random: Random, data: bytearray, _: Sequence[bytes], __: Sequence[bytes]) -> None:
    """Nest a value deeper than a parser may go, or nearly so: one of somebody's own, or another."""
    if random.randrange(NESTED_EVERY):
        return
    at = data.find(random.choice((b"{", b",", b":")), random.randrange(len(data) + 1)) + 1
    name = random.choice((b"", b'"x":'))
    opening, closing = random.choice(((b"[", b"]"), (b'{"x":', b"}")))
    depth = random.choice((100, 400, 1_000, 5_000))
    data[at:at] = name + opening * depth + random.choice((b"", b"1" + closing * depth + b","))


_WAYS: tuple[Way, ...] = (
    *(_flip, _flip, _set, _cut, _remove, _remove, _insert, _insert, _insert),
    *(_replace, _replace, _repeat, _splice, _number, _number, _nest),
)
