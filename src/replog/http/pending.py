"""The body of a 202: stored, not yet at its write concern.

PURE.
"""

from __future__ import annotations

import msgspec

from replog.core.effects import Pending


def pending_body(outcome: Pending, message: bytes) -> bytes:
    """Return the answer for the one entry of `outcome`, whose JSON string is `message`."""
    return b'{"status":"pending","log":{"id":%d,"message":%b},"required":%d,"acks":%b}' % (
        outcome.first_id,
        message,
        outcome.required,
        msgspec.json.encode(outcome.acks),
    )
