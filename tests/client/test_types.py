"""What a type checker tells the users of the client."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.source import SOURCE

USE = """
import asyncio
from collections.abc import Generator

from replog import AsyncClient, AsyncProducer, Client, Entry, InDoubtError, Producer
from replog.testing import LocalCluster


def blocking(client: Client) -> Generator[Entry, None, None]:
    number: int = client.append("x", w="majority", timeout=1, key="k", expect=0).id
    ids: range = client.append_many(["x"], w=2).ids
    reveal_type(client.acks(number))
    with Producer(client) as producer:
        reveal_type(producer.append("x").result())
    return client.follow(ids[0])


async def awaited(client: AsyncClient) -> None:
    task = asyncio.create_task(client.append("x", w="all"))
    reveal_type(await task)
    async with AsyncProducer(client) as producer:
        reveal_type(await (await producer.append("x")))
    async for entry in client.read(last=3):
        reveal_type(entry)
"""
TOLD = ["Acks", "Appended", "Appended", "Appended", "Entry"]

WRONG = """
from replog import Client, Clint
Client().append("x", w="most")
Client().append(b"x")
Client().append("x", writeconcern=1)
"""


def check(directory: Path, code: str) -> subprocess.CompletedProcess[str]:
    path = directory / "use.py"
    path.write_text(code)
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", os.devnull]
    return subprocess.run(
        [*command, "--cache-dir", str(directory / "cache"), str(path)],
        env={**os.environ, "MYPYPATH": str(SOURCE)},
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.slow
def test_strict_users_see_the_types_of_every_call_and_no_error(tmp_path: Path) -> None:
    done = check(tmp_path, USE)
    assert done.returncode == 0, done.stdout
    told = [line for line in done.stdout.splitlines() if "Revealed" in line]
    assert [line.rpartition(".")[2].rstrip('"') for line in told] == TOLD


@pytest.mark.slow
def test_wrong_uses_are_errors_of_types(tmp_path: Path) -> None:
    done = check(tmp_path, WRONG)
    told = [line for line in done.stdout.splitlines() if ": error:" in line]
    assert [line.rpartition("[")[2].rstrip("]") for line in told] == [
        "attr-defined",
        "arg-type",
        "arg-type",
        "call-arg",
    ], done.stdout
