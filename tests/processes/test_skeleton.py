"""The walking skeleton answers the seed's two calls on real processes, byte for byte.

NETWORK.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

SEED = b'{"message": "This is a test log entry."}'
ENTRY = b'{"id":1,"message":"This is a test log entry."}'
URLS = [f"http://127.0.0.1:{port}/logs" for port in (8000, 8001, 8002)]


def call(url: str, body: bytes | None = None) -> bytes:
    with urllib.request.urlopen(url, data=body, timeout=10) as answer:
        data = answer.read()
    assert isinstance(data, bytes)
    return data


def test_one_append_is_on_all_three_nodes_when_it_is_answered(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "replog", "up"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE) as up:
        try:
            assert up.stdout is not None
            while not up.stdout.readline().startswith(b"ready"):
                assert up.poll() is None
            assert [call(url) for url in URLS] == [b"[]"] * 3
            assert call(URLS[0], SEED) == b'{"status":"success","log":' + ENTRY + b"}"
            assert [call(url) for url in URLS] == [b"[" + ENTRY + b"]"] * 3
        finally:
            up.send_signal(signal.SIGINT)
            assert up.wait(timeout=10) == 0
