"""A master that found damage remembers, across restarts, whom it has not heard (R8)."""

from __future__ import annotations

from pathlib import Path

import pytest

from replog.core.entry import EntryId, Epoch, LogId
from replog.node.directory import DataDirectory, open_directory
from replog.node.views import Role
from replog.storage.filesystem import PosixFilesystem


def opened(path: Path, *, accept_loss: bool = False) -> DataDirectory:
    return open_directory(
        PosixFilesystem(), str(path), role=Role.MASTER, take_over=False, accept_loss=accept_loss
    )


def damaged_then_mended(path: Path) -> None:
    """Lose the end of a log, start on it, and put back a part of it, as a repair would."""
    directory = opened(path)
    directory.store(log_id=LogId("log"))
    directory.log.set_log_id(LogId("log"))
    for message in (b'"one"', b'"two"', b'"three"'):
        directory.log.append((message,), epoch=Epoch(1), committed_id=EntryId(0), time_ms=1)
        directory.log.sync()
    directory.close()
    (segment,) = (path / "segments").iterdir()
    whole = segment.read_bytes()
    segment.write_bytes(whole.replace(b'"two"', b'"TWO"'))
    directory = opened(path)
    assert directory.log.damage
    directory.release()
    segment.write_bytes(whole)


def test_what_was_not_heard_is_remembered_when_the_log_verifies_again(tmp_path: Path) -> None:
    damaged_then_mended(tmp_path)
    directory = opened(tmp_path)
    assert not directory.log.damage
    assert directory.state.is_loss_unsettled
    directory.store(is_loss_unsettled=False)
    directory.close()
    directory = opened(tmp_path)
    assert not directory.state.is_loss_unsettled, "settled once every secondary was heard"
    directory.close()


def test_accepted_loss_is_settled(tmp_path: Path) -> None:
    damaged_then_mended(tmp_path)
    directory = opened(tmp_path, accept_loss=True)
    assert not directory.state.is_loss_unsettled
    directory.close()
    directory = opened(tmp_path)
    assert not directory.state.is_loss_unsettled
    directory.close()


@pytest.mark.parametrize("is_cut", [True, False])
def test_lost_marks_leave_the_end_of_the_log_unsettled(tmp_path: Path, *, is_cut: bool) -> None:
    damaged_then_mended(tmp_path)
    settled = opened(tmp_path)
    settled.store(is_loss_unsettled=False)
    settled.close()
    (tmp_path / "marks").unlink()
    (segment,) = (tmp_path / "segments").iterdir()
    if is_cut:
        segment.unlink()
    directory = opened(tmp_path)
    assert directory.state.is_loss_unsettled, "nobody knows here where the log should end"
    directory.close()
    directory = opened(tmp_path, accept_loss=True)
    assert not directory.state.is_loss_unsettled
    directory.close()


def test_a_new_directory_has_nothing_to_settle(tmp_path: Path) -> None:
    directory = opened(tmp_path)
    assert not directory.state.is_loss_unsettled
    directory.store(log_id=LogId("log"))
    directory.close()
    directory = opened(tmp_path)
    assert not directory.state.is_loss_unsettled
    directory.close()
