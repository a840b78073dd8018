"""Segments of 64 KiB instead of 16 MiB: what happens where one ends happens often.

SHELL.
"""

from __future__ import annotations

from replog.node.directory import open_directory

SEGMENT_BYTES = 64 * 1024

defaults = open_directory.__kwdefaults__
assert defaults is not None
assert "segment_bytes_max" in defaults
defaults["segment_bytes_max"] = SEGMENT_BYTES
