"""The writing thread of a simulated node: jobs one after another, each in its parts.

PURE. It follows `replog.node.writer`. A job is a generator that yields how long its next
part takes; between two parts anything may happen, the end of the process included.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from functools import partial
from typing import TYPE_CHECKING

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
from replog.storage.syncing import is_full
from tests.simulator.clock import seconds

if TYPE_CHECKING:
    from tests.simulator.shell import SimNode

Job = Generator[int, None, None]

StoreEffect = StoreEpoch | StoreLogId | StoreMembers | StoreLossSettled
DiskEffect = Persist | PersistBatches | StoreEffect | CutLog | Repair


class SimWriter:
    """The disk work of one process."""

    def __init__(self, node: SimNode, directory: DataDirectory) -> None:
        self._node = node
        self._world = node.world
        self._directory = directory
        self._jobs: deque[Job] = deque()
        self._is_writing = False
        self._has_failed = False

    @property
    def is_idle(self) -> bool:
        return not self._jobs

    def submit(self, job: Job) -> None:
        self._jobs.append(job)
        if not self._is_writing:
            self._is_writing = True
            self._node.after(self._world.write_time(), self._write_on)

    def when_written(self, callback: Callable[[], None]) -> None:
        """Call back when the writing thread has done what is queued."""

        def job() -> Job:
            yield 0
            callback()

        self.submit(job())

    def _write_on(self) -> None:
        """Do the next part of the oldest job; after a failure no job is done any more."""
        if self._has_failed:
            return
        try:
            wait = next(self._jobs[0])
        except StopIteration:
            self._jobs.popleft()
            if not self._jobs:
                self._is_writing = False
                return
            wait = self._world.write_time()
        except (ReplogError, OSError) as error:
            self._has_failed = True
            reason = str(error)
            self._node.after(
                self._world.write_time(), lambda: self._world.gave_up(self._node, reason)
            )
            return
        self._node.after(wait, self._write_on)

    def perform(self, effect: DiskEffect) -> None:
        """Queue what a core wants done on the disk."""
        match effect:
            case Persist() | PersistBatches():
                self.submit(self._do_persist(effect))
            case StoreEpoch() | StoreLogId() | StoreMembers() | StoreLossSettled():
                self.submit(self._do_store(effect))
            case CutLog():
                self.submit(self._do_cut(effect))
            case Repair():
                self.submit(self._do_repair(effect))

    def _do_persist(self, effect: Persist | PersistBatches) -> Job:
        log = self._directory.log
        try:
            written = self._write(effect)
        except DiskFullError as error:
            yield self._world.event_time()
            self._node.deliver(PersistRefused(str(error)))
            return
        except DamagedLogError as error:
            for damage in log.damage:
                self._node.deliver(DamageFound(damage))
            self._node.deliver(PersistRefused(str(error), is_full=False))
            return
        except (BadBatch, LimitError) as error:
            self._world.count("batches that do not fit the log")
            is_too_large = isinstance(error, LimitError)
            self._node.deliver(PersistRefused(str(error), is_full=False, is_too_large=is_too_large))
            self._node.close_links(str(error))
            return
        except (ReplogError, OSError) as error:
            self._node.deliver(PersistFailed(str(error)))
            raise
        is_told_first = self._world.random.random() < 0.5
        if is_told_first:
            yield self._world.event_time()
            self._node.deliver(written)
        yield self._world.sync_time(self._node)
        try:
            durable = log.sync()
        except (ReplogError, OSError) as error:
            self._node.deliver(PersistFailed(str(error)))
            raise
        yield self._world.event_time()
        if not is_told_first:
            self._node.deliver(written)
        self._world.synced(self._node)
        self._node.deliver(Persisted(durable))

    def _write(self, effect: Persist | PersistBatches) -> Written:
        log = self._directory.log
        before = log.head
        if isinstance(effect, PersistBatches):
            head = log.append_batches(effect.batches)
            is_master = self._node is self._world.master
            self._world.count("adopted by the master" if is_master else "stored by a secondary")
            if is_master:
                self._world.clients.adopted.update(range(before.last_id + 1, head.last_id + 1))
            return Written(head, sum(len(batches.payload) for batches in effect.batches))
        encoded = log.append(
            effect.messages,
            epoch=effect.epoch,
            committed_id=effect.committed_id,
            time_ms=self._world.wall_clock_ms() + self._node.clock_skew_ms,
            keys=dict(effect.keys),
        )
        self._world.batch_made(self._node, effect.epoch, encoded.payload, before)
        return Written(encoded.head, len(encoded.payload))

    def _do_store(self, effect: StoreEffect) -> Job:
        while not self._has_room(partial(self._store, effect)):
            if isinstance(effect, StoreEpoch | StoreLogId):
                self._node.deliver(StoreDelayed("no space"))
            yield seconds(1.0)
        if isinstance(effect, StoreEpoch):
            yield self._world.event_time()
            self._node.deliver(EpochStored(effect.epoch))

    def _store(self, effect: StoreEffect) -> None:
        match effect:
            case StoreEpoch(epoch, owner):
                self._directory.store(epoch=epoch, epoch_owner=owner)
                self._node.takes_over &= owner != self._directory.state.node_id
            case StoreLogId(log_id):
                self._directory.store(log_id=LogId(log_id))
                self._directory.log.set_log_id(LogId(log_id))
            case StoreMembers(urls):
                self._directory.store(members=urls)
            case StoreLossSettled():
                self._directory.store(is_loss_unsettled=False)

    def _do_cut(self, effect: CutLog) -> Job:
        told: Event = CutRefused()
        try:
            while not self._has_room(lambda: self._directory.log.cut(effect.to)):
                self._node.deliver(StoreDelayed("no space"))
                yield seconds(1.0)
        except DamagedLogError:
            self._world.count("cut refused for damage below it")
        else:
            self._world.cut(self._node)
            told = CutDone(self._directory.log.head)
        yield self._world.event_time()
        if isinstance(told, CutRefused):
            for damage in self._directory.log.damage:
                self._node.deliver(DamageFound(damage))
        self._node.deliver(told)

    def _has_room(self, change: Callable[[], object]) -> bool:
        """Make a change that a full disk refuses without a trace; False where it did."""
        try:
            change()
        except (OSError, StorageError) as error:
            if not is_full(error):
                raise
            self._world.count("change put off by a full disk")
            return False
        return True

    def _do_repair(self, effect: Repair) -> Job:
        payload = b"".join(batches.payload for batches in effect.batches)
        try:
            head = self._directory.log.repair(effect.damage, payload)
        except SyncFailedError:
            raise
        except (BadBatch, StorageError) as error:
            told: Event = RepairFailed(effect.damage, str(error))
        else:
            self._world.repaired(self._node)
            told = DamageRepaired(effect.damage, head)
        yield self._world.event_time()
        for damage in self._directory.log.damage:
            self._node.deliver(DamageFound(damage))
        self._node.deliver(told)

    def note_durable(self) -> None:
        """Note how far the log is durable, where that moved."""

        def job() -> Job:
            self._directory.log.note_durable()
            self._node.marked_id = self._directory.log.durable.last_id
            yield 0

        if self._node.marked_id != self._directory.log.durable.last_id:
            self.submit(job())
