"""What changes the disk: jobs in, one after another, events back.

SHELL. One thread does the jobs, and all syncs; while it has none, a small append is written
on the event loop (decision 0080), which never waits for the disk (but see decision 0031). Order
is that of submission: a log id or an epoch is durable before what was submitted after it.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from asyncio import FIRST_COMPLETED
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Final, Protocol

from replog.core.appends import ENTRY_OVERHEAD_BYTES, encoded_size
from replog.core.effects import (
    CutLog,
    Persist,
    PersistBatches,
    Repair,
    StoreEpoch,
    StoreLogId,
    StoreLossSettled,
    StoreMembers,
)
from replog.core.entry import LogId
from replog.core.errors import (
    DamagedLogError,
    DiskFullError,
    ReplogError,
    StorageError,
    SyncFailedError,
)
from replog.core.events import (
    CutDone,
    CutRefused,
    DamageFound,
    DamageRepaired,
    EpochStored,
    Event,
    Persisted,
    PersistFailed,
    PersistRefused,
    RepairFailed,
    StoreDelayed,
    Written,
)
from replog.node.directory import DataDirectory
from replog.storage.batch import BadBatch, LimitError
from replog.storage.lines import NO_KEYS
from replog.storage.syncing import is_full

_log = logging.getLogger("replog.node")

FULL_DISK_AGAIN_AFTER_S: Final = 1.0
"""How long a job that found no space waits: the disk is looked at once a second, and a
stop does not wait for it."""


@dataclass(frozen=True, slots=True)
class NoteDurable:
    """Note how far the log is durable, synced: about once a second while that moves."""


@dataclass(frozen=True, slots=True)
class Drain:
    """Say when everything before it is done."""

    drained: asyncio.Future[None]


@dataclass(frozen=True, slots=True)
class Sync:
    """Make durable what was written on the event loop."""


@dataclass(frozen=True, slots=True)
class Broken:
    """A write on the event loop left the disk unknown: end, as after one in the thread."""

    error: ReplogError | OSError


Job = (
    Persist
    | Sync
    | Broken
    | PersistBatches
    | StoreEpoch
    | StoreLogId
    | StoreMembers
    | StoreLossSettled
    | CutLog
    | Repair
    | NoteDurable
    | Drain
)


WRITTEN_AT_ONCE_BYTES: Final = 64 * 1024
"""An append up to this size is encoded, hashed and written in some 0.1 ms, or 0.5 ms where it
has a thousand entries, each of which counts for more than its bytes; a larger one is the
thread's, whose hashing and writing release the interpreter."""

QUICK_SYNC_S: Final = 0.02
"""A write to the page cache waits where the filesystem's journal does, and then syncs do too:
after one that took longer the thread writes, until one is quick again."""


class TakeEvents(Protocol):
    """What takes events, in order."""

    def __call__(self, *events: Event) -> None: ...


