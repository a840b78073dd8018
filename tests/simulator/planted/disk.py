"""Bugs in what is made durable, and when.

PURE.
"""

from __future__ import annotations

import pytest

from replog.core.effects import Effect
from replog.core.entry import NO_ENTRY
from replog.core.errors import DiskFullError
from replog.core.events import Event, Persisted, Written
from replog.core.master import Master
from replog.core.secondary import Secondary
from replog.storage import cut, node_state, recovery, repair
from replog.storage.chain import Survey, Tail
from replog.storage.filesystem import File, Filesystem
from replog.storage.log import Log
from replog.storage.marks import Marks
from replog.storage.place import Place
from replog.storage.writer import Piece, Writer
from tests.simulator.disk import SimFilesystem
from tests.simulator.images import Inode
from tests.simulator.planted.bug import Planted


def acknowledge_before_fsync(patch: pytest.MonkeyPatch) -> None:
    """A secondary takes a returned write for a durable one."""
    step = Secondary.step

    def hasty(self: Secondary, event: Event) -> list[Effect]:
        match event:
            case Written():
                return step(self, Persisted(event.head))
            case Persisted():
                return []
            case _:
                return step(self, event)

    patch.setattr(Secondary, "step", hasty)


def never_sync_segments(patch: pytest.MonkeyPatch) -> None:
    """The log calls no fdatasync on what it writes."""
    sync = SimFilesystem.sync

    def lazy(self: SimFilesystem, inode: Inode, path: str) -> None:
        if "/segments/" not in path:
            sync(self, inode, path)

    patch.setattr(SimFilesystem, "sync", lazy)


def never_sync_directories(patch: pytest.MonkeyPatch) -> None:
    """A new file's name is not made durable before the entries in it are answered."""
    patch.setattr(SimFilesystem, "sync_directory", lambda self, path: None)


def trust_the_page_cache_at_open(patch: pytest.MonkeyPatch) -> None:
    """What reads back well at open is taken for durable (rule 3 left out)."""
    patch.setattr(recovery, "_write_again", lambda *given: None)


def trust_the_marks_at_open(patch: pytest.MonkeyPatch) -> None:
    """The durable mark that is read at open is taken for durable, whoever wrote it."""
    patch.setattr(Marks, "write_again", lambda self: None)


def trust_the_length_at_open(patch: pytest.MonkeyPatch) -> None:
    """The last file is taken to end where the page cache says, durably."""
    write_again = recovery._write_again

    def hasty(*given: object) -> None:
        with pytest.MonkeyPatch.context() as within:
            within.setattr(SimFilesystem, "truncate", lambda self, inode, size: None)
            write_again(*given)  # type: ignore[arg-type]

    patch.setattr(recovery, "_write_again", hasty)


def lose_the_commit_note(patch: pytest.MonkeyPatch) -> None:
    """A failed sync of the durable mark takes the note of what is committed with it."""
    patch.setattr(Marks, "_keep_commit_note", lambda self: None)


def answer_before_fsync(patch: pytest.MonkeyPatch) -> None:
    """The master takes a returned write for a durable one."""
    step = Master.step

    def hasty(self: Master, event: Event) -> list[Effect]:
        match event:
            case Written() if not self.facts.is_persisting:
                return step(self, event)
            case Written():
                return step(self, event) + step(self, Persisted(event.head))
            case Persisted() if not self.facts.is_persisting:
                return []
            case _:
                return step(self, event)

    patch.setattr(Master, "step", hasty)


def retry_a_failed_fsync(patch: pytest.MonkeyPatch) -> None:
    """After a failed fdatasync it is called once more, and believed."""
    sync_once = Writer._sync_file

    def again(self: Writer, file: File) -> None:
        try:
            file.sync()
        except OSError:
            sync_once(self, file)

    patch.setattr(Writer, "_sync_file", again)


def swallow_a_failed_fsync(patch: pytest.MonkeyPatch) -> None:
    """What fdatasync raises is swallowed."""

    def deaf(self: Writer, file: File) -> None:
        try:
            file.sync()
        except OSError:
            return

    patch.setattr(Writer, "_sync_file", deaf)


