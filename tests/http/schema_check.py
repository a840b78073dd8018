"""Whether a JSON value is as a schema of the OpenAPI document says, and nothing more.

PURE. Only the words of JSON Schema that the document uses; any other one fails loudly.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

Schema = Mapping[str, object]

_SILENT = {"description", "example", "default", "title", "contentMediaType", "contentSchema"}

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


def faults(value: object, schema: Schema, schemas: Mapping[str, Schema]) -> list[str]:
    """Return what in `value` is not as described; a member that is not described is a fault."""
    return list(_Check(schemas).whole(value, schema, "$"))


class _Check:
    def __init__(self, schemas: Mapping[str, Schema]) -> None:
        self._schemas = schemas

    def whole(self, value: object, schema: Schema, where: str) -> Iterator[str]:
        yield from self._value(value, schema, where)
        if isinstance(value, dict):
            for name in value.keys() - self._described(value, schema, where):
                yield f"{where}.{name} is not described"

    def _value(self, value: object, schema: Schema, where: str) -> Iterator[str]:
        for word, says in schema.items():
            match word, says:
                case "$ref", str():
                    yield from self._value(value, self._schemas[_name(says)], where)
                case "allOf", list():
                    for part in says:
                        yield from self._value(value, part, where)
                case "oneOf", list():
                    if len(self._matching(value, says, where)) != 1:
                        found = [list(self.whole(value, one, where)) for one in says]
                        yield f"{where} is not one of oneOf: {found}"
                case "not", dict():
                    if not any(self._value(value, says, where)):
                        yield f"{where} is what it must not be"
                case "anyOf", list():
                    if not self._matching(value, says, where):
                        yield f"{where} is none of anyOf"
                case "properties", dict():
                    if isinstance(value, dict):
                        for name in says.keys() & value.keys():
                            yield from self.whole(value[name], says[name], f"{where}.{name}")
                case "items", dict():
                    if isinstance(value, list):
                        for place, item in enumerate(value):
                            yield from self.whole(item, says, f"{where}[{place}]")
                case "required", list():
                    if isinstance(value, dict):
                        for name in says:
                            if name not in value:
                                yield f"{where}.{name} is missing"
                case _:
                    if word not in _SILENT and not _is_met(value, word, says):
                        yield f"{where} is {value!r}, and {word} is {says!r}"

    def _matching(self, value: object, of: list[Schema], where: str) -> list[Schema]:
        return [one for one in of if not any(self.whole(value, one, where))]

    def _described(self, value: object, schema: Schema, where: str) -> set[str]:
        """Return the members that any part of `schema` which holds for `value` describes."""
        names: set[str] = set()
        for word, says in schema.items():
            match word, says:
                case "$ref", str():
                    names |= self._described(value, self._schemas[_name(says)], where)
                case "allOf", list():
                    for part in says:
                        names |= self._described(value, part, where)
                case "oneOf", list():
                    for one in self._matching(value, says, where):
                        names |= self._described(value, one, where)
                case "properties", dict():
                    names |= says.keys()
                case _:
                    pass
        return names


def _name(reference: str) -> str:
    return reference.removeprefix("#/components/schemas/")


def _is_met(value: object, word: str, says: object) -> bool:
    match word, says:
        case "type", _:
            types = says if isinstance(says, list) else [says]
            return any(_is_of(value, str(one)) for one in types)
        case "enum", list():
            return value in says
        case "const", _:
            return value == says
        case "minimum", int():
            return not isinstance(value, int | float) or value >= says
        case "maximum", int():
            return not isinstance(value, int | float) or value <= says
        case "minItems", int():
            return not isinstance(value, list) or len(value) >= says
        case "minLength", int():
            return not isinstance(value, str) or len(value) >= says
        case "maxLength", int():
            return not isinstance(value, str) or len(value) <= says
        case "maxItems", int():
            return not isinstance(value, list) or len(value) <= says
        case "pattern", str():
            return not isinstance(value, str) or re.search(says, value) is not None
        case "additionalProperties", False:
            return True  # every member must be described in any case
        case _:
            raise AssertionError(f"the check does not know {word}: {says!r}")


def _is_of(value: object, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, _TYPES[kind])
