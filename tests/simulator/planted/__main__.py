"""Run tests with a bug planted: `python -m tests.simulator.planted "NAME OF THE BUG" TEST ...`.

SHELL.
"""

from __future__ import annotations

import sys

import pytest

from tests.simulator.planted import BUG_BY_NAME


def main(name: str, *tests: str) -> int:
    with pytest.MonkeyPatch.context() as patch:
        BUG_BY_NAME[name].plant(patch)
        return pytest.main(["-q", "-x", "-p", "no:cacheprovider", *tests])


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
