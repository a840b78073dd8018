"""docs/client.md: its snippets run in their order, and print what their comments say."""

from __future__ import annotations

import inspect
import pydoc
import re
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from types import FunctionType
from typing import get_type_hints

import pytest

from replog import client as package
from replog.client import (
    Acks,
    Appended,
    AppendedMany,
    AsyncClient,
    AsyncProducer,
    Client,
    Entry,
    Producer,
    Status,
)
from replog.client.calls import Calls
from tests.house.source import ROOT
from tests.support.cluster import ProcessCluster, clean_environment

RUN_ITS_TEST = """
with LocalCluster(secondaries=2) as cluster:
    test_it_survives_a_kill(cluster)
"""
TEXT = (ROOT / "docs" / "client.md").read_text()
EXPECTED = re.compile(r"print\(.*\) +# (.*)$", re.MULTILINE)


def snippets_of(text: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def run(path: Path, program: str) -> list[str]:
    """Return the lines that a program prints."""
    path.write_text(program)
    done = subprocess.run(
        [sys.executable, str(path)],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.processes
def test_the_snippets_run_and_print_what_they_say(tmp_path: Path) -> None:
    program = "\n".join([*snippets_of(TEXT), "client.close()", RUN_ITS_TEST])
    (tmp_path / "nodes").mkdir()
    with ProcessCluster(tmp_path / "nodes") as cluster:
        for number, url in enumerate(cluster.start_all().urls):
            program = program.replace(f"http://127.0.0.1:{8000 + number}", url)
        printed = run(tmp_path / "snippets.py", program)
    assert printed == EXPECTED.findall(program)


@pytest.mark.parametrize("name", package.__all__)
def test_every_error_and_every_class_to_make_is_in_the_document(name: str) -> None:
    value: object = getattr(package, name)
    is_error = isinstance(value, type) and issubclass(value, Exception)
    if is_error or value in {Client, AsyncClient, Producer, AsyncProducer}:
        assert f"`{name}`" in TEXT or f"`{name}(" in TEXT


def public(of: type) -> dict[str, FunctionType]:
    methods = inspect.getmembers(of, inspect.isfunction)
    return {name: method for name, method in methods if not name.startswith("_")}


def test_both_clients_have_the_calls_of_the_one_source_with_their_signatures() -> None:
    calls = public(Calls)
    inner = {"append_encoded", "new_key"}
    for kind in (Client, AsyncClient):
        methods = public(kind)
        assert set(calls) - inner == set(methods) - {"close", "run", "iterate"}
        for name in set(calls) - inner:
            ours, theirs = inspect.signature(methods[name]), inspect.signature(calls[name])
            assert ours.parameters == theirs.parameters
            assert methods[name].__doc__ == calls[name].__doc__


@pytest.mark.parametrize(
    ("kind", "iteration"),
    [(Client, Generator[Entry, None, None]), (AsyncClient, AsyncGenerator[Entry, None])],
)
def test_help_tells_what_a_call_returns_and_nothing_of_flows(kind: type, iteration: object) -> None:
    told = {name: get_type_hints(method)["return"] for name, method in public(kind).items()}
    expected = {
        "append": Appended, "append_many": AppendedMany, "acks": Acks, "wait_for": Acks,
        "get": Entry, "read": iteration, "follow": iteration, "status": Status,
    }  # fmt: skip
    assert {name: told[name] for name in expected} == expected
    text = pydoc.plain(pydoc.render_doc(kind))
    assert re.search(r"-> '?Appended\b'?( from \S+)?$", text, re.MULTILINE)
    assert not re.search(r"-> .*(Flow|Steps)", text.replace("run(self, flow: 'Flow[T]')", ""))


@pytest.mark.parametrize(("one", "other"), [(Client, AsyncClient), (Producer, AsyncProducer)])
def test_what_is_made_by_hand_has_the_same_shape(one: type, other: type) -> None:
    assert set(public(one)) == set(public(other))
    ours, theirs = (inspect.signature(kind).parameters for kind in (one, other))
    assert list(ours) == list(theirs)
    for name in set(ours) - {"client", "transport"}:
        assert ours[name] == theirs[name]
