"""`replog` with changes from within that nothing from outside can make: see `patches`.

SHELL. Started by `tests.support.launching` in place of `replog`.
"""

from __future__ import annotations

import os
from importlib import import_module

import replog.__main__
from tests.support.cluster import Node

PROGRAM = "tests.support.patched"
VARIABLE = "PATCHES"


def patch(node: Node, *names: str, **settings: str) -> None:
    """Let `node` import modules of `tests.support.patches` first, from its next start on.

    Args:
        settings: variables of the environment, which the patches read.
    """
    node.program = PROGRAM
    node.settings |= {VARIABLE: " ".join(names), **settings}


def main() -> None:
    for name in os.environ[VARIABLE].split():
        import_module(f"tests.support.patches.{name}")
    replog.__main__.main()


if __name__ == "__main__":
    main()
