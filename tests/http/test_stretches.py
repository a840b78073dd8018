"""What many followers share, as a unit: read once, encoded once, bounded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

import pytest

from replog.core.entry import EntryId
from replog.core.errors import DamagedLogError
from replog.http.sse import StreamForm, events
from replog.http.stretches import KEPT_BYTES_MAX, STRETCH_BYTES, Stretches
from replog.storage.batch import encode_message, entry_line
from tests.support.waiting import DEADLINE_S

FIRST = EntryId(1)


class _Log:
    """Entries of one size, read in chunks as large as asked for."""

    def __init__(self, *, size: int = 100, chunk_entries: int = 1_000_000) -> None:
        self.message = encode_message(size * "x")
        self.chunk_entries = chunk_entries
        self.reads: list[int] = []
        self.open = 0
        self._made: list[AsyncGenerator[bytes, None]] = []
        self.fails = False
        self.may_read = asyncio.Event()
        self.may_read.set()

    def lines(self, first: int, last: int) -> bytes:
        return b"".join(entry_line(EntryId(n), self.message) for n in range(first, last + 1))

    def read(self, first: EntryId, last: EntryId) -> AsyncGenerator[bytes, None]:
        self._made.append(self._read(first, last))  # the collector must not close what is left
        return self._made[-1]

    async def _read(self, first: EntryId, last: EntryId) -> AsyncGenerator[bytes, None]:
        self.reads.append(first)
        self.open += 1
        try:
            await self.may_read.wait()
            if self.fails:
                raise DamagedLogError("rotten")
            for start in range(first, last + 1, self.chunk_entries):
                yield self.lines(start, min(last, start + self.chunk_entries - 1))
        finally:
            self.open -= 1


def _run(story: Callable[[], Awaitable[None]]) -> None:
    async def within_the_deadline() -> None:
        async with asyncio.timeout(DEADLINE_S):
            await story()
        assert asyncio.all_tasks() == {asyncio.current_task()}, "a task was left behind"

    asyncio.run(within_the_deadline())


def test_all_who_stand_at_one_place_share_one_read_and_the_same_bytes() -> None:
    async def story() -> None:
        log = _Log()
        stretches = Stretches(log.read)
        got = await asyncio.gather(*(stretches.stretch(FIRST, EntryId(3)) for _ in range(50)))
        again = await stretches.stretch(FIRST, EntryId(9))
        assert log.reads == [1]
        bodies = {id(one.body(StreamForm.EVENTS)) for one in (*got, again)}
        assert len(bodies) == 1, "the events were made more than once"
        assert again.body(StreamForm.LINES) == log.lines(1, 3)
        assert again.body(StreamForm.EVENTS) == events(FIRST, log.lines(1, 3))

    _run(story)


def test_one_who_hangs_up_takes_the_read_from_nobody() -> None:
    async def story() -> None:
        log = _Log()
        log.may_read.clear()
        stretches = Stretches(log.read)
        first, second = (
            asyncio.ensure_future(stretches.stretch(FIRST, EntryId(3))) for _ in range(2)
        )
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait((first,))
        log.may_read.set()
        assert (await second).last == 3
        assert (log.reads, log.open) == ([1], 0)

    _run(story)


def test_small_ones_are_joined_without_reading_or_encoding_again() -> None:
    async def story() -> None:
        log = _Log()
        stretches = Stretches(log.read)
        for entry in range(1, 6):
            one = await stretches.stretch(EntryId(entry), EntryId(entry))
            one.body(StreamForm.EVENTS)
        joined = await stretches.stretch(EntryId(2), EntryId(5))
        assert (joined.first, joined.last) == (2, 5)
        assert joined.events == events(EntryId(2), log.lines(2, 5))
        assert joined.body(StreamForm.LINES) == log.lines(2, 5)
        assert log.reads == [1, 2, 3, 4, 5]

    _run(story)


def test_a_long_way_is_cut_into_stretches_that_follow_on_each_other() -> None:
    async def story() -> None:
        log = _Log(size=1000, chunk_entries=256)
        stretches = Stretches(log.read)
        place, bodies = FIRST, []
        while place <= 1000:
            stretch = await stretches.stretch(place, EntryId(1000))
            assert stretch.first == place
            bodies.append(stretch.body(StreamForm.LINES))
            place = EntryId(stretch.last + 1)
        assert b"".join(bodies) == log.lines(1, 1000)
        assert max(map(len, bodies)) <= STRETCH_BYTES
        assert len(log.reads) < len(bodies) / 2, "what was read beside the first was not kept"

    _run(story)


def test_those_who_are_far_behind_read_one_at_a_time_and_hold_up_nobody_else() -> None:
    async def story() -> None:
        log = _Log(chunk_entries=10)
        log.may_read.clear()
        stretches = Stretches(log.read)
        shown = EntryId(10_000)
        far = [
            asyncio.ensure_future(stretches.stretch(EntryId(first), shown))
            for first in range(1, 100, 10)
        ]
        for _ in range(5):
            await asyncio.sleep(0)
        assert log.open == 1
        near = asyncio.ensure_future(stretches.stretch(EntryId(9_990), shown))
        for _ in range(5):
            await asyncio.sleep(0)
        assert log.open == 2
        log.may_read.set()
        assert (await near).first == 9_990
        assert [one.first for one in await asyncio.gather(*far)] == list(range(1, 100, 10))

    _run(story)


def test_an_entry_larger_than_a_stretch_goes_alone() -> None:
    async def story() -> None:
        log = _Log(size=2 * STRETCH_BYTES)
        stretches = Stretches(log.read)
        assert (await stretches.stretch(FIRST, EntryId(3))).last == 1
        assert (await stretches.stretch(EntryId(2), EntryId(3))).last == 2
        assert log.reads == [1], "what was read beside the first was not kept"

    _run(story)


@pytest.mark.parametrize("size", [10, 1000, 3_000_000])
def test_what_is_kept_is_bounded_and_counted_rightly(size: int) -> None:
    async def story() -> None:
        log = _Log(size=size, chunk_entries=max(1, 256 * 1024 // size))
        stretches = Stretches(log.read)
        place, bytes_seen = FIRST, 0
        while bytes_seen < 2 * KEPT_BYTES_MAX:
            stretch = await stretches.stretch(place, EntryId(10**9))
            bytes_seen += len(stretch.body(StreamForm.EVENTS))
            place = EntryId(stretch.last + 1)
            kept = list(stretches._kept.values())
            assert stretches._size == sum(one.kept_size for one in kept)
            assert stretches._size <= KEPT_BYTES_MAX or len(kept) == 1
            for one in kept:
                assert one.kept_size >= len(one.lines) + len(one.events or b"")

    _run(story)


def test_what_is_used_stays_while_others_read_far_behind() -> None:
    async def story() -> None:
        log = _Log(size=1000, chunk_entries=64)
        stretches = Stretches(log.read)
        live = EntryId(10**6)
        await stretches.stretch(live, live)
        place = FIRST
        for _ in range(200):
            stretch = await stretches.stretch(place, EntryId(10**5))
            place = EntryId(stretch.last + 1)
            await stretches.stretch(live, live)
        assert log.reads.count(live) == 1

    _run(story)


def test_damage_is_told_to_all_who_wait_and_is_not_kept() -> None:
    async def story() -> None:
        log = _Log()
        log.fails = True
        stretches = Stretches(log.read)
        got = await asyncio.gather(
            *(stretches.stretch(FIRST, EntryId(3)) for _ in range(3)), return_exceptions=True
        )
        assert [type(one) for one in got] == 3 * [DamagedLogError]
        log.fails = False
        assert (await stretches.stretch(FIRST, EntryId(3))).last == 3
        assert log.open == 0

    _run(story)


def test_a_read_that_brings_nothing_is_damage_and_no_endless_loop() -> None:
    async def story() -> None:
        stretches = Stretches(_Log().read)
        with pytest.raises(DamagedLogError, match="entry 5"):
            await stretches.stretch(EntryId(5), EntryId(4))

    _run(story)