class Writer:
    """Runs disk jobs in one thread until it is stopped, or the disk fails.

    After a failure no further job is run: what the disk holds is not known any more, and a
    second fdatasync would report success while the data is gone.
    """

    def __init__(
        self,
        directory: DataDirectory,
        *,
        post: TakeEvents,
        rejected: Callable[[str], None],
        failed: Callable[[str], None],
    ) -> None:
        """Start the thread. All callbacks are made on the event loop.

        Args:
            post: takes what came of the jobs, one or more events in order.
            rejected: takes the reason why received batches do not fit on this log, after
                the `PersistRefused` that says that they are not stored.
            failed: takes the reason why the node must end, once.
        """
        self._directory = directory
        self._log = directory.log
        self._post = post
        self._rejected = rejected
        self._failed = failed
        self._loop = asyncio.get_running_loop()
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._newest: dict[type[Job], Job] = {}
        self._submitted = 0
        self._done = 0  # the thread's to count
        self._is_quick = True
        self._is_stopping = threading.Event()
        self._has_given_up = False
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._thread = threading.Thread(target=self._run, name="replog-writer", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Queue a job; what comes of it arrives as an event.

        A small append that nothing stands before is written here and now, and only its sync
        is queued (docs/decisions/0080).
        """
        if isinstance(job, StoreMembers | StoreLossSettled):
            self._newest[type(job)] = job
        elif isinstance(job, Persist) and self._may_write_here(job):
            written = self._write_here(job)
            if written is None:
                return
            job = written
        self._queue(job)

    def _queue(self, job: Job) -> None:
        """Invariant: every job is queued here, or the loop would take a busy thread for idle."""
        self._submitted += 1
        self._jobs.put(job)

    def _may_write_here(self, job: Persist) -> bool:
        """Return whether a write on the event loop holds nobody up, and nobody else writes."""
        return (
            self._is_quick
            and self._done == self._submitted
            and encoded_size(job.messages) + ENTRY_OVERHEAD_BYTES * len(job.keys)
            <= WRITTEN_AT_ONCE_BYTES
        )

    def _write_here(self, job: Persist) -> Sync | Broken | None:
        """Return what is left for the thread."""
        try:
            written = self._write(job, self._post)
        except (ReplogError, OSError) as error:
            return Broken(error)
        if written is None:
            self._is_quick = False  # until a sync shows that the disk is well
            return None
        self._post(written)
        return Sync()

    async def finish(self, drained: Callable[[], None], *, within_s: float) -> bool:
        """Do what was queued, note how far the log is durable, and close the directory.

        `drained` is called between the two, once the events of what was queued were taken; and
        also where that does not come to pass. Returns False where the disk did not get to the
        end in time; the thread is a daemon and does not keep the process.
        """
        self._is_stopping.set()
        end = self._loop.time() + within_s
        done: asyncio.Future[None] = self._loop.create_future()
        self._queue(Drain(done))
        await asyncio.wait((done, self._ended), timeout=within_s, return_when=FIRST_COMPLETED)
        drained()
        if not done.done() and not self._ended.done():
            return False
        self._jobs.put(None)
        await asyncio.wait((self._ended,), timeout=end - self._loop.time())
        return self._ended.done()

    def _run(self) -> None:
        failure = "a defect in the program ended the writing thread"
        try:
            while not self._has_given_up and (job := self._jobs.get()) is not None:
                events = self._do(job)
                self._done += 1  # before it is told: the next append may be written at once
                if events:
                    self._tell(*events)
            self._directory.close()
            failure = ""
        except (ReplogError, OSError) as error:
            failure = str(error)
        finally:
            if failure:
                self._directory.release()
            self._loop.call_soon_threadsafe(self._end, failure)

    def _end(self, failure: str) -> None:
        self._ended.set_result(None)
        if failure:
            self._failed(failure)

    def _do(self, job: Job) -> tuple[Event, ...]:
        """Do a job, in the thread, and return what is to be told at its end."""
        match job:
            case Persist() | PersistBatches():
                return self._persist(job)
            case Sync():
                return (self._sync(),)
            case Broken(error):
                raise error
            case NoteDurable():
                self._log.note_durable()
            case StoreMembers() | StoreLossSettled():
                self._note(job)
            case StoreEpoch() | StoreLogId() | CutLog():
                return self._once_there_is_space(job)
            case Repair():
                return self._repair(job)
            case Drain(drained):
                self._loop.call_soon_threadsafe(drained.set_result, None)
        return ()

    def _note(self, job: StoreMembers | StoreLossSettled) -> None:
        """Store what nothing rests on; on a full disk later, and what comes behind goes on."""
        if self._newest[type(job)] is not job:
            return  # It waited for space, and another one took its place.
        try:
            if isinstance(job, StoreMembers):
                self._directory.store(members=job.urls)
            else:
                self._directory.store(is_loss_unsettled=False)
        except DiskFullError:
            self._loop.call_soon_threadsafe(
                lambda: self._loop.call_later(FULL_DISK_AGAIN_AFTER_S, self._queue, job)
            )

    def _once_there_is_space(self, job: StoreEpoch | StoreLogId | CutLog) -> tuple[Event, ...]:
        """Run a job that leaves nothing behind on a full disk, until there is room for it.

        What was submitted behind it waits, for it may rest on it. A stop gives it up, and
        all of that with it.
        """
        said = False
        while True:
            try:
                events = self._change(job)
            except (OSError, StorageError) as error:
                if not is_full(error):
                    raise
                if not said:
                    _log.error("the disk is full: %s; trying on", error)
                    said = True
                self._tell(StoreDelayed(f"{error}. Free some space: the node goes on by itself"))
            else:
                if said:
                    _log.warning("the disk took what had waited for space")
                return events
            if self._is_stopping.wait(FULL_DISK_AGAIN_AFTER_S):
                self._has_given_up = True
                return ()

    def _change(self, job: StoreEpoch | StoreLogId | CutLog) -> tuple[Event, ...]:
        match job:
            case StoreEpoch(epoch, owner):
                self._directory.store(epoch=epoch, epoch_owner=owner)
                return (EpochStored(epoch),)
            case StoreLogId(log_id):
                self._directory.store(log_id=LogId(log_id))
                self._log.set_log_id(LogId(log_id))
                return ()
            case CutLog(to):
                try:
                    report = self._log.cut(to)
                except DamagedLogError:  # a read found it after the cut was decided
                    return (*map(DamageFound, self._log.damage), CutRefused())
                files = [moved.path for moved in report.quarantined]
                _log.warning("%s: %s", report.reason, ", ".join(files), extra={"files": files})
                return (CutDone(to),)

    def _persist(self, job: Persist | PersistBatches) -> tuple[Event, ...]:
        """Write, tell, sync, tell: the batch travels while its fdatasync runs (R7)."""
        written = self._write(job, self._tell)
        if written is None:
            return ()
        if isinstance(job, PersistBatches):
            # What was received goes nowhere before it is durable (R5): one wake-up is enough.
            return (written, self._sync())
        self._tell(written)
        return (self._sync(),)

    def _sync(self) -> Persisted:
        started = time.monotonic()
        try:
            durable = self._log.sync()
        except (ReplogError, OSError) as error:
            self._tell(PersistFailed(str(error)))
            raise
        self._is_quick = time.monotonic() - started < QUICK_SYNC_S
        return Persisted(durable)

    def _write(self, job: Persist | PersistBatches, tell: TakeEvents) -> Written | None:
        """Write a batch or what was received; None where it was refused, which `tell` was told.

        Raises:
            ReplogError, OSError: unknown what the disk holds (`tell` was told): the node must end.
        """
        try:
            return self._written(job)
        except DiskFullError as error:
            tell(PersistRefused(str(error)))
        except DamagedLogError as error:
            tell(*map(DamageFound, self._log.damage))
            tell(PersistRefused(str(error), is_full=False))
        except LimitError as error:
            tell(PersistRefused(str(error), is_full=False, is_too_large=True))
        except BadBatch as error:
            tell(PersistRefused(str(error), is_full=False))
            self._loop.call_soon_threadsafe(self._rejected, str(error))
        except (ReplogError, OSError) as error:
            tell(PersistFailed(str(error)))
            raise
        return None

    def _written(self, job: Persist | PersistBatches) -> Written:
        if isinstance(job, PersistBatches):
            head = self._log.append_batches(job.batches)
            return Written(head, sum(len(batches.payload) for batches in job.batches))
        encoded = self._log.append(
            job.messages,
            epoch=job.epoch,
            committed_id=job.committed_id,
            time_ms=time.time_ns() // 1_000_000,
            keys=dict(job.keys) if job.keys else NO_KEYS,
        )
        return Written(encoded.head, len(encoded.payload))

    def _repair(self, job: Repair) -> tuple[Event, ...]:
        payload = b"".join(batches.payload for batches in job.batches)
        try:
            head = self._log.repair(job.damage, payload)
        except SyncFailedError:
            raise
        except (BadBatch, StorageError) as error:
            told: Event = RepairFailed(job.damage, str(error))
        else:
            told = DamageRepaired(job.damage, head)
        # What the repair brought to light comes first: nothing may be served, answered
        # or taken in between as if the log were whole (R13).
        return (*map(DamageFound, self._log.damage), told)

    def _tell(self, *events: Event) -> None:
        self._loop.call_soon_threadsafe(self._post, *events)
