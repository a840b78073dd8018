"""docs/storage-format.md says what is so: its example, its verifier and its commands run."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import pytest

from replog.core.entry import GENESIS
from replog.storage.batch import BATCH_BYTES_MAX, KEY_BYTES_MAX, NUMBER_MAX, verify_run

DOCUMENT = (Path(__file__).parents[2] / "docs" / "storage-format.md").read_text()
GOOD = Path(__file__).parent / "vectors" / "good"


def block_after(marker: str) -> str:
    """The text of the fenced block that follows on an HTML comment, exactly as it stands."""
    match = re.search(rf"<!-- {marker} -->\n```\w+\n(.*?)```\n", DOCUMENT, re.DOTALL)
    assert match is not None, marker
    return match[1]


EXAMPLE = block_after("example").encode()


def run(command: list[str], directory: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=directory)


# --- the worked example -------------------------------------------------------------------


def test_the_example_verifies_and_is_the_beginning_of_a_frozen_log() -> None:
    batch = verify_run(EXAMPLE, after=GENESIS, log_id=None, last_time=b"", strict=True)
    assert batch.head.last_id == 2
    assert (GOOD / "plain" / "00000000000000000001.ndjson").read_bytes().startswith(EXAMPLE)


def test_the_worked_example_is_what_is_hashed() -> None:
    rows = re.findall(r"^\| .* \| (\d+) \| `(\w{16})` \| `(\w{16})` \|$", DOCUMENT, re.MULTILINE)
    header, one, two, trailer = EXAMPLE.splitlines(keepends=True)
    pieces = [bytes(32), header, one, two, trailer[:-68]]
    assert [(int(size), start, stop) for size, start, stop in rows] == [
        (len(piece), piece[:8].hex(), piece[-8:].hex()) for piece in pieces
    ]
    hashed = b"".join(pieces)
    assert f"are {len(EXAMPLE)} bytes" in DOCUMENT
    assert f"the first {len(hashed) - 32} of them are hashed" in DOCUMENT
    assert f"over these {len(hashed)} bytes" in DOCUMENT
    digest = sha256(hashed).hexdigest()
    assert f"    {digest}  -\n" in DOCUMENT
    assert trailer.endswith(f'"hash":"{digest}"}}}}\n'.encode())


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="sha256sum is not installed")
def test_the_command_of_the_worked_example_prints_the_hash(tmp_path: Path) -> None:
    (tmp_path / "00000000000000000001.ndjson").write_bytes(EXAMPLE)
    command = re.search(r"```sh\n(\(head .*)\n```\n\n    (.*)\n", DOCUMENT)
    assert command is not None
    assert run(["sh", "-c", command[1]], tmp_path).stdout.strip() == command[2].strip()


def test_the_limits_are_those_of_the_code() -> None:
    assert f"32 MiB ({BATCH_BYTES_MAX:,} bytes)" in DOCUMENT
    assert f"| an idempotency key | {KEY_BYTES_MAX} bytes of UTF-8 |" in DOCUMENT
    assert f"to {NUMBER_MAX} (2⁵³ − 1" in DOCUMENT


# --- the verifier -------------------------------------------------------------------------

VERIFIER = block_after("verifier")


@pytest.fixture
def verifier(tmp_path: Path) -> list[str]:
    """The very text of the document, run as a program with nothing of ours to import."""
    path = tmp_path / "verifier.py"
    path.write_text(VERIFIER)
    return [sys.executable, "-I", str(path)]


@pytest.fixture
def segments(tmp_path: Path) -> list[Path]:
    copies = tmp_path / "segments"
    copies.mkdir()
    for path in (GOOD / "segments").glob("*.ndjson"):
        shutil.copy(path, copies)
    return sorted(copies.iterdir())


def test_the_verifier_has_fifteen_lines() -> None:
    assert len(VERIFIER.splitlines()) == 15


@pytest.mark.parametrize("name", sorted(path.name for path in GOOD.iterdir()))
def test_the_verifier_accepts_good_logs_and_prints_their_heads(
    verifier: list[str], name: str
) -> None:
    paths = sorted(str(path) for path in (GOOD / name).glob("*.ndjson"))
    head, last_time, entries = GENESIS, b"", 0
    for path in paths:
        found = verify_run(Path(path).read_bytes(), after=head, log_id=None, last_time=last_time)
        head, last_time, entries = found.head, found.last_time, found.head.last_id
    told = run([*verifier, *reversed(paths)])
    assert told.stdout == f"ok: {entries} entries, head {head.hash.hex()}\n"
    assert (told.returncode, told.stderr) == (0, "")


def test_the_verifier_refuses_every_flipped_bit(
    segments: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The text runs inside this process, on files that are opened from memory."""
    program = compile(VERIFIER, "verifier.py", "exec")
    content = {str(path): path.read_bytes() for path in segments}
    monkeypatch.setattr(sys, "argv", ["verifier.py", *content])

    def verify(rotten: Mapping[str, bytes]) -> None:
        exec(program, {"open": lambda path, mode: BytesIO(rotten[path])})

    verify(content)
    assert capsys.readouterr().out.startswith("ok: 8 entries")
    for path, good in content.items():
        for offset in range(len(good)):
            bad = bytearray(good)
            bad[offset] ^= 1 << (offset % 8)
            with pytest.raises(SystemExit, match="from id"):
                verify({**content, path: bytes(bad)})


