"""Row 5: a program is killed at one of its system calls, and what it left goes on.

SHELL. A trace of a run to the end says which calls there are. A case is some of a story's.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from proving.calls import Call
from proving.disks import held_on_disk
from proving.harness import Counts, Violation
from proving.harnesses.syscalls.stories import (
    STORIES,
    Story,
    messages_of,
    open_here,
    original,
    say_nothing,
    segments_of,
)
from proving.order import Told, broken_orders
from proving.strace import Strace, wait_held
from tests.support.cluster import clean_environment
from tests.support.launching import launch

PARTS = 24
"""A case is every 24th boundary of one story: so many can be counted before they are known."""

PROGRAM = "proving.harnesses.syscalls.stories"
_SAID = re.compile(r"(entry|another's|epoch|closed) (\d+)")


@dataclass(frozen=True, slots=True)
class Run:
    """One process that ran a story.

    Attributes:
        calls: what it asked of the kernel about its directory and its stdout.
        said: what it acknowledged.
    """

    status: int
    calls: tuple[Call, ...]
    said: tuple[tuple[str, int], ...]

    def highest(self, what: str) -> int:
        return max((number for name, number in self.said if name == what), default=0)


def run_part(case: int, directory: Path) -> Counts:
    """Kill a story at each boundary of the case's part, and look at what each kill left."""
    number, part = divmod(case, PARTS)
    story = STORIES[number]
    start = directory / "start"
    story.prepare(start)
    whole = run(number, start, directory / "whole")
    check_whole(story, whole, directory / "whole")
    counts = Counter({f"boundaries of {story.of}": 0})
    for at in range(part, len(whole.calls), PARTS):
        left = directory / f"killed-at-{at}"
        killed = run(number, start, left, kill=whole.calls[: at + 1])
        try:
            check_kill(story, whole, at, killed)
            check_left(story, killed, left)
        except AssertionError as error:
            raise Violation(
                f"{story.of}, killed at call {at}, {whole.calls[at]}: {error}"
            ) from error
        shutil.rmtree(left)
        counts[f"boundaries of {story.of}"] += 1
        counts["boundaries"] += 1
        counts[f"killed at {whole.calls[at].name}"] += 1
    return counts


def run(number: int, start: Path, directory: Path, *, kill: tuple[Call, ...] = ()) -> Run:
    """Run a story in a copy of `start`, to its end or to the last of the calls `kill`."""
    shutil.copytree(start, directory)
    output, trace = Path(f"{directory}.said"), Path(f"{directory}.trace")
    process = launch([str(number), str(directory)], clean_environment(), output, program=PROGRAM)
    wait_held(process.pid)
    inject = None
    if kill:
        name = kill[-1].name
        when = sum(call.name == name for call in kill)
        inject = f"{name}:signal=KILL:when={when}"
    with Strace(process.pid, trace, inject=inject) as strace:
        os.kill(process.pid, signal.SIGCONT)
        status = process.wait(60)
    said = tuple((what, int(count)) for what, count in _SAID.findall(output.read_text()))
    return Run(status, strace.read().calls, said)


def told(call: Call) -> Told | None:
    """Return what a story acknowledges by this call."""
    return Told(is_all=True) if call.name == "write" and _SAID.match(call.data) else None


def check_whole(story: Story, whole: Run, directory: Path) -> None:
    """Assert that a run to the end does what it should, in the order in which it should."""
    assert whole.status == 0, (story.of, whole.status, whole.said)
    assert segments_of(directory) == original(story.batches).files, story.of
    broken = broken_orders(whole.calls, told)
    if broken:
        raise Violation(f"{story.of}: " + "\n".join(broken))


def check_kill(story: Story, whole: Run, at: int, killed: Run) -> None:
    """Assert that the process was killed at the call that was meant, before it was made."""
    assert killed.status == -signal.SIGKILL, f"it ended with {killed.status}"
    assert [call.name for call in killed.calls] == [call.name for call in whole.calls[: at + 1]], (
        f"{story.of} does not repeat itself"
    )
    assert killed.calls[-1].result is None, killed.calls[-1]


def check_left(story: Story, killed: Run, directory: Path) -> None:
    """Assert that all that was acknowledged is there, and that the log goes on from there."""
    acknowledged = max(story.held, killed.highest("entry"))
    everything = [text for batch in range(len(original().payloads)) for text in messages_of(batch)]
    if not story.is_damaged:
        held = held_on_disk(directory).messages
        assert held[:acknowledged] == everything[:acknowledged], "an acknowledged entry is gone"
    epoch = killed.highest("epoch")
    first = opened(story, directory)
    second = opened(story, directory)
    assert second == first, "opened twice, it is not the same"
    assert first.last_id >= acknowledged or first.is_damaged, f"{acknowledged} were acknowledged"
    assert first.epoch >= epoch, f"epoch {epoch} was acknowledged, there is {first.epoch}"
    assert story.is_damaged or not first.is_damaged, "the log is damaged"
    data = open_here(directory, story.role)
    story.run(data, say_nothing)
    data.close()
    last = opened(story, directory)
    assert (last.files, last.is_damaged) == (original(story.batches).files, False), "it went on"
    assert held_on_disk(directory).messages == everything[: last.last_id]


@dataclass(frozen=True, slots=True)
class Opened:
    """What a directory holds once it was opened and closed."""

    files: dict[str, bytes]
    last_id: int
    epoch: int
    is_damaged: bool


def opened(story: Story, directory: Path) -> Opened:
    data = open_here(directory, story.role)
    try:
        log = data.log
        assert log.durable == log.head
        return Opened(segments_of(directory), log.head.last_id, data.state.epoch, bool(log.damage))
    finally:
        data.close()
