"""Random histories of one log against a disk with faults: 300 of them, each with its seed.

What is checked after every step: the log holds what was written, in order, at least up to
what was told to be durable, and nothing that was cut.
"""

from __future__ import annotations

from random import Random

import pytest

from replog.core.entry import GENESIS, EntryId, Head
from replog.core.errors import DiskFullError, StorageError, SyncFailedError
from replog.storage.log import Log
from tests.simulator.disk import NodeDied, SimFilesystem
from tests.storage.logs import append, open_log, read

STEPS = 60


class History:
    """A log, and what it should hold.

    Attributes:
        heads: the batch ends that were written, in order, the last ones perhaps in vain.
        durable: how many of them were told to be durable.
    """

    def __init__(self, seed: int, *, is_master: bool) -> None:
        self.random = Random(seed)
        self.disk = SimFilesystem(Random(seed + 1))
        self.is_master = is_master
        self.heads: list[Head] = [GENESIS]
        self.texts: dict[Head, list[str]] = {GENESIS: []}
        self.durable = 1
        self.number = 0
        self.log = self.open()

    def open(self) -> Log:
        return open_log(self.disk, is_master=self.is_master, segment_bytes_max=1200)

    # --- steps ----------------------------------------------------------------------------

    def append(self) -> None:
        count = self.random.choice((1, 1, 2, 5))
        texts = [f"message {self.number + n}" for n in range(count)]
        self.number += count
        before = self.log.head
        try:
            head = append(self.log, *texts)
        except DiskFullError:
            assert self.log.head == before
            return
        except (NodeDied, SyncFailedError):
            self.texts[GENESIS] = []  # it may be there: `reopen` finds out
            self.in_doubt = texts
            raise
        self.heads.append(head)
        self.texts[head] = texts

    def sync(self) -> None:
        assert self.log.sync() == self.heads[-1]
        self.durable = len(self.heads)

    def note(self) -> None:
        self.log.note_commit(EntryId(self.log.durable.last_id))
        self.log.note_durable()

    def cut(self) -> None:
        """Only behind what the commit note says: a master that lost nothing never orders more."""
        possible = [
            at for at, head in enumerate(self.heads) if head.last_id >= self.log.commit_note
        ]
        keep = self.random.choice(possible) + 1
        durable, self.durable = self.durable, min(self.durable, keep)  # a crash: in between
        try:
            self.log.cut(self.heads[keep - 1])
        except SyncFailedError:
            raise
        except StorageError:  # the quarantine could not be written: nothing was cut
            self.durable = durable
            return
        self.heads = self.heads[:keep]
        self.durable = keep

    def close(self) -> None:
        self.log.close()
        self.durable = len(self.heads) if self.log.durable == self.heads[-1] else self.durable
        self.reopen()

    # --- ends -----------------------------------------------------------------------------

    def crash(self) -> None:
        if self.random.random() < 0.3:
            self.disk.write_back()
        if self.random.random() < 0.5:
            self.disk.lose_power()
        else:
            self.disk.end_process()
        self.disk.syncs_to_fail = self.disk.writes_to_fail = 0
        self.reopen()

    def reopen(self) -> None:
        """Open until it works, and take what is there for what was written, if it may be."""
        while True:
            try:
                if self.random.random() < 0.2:
                    self.disk.calls_to_death = self.random.randrange(1, 12)
                self.log = self.open()
                self.disk.calls_to_death = None
                break
            except (NodeDied, StorageError):
                (self.disk.lose_power if self.random.random() < 0.5 else self.disk.end_process)()
        if self.log.damage:
            self.accept_torn_end()
        head = self.log.head
        if head not in self.heads:  # a batch whose write was interrupted, whole after all
            assert head.last_id == self.heads[-1].last_id + len(self.in_doubt)
            self.heads.append(head)
            self.texts[head] = self.in_doubt
        at = self.heads.index(head) + 1
        assert at >= self.durable, (head, self.heads[self.durable - 1])
        self.heads = self.heads[:at]
        self.durable = at

    def accept_torn_end(self) -> None:
        """A master's last write came to disk torn in the middle: damage that never counted."""
        assert self.is_master
        assert self.log.damage[0].last_id is None
        assert self.heads.index(self.log.head) + 1 >= self.durable
        self.log.cut(self.log.head)

    in_doubt: list[str] = []  # noqa: RUF012 - replaced, never changed

    def check(self) -> None:
        assert self.log.head == self.heads[-1]
        texts = [text for head in self.heads for text in self.texts[head]]
        lines = [f'{{"id":{n},"message":"{text}"}}\n' for n, text in enumerate(texts, 1)]
        assert read(self.log) == "".join(lines).encode()
        assert self.log.damage == ()
        for head in self.random.sample(self.heads, min(3, len(self.heads))):
            assert self.log.contains(head)


@pytest.mark.parametrize("is_master", [True, False], ids=["master", "secondary"])
@pytest.mark.parametrize("seed", range(150))
def test_a_random_history_loses_nothing_that_was_durable(seed: int, is_master: bool) -> None:
    history = History(seed, is_master=is_master)
    random = history.random
    for _ in range(STEPS):
        steps = [history.append] * 6 + [history.sync] * 4 + [history.note, history.close]
        steps += [] if is_master else [history.cut]
        fault = random.random()
        if fault < 0.1:
            history.disk.calls_to_death = random.randrange(1, 9)
        elif fault < 0.13:
            history.disk.syncs_to_fail = 1
        elif fault < 0.16:
            history.disk.writes_to_fail = 1
        step = history.crash if random.random() < 0.1 else random.choice(steps)
        try:
            step()
            if is_master and step == history.append:
                history.sync()  # a master has one batch in flight, never two
        except NodeDied:
            history.crash()
        except SyncFailedError:
            history.crash()
        history.check()
