"""Entries on their way to many followers: read once, encoded once, kept while they are new.

SHELL.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from functools import partial

from replog.core.entry import EntryId
from replog.core.errors import DamagedLogError
from replog.http.sse import StreamForm, events
from replog.node.serving import SMALL_READ_ENTRIES

STRETCH_BYTES = 64 * 1024
"""Bytes of entry lines that a follower is sent at a time; one larger entry goes alone."""

KEPT_BYTES_MAX = 4 * 1024 * 1024
"""Bytes that are kept for those who come a little later, in both forms together."""

NEAR_ENTRIES = SMALL_READ_ENTRIES
"""One who is no further behind does not wait for those who are: what it reads is at hand."""

_EVENT_BYTES = 24
"""What an entry takes as an event beside its line: `id: `, an id, `data: `, line ends."""

ReadEntries = Callable[[EntryId, EntryId], AsyncIterator[bytes]]


class Stretch:
    """The entries `first` to `last`, as bytes that all followers share.

    Attributes:
        lines: as they stand in the log.
        events: the same as Server-Sent Events; None until somebody wants them.
    """

    __slots__ = ("events", "first", "last", "lines")

    def __init__(
        self, first: EntryId, last: EntryId, lines: bytes, made: bytes | None = None
    ) -> None:
        self.first = first
        self.last = last
        self.lines = lines
        self.events = made

    @property
    def kept_size(self) -> int:
        """Bytes of both forms, as if both were made: the second one may come at any time."""
        return 2 * len(self.lines) + _EVENT_BYTES * (self.last - self.first + 1)

    def body(self, form: StreamForm) -> bytes:
        """Return the entries as `form`; events are made when the first follower asks."""
        if form is StreamForm.LINES:
            return self.lines
        if self.events is None:
            self.events = events(self.first, self.lines)
        return self.events

    @staticmethod
    def joined(parts: Sequence[Stretch]) -> Stretch:
        """Return `parts`, each of which follows on the one before, as one stretch."""
        lines = b"".join([part.lines for part in parts])
        made = [part.events for part in parts if part.events is not None]
        whole = b"".join(made) if len(made) == len(parts) else None
        return Stretch(parts[0].first, parts[-1].last, lines, whole)


class Stretches:
    """What followers were sent last, by its first id; the rest is read from the log.

    Followers that stand at one place get the same stretch, and stand at one place after it.

    Invariant: `_size` is the sum of `kept_size`, and at most `KEPT_BYTES_MAX`, unless a single
    entry is larger.
    """

    def __init__(self, read: ReadEntries) -> None:
        self._read = read
        self._kept: dict[EntryId, Stretch] = {}
        self._reading: dict[EntryId, asyncio.Task[Stretch]] = {}
        self._size = 0
        self._far = asyncio.Lock()

    async def stretch(self, first: EntryId, shown: EntryId) -> Stretch:
        """Return a stretch that begins with `first`; entries up to `shown` may be in it.

        However many ask for it at one time, it is read once.

        Raises:
            DamagedLogError: the log does not verify at `first`.
            ReadInterruptedError: the node stops.
        """
        kept = self._find(first)
        if kept is not None:
            return kept
        reading = self._reading.get(first)
        if reading is None:
            reading = asyncio.get_running_loop().create_task(self._read_stretch(first, shown))
            self._reading[first] = reading
            reading.add_done_callback(partial(self._read_ended, first))
        return await asyncio.shield(reading)  # one who hangs up must not take it from others

    def _find(self, first: EntryId) -> Stretch | None:
        """Return what is kept from `first` on, small stretches joined."""
        stretch = self._kept.get(first)
        if stretch is None:
            return None
        parts, size = [stretch], len(stretch.lines)
        while (after := self._kept.get(EntryId(parts[-1].last + 1))) is not None:
            size += len(after.lines)
            if size > STRETCH_BYTES:
                break
            parts.append(after)
        if len(parts) > 1:
            stretch = Stretch.joined(parts)
        self._keep(stretch)
        return stretch

    def _keep(self, stretch: Stretch) -> None:
        """Keep `stretch`, or keep it longer; what was used longest ago makes room."""
        before = self._kept.pop(stretch.first, None)
        if before is not None:
            self._size -= before.kept_size
        self._kept[stretch.first] = stretch
        self._size += stretch.kept_size
        while self._size > KEPT_BYTES_MAX and len(self._kept) > 1:
            oldest = self._kept.pop(next(iter(self._kept)))
            self._size -= oldest.kept_size

    async def _read_stretch(self, first: EntryId, shown: EntryId) -> Stretch:
        """Read one chunk; of those who are far behind, one at a time.

        A hundred of them would else keep all reading threads busy, and with them the
        interpreter, which appends need too.
        """
        if shown - first < NEAR_ENTRIES:
            return await self._read_chunk(first, shown)
        async with self._far:
            return self._find(first) or await self._read_chunk(first, shown)

    async def _read_chunk(self, first: EntryId, shown: EntryId) -> Stretch:
        chunks = self._read(first, shown)
        try:
            chunk = await anext(chunks, b"")
        finally:
            if isinstance(chunks, AsyncGenerator):
                await chunks.aclose()
        if not chunk:
            raise DamagedLogError(f"entry {first} was to be read, and nothing came")
        stretches = list(_stretches_of(first, chunk))
        for stretch in stretches:
            self._keep(stretch)
        return stretches[0]

    def _read_ended(self, first: EntryId, reading: asyncio.Task[Stretch]) -> None:
        del self._reading[first]
        if not reading.cancelled():
            reading.exception()  # told to those who wait; if nobody does, nobody need know


def _stretches_of(first: EntryId, chunk: bytes) -> Iterator[Stretch]:
    """Cut `chunk`, whole lines from `first` on, into stretches of about `STRETCH_BYTES`."""
    start = 0
    while start < len(chunk):
        stop = len(chunk)
        if stop - start > STRETCH_BYTES:
            stop = chunk.rfind(b"\n", start, start + STRETCH_BYTES) + 1
            stop = stop or chunk.find(b"\n", start) + 1
        lines = chunk[start:stop]
        last = EntryId(first + lines.count(b"\n") - 1)
        yield Stretch(first, last, lines)
        first, start = EntryId(last + 1), stop
