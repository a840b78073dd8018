"""What nobody can mend is given up only when the operator says so (R8, R13)."""

from __future__ import annotations

from pathlib import Path

import pytest

from replog.core.entry import EntryId, Epoch, LogId
from replog.node.directory import DataDirectory, open_directory
from replog.node.views import Role
from replog.storage.filesystem import PosixFilesystem


def opened(path: Path, *, role: Role = Role.MASTER, accept_loss: bool = False) -> DataDirectory:
    return open_directory(
        PosixFilesystem(), str(path), role=role, take_over=False, accept_loss=accept_loss
    )


def write_three_batches(path: Path) -> bytes:
    directory = opened(path)
    directory.store(log_id=LogId("log"))
    directory.log.set_log_id(LogId("log"))
    for message in (b'"one"', b'"two"', b'"three"'):
        directory.log.append((message,), epoch=Epoch(1), committed_id=EntryId(0), time_ms=1)
        directory.log.sync()
    directory.close()
    (segment,) = (path / "segments").iterdir()
    return segment.read_bytes()


def flip(path: Path, word: bytes) -> None:
    (segment,) = (path / "segments").iterdir()
    data = segment.read_bytes()
    assert data.count(word) == 1
    segment.write_bytes(data.replace(word, word.swapcase()))


@pytest.mark.parametrize(
    ("rotted", "last_good"), [(b'"one"', 0), (b'"two"', 1), (b'"three"', 2), (b'"segment"', 0)]
)
def test_accepted_loss_goes_to_the_quarantine_and_the_log_goes_on(
    tmp_path: Path, rotted: bytes, last_good: int
) -> None:
    before = write_three_batches(tmp_path)
    flip(tmp_path, rotted)
    directory = opened(tmp_path)
    assert directory.log.damage, "without the operator's word nothing is given up"
    directory.close()

    directory = opened(tmp_path, accept_loss=True)
    assert not directory.log.damage
    assert directory.log.durable.last_id == last_good
    assert directory.log.cuts, "it is said"
    directory.log.append((b'"new"',), epoch=Epoch(2), committed_id=EntryId(0), time_ms=2)
    assert directory.log.sync().last_id == last_good + 1
    directory.close()

    kept = b"".join(file.read_bytes() for file in (tmp_path / "quarantine").iterdir())
    assert len(kept) >= len(before) - before.index(rotted), "nothing is ever deleted"
    directory = opened(tmp_path)
    assert not directory.log.damage
    assert directory.log.durable.last_id == last_good + 1
    directory.close()


def test_a_secondary_gives_nothing_up_by_itself(tmp_path: Path) -> None:
    write_three_batches(tmp_path)
    flip(tmp_path, b'"one"')
    directory = opened(tmp_path, role=Role.SECONDARY, accept_loss=True)
    assert directory.log.damage
    directory.close()


def test_a_whole_log_loses_nothing_to_accepted_loss(tmp_path: Path) -> None:
    before = write_three_batches(tmp_path)
    directory = opened(tmp_path, accept_loss=True)
    assert not directory.log.cuts
    directory.close()
    (segment,) = (tmp_path / "segments").iterdir()
    assert segment.read_bytes() == before
