"""Commands of `replog` that go on while a test does something else.

SHELL.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.cluster import clean_environment

_INTERRUPTIBLE = """
import signal
from replog.cli.main import main
signal.signal(signal.SIGINT, signal.default_int_handler)
main()
"""


def interruptible(*arguments: str) -> list[str]:
    """Return the command `replog ARGUMENTS` that Ctrl-C reaches.

    Also where the tests run in the background of a shell, which has its children ignore it.
    """
    return [sys.executable, "-c", _INTERRUPTIBLE, *arguments]


@contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A command under way, with pipes; it is ended with the test."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        interruptible(*arguments),
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        text=True,
        env=clean_environment(),
    ) as process:
        try:
            yield process
        finally:
            process.kill()
