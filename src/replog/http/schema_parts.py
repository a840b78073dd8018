"""The words in which the schemas of the OpenAPI document are written.

PURE.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

Schema = dict[str, object]


def reference(name: str) -> Schema:
    """Return a reference to the schema `name` of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def an_object(description: str, members: Mapping[str, Schema]) -> Schema:
    """Return an object that has all of `members`; more may be added in later versions."""
    return {
        "type": "object",
        "description": description,
        "required": list(members),
        "properties": dict(members),
    }


def text(description: str) -> Schema:
    return {"type": "string", "description": description}


def one_of(words: Iterable[str], description: str) -> Schema:
    """Return a string that is one of `words`."""
    return {"type": "string", "enum": list(words), "description": description}


def number(description: str) -> Schema:
    return {"type": "number", "minimum": 0, "description": description}


def count(description: str) -> Schema:
    """Return a whole number from 0 on."""
    return {"type": "integer", "minimum": 0, "description": description}


def or_null(schema: Schema) -> Schema:
    """Return `schema`, or null for what is not known."""
    return {**schema, "type": [schema["type"], "null"]}


def list_of(items: Schema, description: str) -> Schema:
    return {"type": "array", "items": items, "description": description}
