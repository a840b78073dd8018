"""Clocks of nodes that are set while they run: libfaketime, between a process and its C library.

SHELL.
"""

from __future__ import annotations

import os
from pathlib import Path

from tests.support.cluster import Node

LIBRARIES = ("/usr/lib/*/faketime/libfaketime.so.1", "/usr/lib/faketime/libfaketime.so.1")


def library() -> Path | None:
    """Return where libfaketime is installed, None where it is not."""
    found = (path for pattern in LIBRARIES for path in sorted(Path("/").glob(pattern[1:])))
    return next(found, None)


class NodeClock:
    """The clock of one node, from its next start on."""

    def __init__(self, node: Node) -> None:
        preloaded = library()
        assert preloaded is not None, "libfaketime is not installed"
        self._path = node.data.with_name(f"{node.name}.clock")
        self._node = node
        self.set(0)
        node.settings = {
            "LD_PRELOAD": str(preloaded),
            "FAKETIME_TIMESTAMP_FILE": str(self._path),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            # Of what glibc before 2.30 got wrong; with a newer one waiting threads spin (20-fold).
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",
        }

    def set(self, ahead_s: float, *, rate: float = 1.0) -> None:
        """Let the wall clock be so far ahead from now on, and go `rate` times as fast."""
        new = self._path.with_suffix(".new")
        new.write_text(f"{ahead_s:+f} x{rate:g}\n")
        os.replace(new, self._path)

    def run_at(self, rate: float) -> None:
        """Let all clocks of the next start, the monotonic one as well, go `rate` times as fast."""
        self.set(0, rate=rate)
        fakes_all = rate != 1.0
        self._node.settings.pop("FAKETIME_DONT_FAKE_MONOTONIC", None)
        if not fakes_all:
            self._node.settings["FAKETIME_DONT_FAKE_MONOTONIC"] = "1"
