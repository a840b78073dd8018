"""The OpenAPI document of real nodes, and whether they keep it: asked by schemathesis.

SHELL. It knows nothing of the code: it makes requests from the document alone, fit ones and unfit
ones, in the same order each time. What it may not take as a fault stands in
tests/support/schemathesis.toml.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.source import ROOT
from tests.support.cluster import ProcessCluster, call, clean_environment

CONFIGURATION = ROOT / "tests" / "support" / "schemathesis.toml"
EXAMPLES = 5
NOT_ASKED = {"GET /logs/stream"}
"""Without an end, which schemathesis would wait for."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessCluster]:
    with ProcessCluster(tmp_path_factory.mktemp("nodes"), secondaries=1) as cluster:
        yield cluster.start_all()


def ask(document: Path | str, url: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Hold the node at `url` against a document; what was found is on stdout."""
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIGURATION)]
    command += ["run", str(document), "--url", url, "--max-examples", str(EXAMPLES), "--no-color"]
    environment = clean_environment()
    environment["PYTHONPATH"] += f":{ROOT}"  # for the hooks
    return subprocess.run(
        [*command, *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env=environment,
    )


@pytest.mark.parametrize(
    ("node", "options"),
    [
        ("master", ()),
        # One document serves both roles: `Allow` of /logs names no POST at a secondary.
        ("secondary-1", ("--exclude-checks", "allow_header_conformance")),
    ],
)
def test_a_node_answers_as_its_own_document_says(
    cluster: ProcessCluster, node: str, options: tuple[str, ...]
) -> None:
    url = cluster.url(node)
    document = f"{url}/openapi.json"
    done = ask(document, url, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    paths = call("GET", document).json()["paths"]
    operations = {f"{method.upper()} {path}" for path in paths for method in paths[path]}
    assert operations >= NOT_ASKED
    asked = len(operations) - len(NOT_ASKED)
    assert f"Operations:       {asked} selected / {len(operations)} total" in done.stdout
    assert call("GET", f"{url}/readyz").status_code == 200, "it is as well as before"


def test_it_finds_a_status_and_a_member_that_a_document_does_not_have(
    cluster: ProcessCluster, tmp_path: Path
) -> None:
    document = call("GET", f"{cluster.url('master')}/openapi.json").json()
    document["paths"] = {path: document["paths"][path] for path in ("/delay", "/livez")}
    del document["paths"]["/delay"]["get"]["responses"]["409"]
    [content] = document["paths"]["/livez"]["get"]["responses"]["200"]["content"].values()
    content["schema"] = {"type": "object", "additionalProperties": False}
    path = tmp_path / "openapi.json"
    path.write_text(json.dumps(document))
    done = ask(path, cluster.url("master"), "--phases", "coverage")
    assert done.returncode == 1, done.stdout
    assert "Undocumented status code" in done.stdout
    assert "Response violates schema" in done.stdout
