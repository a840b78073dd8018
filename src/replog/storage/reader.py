"""Reading entries: lines exactly as GET /logs serves them, a bounded chunk at a time.

DISK. For any thread; keeps nothing but its place and one open file.
"""

from __future__ import annotations

from replog.core.entry import EntryId
from replog.storage.contents import Contents
from replog.storage.lines import HEADER_BEGINNING
from replog.storage.lookup import Opened, Retired, missing
from replog.storage.pages import Page, is_at_hand, page_at_hand, without_trailers

CHUNK_BYTES = 256 * 1024
"""Large enough that a chunk costs little beside its bytes; small enough for slow readers."""

WINDOW_BYTES_MAX = 1024 * 1024
"""Of the file, for one chunk: of batches of one short entry two thirds are trailers."""


_LINE_END = b"}\n"
"""Of an entry line, and of any other. Python as distributions build it counts two bytes at
2.5 GB/s and one at 0.7; as compiled without profiles, at 0.8 and 1.7."""


class EntryReader:
    """Streams the entries `first` to `last`, in order, without a gap.

    `last` must be committed: what is cut or repaired while it runs does not concern it.
    """

    def __init__(self, contents: Contents, *, first: EntryId, last: EntryId) -> None:
        assert first >= 1, first
        self._contents = contents
        self._next_id = first
        self._last_id = last
        self._opened: Opened | None = None
        self._offset = 0
        self._window_bytes = CHUNK_BYTES

    def next_chunk(self) -> bytes | None:
        """Return some more entry lines, each whole with its newline; None at the end.

        Raises:
            DamagedLogError: the next entries do not verify, or are behind damage.
        """
        while self._next_id <= self._last_id:
            try:
                lines = self._read_lines()
            except Retired:
                self.close()
                continue
            if lines:
                return lines
        self.close()
        return None

    def is_at_hand(self) -> bool:
        """Whether all of it is read from verified bytes, few of them: see `pages`."""
        return is_at_hand(self._contents, self._next_id, self._last_id)

    def page_at_hand(self) -> Page | None:
        """Return all of it where one small read gives it: see `pages.page_at_hand`."""
        return page_at_hand(self._contents, self._next_id, self._last_id)

    def close(self) -> None:
        """Give the file back. A second call does nothing."""
        if self._opened is not None:
            self._opened.__exit__()
            self._opened = None

    def _read_lines(self) -> bytes:
        opened = self._opened or self._open()
        segment = opened.segment
        if self._offset >= segment.stop.offset:
            self.close()
            return b""
        data = self._read_whole_lines(opened)
        self._offset += len(data)
        lines = _without_other_lines(data)
        window_bytes = CHUNK_BYTES * len(data) // max(len(lines), 1)
        self._window_bytes = min(window_bytes, WINDOW_BYTES_MAX)
        return self._checked(opened, lines)

    def _open(self) -> Opened:
        """Find the segment of the next entry, and where in it to begin."""
        segment = self._contents.holding(self._next_id)
        if segment is None:
            raise missing(self._contents, self._next_id)
        opened = Opened(self._contents, segment).__enter__()
        if self._next_id == segment.first_id:
            self._offset = 0
        else:
            try:
                self._offset = opened.offset_of_line(self._next_id)
            except BaseException:
                opened.__exit__()
                raise
        self._opened = opened
        return opened

    def _read_whole_lines(self, opened: Opened) -> bytes:
        start, size = self._offset, self._window_bytes
        while True:
            data = opened.read(start, opened.end_near(start, start + size))
            stop = data.rfind(b"\n") + 1
            if stop:
                return data[:stop]
            if start + size >= opened.segment.stop.offset:
                raise opened.rotten()  # the last line ends there, or did
            size *= 2

    def _checked(self, opened: Opened, lines: bytes) -> bytes:
        """Check by its first id and the number of lines that a chunk is what should follow.

        Where it ends at a known batch end, none may be missing: a disk that lost a write gives
        zeros for it, once the page cache has forgotten what was written.
        """
        count = lines.count(_LINE_END)
        end_id = opened.id_at_end(self._offset)
        if end_id is not None and self._next_id + count - 1 != end_id:
            raise opened.rotten()
        if not lines:
            return lines
        if not lines.startswith(b'{"id":%d,' % self._next_id):
            raise opened.rotten()
        if self._next_id + count > self._last_id + 1:
            beyond = lines.find(b'\n{"id":%d,' % (self._last_id + 1))
            if beyond == -1:
                raise opened.rotten()
            lines, count = lines[: beyond + 1], self._last_id + 1 - self._next_id
        self._next_id = EntryId(self._next_id + count)
        return lines


def _without_other_lines(data: bytes) -> bytes:
    """Return whole lines without header and trailer lines.

    A header can only be the first.
    """
    if data.startswith(HEADER_BEGINNING):
        data = data[data.find(b"\n") + 1 :]
    return without_trailers(data)
