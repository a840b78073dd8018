"""Judges a history that a run wrote: until `replog check` is there, that it can be read at all.

DISK.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from proving.harness import Counts
from replog.history.lines import Line


def assert_holds(path: Path) -> Counts:
    """Return how many lines a history has. Raises: msgspec.ValidationError."""
    decode = msgspec.json.Decoder(Line).decode
    return {"lines": sum(decode(line) is not None for line in path.read_bytes().splitlines())}
