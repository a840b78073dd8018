"""Grow the corpus of each decoder by what reaches new code: `make fuzz`.

SHELL. A line a decoder says what was tried and what is kept now; an input that broke a decoder
is shown, and is kept in the corpus, whose replay fails until the decoder is mended.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path

from proving.fuzzing.target import Target
from proving.harnesses.decoders import CORPUS, TARGETS, kept

KEPT_BYTES_MAX = 1_024
"""A longer input is not kept: the short ones reach nearly the same, and people can read them."""

_DONE = re.compile(r"^#(\d+)\s+DONE\s+cov: (\d+)", re.MULTILINE)


@dataclass(frozen=True)
class Grown:
    """What came of one decoder: inputs tried, edges reached, and what broke it, if anything."""

    tried: int
    edges: int
    broken_by: bytes | None
    said: str


def grow(target: Target, seconds: int, directory: Path) -> Grown:
    """Try inputs for so long, and put into the corpus what reached new code."""
    found = directory / "found"
    found.mkdir()
    for number, data in enumerate((*target.seeds, *kept(target))):
        (found / f"{number}").write_bytes(data)
    command = [sys.executable, "-m", "proving.fuzzing.guided", target.name, "-use_counters=0"]
    command += [f"-max_total_time={seconds}", f"-artifact_prefix={directory}/"]
    done = subprocess.run(
        [*command, f"-max_len={target.bytes_max}", str(found)],
        check=False, capture_output=True, text=True, errors="replace",
    )  # fmt: skip
    broken = [path.read_bytes() for path in directory.glob("crash-*")]
    counts = _DONE.search(done.stderr)
    if counts is None and not broken:
        raise RuntimeError(f"{target.name}: the fuzzer ended by itself:\n{done.stderr[-2000:]}")
    keep(target, {path.read_bytes() for path in found.iterdir()}, broken)
    tried, edges = (int(counts[1]), int(counts[2])) if counts else (0, 0)
    return Grown(tried, edges, broken[0] if broken else None, done.stdout[-2000:])


def keep(target: Target, reached: set[bytes], broken: list[bytes]) -> None:
    """Put the short ones of `reached`, and all of `broken`, into the corpus in place of what is."""
    small = {data for data in reached - set(target.seeds) if len(data) <= KEPT_BYTES_MAX}
    ordered = sorted({*small, *broken}, key=lambda data: (len(data), data))
    CORPUS.mkdir(exist_ok=True)
    (CORPUS / f"{target.name}.b64").write_bytes(b"".join(b64encode(one) + b"\n" for one in ordered))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m proving.fuzzing.grow", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="DECODER", help="these only")
    parser.add_argument("--seconds", type=int, default=60, help="for each; 60 unless told")
    arguments = parser.parse_args()
    if unknown := set(arguments.targets) - {target.name for target in TARGETS}:
        parser.error(f"there is no {min(unknown)}")
    is_broken = False
    for target in TARGETS:
        if arguments.targets and target.name not in arguments.targets:
            continue
        with tempfile.TemporaryDirectory() as directory:
            grown = grow(target, arguments.seconds, Path(directory))
        said = f"{grown.tried:,} inputs, {grown.edges} edges, {len(kept(target))} kept"
        print(f"{target.name:18} {said}", flush=True)
        if grown.broken_by is not None:
            is_broken = True
            print(f"  broken by {grown.broken_by[:200]!r}\n{grown.said}", flush=True)
    return 1 if is_broken else 0


if __name__ == "__main__":
    sys.exit(main())
