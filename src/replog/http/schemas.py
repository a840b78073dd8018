"""What requests and answers hold, as the schemas of the OpenAPI document.

PURE. Words that the core chooses are taken from it, so that no second list has to follow.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from replog.config.table import DELAY_S_MAX
from replog.core.effects import RefusalReason
from replog.core.facts import LinkPhase
from replog.core.health import Health
from replog.core.progress import LinkState
from replog.http.log_schemas import LOG_SCHEMAS
from replog.http.problems import PROBLEMS, type_path
from replog.http.schema_parts import (
    Schema,
    an_object,
    count,
    list_of,
    number,
    one_of,
    or_null,
    reference,
    text,
)
from replog.node.health_view import DAMAGED, NO_MASTER, STARTING, STOPPING

_ABOUT_ONE_REQUEST = {
    RefusalReason.BAD_WRITE_CONCERN,
    RefusalReason.UNKNOWN_ID,
    RefusalReason.PRECONDITION_FAILED,
    RefusalReason.KEY_REUSED,
    RefusalReason.TOO_LARGE,
    RefusalReason.OVERLOADED,
    RefusalReason.NOT_READY,
}

MASTER_STATUSES = (
    "ok",
    STARTING,
    *(reason.value for reason in RefusalReason if reason not in _ABOUT_ONE_REQUEST),
)
"""`status` of a master."""

SECONDARY_STATUSES = ("ok", NO_MASTER, DAMAGED, RefusalReason.DISK_FULL.value, STOPPING)


# --- the nodes -----------------------------------------------------------------------------

_HEALTH_OF_OTHER = one_of(
    (health.value.upper() for health in Health),
    "From its signs of life: suspected after seconds of silence, then unhealthy.",
)

_SECONDARY = an_object(
    "One configured secondary as its master sees it; null is not known.",
    {
        "url": text("As configured on the master."),
        "node_id": or_null(text("As it said on the present link.")),
        "health": _HEALTH_OF_OTHER,
        "link": one_of(
            (state.value for state in LinkState), "How far the link has come; streaming is whole."
        ),
        "last_id": or_null(count("Its last durable id as it is known here.")),
        "lag": or_null(count("Entries of the master's durable log behind `last_id`.")),
        "last_contact_s": or_null(number("Seconds since it was last heard.")),
        "delay_s": or_null(number("Its injected delay as it said last.")),
    },
)

_MASTER = an_object(
    "The master as its secondary sees it; null is not known.",
    {
        "url": or_null(text("Where clients reach it, as it told on the link.")),
        "node_id": or_null(text("Of the master that reigns, as far as is known here.")),
        "health": _HEALTH_OF_OTHER,
        "link": one_of(
            (phase.value for phase in LinkPhase), "How far the link has come; streaming is whole."
        ),
        "last_contact_s": or_null(number("Seconds since it was last heard.")),
    },
)

_QUORUM = an_object(
    "How many nodes a master wants to reach before it takes appends.",
    {
        "required": or_null(count("The master counted; null where none is configured.")),
        "reachable": count("Nodes that are heard from now, this one counted."),
    },
)

_DAMAGE = an_object(
    "A range of the log that does not verify.",
    {
        "first_id": count("The first id of the range."),
        "last_id": or_null(count("The last id of the range; null where it is not known.")),
        "segment": text("The file."),
        "offset": count("The byte in the file where it begins."),
        "reason": text("What does not verify."),
    },
)

_STATUS = "`ok`, or the first reason why not."


def _health(role: str, statuses: Iterable[str], own: Mapping[str, Schema]) -> Schema:
    return an_object(
        f"What a {role} answers at GET /health. Programs should ignore members that they do not "
        "know.",
        {
            "role": {"type": "string", "const": role},
            "status": one_of(statuses, _STATUS),
            "node_id": text("Made with the data directory."),
            "log_id": or_null(text("Made with the log; null while there is none.")),
            "epoch": count("The highest epoch that is known here; 0 is none yet."),
            "last_id": count("The last durable id here."),
            "committed_id": count("Readers of this node see everything up to here."),
            "head": {
                **text("Hash of the durable log: equal heads mean byte-identical logs."),
                "pattern": "^[0-9a-f]{64}$",
            },
            "quorum": reference("Quorum"),
            "secondaries": list_of(
                reference("Secondary"), "In the order of the configuration; empty on a secondary."
            ),
            **own,
            "damage": list_of(reference("Damage"), "Damaged ranges, lowest first."),
        },
    )


_LIVENESS = an_object(
    "The process runs and answers.", {"status": {"type": "string", "const": "alive"}}
)

_READINESS = an_object(
    "The node serves in full.",
    {
        "status": {"type": "string", "const": "ready"},
        "reasons": {
            **list_of({"type": "string"}, "Empty: with reasons the answer is `not-ready`."),
            "maxItems": 0,
        },
    },
)

_SECONDS: Schema = {"type": "number", "minimum": 0, "maximum": DELAY_S_MAX}

_DELAY = an_object("A secondary's injected latency.", {"seconds": _SECONDS})

_DELAY_CHANGE: Schema = {
    **an_object("What PUT /delay takes.", {"seconds": _SECONDS}),
    "additionalProperties": False,
    "example": {"seconds": 2.0},
}

# --- problems ------------------------------------------------------------------------------

_MEMBERS: Mapping[str, Schema] = MappingProxyType(
    {
        "field": text("The field of the body that is wrong, shortened."),
        "parameter": text(
            "The parameter that is wrong, shortened; missing where the query is no UTF-8."
        ),
        "header": text("The header that is wrong."),
        "limit": count("The limit: bytes, or entries where a batch has too many."),
        "master": or_null(text("Where to append; null while this secondary does not know it.")),
        "reasons": list_of({"type": "string"}, "Why the node is not ready."),
        "line": count("The line of the batch that is wrong, or the place in its array, from 1."),
        "id": count("The entry that has the key."),
        "last_id": count("The id of the last entry of the log; 0 is an empty log."),
        "committed": count("This node shows everything up to this id."),
        "lag_ms": or_null(count("Since this node was level with its master; null: not yet.")),
    }
)


def _problem() -> Schema:
    always: dict[str, Schema] = {
        "type": one_of(map(type_path, PROBLEMS), "A path of this node: cause and fix."),
        "title": text("The type in words."),
        "status": {
            "type": "integer",
            "enum": sorted({kind.status for kind in PROBLEMS.values()}),
            "description": "The status of the answer.",
        },
        "detail": text("What was got, and what to do."),
        "retryable": {
            "type": "boolean",
            "description": "Nothing was stored, and the same request may succeed here later.",
        },
    }
    schema = an_object("Why a request was refused (RFC 9457).", always)
    schema["properties"] = {**always, **_further_members()}
    return schema


def _further_members() -> dict[str, Schema]:
    members: dict[str, Schema] = {}
    for name, schema in _MEMBERS.items():
        kinds = [kind.name for kind in PROBLEMS.values() if name in kind.members]
        assert kinds, name
        where = " and ".join(f"`{kind}`" for kind in kinds)
        members[name] = {**schema, "description": f"With {where}: {schema['description']}"}
    return members


def problem_of(names: Iterable[str]) -> Schema:
    """Return the schema of the problems `names`, which share a status."""
    kinds = [PROBLEMS[name] for name in names]
    [status] = {kind.status for kind in kinds}
    return {
        "allOf": [
            reference("Problem"),
            {
                "properties": {
                    "type": {"enum": [type_path(kind.name) for kind in kinds]},
                    "status": {"const": status},
                }
            },
        ]
    }


SCHEMAS: Mapping[str, Schema] = MappingProxyType(
    {
        **LOG_SCHEMAS,
        "HealthOfMaster": _health("master", MASTER_STATUSES, {}),
        "HealthOfSecondary": _health(
            "secondary",
            SECONDARY_STATUSES,
            {"delay_s": number("Its injected delay."), "master": reference("Master")},
        ),
        "Secondary": _SECONDARY,
        "Master": _MASTER,
        "Quorum": _QUORUM,
        "Damage": _DAMAGE,
        "Delay": _DELAY,
        "DelayChange": _DELAY_CHANGE,
        "Liveness": _LIVENESS,
        "Readiness": _READINESS,
        "Problem": _problem(),
    }
)
"""All schemas of the document by name."""

assert {name for kind in PROBLEMS.values() for name in kind.members} == set(_MEMBERS)
