"""The OpenAPI document against the routes: nothing undocumented, nothing invented."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import pytest

from replog.http.append_request import FIELDS, PARAMETERS
from replog.http.problems import PROBLEMS
from replog.http.read_routes import READ_PARAMETERS
from replog.node.views import Role
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
    assert set(document["paths"]) == routes | {"/logs"}


def test_every_listed_method_is_taken_and_no_other(document: Document) -> None:
    for role in Role:
        with Served(role) as served, served.connect() as connection:
            for path, item in document["paths"].items():
                for method in METHODS:
                    target = path.replace("{name}", "damaged")
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
    properties = document["components"]["schemas"]["Append"]["properties"]
    assert isinstance(properties, dict)
    assert set(properties) == set(FIELDS)


def test_every_status_of_a_problem_is_documented_where_it_is_answered(document: Document) -> None:
    responses = document["paths"]["/logs"]["post"]["responses"]
    assert isinstance(responses, dict)
    listed = {int(status) for status in responses}
    of_the_connection = {404, 405, 409, 426, 431, 500}
    assert {kind.status for kind in PROBLEMS.values()} - listed <= of_the_connection
    assert "422" not in json.dumps(document)


def test_every_reference_leads_somewhere(document: Document) -> None:
    schemas = document["components"]["schemas"]
    references = set(_references(document))
    assert references
    for reference in references:
        assert reference.removeprefix("#/components/schemas/") in schemas


def test_operation_ids_are_given_once(document: Document) -> None:
    ids = [
        operation["operationId"]
        for item in document["paths"].values()
        for operation in item.values()
    ]
    assert len(set(ids)) == len(ids)


def _names(operation: Mapping[str, object]) -> set[str]:
    parameters = operation["parameters"]
    assert isinstance(parameters, list)
    return {parameter["name"] for parameter in parameters}


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
