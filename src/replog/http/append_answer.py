"""What an append is answered: stored at its write concern, stored and not yet there, refused.

PURE.
"""

from __future__ import annotations

import msgspec

from replog.core.effects import Pending, Refused, Stored
from replog.http.append_request import AppendRequest
from replog.http.problems import PROBLEMS, Problem


def answer_body(outcome: Stored | Pending, request: AppendRequest) -> bytes:
    """Return the answer to an append that is stored, on so many nodes or not yet."""
    if isinstance(outcome, Stored):
        return _stored_body(outcome, request)
    return _pending_body(outcome, request)


def _stored_body(outcome: Stored, request: AppendRequest) -> bytes:
    """Return the answer for entries that are on as many nodes as were asked for."""
    if request.is_batch:
        return b'{"status":"success",%b}' % _ids(outcome)
    return b'{"status":"success","log":{"id":%d,"message":%b}}' % (
        outcome.first_id,
        request.message,
    )


def _pending_body(outcome: Pending, request: AppendRequest) -> bytes:
    """Return the answer for entries that are stored, and not yet on so many nodes."""
    acks = msgspec.json.encode(outcome.acks)
    progress = b'"required":%d,"acks":%b' % (outcome.required, acks)
    if request.is_batch:
        return b'{"status":"pending",%b,%b}' % (_ids(outcome), progress)
    return b'{"status":"pending","log":{"id":%d,"message":%b},%b}' % (
        outcome.first_id,
        request.message,
        progress,
    )


def problem_of(outcome: Stored | Pending | Refused) -> Problem | None:
    """Return the problem of an append that is not stored, or not known to be; else None."""
    if isinstance(outcome, Refused):
        return refused_problem(outcome)
    if isinstance(outcome, Pending) and outcome.is_unknown:
        return _unknown_problem(outcome)
    return None


def _unknown_problem(outcome: Pending) -> Problem:
    entries = (
        f"entry {outcome.first_id} was"
        if outcome.first_id == outcome.last_id
        else f"entries {outcome.first_id} to {outcome.last_id} were"
    )
    return Problem(
        PROBLEMS["outcome-unknown"],
        f"The disk failed while {entries} being stored, and the node ends. When it is back, "
        f"look at GET /logs/{outcome.first_id} before you append this again; under an "
        "idempotency key it is safe to send it again.",
        {"id": outcome.first_id},
    )


def refused_problem(outcome: Refused) -> Problem:
    """Return the problem of what the node refused."""
    members: dict[str, object] = {}
    if outcome.last_id is not None:
        members["last_id"] = outcome.last_id
    if outcome.id is not None:
        members["id"] = outcome.id
    return Problem(PROBLEMS[outcome.reason.value], outcome.detail, members)


def _ids(outcome: Stored | Pending) -> bytes:
    first, last = outcome.first_id, outcome.last_id
    return b'"first":%d,"last":%d,"count":%d' % (first, last, last - first + 1)
