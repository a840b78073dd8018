"""Thousands of histories; each failure says the one command that repeats it."""

from __future__ import annotations

import collections
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulator.__main__ import main
from tests.simulator.history import run, run_mixed
from tests.simulator.planted.disk import never_sync_segments
from tests.simulator.states import STATES
from tests.simulator.world import Trace

ROOT = Path(__file__).parents[2]

SLOW_CHUNK = 980
SLOW_CHUNKS = 10
FAST_CHUNK = 25
FAST_CHUNKS = 8

SOMETIMES = (
    "killed",
    "power lost",
    "power lost everywhere",
    "power lost in a sync",
    "clean stop",
    "death inside a call",
    "lost write",
    "torn write",
    "lost name",
    "failed sync",
    "failed write",
    "full disk",
    "full disk at create",
    "wiped disk",
    "bit flip",
    "lost end of a log",
    "tail lost with a laggard",
    "hand over",
    "refusal: stale-epoch",
    "damage found at open",
    "torn tail cut at open",
    "repaired range",
    "cut to quarantine",
    "cut connection",
    "message lost in a cut",
    "late bytes of a dead link",
    "paused direction",
    "paused both ways",
    "isolated master",
    "slow network",
    "wall clock jumped",
    "clocks drift",
    "change put off by a full disk",
    "refusal: same-node",
    "refusal: not-a-secondary",
    "corrupted batch on a link",
    "duplicate: Batches",
    "duplicate: Acknowledgement",
    "dial failed: refused",
    "dial failed: no answer",
    "appends arrived together",
    "client hung up",
    "node gave up",
    "adopted by the master",
    "message: Fetch",
    "message: Cut",
    "message: Probe",
    "answer: Stored",
    "answer: Pending",
    "answer: Refused",
    "retry in flight",
    "retry without an answer",
    "retry after Pending",
    "retry after Stored",
    "retry after Refused",
    "replayed",
    "replayed: Pending",
    "replayed from an adopted batch",
    "stored again beyond the window",
    "key reused",
    "refused: idempotency-key-reused",
    "refused: precondition-failed",
    "refused: bad-write-concern",
    "refused: no-quorum",
    "refused: disk-full",
    "refused: damaged",
    "refused: stopping",
    "stored as expected",
    "receipt: Stored",
    "receipt: Pending",
    "receipt: unknown-id",
    "read met: min_id",
    "read met: linearizable",
    "read met: max_lag",
    "read not met: min_id",
    "read not met: linearizable",
    "read not met: max_lag",
    # With faults that take the last copy:
    "lying sync",
    "write lost unsaid",
    "rot anywhere",
    "lost end anywhere",
    "wiped master",
    "master: another log was found",
    "peer: diverged",
    "refusal: other-log",
    "refused: log-found-elsewhere",
)
"""What every chunk of the slow run must have met at least once, beside the core's STATES."""


RARE = {
    "master: opens its epoch anew": "hand over",
    "a rejoin broken off: repairing": "rot",
}
"""What a chunk may miss, and the action that leads there."""


@pytest.mark.parametrize("chunk", range(FAST_CHUNKS))
def test_the_promises_hold_in_the_first_histories(chunk: int) -> None:
    for seed in range(chunk * FAST_CHUNK, (chunk + 1) * FAST_CHUNK):
        run_mixed(seed)


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(SLOW_CHUNKS))
def test_the_promises_hold_in_many_histories_that_meet_every_fault(chunk: int) -> None:
    counts: collections.Counter[str] = collections.Counter()
    first = 1000 + chunk * SLOW_CHUNK
    for seed in range(first, first + SLOW_CHUNK):
        counts.update(run_mixed(seed).counts)
    expected = {*SOMETIMES, *STATES} - RARE.keys()
    assert sorted(what for what in expected if not counts[what]) == []


@pytest.mark.slow
@pytest.mark.parametrize("state", RARE)
def test_the_rarest_states_are_reached_where_they_are_looked_for(state: str) -> None:
    assert any(run(seed, focus=RARE[state]).counts.get(state) for seed in range(400))


@pytest.mark.parametrize("is_capped", [True, False])
@pytest.mark.parametrize("seed", [3, 11])
def test_a_seed_gives_the_same_history_each_time(seed: int, is_capped: bool) -> None:
    traces = [Trace(), Trace()]
    for trace in traces:
        run(seed, is_capped=is_capped, trace=trace)
    assert traces[0].lines == traces[1].lines
    assert len(traces[0].lines) > 100


@pytest.mark.parametrize("options", [[], ["--uncapped"]])
def test_a_seed_gives_the_same_history_in_another_process_with_other_hashes(
    options: list[str],
) -> None:
    """The order of sets and dicts of bytes differs with PYTHONHASHSEED; a history does not."""

    def trace_hash(hash_seed: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "tests.simulator", "--seed", "5", "--trace", *options],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT / "src")},
            capture_output=True,
            text=True,
            check=True,
        )
        found = re.search(r"^trace ([0-9a-f]{64})$", done.stdout, re.MULTILINE)
        assert found is not None, done.stdout[-2000:]
        return found[1]

    trace = Trace()
    run(5, is_capped=not options, trace=trace)
    assert trace_hash("1") == trace_hash("2") == trace.hash()


def test_the_command_that_a_failing_seed_prints_repeats_its_history_exactly(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Run in this process, so that the bug that was put in is there the second time too."""
    never_sync_segments(monkeypatch)
    trace, error = first_failure(steps=60, focus="lose power")
    [note] = error.__notes__
    words = shlex.split(note.removeprefix("repeat it with: "))
    assert words[:3] == [".venv/bin/python", "-m", "tests.simulator"]
    monkeypatch.setattr(sys, "argv", words[2:])
    assert main() == 1
    printed, complaint = capsys.readouterr()
    assert printed.splitlines()[:-1] == trace.lines
    assert str(error) in complaint
    assert note in complaint


def first_failure(*, steps: int, focus: str) -> tuple[Trace, AssertionError]:
    for seed in range(50):
        trace = Trace()
        try:
            run(seed, steps=steps, focus=focus, trace=trace)
        except AssertionError as error:
            return trace, error
    raise AssertionError("the bug that was put in was not seen")
