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


@pytest.mark.slow
def test_strict_users_see_the_types_of_every_call_and_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "use.py").write_text(USE)
    (tmp_path / "wrong.py").write_text(WRONG)
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", os.devnull]
    done = subprocess.run(
        [*command, "--cache-dir", str(tmp_path / "cache"), "use.py", "wrong.py"],
        env={**os.environ, "MYPYPATH": str(SOURCE)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    lines = done.stdout.splitlines()
    told = [line for line in lines if "Revealed" in line]
    assert [line.rpartition(".")[2].rstrip('"') for line in told] == TOLD
    wrong = [line for line in lines if ": error:" in line]
    assert [(line.partition(":")[0], line.rpartition("[")[2].rstrip("]")) for line in wrong] == [
        ("wrong.py", "attr-defined"),
        ("wrong.py", "arg-type"),
        ("wrong.py", "arg-type"),
        ("wrong.py", "call-arg"),
    ], done.stdout
