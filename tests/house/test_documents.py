"""What can be set and typed is in the documents, and the documents name nothing else.

DISK.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer.main

from replog.cli.main import app
from replog.config.table import TABLE, Setting
from tests.house.source import ROOT

CONFIGURATION = ROOT / "docs" / "configuration.md"
COMMAND_LINE = ROOT / "docs" / "command-line.md"


@pytest.mark.parametrize("setting", TABLE, ids=lambda setting: setting.name)
def test_every_setting_has_a_row_in_the_documents(setting: Setting[object]) -> None:
    start = f"| `{setting.name}` | `{setting.flag}` | `{setting.variable}` |"
    [row] = [line for line in CONFIGURATION.read_text().splitlines() if line.startswith(start)]
    assert setting.help in row
    assert setting.expects in row


def test_the_documents_name_no_setting_that_is_none() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `--", CONFIGURATION.read_text(), re.MULTILINE)
    assert rows == [setting.name for setting in TABLE]


def test_every_command_and_its_options_are_in_the_documents_and_the_reverse() -> None:
    text = COMMAND_LINE.read_text()
    section_form = re.compile(r"^## `replog (\w+)`\n(.*?)(?=^## |\Z)", re.DOTALL | re.MULTILINE)
    sections: dict[str, str] = dict(section_form.findall(text))
    group = typer.main.get_group(app)
    assert list(sections) == list(group.commands)
    for name, section in sections.items():
        options = {
            spelling
            for parameter in group.commands[name].params
            if not getattr(parameter, "hidden", False)
            for spelling in parameter.opts
            if spelling.startswith("--")
        }
        named = set(re.findall(r"--[a-z][a-z-]*", section))
        if name == "serve":  # its settings stand in docs/configuration.md
            options -= {setting.flag for setting in TABLE}
            named -= {setting.flag for setting in TABLE}
        assert named == options, name


@pytest.mark.parametrize(
    "path",
    [ROOT / "README.md", ROOT / "docs" / "http.md", ROOT / "docs" / "operations.md", COMMAND_LINE],
    ids=lambda path: path.name,
)
def test_what_users_read_cites_no_rule_that_it_does_not_explain(path: Path) -> None:
    without_links = re.sub(r"\[[^]]*\]\([^)]*\)", "", path.read_text())
    assert re.findall(r"\b[RP][1-9][0-9]?\b", without_links) == []
