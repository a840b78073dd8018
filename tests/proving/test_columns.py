"""The columns of calls that rows 4 and 5 try end behind the last call that a node makes.

NETWORK. A change of what a node writes adds calls, which a full run must then try as well.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from proving.harnesses.syscalls.columns import CALLS, KILLING
from proving.harnesses.syscalls.nodes import count_calls
from proving.harnesses.syscalls.scripts import SCRIPTS, Script
from proving.needs import STRACE
from tests.support.needed import need

pytestmark = pytest.mark.processes


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.of)
def test_no_run_comes_to_the_end_of_a_column(script: Script, tmp_path: Path) -> None:
    need(STRACE)
    made = count_calls(script, tmp_path)
    assert made["main", "fdatasync"], "it is traced"
    most = {(each.thread, each.call): each.most for each in KILLING if each.script is script}
    tried = {at: count for at, count in made.items() if at[1] in CALLS}
    assert {at: count for at, count in tried.items() if count >= most.get(at, 1)} == {}
