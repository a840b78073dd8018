"""What schemathesis has to know of this API that its OpenAPI document cannot say.

PURE. schemathesis imports it by the name that tests/processes/test_schemathesis.py gives.
"""

from __future__ import annotations

import re
from typing import Protocol

import schemathesis

WAIT_S_MAX = 0.05
NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
FRESHNESS = {"min_id", "max_lag_ms", "level"}


class Case(Protocol):
    """A request that is about to be made."""

    method: str
    query: dict[str, object] | None


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: Case, kwargs: dict[str, object]) -> None:
    """Wait briefly for what never comes, in numbers without an exponent.

    Only what is a fit value is changed, and to another one: what is to be refused stays.
    """
    query = case.query
    if query is None:
        return
    for name in ("wait", "timeout"):
        text = str(query.get(name))
        if NUMBER.fullmatch(text) and float(text) <= 3600:
            query[name] = f"{min(float(text), WAIT_S_MAX):.3f}"
    if case.method != "POST" and query.keys() & FRESHNESS:
        query.setdefault("timeout", f"{WAIT_S_MAX}")


@schemathesis.serializer("application/x-ndjson", "application/ndjson", "application/jsonl")
def lines(context: schemathesis.SerializationContext, value: object) -> bytes:
    """Send text as it was made."""
    return value if isinstance(value, bytes) else str(value).encode()
