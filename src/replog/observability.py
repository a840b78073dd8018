"""How a node logs: plain lines for people, JSON lines for machines, on stderr.

SHELL. One line a record, written with one write, so that the lines of several nodes on one
terminal do not mix. Times are for people; nothing is decided by them.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Mapping
from typing import TextIO

from replog.core.text import printable

_COLOURS = {logging.DEBUG: "2", logging.WARNING: "33", logging.ERROR: "31", logging.CRITICAL: "31"}


class PlainFormatter(logging.Formatter):
    """`22:10:00.123 INFO  master  link to http://127.0.0.1:8001 is up`, local time."""

    def __init__(self, *, node: str, is_coloured: bool) -> None:
        super().__init__()
        self._node = node
        self._is_coloured = is_coloured

    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        level = f"{record.levelname:<7}"
        colour = _COLOURS.get(record.levelno)
        if self._is_coloured and colour:
            level = f"\x1b[{colour}m{level}\x1b[0m"
        said = printable(record.getMessage())  # it may carry what a client sent
        line = f"{clock}.{int(record.msecs):03d} {level} {self._node}  {said}"
        return f"{line}\n{trace}" if (trace := _trace(self, record)) else line


_OF_EVERY_RECORD = frozenset(logging.makeLogRecord({}).__dict__) | {
    "message",
    "asctime",
    "taskName",
}
"""What is no `extra` of a record; `taskName` came with Python 3.12."""


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC), level, node, url, logger, message, extras, a trace.

    An `extra` of a record is a member of its own; it never takes the place of another one.
    """

    def __init__(self, *, node: str, url: str) -> None:
        super().__init__()
        self._node = node
        self._url = url

    def format(self, record: logging.LogRecord) -> str:
        second = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        members: dict[str, object] = {
            "time": f"{second}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "node": self._node,
            "url": self._url,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if trace := _trace(self, record):
            members["trace"] = trace
        for name, value in record.__dict__.items():
            if name not in _OF_EVERY_RECORD:
                members.setdefault(name, value)
        # ASCII, so that a lone surrogate in a message cannot break the writer.
        return json.dumps(members, separators=(",", ":"), default=str)


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    return formatter.formatException(record.exc_info) if record.exc_info else ""


def set_up_logging(
    *,
    level: int,
    is_json: bool,
    node: str,
    url: str,
    stream: TextIO | None = None,
    environment: Mapping[str, str] = os.environ,
) -> None:
    """Send the records of this process to `stream` (stderr) as lines for people or as JSON.

    `level` (of `logging`) holds for the node's own records; libraries are heard from WARNING on.

    Args:
        node: what people call this node: in a plain line it stands alone, being short.
        url: what tells this node from the others of its role; every JSON line has both.
    """
    stream = sys.stderr if stream is None else stream
    handler = logging.StreamHandler(stream)
    if is_json:
        handler.setFormatter(JsonFormatter(node=node, url=url))
    else:
        coloured = stream.isatty() and not environment.get("NO_COLOR")
        handler.setFormatter(PlainFormatter(node=node, is_coloured=coloured))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("replog").setLevel(level)
    logging.captureWarnings(capture=True)
    logging.raiseExceptions = False  # a closed terminal must not end the node in tracebacks
