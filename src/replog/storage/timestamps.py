"""Times as format 1 writes them: RFC 3339 in UTC, to the millisecond. Such times sort as bytes.

PURE.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

TIME_OF_DAY = rb"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z"
"""The pattern of what stands behind the day."""

_TIME = re.compile(rb"[0-9]{4}-[0-9]{2}-[0-9]{2}" + TIME_OF_DAY)
_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=8)
def _second(second: int) -> bytes:
    return (_UNIX_EPOCH + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%S.").encode()


def format_time(time_ms: int) -> bytes:
    """Return milliseconds since 1970 as RFC 3339 in UTC, 24 bytes ending in `.123Z`."""
    second, milliseconds = divmod(time_ms, 1000)
    return b"%b%03dZ" % (_second(second), milliseconds)


def parse_time(time: bytes) -> int:
    """Return the milliseconds since 1970 of a time as `format_time` writes it.

    Raises:
        ValueError: there is no such day or time of day, or the form is another.
    """
    if not _TIME.fullmatch(time):
        raise ValueError(f"not of the form 2026-11-22T22:10:00.123Z: {time!r}")
    since = datetime.fromisoformat(time[:-1].decode()).replace(tzinfo=UTC) - _UNIX_EPOCH
    return since // timedelta(milliseconds=1)


@lru_cache(maxsize=64)
def is_day(date: bytes) -> bool:
    """Say whether `date` (2026-11-22) is a day of the calendar."""
    try:
        parse_time(date + b"T00:00:00.000Z")
    except ValueError:
        return False
    return True


def is_time(time: bytes) -> bool:
    """Say whether `time` has the one form that format 1 knows. Such times sort as bytes."""
    return _TIME.fullmatch(time) is not None and is_day(time[:10])
