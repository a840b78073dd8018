"""What operations of the OpenAPI document are put together from.

PURE.
"""

from __future__ import annotations

from replog.http.problems import PROBLEMS, ProblemType
from replog.http.schema_parts import Schema, reference
from replog.http.schemas import problem_of

EVERYWHERE = (
    "bad-request",
    "bad-parameter",
    "request-timeout",
    "headers-too-large",
    "internal-error",
)
"""Problems that any request may get, whatever its path and method."""


def responses(
    success: dict[str, object], *names: str, has_body: bool = True
) -> dict[int | str, dict[str, object]]:
    """Return the responses of an operation: `success`, the problems `names`, and `EVERYWHERE`.

    Args:
        has_body: False for HEAD, whose problems are a status and headers.
    """
    of_status: dict[int, list[ProblemType]] = {}
    for kind in PROBLEMS.values():  # in the order of the status
        if kind.name in names or kind.name in EVERYWHERE:
            of_status.setdefault(kind.status, []).append(kind)
    described: dict[int | str, dict[str, object]] = {200: success}
    for status, kinds in of_status.items():
        described[status] = problem_response(kinds)
        if not has_body:
            del described[status]["content"]
    return described


def problem_response(kinds: list[ProblemType]) -> dict[str, object]:
    """Return the response of the problems `kinds`, which share a status."""
    response: dict[str, object] = {
        "description": "; ".join(f"`{kind.name}`: {kind.title}" for kind in kinds)
    }
    headers: dict[str, str] = {}
    if kinds[0].status == 405:
        headers["Allow"] = "The methods that the path takes at this node."
    if any(kind.retry_after_s is not None for kind in kinds):
        headers["Retry-After"] = "Seconds to wait, where waiting helps."
    if headers:
        response["headers"] = headers_of(headers)
    schema = problem_of(kind.name for kind in kinds)
    response["content"] = {"application/problem+json": {"schema": schema}}
    return response


JSON_TEXT = (
    "JSON in UTF-8, not compressed. A charset may be given, and is UTF-8. No content type at all, "
    "and the one that `curl -d` sends by itself (`application/x-www-form-urlencoded`), are taken "
    "for the same JSON text, but not from a browser page: with `Origin` or `Sec-Fetch-Site` they "
    "are refused."
)


def json_body(schema: str) -> dict[str, object]:
    """Return the `requestBody` of an operation that takes one JSON object."""
    return {
        "requestBody": {
            "description": JSON_TEXT,
            "required": True,
            "content": {
                "application/json": {"schema": reference(schema)},
                "application/x-www-form-urlencoded": text_body(reference(schema)),
            },
        }
    }


def text_body(schema: Schema) -> dict[str, object]:
    """Return the media type of JSON that is sent under the name of a form."""
    return {
        "schema": {
            "type": "string",
            "minLength": 1,
            "description": "The JSON text as it is, not a form.",
            "contentMediaType": "application/json",
            "contentSchema": schema,
        }
    }


def answer(
    description: str, schema: Schema, headers: dict[str, str] | None = None
) -> dict[str, object]:
    """Return a successful response that holds JSON."""
    response: dict[str, object] = {"description": description}
    if headers:
        response["headers"] = headers_of(headers)
    response["content"] = {"application/json": {"schema": schema}}
    return response


def page(description: str) -> dict[str, object]:
    """Return a successful response that is text."""
    return {"description": description, "content": {"text/plain": {"schema": {"type": "string"}}}}


def headers_of(texts: dict[str, str]) -> Schema:
    return {
        name: {"description": text, "schema": {"type": "string"}} for name, text in texts.items()
    }


def parameter(
    name: str, description: str, schema: Schema, *, place: str = "query"
) -> dict[str, object]:
    """Return a parameter in the query, or at another `place`: path or header."""
    return {
        "name": name,
        "in": place,
        "required": place == "path",
        "description": description,
        "schema": schema,
    }


def text_keys(described: dict[int | str, dict[str, object]]) -> dict[str, object]:
    return {str(status): response for status, response in described.items()}
