"""Client commands as processes: on a terminal, in a pipe, and stopped by Ctrl-C.

SHELL.
"""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from tests.cli.scripted_node import Answer, ScriptedNode, scripted_node
from tests.support.cluster import clean_environment
from tests.support.waiting import DEADLINE_S, wait_until


@pytest.fixture
def node() -> Iterator[ScriptedNode]:
    with scripted_node() as node:
        yield node


def command(node: ScriptedNode, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "replog", *arguments, "--url", node.url]


def on_a_terminal(words: list[str], *, stdin: bytes = b"", **variables: str) -> tuple[int, str]:
    """Run a command with stdout and stderr on a terminal; return its status and what it showed."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=theirs, stderr=theirs,
        env=clean_environment(variables),
    )  # fmt: skip
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
    process.communicate(stdin, timeout=DEADLINE_S)
    reader.join()
    os.close(ours)
    return process.returncode, shown.decode().replace("\r\n", "\n")


def test_an_append_is_a_sign_an_id_the_nodes_and_the_time(node: ScriptedNode) -> None:
    node.stored(1042, acks="2/3")
    status, shown = on_a_terminal(command(node, "append", "x"), NO_COLOR="1")
    assert status == 0
    assert shown.startswith("✓ 1042   on 2 of 3 nodes   ")
    assert shown.endswith("s\n")


def test_colours_are_for_terminals_that_want_them(node: ScriptedNode) -> None:
    node.stored(1, 2)
    assert "\x1b[32m✓\x1b[0m" in on_a_terminal(command(node, "append", "x"))[1]
    assert "\x1b" not in on_a_terminal(command(node, "append", "x"), NO_COLOR="1")[1]


def test_lines_of_stdin_end_in_a_summary(node: ScriptedNode) -> None:
    node.stored_batch(5, 7)
    status, shown = on_a_terminal(command(node, "append", "-"), stdin=b"a\nb\nc\n", NO_COLOR="1")
    assert status == 0
    assert shown.rpartition("\x1b[K")[2].startswith("✓ 5…7   3 lines   ")


def test_status_is_a_table_with_numbers_to_the_right(node: ScriptedNode) -> None:
    health = {"role": "master", "status": "ok", "epoch": 3, "last_id": 1043, "committed_id": 1043}
    node.answers = [Answer(json.dumps(health).encode())]
    head, row = on_a_terminal(command(node, "status"), NO_COLOR="1")[1].splitlines()
    assert head.split() == [
        "NODE",
        "ROLE",
        "HEALTH",
        "EPOCH",
        "LAST",
        "COMMITTED",
        "LAG",
        "LAST",
        "CONTACT",
    ]
    assert row.split() == [node.url, "master", "healthy", "3", "1043", "1043", "-", "-"]
    assert len(head) == len(row)
    assert (
        head.index("COMMITTED") + len("COMMITTED") == row.index("1043  ", row.index("1043") + 4) + 4
    )


def test_a_reader_that_has_enough_is_no_error(node: ScriptedNode) -> None:
    entries = "".join(f'{{"id":{id_},"message":"m"}}\n' for id_ in range(1, 100_000))
    node.answers = [Answer(entries.encode())]
    process = subprocess.Popen(
        command(node, "get"), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=clean_environment(),
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == b"1\tm\n"
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    assert (process.wait(DEADLINE_S), said) == (0, b"")


def test_tail_ends_when_its_reader_has_gone_though_no_entry_comes(node: ScriptedNode) -> None:
    node.health = [Answer(b'{"role":"master","status":"ok","log_id":"one"}')] * 100
    node.answers = [
        Answer(b'{"id":1,"message":"m"}\n'),
        *[Answer(b"\n", waits=True)] * 100,  # signs of life
    ]
    process = subprocess.Popen(
        command(node, "tail", "--from", "1"), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=clean_environment(),
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == b"1\tm\n"
    wait_until(
        lambda: sum("/stream" in asked for asked, _ in node.asked) == 2, "it waits for entry 2"
    )
    process.stdout.close()
    node.release()
    assert process.wait(DEADLINE_S) == 0
    said = process.stderr.read().decode()
    process.stderr.close()
    assert (said.count("reconnecting"), said.count("\n")) == (1, 1)


def test_ctrl_c_says_what_is_stored_and_is_130(node: ScriptedNode) -> None:
    node.stored_batch(5, 6)
    process = subprocess.Popen(
        command(node, "append", "-"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env=clean_environment(), text=True,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("a\nb\n")
    process.stdin.flush()
    assert [process.stdout.readline() for _ in range(2)] == ["5\n", "6\n"]
    process.send_signal(signal.SIGINT)
    assert process.wait(DEADLINE_S) == 130  # with more input still to come
    out, said = process.communicate()
    assert out == ""
    assert said == "stopped: stored last: line 2, as id 6\n"


def test_ctrl_c_while_an_append_waits_leaves_no_traceback(node: ScriptedNode) -> None:
    # The scripted node promises more bytes than it has, and so never finishes its answer.
    node.answers = [Answer(b"{", size=10, hangs=True)]
    process = subprocess.Popen(
        command(node, "append", "x"), stderr=subprocess.PIPE, env=clean_environment()
    )
    wait_until(lambda: bool(node.asked), "the append is on its way")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=DEADLINE_S)
    node.release()
    assert process.returncode == 130
    assert b"Traceback" not in said
