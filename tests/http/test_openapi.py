"""The OpenAPI document against the routes: nothing undocumented, nothing invented."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import pytest

from replog.http.acks_routes import ACKS_PARAMETERS
from replog.http.append_batch import ENTRY_FIELDS
from replog.http.append_request import FIELDS
from replog.http.append_terms import EXPECT_HEADER, KEY_HEADER, PARAMETERS
from replog.http.follow_routes import FOLLOW_PARAMETERS, LAST_EVENT_ID
from replog.http.openapi import LOG_PATHS
from replog.http.problems import PROBLEMS
from replog.http.read_request import READ_PARAMETERS
from replog.node.views import Role
from tests.http.provoke_follows import is_endless
from tests.http.schema_check import Schema, faults
from tests.http.served import Served

UNLISTED = {"/docs", "/openapi.json", "/replication"}
"""Paths about the document itself, and the nodes' own; docs/http.md has them."""

METHODS = ("get", "head", "post", "put", "delete", "patch", "options")


@pytest.fixture(scope="module")
def document(shared: Served) -> dict[str, dict[str, dict[str, dict[str, object]]]]:
    with shared.connect() as connection:
        answer = connection.request("GET", "/openapi.json")
        assert answer.headers["content-type"] == "application/json"
        value = json.loads(answer.body)
        assert isinstance(value, dict)
        return value


Document = dict[str, dict[str, dict[str, dict[str, object]]]]


def test_every_route_is_in_the_document_and_the_reverse(shared: Served, document: Document) -> None:
    routes = {route.path for route in shared.app.routes} - UNLISTED
    assert set(document["paths"]) == routes | set(LOG_PATHS)


def test_every_listed_method_is_taken_and_no_other(document: Document) -> None:
    for role in Role:
        with Served(role) as served, served.connect() as connection:
            for path, item in document["paths"].items():
                for method in METHODS:
                    target = path.replace("{name}", "damaged").replace("{id}", "1")
                    if is_endless(method.upper(), path):
                        continue  # tests/http/test_follow.py takes it
                    answer = connection.request(method.upper(), target, b"")
                    is_append = (method, path, role) == ("post", "/logs", Role.SECONDARY)
                    is_listed = method in item or (method == "head" and "get" in item)
                    assert (answer.status != 405) is (is_listed and not is_append), (method, path)


def test_parameters_and_fields_of_the_log_are_the_ones_that_are_taken(
    document: Document,
) -> None:
    item = document["paths"]["/logs"]
    assert _names(item["get"]) == _names(item["head"]) == set(READ_PARAMETERS)
    assert _names(item["post"]) == set(PARAMETERS)
    headers = {KEY_HEADER.decode(), EXPECT_HEADER.decode()}
    assert {name.lower() for name in _names(item["post"], "header")} == headers
    stream = document["paths"]["/logs/stream"]
    assert _names(stream["get"]) == _names(stream["head"]) == set(FOLLOW_PARAMETERS)
    assert _names(stream["get"], "header") == {LAST_EVENT_ID}
    acks = document["paths"]["/logs/{id}/acks"]
    assert _names(acks["get"]) == _names(acks["head"]) == set(ACKS_PARAMETERS)
    properties = document["components"]["schemas"]["Append"]["properties"]
    assert isinstance(properties, dict)
    assert set(properties) == set(FIELDS)
    of_entry = document["components"]["schemas"]["BatchEntry"]["properties"]
    assert isinstance(of_entry, dict)
    assert set(of_entry) == set(ENTRY_FIELDS)


def test_every_status_of_a_problem_is_documented_where_it_is_answered(document: Document) -> None:
    responses = document["paths"]["/logs"]["post"]["responses"]
    assert isinstance(responses, dict)
    listed = {int(status) for status in responses}
    of_others = {404, 405, 406, 409, 421, 426, 431, 500, 504}
    assert {kind.status for kind in PROBLEMS.values()} - listed <= of_others
    for path, item in document["paths"].items():
        for method, operation in item.items():
            answers = operation["responses"]
            assert isinstance(answers, dict)
            assert ("422" in answers) is ((method, path) == ("post", "/logs"))


def test_every_reference_leads_somewhere(document: Document) -> None:
    schemas = document["components"]["schemas"]
    references = set(_references(document))
    assert references
    for reference in references:
        assert reference.removeprefix("#/components/schemas/") in schemas


def test_every_example_is_as_its_schema_says(document: Document) -> None:
    found = list(_examples(document["components"]["schemas"]))
    for path, item in document["paths"].items():
        for method, operation in item.items():
            body = operation.get("requestBody", {"content": {}})
            assert isinstance(body, dict)
            for media_type, described in body["content"].items():
                where = f"{method} {path} {media_type}"
                found += _examples({where: described["schema"]})
                for name, example in described.get("examples", {}).items():
                    found.append((f"{where} {name}", example["value"], described["schema"]))
    assert len(found) > 10
    for where, example, schema in found:
        assert faults(example, schema, document["components"]["schemas"]) == [], where


def _examples(schemas: Mapping[str, object]) -> Iterator[tuple[str, object, Schema]]:
    for name, schema in schemas.items():
        assert isinstance(schema, dict), name
        if "example" in schema:
            yield name, schema["example"], schema


def test_operation_ids_are_given_once(document: Document) -> None:
    ids = [
        operation["operationId"]
        for item in document["paths"].values()
        for operation in item.values()
    ]
    assert len(set(ids)) == len(ids)


def _names(operation: Mapping[str, object], place: str = "query") -> set[str]:
    parameters = operation["parameters"]
    assert isinstance(parameters, list)
    return {parameter["name"] for parameter in parameters if parameter["in"] == place}


def _references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, member in value.items():
            if key == "$ref":
                yield member
            else:
                yield from _references(member)
    elif isinstance(value, list):
        for member in value:
            yield from _references(member)
