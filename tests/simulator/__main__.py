"""Run seeds of the simulator: `python -m tests.simulator --seed N --trace` repeats one.

SHELL.
"""

from __future__ import annotations

import argparse
import collections
import sys
import time
import traceback

from tests.simulator.history import run
from tests.simulator.world import Trace


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulator")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds from there on")
    parser.add_argument("--steps", type=int, help="actions of the world before peace")
    parser.add_argument("--focus", help="an action that is taken more than any other")
    parser.add_argument("--uncapped", action="store_true", help="faults may take the last copy")
    parser.add_argument("--trace", action="store_true", help="print everything that happens")
    parser.add_argument("--counts", action="store_true", help="print what was reached")
    arguments = parser.parse_args()
    counts: collections.Counter[str] = collections.Counter()
    failed = []
    began = time.perf_counter()
    steps = 0
    for seed in range(arguments.seed, arguments.seed + arguments.seeds):
        trace = Trace(echo=True) if arguments.trace else None
        try:
            outcome = run(
                seed,
                steps=arguments.steps,
                focus=arguments.focus,
                is_capped=not arguments.uncapped,
                trace=trace,
            )
        except Exception:  # noqa: BLE001 - whatever a seed dies of is its finding
            failed.append(seed)
            traceback.print_exc(limit=-4)
            continue
        counts.update(outcome.counts)
        steps += outcome.steps
        if trace is not None:
            print(f"trace {trace.hash()}")
    took = (time.perf_counter() - began) * 1000 / arguments.seeds
    if arguments.counts:
        for what, count in sorted(counts.items()):
            print(f"{count:>8}  {what}")
    print(f"{arguments.seeds} seeds, {steps} steps, {took:.1f} ms a seed, failed: {failed}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
