"""`replog` in the network namespace that the environment names.

SHELL. Run in place of `replog` by `tests.support.namespaces`; Linux, as root.
"""

from __future__ import annotations

import ctypes
import os

from replog.__main__ import main as run_command_line

NAMESPACE = "TEST_NETWORK_NAMESPACE"
_CLONE_NEWNET = 0x40000000


def main() -> None:
    with open(os.environ[NAMESPACE]) as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
    run_command_line()


if __name__ == "__main__":
    main()
