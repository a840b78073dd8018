"""What a node asks of the system before it has connections."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

MANY = 3_000

PROGRAM = f"""
import resource
from replog.cli.open_files import allow_open_files
resource.setrlimit(resource.RLIMIT_NOFILE, (128, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
allow_open_files({MANY})
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
print(open("/proc/self/status").read())
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc/PID/status")
def test_the_table_of_files_need_not_grow_while_the_node_serves() -> None:
    """It would hold up the event loop each time, for the node's threads share it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard == resource.RLIM_INFINITY or hard >= MANY, "the limit of this machine is too low"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    limit, *status = done.stdout.splitlines()
    assert int(limit) == MANY
    [size] = [line.split()[1] for line in status if line.startswith("FDSize:")]
    assert int(size) >= MANY