def test_the_verifier_names_the_batch_of_a_flipped_bit(
    verifier: list[str], segments: list[Path]
) -> None:
    rotten = bytearray(segments[1].read_bytes())
    rotten[200] ^= 1
    segments[1].write_bytes(rotten)
    told = run([*verifier, *map(str, segments)])
    assert (told.returncode, told.stdout) == (1, "")
    assert "00000000000000000004.ndjson: the batch from id 4 on" in told.stderr
    assert "Traceback" not in told.stderr


@pytest.mark.parametrize("cut", [1, 2, 68, 100, 250])
def test_the_verifier_refuses_a_torn_end(
    verifier: list[str], segments: list[Path], cut: int
) -> None:
    segments[-1].write_bytes(segments[-1].read_bytes()[:-cut])
    told = run([*verifier, *map(str, segments)])
    assert (told.returncode, told.stdout) == (1, "")
    assert "from id 8 on" in told.stderr
    assert "Traceback" not in told.stderr


def test_the_verifier_refuses_a_lost_file(verifier: list[str], segments: list[Path]) -> None:
    told = run([*verifier, *(str(path) for path in segments if path != segments[1])])
    assert (told.returncode, told.stdout) == (1, "")
    assert "from id 4 on" in told.stderr


# --- by hand ------------------------------------------------------------------------------


def test_the_commands_for_hands_do_what_they_say(tmp_path: Path) -> None:
    for node in ("node-1", "node-2"):
        shutil.copytree(GOOD / "segments", tmp_path / node / "segments")
    expected = {
        "cmp": "",
        "sha256sum": "  node-1/segments/00000000000000000001.ndjson\n",
        """grep '^{"id":'""": '{"id":1,"message":"a"}\n{"id":2,"message":"b"}\n',
        """grep '^{"id":2,'""": '{"id":2,"message":"b"}\n',
        "jq -r": "a\nb\nc\nd\ne\nf\ng\nh\n",
        "jq -c": '[1,2,"2026-11-22T22:10:00.123Z",{"2":"order-77"}]\n[3,3,',
    }
    commands = block_after("by hand").splitlines()
    assert len(commands) == len(expected)
    for command, (tool, output) in zip(commands, expected.items(), strict=True):
        assert tool in command
        if shutil.which(tool.split()[0]) is None:
            continue  # jq is on few machines; the others are everywhere
        told = run(["sh", "-c", command], tmp_path)
        assert (told.returncode, told.stderr) == (0, ""), command
        assert output in told.stdout
        assert bool(output) == bool(told.stdout)
