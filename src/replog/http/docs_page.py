"""The page at /docs: the OpenAPI document as plain HTML.

PURE. No script and nothing from another host: it shows on a machine without a network, and
in a browser that runs no scripts (docs/decisions/0041).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html import escape

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
       color: #222; background: #fff }
code, pre { font: 14px/1.4 ui-monospace, monospace; background: #f3f3f3; border-radius: 3px }
code { padding: 0 .2em } pre { padding: .6em; overflow-x: auto }
h2 { border-top: 1px solid #ccc; padding-top: 1rem; font-size: 1.15rem }
table { border-collapse: collapse; margin: .5rem 0 } th { text-align: left }
td, th { padding: .15rem 1rem .15rem 0; vertical-align: top }
.method { display: inline-block; min-width: 3.5rem; font-weight: 700 }
@media (prefers-color-scheme: dark) { body { color: #ddd; background: #181818 }
  code, pre { background: #2a2a2a } a { color: #8ab4f8 } h2 { border-color: #444 } }
"""

_INTRODUCTION = (
    '<p>As a document for programs: <a href="/openapi.json">/openapi.json</a>. '
    'All problems: <a href="/problems">/problems</a>.</p>'
)


def docs_page(document: Mapping[str, object]) -> str:
    """Return the whole page of an OpenAPI `document` as this project writes it."""
    info = _members(document["info"])
    body = "\n".join(
        (
            f"<h1>{escape(str(info['title']))} {escape(str(info['version']))}</h1>",
            f"<p>{_marked(str(info.get('description', '')))}</p>",
            _INTRODUCTION,
            *_operations(document),
            *_schemas(document),
        )
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(str(info['title']))}</title><style>{_STYLE}</style></head>\n"
        f"<body>\n{body}\n</body></html>\n"
    )


def _operations(document: Mapping[str, object]) -> Iterator[str]:
    for path, item in _members(document["paths"]).items():
        for method, value in _members(item).items():
            operation = _members(value)
            anchor = f"{method}{path}".replace("/", "-")
            yield (
                f'<h2 id="{escape(anchor)}"><span class="method">{method.upper()}</span>'
                f"<code>{escape(path)}</code> {_marked(str(operation.get('summary', '')))}</h2>"
            )
            yield f"<p>{_marked(str(operation.get('description', '')))}</p>"
            yield f"<pre>{escape(_curl(method, path, operation, document))}</pre>"
            yield from _parameters(operation)
            yield from _body(operation)
            yield from _responses(operation)


def _curl(
    method: str, path: str, operation: Mapping[str, object], document: Mapping[str, object]
) -> str:
    url = f"http://127.0.0.1:8000{path}"
    if method == "get":
        return f"curl {url}"
    if method == "head":
        return f"curl -I {url}"
    body = _members(operation.get("requestBody", {}))
    schema = _body_schema(body)
    of = schema.get("oneOf")
    if isinstance(of, list):
        schema = _members(of[0])
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    example = _members(_all_schemas(document).get(name, {})).get("example", {})
    verb = "" if method == "post" else f"-X {method.upper()} "
    return (
        f"curl {verb}{url} -H 'Content-Type: application/json' "
        f"-d '{json.dumps(example, ensure_ascii=False)}'"
    )


def _parameters(operation: Mapping[str, object]) -> Iterator[str]:
    parameters = operation.get("parameters", [])
    if not isinstance(parameters, list) or not parameters:
        return
    yield "<table><tr><th>Parameter</th><th>In</th><th>Meaning</th></tr>"
    for value in parameters:
        parameter = _members(value)
        yield (
            f"<tr><td><code>{escape(str(parameter['name']))}</code></td>"
            f"<td>{escape(str(parameter['in']))}</td>"
            f"<td>{_marked(str(parameter.get('description', '')))}</td></tr>"
        )
    yield "</table>"


def _body(operation: Mapping[str, object]) -> Iterator[str]:
    body = _members(operation.get("requestBody", {}))
    schema = _body_schema(body)
    if schema:
        text = _marked(str(body.get("description", "")))
        yield f"<p>Body: {_kind(schema)}. {text}</p>"


def _responses(operation: Mapping[str, object]) -> Iterator[str]:
    yield "<table><tr><th>Status</th><th>Meaning</th></tr>"
    for status, value in _members(operation["responses"]).items():
        response = _members(value)
        meaning = _marked(str(response.get("description", "")))
        content = _members(response.get("content", {}))
        json_schema = _members(_members(content.get("application/json", {})).get("schema", {}))
        if json_schema:
            meaning += f" Body: {_kind(json_schema)}."
        headers = _members(response.get("headers", {}))
        for name, header in headers.items():
            text = _marked(str(_members(header).get("description", "")))
            meaning += f"<br><code>{escape(name)}</code>: {text}"
        yield f"<tr><td>{escape(status)}</td><td>{meaning}</td></tr>"
    yield "</table>"


def _schemas(document: Mapping[str, object]) -> Iterator[str]:
    for name, value in _all_schemas(document).items():
        schema = _members(value)
        yield f'<h2 id="{escape(name)}">{escape(name)}</h2>'
        yield f"<p>{_marked(str(schema.get('description', '')))}</p>"
        members = _members(schema.get("properties", {}))
        if not members:
            yield f"<p>{_kind(schema)}</p>"
            continue
        yield "<table><tr><th>Member</th><th>Type</th><th>Meaning</th></tr>"
        for member, described in members.items():
            meaning = _marked(str(_members(described).get("description", "")))
            yield (
                f"<tr><td><code>{escape(member)}</code></td>"
                f"<td>{_kind(_members(described))}</td><td>{meaning}</td></tr>"
            )
        yield "</table>"


def _kind(schema: Mapping[str, object]) -> str:
    """Return what a value of `schema` is, in a few words with links."""
    if "$ref" in schema:
        return _reference(schema)
    if "const" in schema:
        return f"<code>{escape(json.dumps(schema['const']))}</code>"
    of = schema.get("oneOf")
    if isinstance(of, list):
        return " or ".join(_kind(_members(one)) for one in of)
    types = schema.get("type", "value")
    or_null = " or null" if isinstance(types, list) else ""
    words = schema.get("enum")
    if isinstance(words, list):
        return ", ".join(f"<code>{escape(str(word))}</code>" for word in words) + or_null
    kind = escape(str(types[0] if isinstance(types, list) else types))
    if kind == "array":
        return f"array of {_kind(_members(schema.get('items', {})))}{or_null}"
    lowest, highest = schema.get("minimum"), schema.get("maximum")
    bounds = "" if lowest is None else f" from {lowest}"
    if highest is not None:
        bounds += f" to {highest}"
    return f"{kind}{bounds}{or_null}"


def _all_schemas(document: Mapping[str, object]) -> Mapping[str, object]:
    return _members(_members(document.get("components", {})).get("schemas", {}))


def _body_schema(body: Mapping[str, object]) -> Mapping[str, object]:
    content = _members(body.get("content", {}))
    return _members(_members(content.get("application/json", {})).get("schema", {}))


def _reference(schema: Mapping[str, object]) -> str:
    name = escape(str(schema.get("$ref", "")).rpartition("/")[2])
    return f'<a href="#{name}">{name}</a>'


def _marked(text: str) -> str:
    """Return `text` escaped, with `code` between back-ticks and paragraphs kept."""
    parts = escape(text).replace("\n\n", "<p>").split("`")
    return "".join(f"<code>{part}</code>" if i % 2 else part for i, part in enumerate(parts))


def _members(value: object) -> Mapping[str, object]:
    assert isinstance(value, Mapping), value
    return value
