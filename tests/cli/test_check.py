"""`replog check`: a history that holds is said to hold, and what does not is named.

SHELL.
"""

from __future__ import annotations

import gc
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from replog.cli.check import SHOWN
from replog.cli.main import app
from tests.history.made import Made


def check(*arguments: str | Path, given: bytes = b"") -> Result:
    return CliRunner().invoke(app, ["check", *map(str, arguments)], input=given)


def good() -> Made:
    made = Made()
    made.append("a", "b", id=1)
    made.read("ab")
    made.disks("ab", "ab", "ab")
    return made


def bad(entries: int = 2) -> Made:
    made = Made()
    for place in range(1, entries + 1):
        made.append(f"{place}", id=place)
    made.disks("", "", "")
    return made


def write(path: Path, made: Made) -> Path:
    path.write_bytes(b"".join(line + b"\n" for line in made.data()))
    return path


def test_a_history_that_holds_is_one_plain_line(tmp_path: Path) -> None:
    path = write(tmp_path / "run.jsonl", good())
    result = check(path)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"{path}\t1 append\t1 read\t3 disks\t2 entries\tok\n"
    assert gc.isenabled()


def test_what_was_broken_is_exit_code_7_and_named_by_line(tmp_path: Path) -> None:
    paths = write(tmp_path / "good.jsonl", good()), write(tmp_path / "bad.jsonl", bad())
    result = check(*paths)
    assert result.exit_code == 7
    assert [line.rpartition("\t")[2] for line in result.stdout.splitlines()] == [
        "ok",
        "FAILED: 2 lost",
    ]
    said = "'1' was answered \"ok\" as id 1, and the log ends at 0"
    assert result.stderr.splitlines()[0] == f"    {paths[1]}: lost: line 2: {said}"


def test_of_many_findings_people_are_shown_some(tmp_path: Path) -> None:
    path = write(tmp_path / "run.jsonl", bad(SHOWN + 5))
    shown = check(path).stderr.splitlines()
    assert len(shown) == SHOWN + 1
    assert shown[-1] == f"    {path}: lost: and 5 more"
    assert len(json.loads(check(path, "--json").stdout)["findings"]) == SHOWN + 5


def test_json_is_an_object_for_each_history(tmp_path: Path) -> None:
    paths = write(tmp_path / "good.jsonl", good()), write(tmp_path / "bad.jsonl", bad(1))
    result = check(*paths, "--json")
    assert result.exit_code == 7
    first, second = map(json.loads, result.stdout.splitlines())
    assert first == {
        "history": str(paths[0]), "ok": True, "appends": 1, "reads": 1, "disks": 3, "faults": 0,
        "entries": 2, "findings": [],
    }  # fmt: skip
    assert second["ok"] is False
    text = "'1' was answered \"ok\" as id 1, and the log ends at 0"
    assert second["findings"] == [{"kind": "lost", "line": 2, "text": text}]
    assert json.loads(check(*paths, "-o", "json").stdout) == [first, second]


def test_standard_input_is_read() -> None:
    result = check("-", given=b"\n".join(good().data()))
    assert (result.exit_code, result.stdout.partition("\t")[0]) == (0, "-")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "{path} cannot be read: No such file or directory"),
        (b"", "{path}: line 1: is missing; it names the nodes"),
        (b'{"op":"nodes","nodes":["a"]}\n[]\n', "{path}: line 2: "),
    ],
)
def test_what_is_no_history_is_exit_code_1(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    path = tmp_path / "run.jsonl"
    if content is not None:
        path.write_bytes(content)
    result = check(path)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("replog: " + reason.format(path=path))
