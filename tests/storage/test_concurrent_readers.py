"""Readers in other threads while the writer appends, cuts and repairs, on a real disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread

import pytest

from replog.core.entry import GENESIS, EntryId
from replog.storage.filesystem import PosixFilesystem
from replog.storage.log import Log
from replog.storage.span import spans
from tests.storage.logs import append, append_durably, open_log, read, stream

DEADLINE_S = 60


class Threads:
    """Threads that run until they are told to stop; what they raise fails the test."""

    def __init__(self) -> None:
        self.stop = Event()
        self.failures: list[BaseException] = []
        self._threads: list[Thread] = []

    def run(self, step: Callable[[], None]) -> Event:
        """Call `step` again and again; the event returned is set after its first return."""
        stepped = Event()

        def loop() -> None:
            try:
                while not self.stop.is_set():
                    step()
                    stepped.set()
            except BaseException as error:  # noqa: BLE001 - handed to the test's own thread
                self.failures.append(error)
                stepped.set()

        thread = Thread(target=loop, daemon=True)
        self._threads.append(thread)
        thread.start()
        return stepped

    def end(self) -> None:
        self.stop.set()
        for thread in self._threads:
            thread.join(DEADLINE_S)
            assert not thread.is_alive()
        if self.failures:
            raise self.failures[0]


def expected(first: int, last: int) -> bytes:
    return b"".join(b'{"id":%d,"message":"message %d"}\n' % (n, n) for n in range(first, last + 1))


def fill(log: Log, count: int) -> None:
    for _ in range(count):
        append(log, f"message {log.head.last_id + 1}")


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return open_log(PosixFilesystem(), directory=str(tmp_path), segment_bytes_max=20_000)


def test_a_read_goes_on_in_the_segment_that_took_the_place_of_its_own(tmp_path: Path) -> None:
    log = open_log(PosixFilesystem(), directory=str(tmp_path), segment_bytes_max=10**7)
    heads = [append_durably(log, "x" * 100_000) for _ in range(8)]
    whole = read(log, 1, 6)
    reader = log.reader(EntryId(1), EntryId(6))
    begun = reader.next_chunk()
    assert begun is not None
    assert len(begun) < len(whole)
    log.cut(heads[6])
    assert begun + b"".join(iter(reader.next_chunk, None)) == whole
    log.close()


def test_readers_see_a_gapless_prefix_while_the_writer_appends(log: Log) -> None:
    fill(log, 100)
    log.sync()
    threads = Threads()

    def read_entries() -> None:
        last = log.durable.last_id
        assert read(log, 1, last) == expected(1, last)

    def read_batches() -> None:
        after, through = GENESIS, log.durable.last_id
        while (found := log.read_batches(after, through=through, size_max=5000)) is not None:
            head, payload = found
            batches = list(spans(payload))
            assert batches[0].prev == after.hash
            assert batches[-1].head == head
            after = head
        assert after.last_id == through

    def look_around() -> None:
        last = log.durable.last_id
        for at in range(0, last, 37):
            below, above = log.around(EntryId(at))
            assert above is not None
            assert (below.last_id, above.last_id) == (at, at + 1)
            assert log.contains(below)

    def scrub() -> None:
        assert log.scrub_next() is None

    stepped = [threads.run(step) for step in (read_entries, read_batches, look_around, scrub)]
    for _ in range(100):
        fill(log, 10)
        log.sync()
    for event in stepped:
        assert event.wait(DEADLINE_S)
    threads.end()
    assert log.damage == ()


def test_readers_of_what_stays_do_not_notice_a_cut(log: Log, tmp_path: Path) -> None:
    fill(log, 150)
    log.sync()
    kept = log.head
    half_way = log.reader(EntryId(1), kept.last_id)
    first = half_way.next_chunk()
    threads = Threads()

    def read_entries() -> None:
        assert read(log, 1, kept.last_id) == expected(1, kept.last_id)

    def read_batches() -> None:
        after = GENESIS
        while after != kept:
            found = log.read_batches(after, through=kept.last_id, size_max=5000)
            assert found is not None
            after = found[0]

    def read_what_comes_and_goes() -> None:
        head = log.head
        below, _ = log.around(EntryId(max(head.last_id - 3, 0)))
        log.read_batches(below, through=head.last_id, size_max=500)

    steps = (read_entries, read_batches, read_what_comes_and_goes)
    stepped = [threads.run(step) for step in steps]
    for _ in range(15):
        fill(log, 60)
        log.sync()
        log.cut(kept)
        assert log.head == log.durable == kept
    for event in stepped:
        assert event.wait(DEADLINE_S)
    threads.end()
    assert log.damage == ()
    rest = b""
    while (chunk := half_way.next_chunk()) is not None:
        rest += chunk
    assert (first or b"") + rest == expected(1, kept.last_id)
    log.close()
    again = open_log(PosixFilesystem(), directory=str(tmp_path), segment_bytes_max=20_000)
    assert (again.head, again.damage) == (kept, ())


def test_a_reader_that_began_before_a_repair_ends_after_it(log: Log, tmp_path: Path) -> None:
    for size in (1, 2, 3):
        append_durably(log, *[f"message {log.head.last_id + n}" for n in range(1, size * 300)])
    head, lines = log.head, read(log)
    batches = stream(log, size_max=1)
    log.close()
    path = sorted((tmp_path / "segments").iterdir())[1]
    content = path.read_bytes()
    log = open_log(PosixFilesystem(), directory=str(tmp_path), segment_bytes_max=20_000)
    reader = log.reader(EntryId(1), head.last_id)
    read_so_far = reader.next_chunk() or b""
    path.write_bytes(content[:1000] + b"?" + content[1001:])
    damage = None
    while damage is None:
        damage = log.scrub_next()
    payload = b"".join(
        batch.payload
        for batch in batches
        if damage.before.last_id < batch.head.last_id <= (damage.last_id or head.last_id)
    )
    log.repair(damage, payload)
    assert log.head == head
    while (chunk := reader.next_chunk()) is not None:
        read_so_far += chunk
    assert read_so_far == lines
