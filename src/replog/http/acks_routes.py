"""`GET /logs/{id}/acks`: which nodes hold an entry, and a wait until enough do (P2).

NETWORK. docs/http.md is the reference, `openapi_append.py` describes it.
"""

from __future__ import annotations

import msgspec
from starlette.types import Receive, Scope, Send

from replog.core.effects import RefusalReason, Refused
from replog.http.answer import JSON_HEADER, NO_STORE, send_answer
from replog.http.append_answer import refused_problem
from replog.http.append_terms import agreed_concern
from replog.http.body import read_nothing
from replog.http.facade import ServedNode
from replog.http.hang_up import wait_for_answer
from replog.http.limits import ACKS_WAIT_S_MAX, Limits
from replog.http.problems import PROBLEMS, Problem, ProblemError
from replog.http.query import entry_id, parse_query, seconds
from replog.node.views import Receipt, Role

ACKS_PARAMETERS = ("w", "wait")


class AcksRoutes:
    """The receipts of one node.

    Attributes:
        waiting_max: clients that may wait at one time (503 beyond it).
    """

    def __init__(self, node: ServedNode, limits: Limits) -> None:
        self._node = node
        self.waiting_max = limits.waiting_appends_max
        self._waiting = 0

    async def acks(self, scope: Scope, receive: Receive, send: Send, text: str) -> None:
        """Answer `GET /logs/{id}/acks`, the id given as `text`; raises as appends do."""
        if self._node.role is not Role.MASTER:
            raise ProblemError(_ask_the_master(self._node.master_url))
        asked_id = entry_id(text)
        parameters = parse_query(scope["query_string"], known=ACKS_PARAMETERS)
        concern = agreed_concern({}, parameters)
        wait_s = seconds(parameters, "wait", maximum=ACKS_WAIT_S_MAX) or 0.0
        await read_nothing(receive)
        if self._waiting >= self.waiting_max:
            raise ProblemError(self._overloaded())
        self._waiting += 1
        try:
            waiting = self._node.receipt(asked_id, concern=concern, timeout_s=wait_s)
            receipt = await wait_for_answer(waiting, receive)
        finally:
            self._waiting -= 1
        if isinstance(receipt, Refused):
            raise ProblemError(self._refused(receipt))
        body = receipt_body(receipt)
        length = (b"content-length", b"%d" % len(body))
        await send_answer(send, 200, (JSON_HEADER, NO_STORE, length), body)

    def _refused(self, refused: Refused) -> Problem:
        problem = refused_problem(refused)
        if refused.reason is not RefusalReason.UNKNOWN_ID:
            return problem
        committed = {"committed": self._node.feed.shown_id}
        return Problem(problem.kind, problem.detail, committed)

    def _overloaded(self) -> Problem:
        return Problem(
            PROBLEMS["overloaded"],
            f"{self._waiting} clients wait to hear which nodes hold an entry, which is the limit. "
            "Wait, then ask again.",
        )


def receipt_body(receipt: Receipt) -> bytes:
    """Return the answer that says what is in `receipt`."""
    return msgspec.json.encode(
        {
            "id": receipt.id,
            "required": receipt.required,
            "met": receipt.is_met,
            "acks": [
                {
                    "url": holder.url,
                    "node_id": holder.node_id,
                    "since": holder.since,
                    "last_id": holder.last_id,
                    "head": holder.hash,
                }
                for holder in receipt.holders
            ],
        }
    )


def _ask_the_master(master_url: str | None) -> Problem:
    where = (
        f"Ask the master, at {master_url}."
        if master_url is not None
        else "Its master has not told its URL yet: ask the node that you started as master."
    )
    return Problem(
        PROBLEMS["ask-the-master"],
        f"This node is a secondary, and does not know which nodes hold an entry. {where}",
        members={"master": master_url},
    )
