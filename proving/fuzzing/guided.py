"""One decoder under libFuzzer: an input that reaches code which none had reached is kept.

SHELL. A program of its own, for libFuzzer ends its process:
`python -m proving.fuzzing.guided TARGET [option of libFuzzer ...] DIRECTORY`, see `grow`. It needs
what requirements/fuzzing.txt names.
"""

from __future__ import annotations

import sys
from random import Random

import atheris  # type: ignore[import-not-found, import-untyped, unused-ignore]

with atheris.instrument_imports(include=["replog"]):
    from proving.harnesses.decoders import TARGETS, try_one

from proving.fuzzing.mutation import mutated


def main() -> None:
    program, name, *options = sys.argv
    [target] = (each for each in TARGETS if each.name == name)

    def decode(data: bytes) -> None:
        try_one(target, data, measured=False)

    def mutate(data: bytes, size: int, seed: int) -> bytes:
        corpus = (data, *target.seeds)
        return mutated(Random(seed), corpus, target.tokens, min(size, target.bytes_max))

    atheris.Setup([program, *options], decode, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
