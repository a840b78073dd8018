"""docs/tutorial.md: every cell is run in its order, and prints what stands below it.

SHELL. Its `make up` is a real one, on other ports; its cells run in the directory of that.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.house.source import ROOT
from tests.processes.test_up import Up, up
from tests.support.cluster import clean_environment
from tests.support.shown import is_as_shown
from tests.support.tools import needs
from tests.support.waiting import wait_until

TEXT = (ROOT / "docs" / "tutorial.md").read_text()
CELL = re.compile(
    r"^```(sh|python)\n(.*?)^```\n(?:```text\n(.*?)^```\n)?", re.DOTALL | re.MULTILINE
)
PRINTED = re.compile(r"print\(.*\) +# (.*)$", re.MULTILINE)
CELL_WITHIN_S = 90


@dataclass(frozen=True)
class Cell:
    language: str
    code: str
    output: str
    """What is shown below it; "" where nothing is."""


def cells() -> list[Cell]:
    return [Cell(language, code, output) for language, code, output in CELL.findall(TEXT)]


class Notebook:
    """The second terminal. What its cells left running is ended by `close`."""

    def __init__(self, running: Up, directory: Path) -> None:
        self._running = running
        self._directory = directory
        self._sessions: list[subprocess.Popen[bytes]] = []
        command = directory / ".venv" / "bin" / "replog"
        command.parent.mkdir(parents=True)
        command.write_text(f'#!/bin/sh\nexec {sys.executable} -m replog "$@"\n')
        command.chmod(0o755)

    def run(self, cell: Cell) -> str:
        """Run a cell of the shell and return what it printed."""
        assert cell.language == "sh"
        said = self._directory / f"said-{len(self._sessions)}"
        errors = self._directory / "errors"
        path = f'export PATH="$PWD/.venv/bin:$PATH"\n{self.here(cell.code)}'
        with said.open("wb") as out, errors.open("ab") as err:
            process = subprocess.Popen(
                ["/bin/sh", "-c", path],
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=clean_environment({"REPLOG_URL": self._running.urls[0]}),
                start_new_session=True,
            )
        self._sessions.append(process)
        if "curl -N" in cell.code:
            wait_until(
                lambda: is_as_shown(self.there(said.read_text()), cell.output),
                f"{cell.code} shows {cell.output}",
                explain=lambda: said.read_text() + self._running.said(),
            )
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        else:
            status = process.wait(CELL_WITHIN_S)
            assert status == 0, f"{cell.code}{errors.read_text()}{self._running.said()}"
        return self.there(said.read_text())

    def run_program(self, code: str) -> str:
        """Run Python and return what it printed."""
        done = subprocess.run(
            [sys.executable, "-c", self.here(code)],
            capture_output=True,
            text=True,
            env=clean_environment(),
            timeout=CELL_WITHIN_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def here(self, text: str) -> str:
        """Put this cluster's ports in place of the document's."""
        return re.sub(r"\b800([012])\b", lambda port: str(self._running.port + int(port[1])), text)

    def there(self, text: str) -> str:
        for number in range(3):
            text = text.replace(f":{self._running.port + number}", f":{8000 + number}")
        return text

    def close(self) -> None:
        for process in self._sessions:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def notebook(tmp_path: Path) -> Iterator[tuple[Notebook, Up]]:
    with up(tmp_path) as running:
        opened = Notebook(running, tmp_path)
        try:
            yield opened, running
        finally:
            opened.close()


@needs("lsof", "curl")
def test_every_cell_prints_what_stands_below_it(notebook: tuple[Notebook, Up]) -> None:
    terminal, running = notebook
    first, *rest = cells()
    assert first.code == "make up\n"
    assert is_as_shown(terminal.there("\n".join(running.lines)), first.output)
    for cell in rest:
        for line in re.findall(r"^(replog serve .*) &$", cell.code, re.MULTILINE):
            wait_until(
                lambda line=line: terminal.here(line) in running.said(),  # type: ignore[misc]
                f"make up prints {line}",
                explain=running.said,
            )
        if cell.language == "sh":
            said = terminal.run(cell)
            assert is_as_shown(said, cell.output), (cell, said)
    program = "\n".join(cell.code for cell in rest if cell.language == "python")
    assert terminal.run_program(program).splitlines() == PRINTED.findall(program)


def test_every_fence_of_the_document_is_a_cell_and_python_comes_last() -> None:
    found = cells()
    blocks = sum(2 if cell.output else 1 for cell in found)
    assert TEXT.count("```") == 2 * blocks
    languages = [cell.language for cell in found]
    assert languages == sorted(languages, reverse=True), "a program is run behind all else"
    assert {"sh", "python"} == set(languages)


def test_the_way_to_find_a_nodes_process_is_that_of_the_operators_document() -> None:
    """The cells above run it."""
    operations = (ROOT / "docs" / "operations.md").read_text()
    assert "kill $(lsof -t replog-data/secondary-2/lock)\n" in TEXT
    assert "kill $(lsof -t replog-data/secondary-2/lock) " in operations


@pytest.mark.parametrize(
    ("said", "shown", "is_equal"),
    [
        ('{"id":1}\n', '{"id":1}', True),
        ('{"id":12}', '{"id":1}', False),
        ('{"id":1}x', '{"id":1}', False),
        ("x", "", False),
        ("a\tb", "a   b", True),
        ('{"head":"00ff00ff00","x":1}', '{"head":"9c…",…}', True),
        ('{"head":"none","x":1}', '{"head":"9c…",…}', False),
        ("2026-11-23T01:02:03.456Z", "2025-01-01T00:00:00Z", True),
        ("yesterday", "2025-01-01T00:00:00Z", False),
    ],
)
def test_what_varies_is_passed_over_and_nothing_else(said: str, shown: str, is_equal: bool) -> None:
    assert is_as_shown(said, shown) is is_equal
