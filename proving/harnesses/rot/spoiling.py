"""Ways in which one segment file goes bad.

PURE.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from replog.core.entry import Head
from tests.storage.logs import Original


@dataclass(frozen=True, slots=True)
class Spoiled:
    """What a file holds instead, and the first batch of it that is not there any more.

    Attributes:
        content: None where the file is gone.
        before: the head before that batch.
        offset: where it began.
    """

    what: str
    segment: str
    content: bytes | None
    before: Head
    offset: int


def spoil(original: Original, path: str, random: Random, *, only_bytes: bool) -> Spoiled:
    """Spoil a segment in a way drawn at random; its length stays where `only_bytes`."""
    right = original.files[path]
    ways = ["flipped bits", "a stretch of zeros"]
    if not only_bytes:
        ways += ["lost", "emptied", "cut off", "stale copy", "another segment's content"]
    what = random.choice(ways)
    content, first = _spoiled(original, path, random, what)
    assert content != right, what
    hit = original.batch_at(path, first)
    return Spoiled(what, hit.segment, content, hit.before, hit.span.start)


def _spoiled(original: Original, path: str, random: Random, what: str) -> tuple[bytes | None, int]:
    """Return the content, and the first byte that is another one."""
    right = original.files[path]
    if what == "flipped bits":
        offsets = sorted(random.sample(range(len(right)), random.randint(1, 3)))
        content = bytearray(right)
        for offset in offsets:
            content[offset] ^= 1 << random.randrange(8)
        return bytes(content), offsets[0]
    if what == "a stretch of zeros":
        start = random.randrange(len(right) - 600)
        stop = start + random.randint(1, 600)
        return right[:start] + bytes(stop - start) + right[stop:], start
    if what == "cut off":
        stop = random.randrange(1, len(right))
        return right[:stop], stop
    if what == "stale copy":
        ends = [b.span.stop for b in original.batches if b.path == path][:-1]
        stop = random.choice(ends)
        return right[:stop], stop
    if what == "another segment's content":
        other = random.choice([other for other in original.segments if other != path])
        return original.files[other], 0
    return (None if what == "lost" else b""), 0
