"""A trace is read as strace writes it, and an order that a loss of power punishes is seen.

PURE, and SHELL where a real program is traced.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from proving.calls import Call, Left, parse_trace
from proving.harnesses.syscalls import boundaries
from proving.harnesses.syscalls.stories import STORIES
from proving.needs import STRACE
from proving.order import Told, broken_orders
from tests.support.needed import need

TRACE = r"""
12 1795931758.300000001 openat(AT_FDCWD</d>, "/d/segments/00000000000000000001.ndjson", O_RDWR|O_CREAT|O_EXCL|O_CLOEXEC, 0644) = 3</d/segments/00000000000000000001.ndjson>
12 1795931758.400000000 pwrite64(3</d/segments/00000000000000000001.ndjson>, "{\"id\":1,\"message\":\"a = \\\"\303\244\\\"\"}\n{\"batch\":{\"first\":1,\"last\":1", 65, 0) = 65
13 1795931758.500000000 write(9<socket:[7]>, "HTTP/1.1 200 OK\r\n", 17 <unfinished ...>
12 1795931758.600000000 fdatasync(3</d/segments/00000000000000000001.ndjson>) = -1 EIO (Input/output error) (INJECTED)
13 1795931758.700000000 <... write resumed>) = 17
12 1795931758.800000000 fsync(4</d/segments> <unfinished ...>
12 1795931758.900000000 <... fsync resumed>) = ?
13 1795931759.000000000 +++ killed by SIGKILL +++
12 1795931759.100000000 +++ exited with 1 +++
"""  # noqa: E501 - as it comes


def test_calls_are_read_with_what_matters_of_them() -> None:
    trace = parse_trace(TRACE.splitlines()[1:])
    made, written, told, failed, last = trace.calls
    path = "/d/segments/00000000000000000001.ndjson"
    assert (made.name, made.path, made.descriptor, made.result) == ("openat", path, 3, 3)
    assert (written.path, written.result, written.error) == (path, 65, None)
    assert written.data.encode("latin-1").decode().startswith('{"id":1,"message":"a = \\"ä\\""}\n')
    assert (told.thread, told.path, told.began, told.ended) == (13, "socket:[7]", 2, 4)
    assert told.data == "HTTP/1.1 200 OK\r\n"
    assert (failed.result, failed.error, failed.is_injected) == (-1, "EIO", True)
    assert (last.name, last.result, last.ended, last.has_succeeded) == ("fsync", None, None, False)
    assert trace.left == Left(1795931759.1, 1)


SEGMENT = "/d/segments/00000000000000000001.ndjson"
NEXT = "/d/segments/00000000000000000003.ndjson"


def batch(first: int, last: int) -> str:
    return rf'"{{\"batch\":{{\"first\":{first},\"last\":{last},\"epoch\":1", 99, 0'


def make(path: str) -> tuple[str, str, str]:
    return "openat", path, f'"{path}", O_RDWR|O_CREAT|O_EXCL'


def write(path: str, first: int, last: int) -> tuple[str, str, str]:
    return "pwrite64", path, batch(first, last)


def sync(path: str) -> tuple[str, str, str]:
    return "fdatasync", path, ""


NAMES = ("fsync", "/d/segments", "")
EPOCH = (
    ("openat", "/d/node.json.new", '"/d/node.json.new", O_CREAT|O_EXCL'),
    ("pwrite64", "/d/node.json.new", r'"\"epoch\": 3,", 12, 0'),
    sync("/d/node.json.new"),
    ("rename", "/d/node.json.new", '"/d/node.json.new", "/d/node.json"'),
    ("fsync", "/d", ""),
)
APPEND = (make(SEGMENT), write(SEGMENT, 1, 2), sync(SEGMENT), NAMES)
ROLL = (*APPEND, make(NEXT), write(NEXT, 3, 3), sync(NEXT), NAMES)
CUT = (
    ("openat", "/d/quarantine/a", '"/d/quarantine/a", O_CREAT|O_EXCL'),
    ("pwrite64", "/d/quarantine/a", '"tail", 4, 0'),
    sync("/d/quarantine/a"),
    ("fsync", "/d/quarantine", ""),
    ("unlink", NEXT, f'"{NEXT}"'),
    NAMES,
    ("ftruncate", SEGMENT, "100"),
    sync(SEGMENT),
)

Steps = Sequence[tuple[str, str, str]]


def calls(steps: Steps) -> list[Call]:
    """Return the steps as calls, one after another, on descriptors that are their files'."""
    return [
        Call(
            name=name,
            path=path,
            arguments=arguments,
            target="/d/node.json" if name == "rename" else "",
            descriptor=sum(path.encode()),
            began=at,
            ended=at,
        )
        for at, (name, path, arguments) in enumerate(steps)
    ]


