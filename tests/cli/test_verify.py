"""`replog verify`: what holds is said to hold, and what does not is named exactly.

DISK.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from replog.cli.main import app
from replog.cli.verification import difference, verify_directory
from replog.config.table import Role
from replog.core.entry import EntryId, Epoch, LogId, NodeId
from replog.core.errors import StorageError
from replog.storage.filesystem import PosixFilesystem
from replog.storage.log import Log
from replog.storage.node_state import NodeState, store_node_state

SEGMENT = "00000000000000000001.ndjson"
BATCHES = [[b'"a"', b'"b"'], [b'"c"'], [b'"d"', b'"e"', b'"f"']]


def make(
    directory: Path,
    batches: Sequence[Sequence[bytes]] = BATCHES,
    *,
    log_id: str = "0" * 32,
    role: Role = "master",
    segment_bytes_max: int = 1_000_000,
    time_ms: int = 1_000_000_000_000,
) -> Path:
    """Make a data directory that holds `batches`, all of them durable."""
    filesystem, path = PosixFilesystem(), str(directory)
    filesystem.make_directory(path)
    state = NodeState(log_id=LogId(log_id), node_id=NodeId(directory.name), role=role)
    store_node_state(filesystem, str(directory / "node.json"), state)
    log = Log.open(
        filesystem,
        path,
        is_master=True,
        log_id=state.log_id,
        segment_bytes_max=segment_bytes_max,
    )
    for messages in batches:
        log.append(messages, epoch=Epoch(1), committed_id=EntryId(0), time_ms=time_ms)
        log.sync()
    log.close()
    return directory


def segment(directory: Path, name: str = SEGMENT) -> Path:
    return directory / "segments" / name


def verify(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["verify", *map(str, arguments)])


def test_a_good_log_is_said_to_be_good(tmp_path: Path) -> None:
    result = verify(make(tmp_path / "master"))
    assert result.exit_code == 0
    line = r"master\t1 segment\t6 entries\thead 6 [0-9a-f]{12}…\tok\n"
    assert re.fullmatch(line, result.stdout), result.stdout
    assert result.stderr == ""


def test_copies_are_identical_or_prefixes_of_the_furthest(tmp_path: Path) -> None:
    directories = [
        make(tmp_path / "s1", BATCHES[:2]),
        make(tmp_path / "master"),
        make(tmp_path / "s2"),
        make(tmp_path / "new", []),
    ]
    result = verify(*directories)
    assert result.exit_code == 0
    assert [line.rpartition("\t")[2] for line in result.stdout.splitlines()] == [
        "ok, a prefix of master",
        "ok",
        "ok, identical to master",
        "ok, a prefix of master",
    ]


def test_a_log_of_many_segments_is_read_whole(tmp_path: Path) -> None:
    master = make(tmp_path / "master", [[b'"%d"' % n] for n in range(50)], segment_bytes_max=1000)
    names = sorted(path.name for path in (master / "segments").iterdir())
    assert len(names) > 5
    assert f"\t{len(names)} segments\t50 entries\t" in verify(master).stdout
    flip(segment(master, names[2]), 300)
    result = verify(master)
    assert result.exit_code == 7
    assert names[2] in result.stderr


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 0x01
    path.write_bytes(data)


def starts_of_batches(data: bytes) -> list[int]:
    """Return the offset of each batch; the first begins with the segment's header."""
    ends = [match.end() for match in re.finditer(rb'\{"batch":\{.*\n', data)]
    return [0, *ends[:-1]]


@pytest.mark.slow
def test_a_flipped_bit_is_found_at_every_byte_and_its_batch_is_named(tmp_path: Path) -> None:
    master = make(tmp_path / "master")
    data = segment(master).read_bytes()
    starts = starts_of_batches(data)
    firsts = dict(zip(starts, (1, 3, 4), strict=True))
    for offset in range(len(data)):
        flip(segment(master), offset)
        found = verify_directory(str(master))
        segment(master).write_bytes(data)
        batch = max(start for start in starts if start <= offset)
        assert found.damage, offset
        assert (found.damage[0].segment, found.damage[0].offset) == (SEGMENT, batch), offset
        assert found.damage[0].first_id == firsts[batch], offset
    assert not verify_directory(str(master)).damage


def test_damage_is_exit_code_7_and_names_segment_ids_and_byte(tmp_path: Path) -> None:
    master = make(tmp_path / "master")
    data = segment(master).read_bytes()
    second, third = starts_of_batches(data)[1:]
    flip(segment(master), second + 20)
    result = verify(master, make(tmp_path / "good"))
    assert result.exit_code == 7
    assert "\tDAMAGED, a prefix of good\n" in result.stdout
    assert result.stderr.startswith(
        f"    master: id 3 does not verify: {SEGMENT} at byte {second}: "
    )
    assert third > second


@pytest.mark.parametrize("size_left", [0, 1, 100])
def test_a_log_that_ends_before_its_durable_mark_is_damage(tmp_path: Path, size_left: int) -> None:
    master = make(tmp_path / "master")
    with segment(master).open("r+b") as stream:
        stream.truncate(size_left)
    found = verify_directory(str(master))
    assert [damage.first_id for damage in found.damage] == [1]


