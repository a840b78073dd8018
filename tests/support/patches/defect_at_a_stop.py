"""A bug: a signal that comes while the log is opened meets a defect; the exit status hides it.

SHELL.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from types import FrameType

from replog.storage.log import Log

_log = logging.getLogger("replog.node")


def _fail(number: int, frame: FrameType | None) -> None:
    del frame
    _log.error("Traceback (most recent call last): signal %d met a defect", number)
    os._exit(0)


def _open_for_long(*arguments: object, **keywords: object) -> None:
    del arguments, keywords
    signal.signal(signal.SIGTERM, _fail)
    _log.info("it opens")
    time.sleep(600)


setattr(Log, "open", _open_for_long)  # noqa: B010 - of another type
