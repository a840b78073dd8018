"""What a node's disk holds, read without a line of the product's own code.

DISK. The recipe is that of docs/storage-format.md.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Held:
    """The entries of the whole batches that prove each other, from id 1 on.

    Attributes:
        messages: in order; the first has id 1.
        is_whole: nothing follows the last good batch.
    """

    messages: list[str]
    is_whole: bool


def held_on_disk(data: Path) -> Held:
    """Return what the segment files of a data directory prove; no process may use it."""
    previous, held, unproved = bytes(32), list[str](), list[str]()
    for path in sorted((data / "segments").glob("*.ndjson")):
        digest = sha256(previous)
        for line in path.read_bytes().splitlines(keepends=True):
            if not line.startswith(b'{"batch":{'):
                digest.update(line)
                if line.startswith(b'{"id":') and line.endswith(b"\n"):
                    unproved.append(json.loads(line)["message"])
                continue
            digest.update(line[:-68])
            if line[-68:] != digest.hexdigest().encode() + b'"}}\n':
                return Held(held, is_whole=False)
            previous, digest = digest.digest(), sha256(digest.digest())
            held += unproved
            unproved = []
    return Held(held, is_whole=not unproved)
