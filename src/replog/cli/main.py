"""The command `replog`: for now, what the walking skeleton needs.

SHELL.
"""

from replog.skeleton import main

__all__ = ["main"]
