"""What bytes that do not verify still say about how far the log went.

PURE.
"""

from __future__ import annotations

import re

from replog.core.entry import EntryId
from replog.storage.lines import NUMBER_MAX

_TRAILER_END = re.compile(rb'"hash":"[0-9a-f]{64}"\}\}\n')
_LAST = re.compile(rb'"last":([1-9][0-9]{0,15}),')
_ENTRY = re.compile(rb'^\{"id":([1-9][0-9]{0,15}),', re.MULTILINE)


def claimed_id(payload: bytes, *, after: EntryId, known: EntryId) -> EntryId:
    """Return the highest id that bad bytes behind `after` may have held, acknowledged.

    Only lines up to one that ends as a trailer does speak: without it nothing counted.
    They say it three times, in the trailer, in the ids and by their number; rot in one
    of the three is outvoted by the other two.

    Args:
        known: up to here the log is known to have been durable, whatever the bytes say.
    """
    ends = [match.end() for match in _TRAILER_END.finditer(payload)]
    if not ends:
        return max(known, after)
    whole = payload[: ends[-1]]
    entries = [int(digits) for digits in _ENTRY.findall(whole)]
    by_trailer = max((int(digits) for digits in _LAST.findall(whole)), default=0)
    votes = sorted((by_trailer, max(entries, default=0), after + len(entries)))
    return EntryId(max(known, after, min(votes[1], NUMBER_MAX)))
