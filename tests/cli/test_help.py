"""The command line as a whole: help, version, usage.

SHELL.
"""

from __future__ import annotations

import subprocess
import sys

import pytest
import typer.main
from typer.testing import CliRunner

import replog
from replog.cli.main import app
from tests.support.cluster import clean_environment

COMMANDS = [
    "serve", "up", "append", "get", "tail", "acks", "status", "top", "doctor", "cheat", "bench",
    "verify", "check", "restore", "completion",
]  # fmt: skip


def test_version_is_that_of_the_package() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"replog {replog.__version__}\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command_shows_an_example(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert f"\n  replog {command} " in result.stdout


@pytest.mark.parametrize("arguments", [["nonsense"], ["append"], ["get", "--form", "1"]])
def test_a_usage_error_is_exit_code_2(arguments: list[str]) -> None:
    assert CliRunner().invoke(app, arguments).exit_code == 2


def test_the_list_of_commands_is_whole() -> None:
    assert list(typer.main.get_group(app).commands) == COMMANDS


@pytest.mark.parametrize("arguments", [["--help"], ["append", "--help"], ["bench", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    heavy = {"fastapi", "uvicorn", "httpx2", "rich", "asyncio", "msgspec", "websockets"}
    code = (
        f"import sys\nsys.argv = ['replog', *{arguments!r}]\n"
        "from replog.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"print(sorted({heavy} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=clean_environment(),
    )
    assert done.stdout.splitlines()[-1] == "[]"
