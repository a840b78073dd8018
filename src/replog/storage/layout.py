"""Where things stand in a data directory, and what they are called.

PURE.
"""

from __future__ import annotations

import re
from posixpath import join

from replog.core.entry import EntryId

SEGMENTS = "segments"
QUARANTINE = "quarantine"
MARKS = "marks"

_SEGMENT_NAME = re.compile(r"([0-9]{20})\.ndjson")
_REPAIR_SUFFIX = ".repair"


def segment_name(first_id: EntryId) -> str:
    """Return the file name of the segment that begins with `first_id`."""
    return f"{first_id:020d}.ndjson"


def first_id_of(name: str) -> EntryId | None:
    """Return the first id of the segment called `name`; None where that names none."""
    match = _SEGMENT_NAME.fullmatch(name)
    return EntryId(int(match[1])) if match and int(match[1]) else None


def repair_name(name: str) -> str:
    """Return what a repaired segment is called until it takes the old one's place."""
    return name + _REPAIR_SUFFIX


def is_repair_name(name: str) -> bool:
    """Say whether `name` is a repair that a crash interrupted; it holds nothing of value."""
    return name.endswith(_REPAIR_SUFFIX) and first_id_of(name[: -len(_REPAIR_SUFFIX)]) is not None


def quarantine_name(segment: str, *, offset: int, reason: str, number: int) -> str:
    """Return a name that tells a person what the file is: which bytes of what, and why."""
    return f"{segment.removesuffix('.ndjson')}-from-byte-{offset}-{reason}-{number}.ndjson"


class Layout:
    """The paths of one data directory."""

    __slots__ = ("directory", "marks", "quarantine", "segments")

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.segments = join(directory, SEGMENTS)
        self.quarantine = join(directory, QUARANTINE)
        self.marks = join(directory, MARKS)

    def segment(self, name: str) -> str:
        return join(self.segments, name)

    def quarantined(self, name: str) -> str:
        return join(self.quarantine, name)
