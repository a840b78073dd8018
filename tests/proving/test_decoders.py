"""The harness of decoders sees what it is there to see, and its corpus is as it was left."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from proving.fuzzing import grow
from proving.fuzzing.mutation import mutated
from proving.fuzzing.resealed import resealed
from proving.fuzzing.stored import MUST, SEGMENT, UNUSUAL
from proving.fuzzing.target import Target
from proving.harness import Violation
from proving.harnesses import decoders
from proving.harnesses.decoders import CORPUS, TARGETS, try_one


def test_an_undocumented_error_is_a_finding() -> None:
    def divide(data: bytes) -> bool:
        return bool(1 / len(data))

    planted = Target("planted", "lengths", divide, (b"x",), ())
    assert try_one(planted, b"x", measured=False)
    with pytest.raises(Violation, match="ZeroDivisionError"):
        try_one(planted, b"", measured=False)


def test_memory_far_beyond_the_input_is_a_finding() -> None:
    def swell(data: bytes) -> bool:
        return bool(data * 1_000)

    planted = Target("planted", "much", swell, (b"x",), ())
    assert try_one(planted, b"x" * 5_000, measured=False)
    with pytest.raises(Violation, match="may take"):
        try_one(planted, b"x" * 5_000, measured=True)


@pytest.mark.parametrize("segment", [SEGMENT, UNUSUAL, MUST])
def test_hashes_are_put_right_and_right_ones_left(segment: bytes) -> None:
    assert resealed(segment) == segment
    changed = segment.replace(b"1,", b"2,", 1)
    assert resealed(changed) != changed
    assert resealed(resealed(changed)) == resealed(changed)


@pytest.mark.parametrize("one", TARGETS, ids=lambda one: one.name)
def test_inputs_are_drawn_from_the_seed_alone_and_within_the_limit(one: Target) -> None:
    drawn = [
        [mutated(Random(seed), one.seeds, one.tokens, one.bytes_max) for seed in range(200)]
        for _ in range(2)
    ]
    assert drawn[0] == drawn[1]
    assert max(map(len, drawn[0])) <= one.bytes_max
    assert len(set(drawn[0])) > 100


def test_what_reached_new_code_is_kept_where_it_is_short_and_what_broke_a_decoder_anyway(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (decoders, grow):
        monkeypatch.setattr(module, "CORPUS", tmp_path / "corpus")
    one = Target("one", "anything", bool, (b"seed",), ())
    long = b"x" * 2_000
    grow.keep(one, {b"seed", b"bb", b"", b"a\n", long}, [long + b"!"])
    assert decoders.kept(one) == (b"", b"a\n", b"bb", long + b"!")


def test_what_is_kept_belongs_to_a_decoder_and_is_small() -> None:
    for path in CORPUS.glob("*.b64"):
        assert path.stem in {one.name for one in TARGETS}
        assert path.stat().st_size < 64 * 1024, f"{path.name}: minimise it"


@pytest.mark.parametrize(
    ("name", "data"), [("queries", b"%" * 65536), ("request-headers", b'\x00"' + b"o" * 65534)]
)
def test_inputs_that_took_more_memory_than_they_may_are_refused_unread(
    name: str, data: bytes
) -> None:
    [target] = [target for target in TARGETS if target.name == name]
    assert not try_one(target, data, measured=True)
