"""Routes about the nodes: `GET /health`, `GET` and `PUT /delay`, and what `/replication` is.

NETWORK.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import Response

from replog.config.table import DELAY_S_MAX
from replog.http.body import read_body, require_json
from replog.http.facade import ServedNode
from replog.http.in_flight import BytesInFlight
from replog.http.json_body import decode_object, named, quoted
from replog.http.openapi_parts import answer, json_body, responses
from replog.http.problems import PROBLEMS, Problem, ProblemError, refusal
from replog.http.schema_parts import reference
from replog.node.views import Health, Role

REPLICATION_PATH = "/replication"

_DELAY_BODY_BYTES_MAX = 64 * 1024
_DELAY_EXAMPLE = '{"seconds": 2.0}'

_HEALTH_RESPONSES = responses(
    answer(
        "How the node is, and how it sees the others.",
        {"oneOf": [reference("HealthOfMaster"), reference("HealthOfSecondary")]},
    )
)


@dataclass(frozen=True, slots=True)
class Delay:
    """A secondary's injected latency (R12)."""

    seconds: float


def cluster_router(node: ServedNode) -> APIRouter:
    """Return the routes about nodes, served from `node`."""
    router = APIRouter(tags=["cluster"])

    @router.get("/health", responses=_HEALTH_RESPONSES, summary="This node's view of the nodes")
    async def health() -> Response:
        """Always 200 while the node runs: `status` and the members say how it is.

        On a master `secondaries` lists every configured one, in the order of the
        configuration. `delay_s` and `master` are members of a secondary's answer only.
        """
        return json_response(health_members(node.health()))

    @router.get(
        "/delay",
        responses=responses(
            answer("The delay of this secondary.", reference("Delay")), "not-a-secondary"
        ),
        summary="A secondary's injected delay",
    )
    async def delay() -> Response:
        """The latency that this secondary adds before it stores what it received."""
        _require_secondary(node)
        return json_response(Delay(node.delay_s))

    @router.put(
        "/delay",
        responses=responses(
            answer("The delay from now on.", reference("Delay")),
            "malformed-json",
            "bad-field",
            "not-a-secondary",
            "too-large",
            "unsupported-media-type",
        ),
        openapi_extra=json_body("DelayChange"),
        summary="Change a secondary's injected delay",
    )
    async def set_delay(request: Request) -> Response:
        """What is held already is held no longer than that; it is not kept over a restart."""
        _require_secondary(node)
        seconds = await _read_delay(request)
        node.set_delay(seconds)
        return json_response(Delay(seconds))

    @router.get(REPLICATION_PATH, include_in_schema=False)
    async def replication() -> Response:
        raise ProblemError(
            Problem(
                PROBLEMS["upgrade-required"],
                "/replication is where a master links to this node, over WebSocket. To read the "
                "log, GET /logs.",
                headers=((b"upgrade", b"websocket"), (b"connection", b"upgrade")),
            )
        )

    return router


def health_members(health: Health) -> dict[str, object]:
    """Return the members of `GET /health`, in the documented order."""
    members: dict[str, object] = msgspec.to_builtins(health)
    if health.role is Role.MASTER:
        del members["delay_s"], members["master"]
    return members


def json_response(value: object, *, status: int = 200) -> Response:
    """Return `value` as JSON that no cache keeps: it describes this moment."""
    return Response(
        msgspec.json.encode(value),
        status_code=status,
        media_type="application/json",
        headers={"cache-control": "no-store"},
    )


def _require_secondary(node: ServedNode) -> None:
    if node.role is Role.MASTER:
        raise refusal(
            "not-a-secondary",
            "This node is the master, and only a secondary has a delay. Send this to a secondary; "
            "GET /health lists them.",
        )


async def _read_delay(request: Request) -> float:
    fields = require_json(request.scope["headers"])
    body = await read_body(
        request.receive,
        fields,
        size_max=_DELAY_BODY_BYTES_MAX,
        budget=BytesInFlight(_DELAY_BODY_BYTES_MAX),
    )
    members = decode_object(body, known=("seconds",), example=_DELAY_EXAMPLE)
    for name in members:
        if name != "seconds":
            raise refusal(
                "bad-field",
                f"The field {quoted(name)} is unknown: send {_DELAY_EXAMPLE}.",
                field=quoted(name)[1:-1],
            )
    if "seconds" not in members:
        raise refusal(
            "bad-field",
            f'The field "seconds" is missing. Send it as in {_DELAY_EXAMPLE}.',
            field="seconds",
        )
    seconds = members["seconds"]
    if (
        isinstance(seconds, bool)
        or not isinstance(seconds, int | float)
        or not 0 <= seconds <= DELAY_S_MAX
    ):
        raise refusal(
            "bad-field",
            f'The field "seconds" is {named(seconds)}, and must be a number from 0 to '
            f"{DELAY_S_MAX}, as in {_DELAY_EXAMPLE}.",
            field="seconds",
        )
    return float(seconds) + 0.0
