"""Small pages on the event loop, and the threads that take over from a slow disk."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from random import Random

import pytest

from replog.core.entry import EntryId
from replog.core.errors import DamagedLogError
from replog.node import serving
from replog.node.serving import Pages
from tests.simulator.disk import SimFilesystem
from tests.storage.logs import Original, append_durably, disk_with, everything, open_log

FIRST = EntryId(1)


@dataclass
class Clock:
    """A clock that a test sets, and which each look at moves on."""

    now: float = 100.0
    step: float = 0.0

    def monotonic(self) -> float:
        self.now += self.step
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(serving, "time", clock)
    return clock


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as threads:
        yield threads


def _no_damage() -> None:
    raise AssertionError("there is no damage")


@pytest.fixture
def pages(threads: ThreadPoolExecutor) -> Pages:
    log = open_log(SimFilesystem(Random(0)))
    append_durably(log, "one", "two")
    return Pages(log, threads, found_damage=_no_damage)


def test_two_slow_reads_in_a_row_send_the_next_ones_to_the_threads(
    pages: Pages, clock: Clock
) -> None:
    clock.step = 0.02
    assert pages.at_hand(FIRST, FIRST) is not None
    assert pages.at_hand(FIRST, FIRST) is not None
    assert pages.at_hand(FIRST, FIRST) is None
    clock.step = 0.0
    assert pages.at_hand(FIRST, FIRST) is None
    clock.now += 1.1
    assert pages.at_hand(FIRST, FIRST) is not None


def test_a_slow_read_between_quick_ones_changes_nothing(pages: Pages, clock: Clock) -> None:
    for step in (0.02, 0.0, 0.02, 0.0, 0.02, 0.0):
        clock.step = step
        assert pages.at_hand(FIRST, FIRST) is not None


def test_a_long_page_is_never_read_on_the_loop(pages: Pages) -> None:
    assert pages.at_hand(FIRST, EntryId(1001)) is None


def test_damage_that_a_look_finds_is_told(threads: ThreadPoolExecutor) -> None:
    disk = SimFilesystem(Random(0))
    log = open_log(disk, segment_bytes_max=1500)
    for place in range(12):
        append_durably(log, f"message {place} " + "x" * 100)
    log.close()
    original = Original(everything(disk))
    path = original.segments[0]
    rotten = original.files[path].replace(b"message 0", b"massage 0")
    for is_time in (True, False):
        log = open_log(disk_with({**original.files, path: rotten}))
        told: list[bool] = []
        pages = Pages(log, threads, found_damage=partial(told.append, True))
        looked = pages.first_since(0) if is_time else pages.hash_at(FIRST)
        with pytest.raises(DamagedLogError):
            asyncio.run(looked)
        assert told == [True]
