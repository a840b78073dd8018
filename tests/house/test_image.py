"""The image starts what an installed `replog` starts.

DISK.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_command_of_the_image_is_the_one_that_pip_installs() -> None:
    """In a container it is process 1: SIGTERM is ignored until its main has said otherwise."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    module, _, function = project["scripts"]["replog"].partition(":")
    assert f"'from {module} import {function}'" in (ROOT / "Dockerfile").read_text()
