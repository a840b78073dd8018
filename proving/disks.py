"""What a node's disk holds, read without a line of the product's own code.

DISK. The simulator's reader is the one that shares nothing with the log.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tests.simulator.reader import GENESIS_HASH, scan_once


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
    prev, last_id, messages = GENESIS_HASH, 0, list[str]()
    for path in sorted((data / "segments").glob("*.ndjson")):
        content, stop = path.read_bytes(), 0
        for batch in scan_once(content, prev=prev, last_id=last_id):
            messages += map(json.loads, batch.messages)
            prev, last_id, stop = batch.hash, batch.last_id, batch.stop
        if stop != len(content):
            return Held(messages, is_whole=False)
    return Held(messages, is_whole=True)
