"""Row 15: whatever bytes come, a decoder returns or refuses, in bounded memory, and agrees.

PURE, but for the corpus that it replays.
"""

from __future__ import annotations

import gc
import tracemalloc
from base64 import b64decode
from collections.abc import Sequence
from pathlib import Path
from random import Random

from proving.fuzzing.asked import ASKED
from proving.fuzzing.mutation import mutated
from proving.fuzzing.stored import STORED
from proving.fuzzing.target import Target
from proving.harness import Counts, Harness, Violation

TARGETS: tuple[Target, ...] = (*STORED, *ASKED)
CORPUS = Path(__file__).parents[1] / "corpus"

RUNS = 10_000
"""Inputs that a case tries."""

MEASURED_EVERY = 200
"""The memory that decoding takes is measured for one input of so many, and for all large ones."""

LARGE = 8
"""An input is large where it is so many times as long as the longest of the good ones."""

FREE_BYTES = 512 * 1024
"""What decoding may take whatever the input is."""


def kept(target: Target) -> tuple[bytes, ...]:
    """Return the inputs that were worth keeping: one a line, in base64."""
    path = CORPUS / f"{target.name}.b64"
    if not path.exists():
        return ()
    return tuple(map(b64decode, path.read_bytes().splitlines()))


def try_one(target: Target, data: bytes, *, measured: bool) -> bool:
    """Return whether `data` was good; raises Violation for whatever else came of it."""
    try:
        if measured:
            return _measured(target, data)
        return target.decode(data)
    except Exception as error:
        raise Violation(
            f"{target.name}: {type(error).__name__}: {error}; keep the input as a line of "
            f"{CORPUS.name}/{target.name}.b64: {data!r}"
        ) from error


def _measured(target: Target, data: bytes) -> bool:
    tracemalloc.start()
    try:
        is_good = target.decode(data)
        taken = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    limit = FREE_BYTES + target.growth * len(data)
    if taken > limit:
        raise Violation(f"{len(data)} bytes took {taken} to decode, and may take {limit}")
    return is_good


def _run(target: Target, case: int) -> Counts:
    random = Random(f"{target.name} {case}")
    corpus: Sequence[bytes] = (*target.seeds, *kept(target))
    good = sum(try_one(target, data, measured=True) for data in corpus)
    if good == 0:
        raise Violation(f"{target.name}: none of its good inputs is good")
    usual = LARGE * max(map(len, corpus))
    measured = large = 0
    for number in range(RUNS):
        data = mutated(random, corpus, target.tokens, target.bytes_max)
        is_large = len(data) > usual
        is_measured = is_large or number % MEASURED_EVERY == 0
        good += try_one(target, data, measured=is_measured)
        measured += is_measured
        large += is_large
    gc.collect()
    return {"good": good, "measured": measured, "large": large, "replayed": len(corpus)}


def _harness(target: Target) -> Harness:
    return Harness(
        name=f"decode-{target.name}",
        row=15,
        promise=f"decoders are total: {target.what}",
        how="inputs like good ones, and all that are kept; only the documented errors, memory "
        "within a bound, readers that agree, and what is decoded encodes to what it was",
        unit="runs",
        cases=1_000,
        run=lambda case, _: _run(target, case),
        sample=(0,),
        per_case=RUNS,
        is_parallel=True,
        starts_processes=False,
    )


HARNESSES = tuple(map(_harness, TARGETS))