def test_a_lost_file_is_damage(tmp_path: Path) -> None:
    master = make(tmp_path / "master")
    segment(master).unlink()
    assert verify(master).exit_code == 7


def test_a_batch_that_was_not_finished_is_no_damage(tmp_path: Path) -> None:
    master = make(tmp_path / "master")
    with segment(master).open("ab") as stream:
        stream.write(b'{"id":7,"message":"half')
    result = verify(master)
    assert result.exit_code == 0
    assert result.stderr == (
        "    master: 23 bytes of a batch that was not finished follow the head: no damage\n"
    )


@pytest.mark.parametrize(("role", "status"), [("secondary", 0), ("master", 7)])
def test_what_never_counted_on_a_secondary_is_no_damage(
    tmp_path: Path, role: Role, status: int
) -> None:
    """A bad batch behind the durable mark: on a master it may have been acknowledged."""
    node = make(tmp_path / "node", BATCHES[:2], role=role)
    longer = segment(make(tmp_path / "longer")).read_bytes()
    start = starts_of_batches(longer)[2]
    segment(node).write_bytes(longer[: start + 20] + b"x" + longer[start + 21 :])
    result = verify(node)
    assert result.exit_code == status
    assert "\t3 entries\t" in result.stdout
    if status == 0:
        size = len(longer) - start
        assert f"node: {size} bytes of a batch that was not finished" in result.stderr


def test_two_histories_of_one_log_differ_at_an_id_and_a_byte(tmp_path: Path) -> None:
    one = make(tmp_path / "one")
    other = make(tmp_path / "other", [*BATCHES[:2], [b'"d"', b'"E"', b'"f"']])
    result = verify(one, other)
    assert result.exit_code == 7
    offset = segment(one).read_bytes().index(b'"e"') + 1
    assert f"FAILED, differs from one at id 5, {SEGMENT} byte {offset}\n" in result.stdout


def test_another_log_is_said(tmp_path: Path) -> None:
    result = verify(make(tmp_path / "one"), make(tmp_path / "b", BATCHES[:1], log_id="f" * 32))
    assert result.exit_code == 7
    assert "FAILED, another log than one\n" in result.stdout


def test_a_copy_of_segments_alone_can_be_checked(tmp_path: Path) -> None:
    master = make(tmp_path / "master")
    shutil.copytree(master / "segments", tmp_path / "backup" / "segments")
    result = verify(master, tmp_path / "backup")
    assert result.exit_code == 0
    assert "ok, identical to master" in result.stdout


@pytest.mark.parametrize("name", ["none", "empty", "file"])
def test_what_is_no_data_directory_is_the_environment(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    result = verify(tmp_path / name)
    assert (result.exit_code, result.stdout) == (1, "")
    assert name in result.stderr
    assert result.stderr.count("\n") == 1


def test_as_one_document_directories_are_an_array(tmp_path: Path) -> None:
    result = verify(make(tmp_path / "a"), make(tmp_path / "b"), "-o", "json")
    assert [one["ok"] for one in json.loads(result.stdout)] == [True, True]


def test_json_is_an_object_a_directory(tmp_path: Path) -> None:
    good, bad = make(tmp_path / "good"), make(tmp_path / "bad")
    flip(segment(bad), 5)
    result = verify(good, bad, "--json")
    assert result.exit_code == 7
    first, second = [json.loads(line) for line in result.stdout.splitlines()]
    assert (first["ok"], first["entries"], first["damage"]) == (True, 6, [])
    assert second["ok"] is False
    assert second["damage"][0].items() >= {"first_id": 1, "segment": SEGMENT, "offset": 0}.items()


def test_nothing_is_written_to_what_is_checked(tmp_path: Path) -> None:
    master = make(tmp_path / "master")
    with segment(master).open("ab") as stream:
        stream.write(b'{"id":7,')

    def all_files() -> dict[Path, tuple[bytes, int]]:
        files = [path for path in master.rglob("*") if path.is_file()]
        return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}

    before = all_files()
    verify(master)
    assert all_files() == before


def test_every_difference_in_bytes_is_found_where_it_is(tmp_path: Path) -> None:
    """Also one that both hash chains would agree to, if that were possible."""
    one, other = (verify_directory(str(make(tmp_path / name))) for name in ("one", "other"))
    assert difference(one, other) is None
    data = segment(tmp_path / "other").read_bytes()
    for offset in range(0, len(data), 7):
        flip(segment(tmp_path / "other"), offset)
        found = difference(one, other)
        segment(tmp_path / "other").write_bytes(data)
        assert found is not None
        assert (found.segment, found.offset) == (SEGMENT, offset)


def test_the_directory_above_data_directories_is_answered_with_what_was_meant(
    tmp_path: Path,
) -> None:
    make(tmp_path / "data" / "master")
    with pytest.raises(StorageError, match=r"did you mean .*data/\* \?"):
        verify_directory(str(tmp_path / "data"))
    with pytest.raises(StorageError) as raised:
        verify_directory(str(tmp_path / "data" / "master" / "segments"))
    assert "did you mean" not in str(raised.value)