def swallow_a_failed_write(patch: pytest.MonkeyPatch) -> None:
    """A write that the disk refused is taken for one that was made."""

    class Deaf:
        def __init__(self, file: File) -> None:
            self._file = file

        def __getattr__(self, name: str) -> object:
            return getattr(self._file, name)

        def write_at(self, offset: int, data: bytes) -> None:
            try:
                self._file.write_at(offset, data)
            except OSError:
                return

    target_of = Writer._target_of

    def deaf(self: Writer, piece: Piece, targets: list[object], end: Place) -> object:
        target = target_of(self, piece, targets, end)  # type: ignore[arg-type]
        if not isinstance(target.file, Deaf):
            target.file = Deaf(target.file)  # type: ignore[assignment]
        return target

    patch.setattr(Writer, "_target_of", deaf)


def leave_what_a_failed_write_left(patch: pytest.MonkeyPatch) -> None:
    """A refused write is not cut back: a part of the batch stays in the file."""

    def careless(self: Writer, targets: list[object], error: OSError) -> None:
        raise DiskFullError(str(error)) from error

    patch.setattr(Writer, "_take_back", careless)


def open_a_segment_before_the_last_is_durable(patch: pytest.MonkeyPatch) -> None:
    """The sealing batch is not synced before the next file is made."""
    target_of = Writer._target_of

    def hasty(self: Writer, piece: Piece, targets: list[object], end: Place) -> object:
        with pytest.MonkeyPatch.context() as within:
            within.setattr(Writer, "_sync_file", lambda *given: None)
            return target_of(self, piece, targets, end)  # type: ignore[arg-type]

    patch.setattr(Writer, "_target_of", hasty)


def replace_node_json_unsynced(patch: pytest.MonkeyPatch) -> None:
    """node.json is written over in place and not synced: an epoch is told that may be lost."""

    def lazy(filesystem: Filesystem, path: str, data: bytes) -> None:
        if filesystem.exists(f"{path}.new"):
            filesystem.remove(f"{path}.new")
        file = filesystem.open(f"{path}.new", writable=True, create=True)
        file.write_at(0, data)
        file.close()
        filesystem.rename(f"{path}.new", path)

    patch.setattr(node_state, "replace_file", lazy)


def note_what_is_not_durable(patch: pytest.MonkeyPatch) -> None:
    """The durable mark names what was written, whether or not it was synced."""
    note = Log.note_durable

    def hasty(self: Log) -> None:
        writer = self._writer
        known = writer.durable, writer.durable_first_id
        if writer._last is not None:
            writer.durable, writer.durable_first_id = writer.end, writer._last.first_id
        try:
            note(self)
        finally:
            writer.durable, writer.durable_first_id = known

    patch.setattr(Log, "note_durable", hasty)


def note_no_commit(patch: pytest.MonkeyPatch) -> None:
    """What is shown is not noted first: a kill takes it back."""
    patch.setattr(Log, "note_commit", lambda self, committed_id: None)


def cut_without_syncing_names(patch: pytest.MonkeyPatch) -> None:
    """Files that a cut removed may come back after a power loss."""
    patch.setattr(cut, "sync_names", lambda *given: None)


def cut_without_lowering_the_marks(patch: pytest.MonkeyPatch) -> None:
    """The durable mark still names what was cut off."""
    patch.setattr(cut, "_lower_marks", lambda *given: None)


def repair_without_sync(patch: pytest.MonkeyPatch) -> None:
    """A repaired segment takes its place before it is durable."""
    patch.setattr(repair, "sync_file", lambda file: None)


def cut_by_what_verifies(patch: pytest.MonkeyPatch) -> None:
    """At open everything from the first bad batch on is taken for a torn tail."""
    patch.setattr(recovery, "_open_end", lambda *given: ())
    patch.setattr(recovery, "may_have_counted", lambda tail: False)