def orders(steps: Steps, *, last_id: int = 0, epoch: int = 0, is_all: bool = False) -> list[str]:
    """Return what is wrong where something is told after the steps."""
    told = Told(last_id, epoch, is_all)
    done = calls([*steps, ("write", "socket", "")])
    return broken_orders(done, lambda call: told if call.name == "write" else None)


def without(steps: Steps, at: int) -> Steps:
    return [*steps[:at], *steps[at + 1 :]]


def test_the_right_order_is_found_right() -> None:
    assert orders(APPEND, last_id=2) == []
    assert orders(ROLL, last_id=3) == []
    assert orders(EPOCH, epoch=3) == []
    assert orders((*ROLL, *CUT), is_all=True) == []
    assert orders((*APPEND, write(SEGMENT, 3, 3)), last_id=2) == [], "it travels before its sync"
    assert orders(((*APPEND, ("pwrite64", "/d/marks", '"note", 4096, 8192'))), is_all=True) == []


@pytest.mark.parametrize(
    ("steps", "last_id", "epoch", "is_all"),
    [
        (APPEND, 2, 0, False),
        (ROLL, 3, 0, False),
        (EPOCH, 0, 3, False),
        ((*ROLL, *CUT), 0, 0, True),
    ],
    ids=["append", "roll", "epoch", "cut"],
)
def test_each_sync_that_is_missing_is_missed(
    steps: Steps, last_id: int, epoch: int, is_all: bool
) -> None:
    told_before = len(ROLL) if is_all else 0  # what a cut takes away need not have been synced
    syncs = [at for at, step in enumerate(steps) if step[0] in {"fsync", "fdatasync"}]
    syncs = [at for at in syncs if at >= told_before]
    assert syncs
    for at in syncs:
        found = orders(without(steps, at), last_id=last_id, epoch=epoch, is_all=is_all)
        assert found, f"{steps[at]} was not missed"


def test_a_sync_that_began_before_the_write_had_returned_covers_nothing() -> None:
    made, written, synced, names = calls(APPEND)
    early = Call(name="fdatasync", path=SEGMENT, descriptor=3, began=1, ended=9)
    late = Call(name="pwrite64", path=SEGMENT, arguments=written.arguments, began=0, ended=5)
    told = Call(name="write", path="socket", began=12, ended=12)
    named = Call(name="fsync", path="/d/segments", began=10, ended=11)
    done = [made, late, early, named, told]
    found = broken_orders(done, lambda call: Told(last_id=2) if call is told else None)
    assert len(found) == 1
    assert "told before" in found[0]
    del synced, names


def test_what_was_told_without_having_been_written_is_seen() -> None:
    assert "entry 3, which was not written" in orders(APPEND, last_id=3)[0]
    assert "epoch 4, which was not stored" in orders(EPOCH, epoch=4)[0]


def test_a_second_sync_on_a_descriptor_after_one_that_failed_is_seen() -> None:
    failed = Call(name="fdatasync", descriptor=3, path=SEGMENT, result=-1, error="EIO", ended=0)
    again = Call(name="fdatasync", descriptor=3, path=SEGMENT, began=2, ended=2)
    closed = Call(name="close", descriptor=3, path=SEGMENT, began=1, ended=1)
    assert "a second sync" in broken_orders([failed, again], lambda call: None)[0]
    assert broken_orders([failed, closed, again], lambda call: None) == []


@pytest.mark.processes
def test_a_real_program_without_one_of_its_syncs_is_caught(tmp_path: Path) -> None:
    """Every sync of a real trace is needed, but for those that prove what was proved before."""
    need(STRACE)
    number, story = next(
        (number, story) for number, story in enumerate(STORIES) if story.of == "roll (a master)"
    )
    story.prepare(tmp_path / "start")
    run = boundaries.run(number, tmp_path / "start", tmp_path / "whole")
    boundaries.check_whole(story, run, tmp_path / "whole")
    synced = [call for call in run.calls if call.name in {"fdatasync", "fsync"}]
    needless = [
        one
        for one in synced
        if not broken_orders([call for call in run.calls if call is not one], boundaries.told)
    ]
    # At its start a node writes what it reads as it stands: who trusts the page cache is caught
    # by tests of storage, not by the order of calls.
    first_batch = next(call.began for call in run.calls if '{"batch":' in call.data)
    assert len(synced) > 15
    assert all(call.began < first_batch for call in needless), needless
