"""What stands in a data directory: the good part of the log, its gaps, and what is behind.

DISK. A survey decides nothing and changes nothing; `recovery` applies the Opening rules to it.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from replog.core.entry import EntryId, LogId
from replog.core.messages import Damage
from replog.storage.chain import Chain, Survey, damaged
from replog.storage.filesystem import File, Filesystem
from replog.storage.layout import Layout, first_id_of
from replog.storage.marks import DurableMark
from replog.storage.scan import FileScan, Found, glance, scan
from replog.storage.segment import Segment


def survey(
    filesystem: Filesystem,
    layout: Layout,
    *,
    log_id: LogId,
    mark: DurableMark | None,
    suspects: AbstractSet[str] = frozenset(),
) -> Survey:
    """Read both ends of each segment, and every byte of the last one and of `suspects`.

    Files whose ends do not meet those of their neighbours are read whole as well.
    """
    files = list_segments(filesystem, layout)
    chain = Chain()
    for found in files:
        file = filesystem.open(layout.segment(found.name), writable=False)
        try:
            run = None
            if found.stop_id is not None and found.name not in suspects:
                run = glance(file, found, chain.last_end, log_id=log_id)
            if run is not None:
                chain.take(found, FileScan((run,), ()))
            else:
                chain.take(found, scan(file, found, chain.last_end, log_id=log_id))
        finally:
            file.close()
    return chain.link(mark)


def list_segments(filesystem: Filesystem, layout: Layout) -> list[Found]:
    """Return the segment files in order of their ids; other names are none of ours."""
    names = [name for name in filesystem.list(layout.segments) if first_id_of(name) is not None]
    ids = [first_id_of(name) or EntryId(0) for name in names]
    return [
        Found(name, first_id, stop_id, filesystem.size(layout.segment(name)))
        for name, first_id, stop_id in zip(names, ids, [*ids[1:], None], strict=False)
    ]


@dataclass(frozen=True, slots=True)
class SegmentSurvey:
    """What is wrong in one segment: what is good at its beginning, and what is damaged."""

    good: Segment | None
    damage: tuple[Damage, ...]


def survey_segment(file: File, segment: Segment, *, log_id: LogId) -> SegmentSurvey:
    """Read a whole segment of which both ends are known, to say exactly what is damaged."""
    stop = segment.stop
    end = stop.head
    stop_id = EntryId(end.last_id + 1)
    size = min(file.size(), stop.offset)
    found = Found(segment.name, segment.first_id, stop_id, size)
    chain = Chain(segment.start)
    chain.take(found, scan(file, found, segment.start, log_id=log_id))
    result = chain.link(None)
    damage = [gap.damage for gap in result.gaps]
    good = result.segments[0] if result.segments else None
    last = result.end_of_last.head
    if last != end:
        if last.last_id >= end.last_id:
            return SegmentSurvey(None, (missing(segment, "it is another segment"),))
        reason = result.tail.reason if result.tail else "the segment ends before its last batch"
        name, offset = result.next_name, result.next_offset
        damage.append(damaged(last, end.last_id, name, offset, reason))
    return SegmentSurvey(good, tuple(damage))


def missing(segment: Segment, reason: str) -> Damage:
    """Return the damage of a segment of which nothing is left."""
    return damaged(segment.start.head, segment.stop.head.last_id, segment.name, 0, reason)
