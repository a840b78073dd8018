"""What an installation without extras can do, and what an import costs.

Packages that are installed here are made unfindable in a process of its own.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib

import pytest

from tests.house.source import ROOT, SOURCE
from tests.support.cluster import clean_environment

SERVER = ("fastapi", "starlette", "uvicorn", "uvloop", "httptools", "websockets")
COMMANDS = ("typer", "click", "rich", "pydantic")


def run(
    code: str, *arguments: str, without: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    hide = f"import sys; sys.modules.update(dict.fromkeys({without!r}))\n"
    return subprocess.run(
        [sys.executable, "-c", hide + code, *arguments],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_client_needs_nothing_of_the_extras() -> None:
    done = run(
        "from replog import AsyncClient, Client, Producer; Client().close(); print('ok')",
        without=SERVER + COMMANDS,
    )
    assert done.stdout == "ok\n", done.stderr


def test_importing_replog_alone_imports_no_http_library_and_nothing_of_the_server() -> None:
    done = run("import replog; print(sorted(m for m in sys.modules if m.startswith('replog.')))")
    assert done.stdout == "[]\n", done.stderr
    done = run("import replog.testing; print({'httpx2', 'asyncio', 'typer'} & set(sys.modules))")
    assert done.stdout == "set()\n", done.stderr


@pytest.mark.parametrize(
    ("arguments", "without", "extra"),
    [
        (["status"], COMMANDS, "cli"),
        (["serve", "--role", "secondary", "--data-dir", "unused"], SERVER, "server"),
    ],
)
def test_a_command_without_its_extra_says_in_one_line_what_to_install(
    arguments: list[str], without: tuple[str, ...], extra: str
) -> None:
    done = run("from replog.__main__ import main; main()", *arguments, without=without)
    assert done.returncode == 1
    assert done.stderr.endswith(f"is not installed: pip install 'replog[{extra}]'\n")
    assert done.stderr.count("\n") == 1


def test_the_client_commands_need_no_server() -> None:
    code = "from replog.__main__ import main; main()"
    done = run(code, "status", "--url", "http://127.0.0.1:1", without=SERVER)
    assert done.returncode == 5, done.stderr


def test_a_missing_module_of_our_own_keeps_its_traceback() -> None:
    done = run("from replog.__main__ import main; main()", without=("replog.cli.main",))
    assert "Traceback" in done.stderr


def test_a_name_that_is_none_is_no_attribute_of_the_package() -> None:
    done = run("import replog; print(hasattr(replog, 'Clint'), hasattr(replog, '__wrapped__'))")
    assert done.stdout == "False False\n"


def test_what_is_declared_is_the_client_alone_with_its_types() -> None:
    def names(path: str) -> set[str]:
        lines = (ROOT / path).read_text().splitlines()
        return {line for line in lines if line and not line.startswith("#")}

    tool = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert tool["dynamic"]["dependencies"] == {"file": ["requirements/client.in"]}
    assert names("requirements/client.in") == {"httpx2", "msgspec"}
    assert set(tool["dynamic"]["optional-dependencies"]) == {"cli", "server"}
    assert names("requirements/server.in").isdisjoint(names("requirements/client.in"))
    assert "py.typed" in tool["package-data"]["replog"]
    assert (SOURCE / "replog" / "py.typed").is_file()
