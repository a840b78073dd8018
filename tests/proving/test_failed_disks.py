"""What row 4 looks for in a node whose disk failed is seen where it is.

PURE, and SHELL where a disk really fails.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from proving.calls import Call, Left, Trace
from proving.harness import Violation
from proving.harnesses.syscalls.full_loop import loop_disk, run_case
from proving.harnesses.syscalls.last_calls import (
    Failure,
    first_failure,
    refused_though_written,
    syncs_after,
)
from proving.needs import LOOP_MOUNTS, STRACE
from tests.support.needed import need

SEGMENT = "/d/segments/00000000000000000001.ndjson"
MARKS = "/d/marks"


def one(
    at: int,
    name: str,
    path: str,
    *,
    error: str | None = None,
    arguments: str = "",
    descriptor: int = 3,
    lasts: int = 0,
) -> Call:
    """Return a call that began at line `at` of a trace, which is second `at`."""
    return Call(
        name=name,
        path=path,
        descriptor=descriptor,
        arguments=arguments,
        began=at,
        ended=at + lasts,
        at_s=at,
        took_s=lasts,
        result=0 if error is None else -1,
        error=error,
    )


def failure(call: Call) -> Failure:
    return Failure(call, 0.0)


FAILED = one(10, "fdatasync", SEGMENT, error="EIO", lasts=2)


def test_the_failure_that_returned_first_counts_and_time_runs_from_its_return() -> None:
    """Files elsewhere may fail, names may be missing, and a full disk is no failed one."""
    before = [
        one(1, "write", "socket:[7]", error="EIO"),
        one(2, "openat", "/d/node.json.new", error="ENOENT"),
        one(3, "pwrite64", SEGMENT, error="ENOSPC"),
        one(4, "fdatasync", SEGMENT),
        one(9, "pwrite64", MARKS, error="EROFS", lasts=9),
    ]
    found = first_failure(Trace((*before, FAILED), Left(12.5, 1)), "/d")
    assert found == Failure(FAILED, 0.5)
    assert found.is_sync
    written = one(5, "pwrite64", SEGMENT, error="EROFS")
    assert not first_failure(Trace((*before, written, FAILED), Left(12.5, 1)), "/d").is_sync


def test_a_sync_that_failed_for_want_of_space_is_a_failed_sync() -> None:
    full = one(5, "fdatasync", SEGMENT, error="ENOSPC")
    assert first_failure(Trace((full, FAILED), Left(12.5, 1)), "/d").call is full


@pytest.mark.parametrize(
    ("trace", "says"),
    [
        (Trace((one(1, "fdatasync", SEGMENT),), Left(2.0, 1)), "no call failed among 1"),
        (Trace((FAILED,), None), "did not see the end"),
    ],
)
def test_a_trace_that_shows_nothing_is_refused(trace: Trace, says: str) -> None:
    with pytest.raises(AssertionError, match=says):
        first_failure(trace, "/d")


@pytest.mark.parametrize(
    "again",
    [
        one(13, "fdatasync", SEGMENT),
        one(13, "fsync", SEGMENT, error="EIO"),
        one(13, "fdatasync", SEGMENT, descriptor=4),
        one(13, "sync_file_range", MARKS),
        one(13, "fsync", "/d/segments"),
    ],
    ids=["again", "again and again", "another descriptor", "another file", "names"],
)
def test_after_a_failed_sync_each_one_is_seen(again: Call) -> None:
    assert syncs_after(failure(FAILED), [FAILED, again], "/d") == [again]


def test_what_had_begun_and_what_is_no_sync_may_follow_a_failed_sync() -> None:
    calls = [
        one(3, "fdatasync", SEGMENT),
        one(11, "fsync", "/d/segments"),
        FAILED,
        one(13, "pwrite64", MARKS),
        one(14, "fsync", "/elsewhere"),
    ]
    assert syncs_after(failure(FAILED), calls, "/d") == []


def test_after_a_failed_write_a_sync_of_that_file_is_seen() -> None:
    written = one(10, "pwrite64", SEGMENT, error="EROFS")
    other = one(11, "fdatasync", MARKS)
    same = one(12, "fdatasync", SEGMENT, descriptor=8)
    assert syncs_after(failure(written), [written, other, same], "/d") == [same]


def test_what_was_written_even_in_part_and_then_refused_is_seen() -> None:
    data = (
        r'"{\"id\":1,\"message\":\"a = \\\"\303\244\\\"\"}\n{\"id\":2,\"message\":\"b\"}\n", 44, 0'
    )
    calls = [
        one(1, "pwrite64", SEGMENT, arguments=data, error="EIO"),
        one(2, "pwrite64", "/elsewhere", arguments=data),
        Call(name="pwrite64", path=SEGMENT, arguments=data, result=0),
    ]
    assert refused_though_written(["b"], calls, "/d") == []
    calls.append(Call(name="pwrite64", path=SEGMENT, arguments=data, result=40))
    assert refused_though_written(["b", "c"], calls, "/d") == ["b"]
    assert refused_though_written(['a = "ä"'], calls, "/d") == ['a = "ä"']


def test_room_that_the_kernel_took_meanwhile_is_not_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need(LOOP_MOUNTS)
    real, looks = os.statvfs, 0

    def more_at_first(path: Path) -> os.statvfs_result:
        nonlocal looks
        looks += 1
        room = list(real(path))
        room[4] += 100 * (looks == 1)  # f_bavail, in blocks
        return os.statvfs_result(room)

    memory = tmp_path / "memory"
    with loop_disk(memory, tmp_path / "disk", turns_read_only=False) as disk:
        monkeypatch.setattr(os, "statvfs", more_at_first)
        disk.take_the_room(but=0)
        assert (looks, real(memory).f_bavail) == (2, 0)
        disk.give_the_room_back()


@pytest.mark.processes
def test_a_node_that_syncs_again_after_a_disk_failed_is_caught(tmp_path: Path) -> None:
    need(LOOP_MOUNTS, STRACE)
    with pytest.raises(Violation, match=r"fdatasync\(.*EIO, and then .*fdatasync\("):
        run_case(0, tmp_path, "syncs_again")
