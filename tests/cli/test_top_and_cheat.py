"""`replog top`, `replog cheat` and `replog completion`: what they print, and their ends.

SHELL.
"""

from __future__ import annotations

import itertools
import json
import os
import pty
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner, Result

from replog.cli.main import app
from tests.cli.scripted_node import Answer, ScriptedNode, scripted_node
from tests.support.cluster import clean_environment
from tests.support.commands import interruptible
from tests.support.waiting import DEADLINE_S, wait_until


@pytest.fixture
def node() -> Iterator[ScriptedNode]:
    with scripted_node() as node:
        yield node


def run(node: ScriptedNode, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--url", node.url])


def health(last_id: int, **members: object) -> Answer:
    shown = {"role": "master", "status": "ok", "epoch": 1, "last_id": last_id,
             "committed_id": last_id, "secondaries": []}  # fmt: skip
    return Answer(json.dumps(shown | members).encode())


# --- top ----------------------------------------------------------------------------------------


def test_top_that_is_piped_is_one_table_with_a_rate(node: ScriptedNode) -> None:
    node.answers = [health(1_000_000_000), health(1_000_000_010)]
    result = run(node, "top", "--interval", "0.1")
    head, row = (line.split("\t") for line in result.stdout.splitlines())
    assert (result.exit_code, head[-1], row[:2]) == (0, "ENTRIES/S", [node.url, "master"])
    assert 0 <= int(row[-1]) <= 100  # ten in 0.1 s, and what the machine takes beside it


def test_top_shows_how_far_behind_each_secondary_is(node: ScriptedNode) -> None:
    with scripted_node() as gone:
        pass
    row = {"url": gone.url, "health": "HEALTHY", "link": "streaming", "last_id": 7, "lag": 3}
    node.answers = [health(10, secondaries=[row]), health(10, secondaries=[row])]
    result = run(node, "top", "--interval", "0.1")
    head, own, other = (line.split("\t") for line in result.stdout.splitlines())
    told = dict(zip(head, other, strict=True))
    assert (own[0], told["NODE"], told["LAG"]) == (node.url, gone.url, "3")


def test_top_does_not_know_the_rate_of_a_node_that_has_no_id(node: ScriptedNode) -> None:
    node.answers = [Answer(b'{"role":"master"}'), health(5)]
    assert run(node, "top", "--interval", "0.1", "-o", "raw").stdout.endswith("\t-\n")


def test_top_as_json_is_one_look(node: ScriptedNode) -> None:
    node.answers = [health(10)]
    assert json.loads(run(node, "top", "--json").stdout)["last_id"] == 10


def test_top_without_a_node_is_an_error_at_once() -> None:
    with scripted_node() as gone:
        pass
    assert run(gone, "top").exit_code == 5


def test_top_on_a_terminal_goes_on_until_ctrl_c_and_leaves_the_screen_as_it_was(
    node: ScriptedNode,
) -> None:
    node.answers = [health(10), health(20), Answer(b"{}", status=503), *[health(30)] * 1000]
    ours, theirs = pty.openpty()
    words = interruptible("top", "--interval", "0.1", "--url", node.url)
    process = subprocess.Popen(words, stdout=theirs, stderr=theirs, env=clean_environment())
    os.close(theirs)
    shown = bytearray()

    def read() -> None:
        try:
            while data := os.read(ours, 65536):
                shown.extend(data)
        except OSError:
            pass  # Linux: the other end is closed

    reader = threading.Thread(target=read)
    reader.start()
    wait_until(lambda: shown.count(b"\x1b[H") >= 5, "it shows it again and again")
    process.send_signal(signal.SIGINT)
    assert process.wait(DEADLINE_S) == 130
    reader.join()
    os.close(ours)
    assert shown.startswith(b"\x1b[?1049h")
    assert shown.endswith(b"\x1b[?25h\x1b[?1049l")
    assert b"HTTP 503" in shown or b"answered 503" in shown
    assert b"Traceback" not in shown


# --- cheat --------------------------------------------------------------------------------------


def test_cheat_names_the_master_a_secondary_and_an_id_that_is_there(node: ScriptedNode) -> None:
    node.answers = [health(17, secondaries=[{"url": "http://second"}])]
    result = run(node, "cheat")
    assert (result.exit_code, result.stderr) == (0, "")
    assert f"curl {node.url}/logs/17/acks\n" in result.stdout
    assert "curl http://second/logs/17\n" in result.stdout
    assert "http://second/delay\n" in result.stdout


def test_cheat_at_a_secondary_appends_at_its_master(node: ScriptedNode) -> None:
    node.answers = [health(17, role="secondary", master={"url": "http://first"})]
    lines = run(node, "cheat").stdout
    assert """curl -d '{"message":"hello"}' http://first/logs\n""" in lines
    assert f"curl {node.url}/logs/17\n" in lines


def test_cheat_asks_an_empty_log_for_no_entry_and_expects_its_end_to_be_0(
    node: ScriptedNode,
) -> None:
    node.answers = [health(0)]
    sheet = run(node, "cheat").stdout
    assert "only if nobody appended since id 0\n" in sheet
    assert """If-Match: "0"'""" in sheet
    assert "/logs/0" not in sheet
    assert "min_id" not in sheet
    lines = sheet.splitlines()
    for line, following in itertools.pairwise(lines):
        assert not line.startswith("  # ") or following.startswith("  curl "), line


def test_cheat_without_a_node_still_shows_the_lines() -> None:
    with scripted_node() as gone:
        pass
    result = run(gone, "cheat")
    assert (result.exit_code, f"curl {gone.url}/logs/1\n" in result.stdout) == (0, True)
    assert "no node answers" in result.stderr


# --- completion ---------------------------------------------------------------------------------


def completed(*words: str) -> list[str]:
    """Return what bash offers behind the last of `words`."""
    script = CliRunner().invoke(app, ["completion", "bash"]).stdout
    line = " ".join(f"'{word}'" for word in words)
    asked = f"COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _replog; echo ${{COMPREPLY[@]}}"
    done = subprocess.run(
        ["bash", "-c", f"{script}\n{asked}"], capture_output=True, text=True, check=True
    )
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["replog", "do"], ["doctor"]),
        (["replog", "--v"], ["--version"]),
        (["replog", "get", "--li"], ["--limit"]),
        (["replog", "append", "x", "--write"], ["--write-concern"]),
        (["replog", "get", "-o", "j"], ["json", "jsonl"]),
        (["replog", "bench", "t"], ["tail"]),
        (["replog", "completion", ""], ["bash", "zsh", "fish", "--help"]),
        (["replog", "verify", "dat"], []),  # files: bash's own
    ],
)
def test_bash_offers_what_can_follow(words: list[str], offered: list[str]) -> None:
    assert completed(*words) == offered


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_scripts_of_other_shells_hold_every_command_and_parse(shell: str) -> None:
    result = CliRunner().invoke(app, ["completion", shell])
    assert result.exit_code == 0
    assert "doctor" in result.stdout
    assert "--write-concern" in result.stdout
    if shutil.which(shell):
        checked = subprocess.run([shell, "-n"], input=result.stdout, text=True, check=False)
        assert checked.returncode == 0


def test_a_shell_that_is_not_known_is_usage() -> None:
    assert CliRunner().invoke(app, ["completion", "tcsh"]).exit_code == 2
