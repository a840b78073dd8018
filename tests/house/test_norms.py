"""Norms of this project that no linter knows.

DISK. An exception has its reason beside it and goes when it is not needed any more: the list
only shrinks.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from tests.house.source import (
    KINDS,
    ROOT,
    dotted_name,
    functions_of,
    imports_of,
    kind_of,
    modules,
    name_of,
    project_files,
    source_modules,
)

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60

LONG: dict[str, str] = {}
"""Files, or `file::function`, that may be longer, and why."""

PURE_MAY_IMPORT = {
    "__future__", "abc", "array", "binascii", "bisect", "collections", "collections.abc",
    "dataclasses", "datetime", "html", "posixpath", "textwrap",
    "enum", "functools", "hashlib", "heapq", "itertools", "json", "math", "msgspec", "operator",
    "re", "string", "struct", "types", "typing", "urllib.parse",
}  # fmt: skip
"""No clock, randomness, files, sockets, threads, event loop or logging. What is imported for
types alone, under TYPE_CHECKING, does not run."""

PURE_MAY_ALSO_IMPORT = {
    ("replog.http.facade", "asyncio"): "the type of an event in a Protocol",
    ("replog.http.facade", "starlette.websockets"): "a type in a Protocol",
    ("replog.http.openapi", "fastapi"): "a type, and routes to describe",
    ("replog.http.openapi", "fastapi.openapi.utils"): "makes a document of routes",
    ("replog.storage.chain", "replog.storage.marks"): "`DurableMark`, a frozen value",
    ("replog.storage.chain", "replog.storage.place"): "`Place`, a frozen value",
    ("replog.storage.chain", "replog.storage.scan"): "what a scan returns, frozen values",
    (
        "replog.storage.chain",
        "replog.storage.segment",
    ): "`Segment`, which it makes, and reads no file",
    ("replog.storage.index", "replog.storage.place"): "`Place`, a frozen value",
    ("replog.storage.received", "replog.storage.place"): "`Place`, a frozen value",
    ("replog.storage.received", "replog.storage.writer"): "`Piece`, a frozen value",
}

CLOCK = re.compile(r"\.(?:now|utcnow|today)\(")
"""`datetime` is for writing times down, not for reading clocks."""

RULE = re.compile(r"\bR([1-9][0-9]?)\b")


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_files_and_functions_stay_short(path: Path) -> None:
    name = name_of(path)
    too_long = [
        (f"{name}::{function}", lines)
        for function, lines in functions_of(path)
        if lines > FUNCTION_LINES_MAX
    ]
    lines = len(path.read_text().splitlines())
    if lines > FILE_LINES_MAX:
        too_long.append((name, lines))
    assert [what for what in too_long if what[0] not in LONG] == []
    needed = {what for what, _ in too_long}
    listed = {what for what in LONG if what.partition("::")[0] == name}
    assert listed <= needed, "these are short enough now: take them off the list"


@pytest.mark.parametrize("path", source_modules(), ids=name_of)
def test_a_module_says_in_its_second_line_what_it_touches(path: Path) -> None:
    assert kind_of(path) is not None, f"begin the docstring's second line with one of {KINDS}"


@pytest.mark.parametrize("path", source_modules(), ids=name_of)
def test_a_pure_module_imports_nothing_that_is_not(path: Path) -> None:
    if kind_of(path) == "PURE":
        strangers = set(imports_of(path)) - PURE_MAY_IMPORT - _pure_modules()
        name = dotted_name(path)
        listed = {what for module, what in PURE_MAY_ALSO_IMPORT if module == name}
        assert sorted(strangers - listed) == []
        assert sorted(listed - strangers) == [], "not needed any more: take it off the list"
        assert CLOCK.findall(path.read_text()) == []


def test_everything_in_the_core_is_pure() -> None:
    core = {dotted_name(path) for path in source_modules() if path.parent.name == "core"}
    assert "replog.core.entry" in core
    assert core <= _pure_modules()


@cache
def _pure_modules() -> frozenset[str]:
    return frozenset(dotted_name(path) for path in source_modules() if kind_of(path) == "PURE")


def test_rules_that_the_code_cites_are_in_the_documents_and_the_reverse() -> None:
    written = set(re.findall(r"^[-#*| ]*\**R([1-9][0-9]?)\b", _protocol(), re.MULTILINE))
    cited = {rule for path in source_modules() for rule in RULE.findall(path.read_text())}
    assert written == {str(number) for number in range(1, 15)}
    assert cited - written == set(), "cited in the code, not in docs/protocol.md"
    assert written - cited == set(), "in docs/protocol.md, cited nowhere in the code"


def _protocol() -> str:
    return (ROOT / "docs" / "protocol.md").read_text()


FOREIGN = re.compile(
    r"/w[o]rk/|/r[o]ot/|/h[o]me/\w|\.p[y]env/versions/\d|\bp[y]pi\.o[r]g|pythonh[o]sted|index-u[r]l|n[p]mjs|index\.d[o]cker\.io|"
    r"\bg[h]cr\.io|\bq[u]ay\.io|\bA[I]\b|(?<!user-)\ba[g]ents?\b|\bL[L]M\b|\bc[h]atbot",
    re.IGNORECASE,
)
"""Names of the place where this was written, and hosts that a build must not depend on.

With brackets, so that the list itself names none.
"""

FOREIGN_MAY_STAND = {
    "requirements/lock.sh": "names the options that keep such hosts out",
}


def test_nothing_names_the_workplace_or_a_registry_host() -> None:
    found: dict[str, list[str]] = {}
    for path in project_files():
        try:
            words = FOREIGN.findall(path.read_text())
        except UnicodeDecodeError:
            continue
        if words:
            found[name_of(path)] = words
    assert {name: words for name, words in found.items() if name not in FOREIGN_MAY_STAND} == {}
    assert FOREIGN_MAY_STAND.keys() <= found.keys(), "take what is clean off the list"
