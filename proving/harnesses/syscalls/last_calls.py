"""What a node still does once its disk has failed: it makes nothing durable any more, and leaves.

PURE.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from proving.calls import Call, Trace

_SYNCS = frozenset({"fsync", "fdatasync", "sync_file_range", "syncfs"})
_GONE = frozenset({"EIO", "EROFS"})
"""What no call succeeds after; of a full disk (ENOSPC), which comes back, a write may tell too."""

_MESSAGE = re.compile(r'"message":("(?:[^"\\]|\\.)*")')


@dataclass(frozen=True, slots=True)
class Failure:
    """The first call of a node that its disk failed.

    Attributes:
        left_after_s: how long the process lived on after the call had returned.
    """

    call: Call
    left_after_s: float

    @property
    def is_sync(self) -> bool:
        return self.call.name in _SYNCS


def first_failure(trace: Trace, directory: str) -> Failure:
    """Return the call below `directory` that failed first, of a node that left by itself.

    Raises:
        AssertionError: none failed, or the trace does not know of the process's end.
    """
    failed = [call for call in trace.calls if _has_failed(call, directory)]
    assert failed, f"no call failed among {len(trace.calls)} traced ones"
    assert trace.left is not None, "strace did not see the end of the process"
    first = min(failed, key=_returned)
    return Failure(first, trace.left.at_s - first.at_s - first.took_s)


def _has_failed(call: Call, directory: str) -> bool:
    if not call.path.startswith(directory) or call.error is None:
        return False
    return call.name in _SYNCS or call.error in _GONE


def _returned(call: Call) -> int:
    assert call.ended is not None, call
    return call.ended


def syncs_after(failure: Failure, calls: Sequence[Call], directory: str) -> list[Call]:
    """Return the syncs below `directory` that ought not to have begun; none is right.

    After a failed sync that is each one: on that descriptor, on another one of the same file,
    or of another file. After a failed write it is each one of that file: the thread that syncs
    may not have heard of it yet.
    """
    failed = failure.call
    return [
        call
        for call in calls
        if call.name in _SYNCS
        and call.path.startswith(directory)
        and call.began > _returned(failed)
        and (failure.is_sync or call.path == failed.path)
    ]


def written(calls: Sequence[Call], directory: str) -> Iterator[str]:
    """Yield each message of which something was written below `directory`: it may be stored."""
    for call in calls:
        if call.name == "pwrite64" and (call.result or 0) > 0 and call.path.startswith(directory):
            for found in _MESSAGE.finditer(call.data):
                yield json.loads(found[1].encode("latin-1"))


def refused_though_written(
    refused: Collection[str], calls: Sequence[Call], directory: str
) -> list[str]:
    """Return what was answered as not stored though the node had written it; none is right."""
    return sorted(set(refused).intersection(written(calls, directory)))
