"""Files of segments that stay open between small reads, so many at the most.

DISK. For any thread. A file belongs to who took it until it is given back: it is never closed,
and its descriptor's number never given to another file, while somebody reads from it.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Final

from replog.storage.filesystem import File
from replog.storage.segment import Segment

OPEN_FILES_MAX: Final = 64
"""A GiB of log, and few beside the connections of a node."""


class OpenFiles:
    """The files that small reads used last.

    Invariant: none is of a retired segment, whose file may have been cut, replaced or removed.
    """

    def __init__(self, open_: Callable[[Segment], File]) -> None:
        self._open = open_
        self._lock = Lock()
        self._idle: dict[Segment, File] = {}
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._idle)

    def take(self, segment: Segment) -> File:
        """Return the file of a segment, open for reading, until it is given back or closed.

        Raises:
            OSError: it cannot be opened.
        """
        with self._lock:
            file = self._idle.pop(segment, None)
        return self._open(segment) if file is None else file

    def give_back(self, segment: Segment, file: File) -> None:
        """Keep a file for the next read; the one that was used longest ago makes room."""
        with self._lock:
            if not (segment.is_retired or self._is_closed or segment in self._idle):
                self._idle[segment] = file
                if len(self._idle) <= OPEN_FILES_MAX:
                    return
                file = self._idle.pop(next(iter(self._idle)))
        file.close()

    def retired(self, segment: Segment) -> None:
        """Close the file of a segment that is retired now; one that is taken is not kept."""
        assert segment.is_retired, segment.name
        with self._lock:
            file = self._idle.pop(segment, None)
        if file is not None:
            file.close()

    def close(self) -> None:
        """Close all files, and keep none any more."""
        with self._lock:
            self._is_closed = True
            files, self._idle = self._idle, {}
        for file in files.values():
            file.close()
