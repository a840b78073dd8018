"""`replog serve` with small segments, that waits for strace before each of its two threads begins.

SHELL. Everything else is the product's own. What strace injects is counted by thread: whoever
attaches to one thread alone, before its first call, knows which of its calls is the N-th.
"""

from __future__ import annotations

import os
import threading
from functools import partial
from pathlib import Path

from proving.harnesses.syscalls.stories import SMALL_BYTES
from proving.strace import hold
from replog.__main__ import main as run_command_line
from replog.node import node
from replog.node.directory import open_directory
from replog.node.writer import Writer

HOLDS = "PROVING_HOLDS"
"""Names a FIFO: the node stops itself at its start, and its writing thread reads the FIFO to
its end before its first job. Its number stands in a file beside it."""


def thread_file(fifo: Path) -> Path:
    return fifo.with_suffix(".thread")


class HeldWriter(Writer):
    """A writer whose thread waits at its beginning."""

    def _run(self) -> None:
        fifo = Path(os.environ[HOLDS])
        written = fifo.with_suffix(".new")
        written.write_text(str(threading.get_native_id()))
        written.rename(thread_file(fifo))
        fifo.read_bytes()
        super()._run()


def main() -> None:
    """Be a node: what `launch` starts."""
    opening = partial(open_directory, segment_bytes_max=SMALL_BYTES)
    setattr(node, "open_directory", opening)  # noqa: B010 - a name of another module
    if HOLDS in os.environ:
        setattr(node, "Writer", HeldWriter)  # noqa: B010 - as above
        hold()
    run_command_line()