def cut_remainders_below_the_mark(patch: pytest.MonkeyPatch) -> None:
    """A secondary cuts what does not verify, though it was durable and acknowledged."""

    def careless(found: Survey, marks: Marks) -> Tail | None:
        if found.files and found.gaps and found.gaps[0].damage.segment == found.files[-1].name:
            damage = found.gaps[0].damage
            return Tail(found.files[-1], damage.offset, damage.reason, follows=True)
        return found.tail if found.tail is not None and found.tail.follows else None

    patch.setattr(recovery, "_remainder", careless)
    patch.setattr(recovery, "durable_id", lambda found, marks: NO_ENTRY)


def no_quarantine(patch: pytest.MonkeyPatch) -> None:
    """What is cut at a master's word is not copied away first."""
    patch.setattr(cut, "quarantine_all", lambda *given, **more: ())


BUGS = (
    Planted("acknowledging before fsync", "R5", acknowledge_before_fsync),
    Planted("answering before the master's fsync", "R7", answer_before_fsync),
    Planted("no fsync of segments", "Writing", never_sync_segments),
    Planted("no fsync of directories", "Writing", never_sync_directories),
    Planted("retrying a failed fsync", "Failing", retry_a_failed_fsync, focus="fail sync", seed=1),
    Planted(
        "swallowing a failed fsync", "Failing", swallow_a_failed_fsync, focus="fail sync", seed=1
    ),
    Planted("swallowing a failed write", "Failing", swallow_a_failed_write, focus="fill disk"),
    Planted(
        "leaving what a failed write left",
        "Failing",
        leave_what_a_failed_write_left,
        focus="fill disk",
        seed=4,
    ),
    Planted(
        "making a segment before the last one is durable",
        "Writing †",
        open_a_segment_before_the_last_is_durable,
        within=400,
    ),
    Planted(
        "trusting the page cache at open",
        "Opening 3 †",
        trust_the_page_cache_at_open,
        within=300,
        seed=62,
    ),
    Planted(
        "trusting the marks at open",
        "Opening 3",
        trust_the_marks_at_open,
        test="tests/storage/test_crashes.py::test_what_a_start_reads_after_a_failed_sync_survives_a_power_loss",
    ),
    Planted(
        "trusting a file's length at open",
        "Opening 3",
        trust_the_length_at_open,
        test="tests/storage/test_crashes.py::test_what_a_start_reads_after_a_failed_sync_survives_a_power_loss",
    ),
    Planted(
        "cutting back to what verifies",
        "Opening 1 †",
        cut_by_what_verifies,
        focus="lose tail",
        seed=2,
    ),
    Planted(
        "cutting a remainder below the mark",
        "Opening 2",
        cut_remainders_below_the_mark,
        test="tests/storage/test_recovery.py::test_a_log_cut_off_at_any_byte_below_its_mark_is_damaged_and_stays_as_it_is",
    ),
    Planted("replacing node.json without a sync", "R8", replace_node_json_unsynced, seed=1),
    Planted(
        "marking what is not durable",
        "Writing",
        note_what_is_not_durable,
        test="tests/storage/test_writing.py::test_the_mark_never_names_what_was_not_synced",
        hidden=(
            "the one writer thread writes and syncs in one job, and notes the mark between "
            "jobs: it never stands between a write and its sync"
        ),
    ),
    Planted("showing without a note", "Writing", note_no_commit, seed=1),
    Planted(
        "losing the note with a failed sync",
        "R7",
        lose_the_commit_note,
        test="tests/storage/test_crashes.py::test_a_commit_note_outlives_the_process_whose_sync_of_the_mark_failed",
    ),
    Planted(
        "cutting without a sync of names",
        "R14",
        cut_without_syncing_names,
        test="tests/storage/test_crashes.py::test_what_was_cut_stays_cut_when_the_power_fails_right_after",
    ),
    Planted(
        "cutting under a mark that stays",
        "R14",
        cut_without_lowering_the_marks,
        test="tests/storage/test_crashes.py::test_a_crash_anywhere_while_cutting_leaves_a_log_between_both_ends",
    ),
    Planted(
        "cutting without a copy",
        "R14",
        no_quarantine,
        within=400,
        focus="lose power in a sync",
        seed=1,
    ),
    Planted(
        "repairing without a sync", "R13", repair_without_sync, within=400, focus="rot", seed=1
    ),
)
