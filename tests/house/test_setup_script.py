"""requirements/setup.sh on a machine that lacks something: it says what, and how to install it.

SHELL. Each machine is a folder of programs that stands alone on the PATH.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.house.source import ROOT

OLD = """#!/bin/sh
case "$1" in --version) echo "Python 3.9.2" ;; *) exit 1 ;; esac
"""
NO_VENV = """#!/bin/sh
case "$*" in
  --version) echo "Python 3.11.2" ;;
  *ensurepip*) exit 1 ;;
esac
"""


def set_up(tmp_path: Path, python: str | None, **variables: str) -> list[str]:
    """Run it where `python` is all of Python that there is; return the lines it ended with."""
    programs = tmp_path / "bin"
    programs.mkdir()
    dirname = shutil.which("dirname")
    assert dirname is not None
    (programs / "dirname").symlink_to(dirname)
    if python is not None:
        (programs / "python3").write_text(python)
        (programs / "python3").chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", str(ROOT / "requirements" / "setup.sh"), str(tmp_path / "venv")],
        env={"PATH": str(programs), "HOME": str(tmp_path), **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert not (tmp_path / "venv").exists()
    return done.stderr.splitlines()


@pytest.mark.parametrize(("python", "found"), [(None, "no python3"), (OLD, "Python 3.9.2")])
def test_a_python_that_is_missing_or_too_old_is_named_with_the_line_that_installs_one(
    tmp_path: Path, python: str | None, found: str
) -> None:
    complaint, line = set_up(tmp_path, python)
    assert complaint.startswith(f"make setup: Python 3.11 or newer is needed, found: {found}. ")
    assert line == "    sudo apt-get install -y python3 python3-venv"


def test_a_missing_venv_module_is_named_with_the_line_that_installs_it(tmp_path: Path) -> None:
    assert set_up(tmp_path, NO_VENV) == [
        "make setup: Python 3.11.2 is here without its venv module. Install it with:",
        "    sudo apt-get install -y python3-venv",
    ]


def test_a_chosen_python_that_will_not_do_is_named(tmp_path: Path) -> None:
    assert set_up(tmp_path, OLD, PYTHON="python3") == [
        "make setup: PYTHON=python3 is no Python 3.11 or newer with its venv module",
    ]
