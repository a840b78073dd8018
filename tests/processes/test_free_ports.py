"""The ports that clusters of several programs take side by side.

SHELL.
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack

from replog.testing import LANE_PORTS, free_ports

_PROGRAM = "from replog.testing import free_ports; print(*free_ports(100), flush=True); input()"
_FORKING = """
import os
from replog.testing import free_ports

free_ports(1)
child = os.fork()
print(*free_ports(40), flush=True)
if child:
    os.waitpid(child, 0)
"""


def test_a_port_comes_again_only_after_all_the_others() -> None:
    ports = [free_ports(1)[0] for _ in range(LANE_PORTS // 2)]
    assert len(set(ports)) == len(ports)


def test_programs_that_run_at_once_share_no_port() -> None:
    with ExitStack() as stack:
        programs = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", _PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE
                )
            )
            for _ in range(5)
        ]
        lines = [program.stdout.readline() for program in programs if program.stdout]
        for program in programs:
            program.communicate(b"\n")
    ports = [int(port) for line in lines for port in line.split()]
    assert len(ports) == 500
    assert len(set(ports)) == 500


def test_a_forked_child_shares_no_port_with_its_parent() -> None:
    done = subprocess.run([sys.executable, "-c", _FORKING], capture_output=True, check=True)
    ports = done.stdout.split()
    assert len(set(ports)) == 80, done.stdout
