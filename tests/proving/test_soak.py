"""A soak judges what its nodes use, and does to them what it says.

SHELL.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from proving.harness import Violation
from proving.harnesses.soak import soak
from proving.needs import PROC, lacking
from proving.usage import MIB, Usage, Watch, assert_flat, thirds
from tests.support.waiting import wait_until

needs_proc = pytest.mark.skipif(lacking((PROC,)) is not None, reason="needs /proc")


@pytest.mark.processes
@needs_proc
def test_some_seconds_of_a_soak_hold(tmp_path: Path) -> None:
    soaked = soak(14, tmp_path, seconds=1.5, fault_every_s=1)
    assert soaked.spared == "secondary-2"
    first, last = thirds(soaked.samples)
    assert min(first.resident_bytes, last.resident_bytes) > MIB
    assert soaked.counts["append ok"] > 0
    assert soaked.counts["bytes of the log"] > 0


@pytest.mark.parametrize(
    ("leak", "found"),
    [
        (Usage(MIB, 0, 0), "resident_bytes"),
        (Usage(0, 1, 0), "descriptors"),
        (Usage(0, 0, 1), "threads"),
        (Usage(0, 0, 0, 2), "segment_files"),
        (Usage(0, 0, 0, 1), None),
        (Usage(1000, 0, 0), None),
    ],
)
def test_what_grows_all_the_time_is_told_from_noise(leak: Usage, found: str | None) -> None:
    samples = [
        Usage(
            100 * MIB + number % 5 * MIB + number * leak.resident_bytes,
            40 + number % 3 + number * leak.descriptors,
            5 + number * leak.threads,
            number * leak.segment_files,
        )
        for number in range(60)
    ]
    if found is None:
        assert_flat("a node", samples)
    else:
        with pytest.raises(Violation, match=f"a node used [0-9,]+ {found} at first"):
            assert_flat("a node", samples)


@needs_proc
def test_files_of_segments_are_counted_apart(tmp_path: Path) -> None:
    """They become more for as long as the log grows, and the rest must not."""
    before = Usage.of(os.getpid())
    (tmp_path / "segments").mkdir()
    with (tmp_path / "segments" / "1.ndjson").open("w"), (tmp_path / "marks").open("w"):
        opened = Usage.of(os.getpid())
    assert opened.segment_files - before.segment_files == 1
    assert opened.descriptors - before.descriptors == 1


@needs_proc
def test_a_watch_sees_what_a_process_opens() -> None:
    with Watch([os.getpid()], every_s=0.01) as watch:
        watch.begin()
        [samples] = watch.samples.values()
        wait_until(lambda: len(samples) > 5, "there are samples")
        before = min(sample.descriptors for sample in samples)
        opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(50)]
        wait_until(
            lambda: samples[-1].descriptors - before >= 50,  # a sample may fall between two opens
            "the open files are seen",
        )
    for one in opened:
        os.close(one)
