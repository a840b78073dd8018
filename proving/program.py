"""What the programs have in common that a harness runs beside itself.

SHELL.
"""

from __future__ import annotations

import sys
import threading


def when_input_ends() -> threading.Event:
    """Return what is set once the harness closes this program's input, or ends."""
    ended = threading.Event()

    def wait() -> None:
        sys.stdin.buffer.read()
        ended.set()

    threading.Thread(target=wait, daemon=True).start()
    return ended
