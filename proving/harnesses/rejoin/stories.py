"""How a secondary goes away and comes back: each of the ways in which that can go wrong.

NETWORK, and DISK while nodes do not run. After each the nodes come right by themselves.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from proving.harness import Violation
from proving.harnesses.rejoin.stage import FILLING, Stage
from proving.harnesses.rot.written import copies
from proving.recording import Clients
from replog.core.entry import EntryId
from replog.history.lines import Append
from replog.node.views import Role
from tests.support.cluster import MASTER, S1, S2
from tests.support.stories import last_id
from tests.support.waiting import wait_until

Story = Callable[[Stage], None]

LONG_S = 600.0
BEHIND = 20_000
"""Entries of a kB that take long enough to catch up with that a kill falls into it."""


def away(entries: int) -> Story:
    """Return the story of a secondary that misses so many entries, and comes back under load."""

    def story(stage: Stage) -> None:
        stage.append(3, w=3)
        (stage.stop if stage.random.random() < 0.5 else stage.kill)(S2)
        stage.append_many(entries, w=2)
        with _load(stage):
            stage.start(S2)
            stage.wait_level()
        stage.counts["entries missed"] += entries

    return story


def far_behind(entries: int) -> Story:
    """Return the story of a secondary that misses a great many entries, or all that there are."""

    def story(stage: Stage) -> None:
        stage.append(3, w=3)
        stage.stop(S2)
        stage.append_many(entries, w=2, at_once=5000)
        if stage.random.random() < 0.5:
            stage.wipe(S2)
        with _load(stage):
            stage.start(S2)
            stage.wait_level(within_s=LONG_S)
        stage.counts["entries missed"] += entries

    return story


def tail_is_cut(stage: Stage) -> None:
    """What was never acknowledged, and is not in the master's log, goes to the quarantine."""
    _stop_all(stage)
    tail = stage.grow_tail(S2, batches=stage.random.randint(1, 4), is_committed=False)
    stage.start_and_wait(S1, MASTER)
    stage.append(stage.random.randint(1, 30), w=2)  # the master's own batch stands there now
    with _load(stage):
        stage.start(S2)
        stage.wait_level()
    if stage.quarantined(S2) != tail:
        raise Violation(f"R14: {len(tail)} bytes were cut, and are not in the quarantine")


def tail_is_adopted(stage: Stage) -> None:
    """Before its first batch a master takes over what a secondary holds beyond it (R8)."""
    _stop_all(stage)
    tail = stage.grow_tail(S2, batches=stage.random.randint(1, 4), is_committed=True)
    stage.start_and_wait(S2, S1)
    stage.start_and_wait(MASTER)
    with _load(stage):
        stage.wait_level()
    if tail not in stage.content(MASTER) or stage.quarantined(S2):
        raise Violation("R8: the master did not take over what its secondary held")


def tail_has_diverged(stage: Stage) -> None:
    """What its holder knows to be committed is never cut: the link says diverged (R3)."""
    _stop_all(stage)
    tail = stage.grow_tail(S2, batches=stage.random.randint(1, 4), is_committed=True)
    before = stage.content(S2)
    stage.start_and_wait(S1, MASTER)
    stage.append(stage.random.randint(1, 30), w=2)
    stage.start(S2)
    stage.wait_link(S2, "diverged")
    stage.append(2, w=2)
    if stage.append(1, w=3, timeout=0.3) != "pending":
        raise Violation("P2: a diverged secondary was counted")
    stage.stop(S2)
    if stage.content(S2) != before or not tail or stage.quarantined(S2):
        raise Violation("R3: something of a diverged log was cut")
    stage.wipe(S2)  # as docs/operations.md says
    stage.counts["diverged, and said so"] += 1
    with _load(stage):
        stage.start(S2)
        stage.wait_level()


def stale_backup(stage: Stage) -> None:
    """A secondary's directory from before comes back, and does not count for what it lacks."""
    stage.append(stage.random.randint(1, 200), w=3)
    is_live = stage.random.random() < 0.5
    if not is_live:
        stage.stop(S2)
    backup = stage.backup(S2, "backup")
    if not is_live:
        stage.start_and_wait(S2)
    stage.append(stage.random.randint(1, 2000), w=3)
    entry_id = last_id(stage.cluster, MASTER)
    stage.stop(S2)
    stage.put_back(S2, backup)
    stage.start(S2, delay_s=600)
    stage.wait_link(S2, "streaming")
    if stage.cluster.url(S2) in stage.holders(entry_id):
        raise Violation(f"R6: a directory from before counts for entry {entry_id}")
    stage.stop(S2)
    with _load(stage):
        stage.start(S2, delay_s=0)
        stage.wait_level()
    stage.counts["backups made while the node ran"] += is_live


def hole(stage: Stage) -> None:
    """A part of the middle is gone: a file of several, or a stretch of zeros over batches."""
    stage.stop(S2)
    files = stage.cluster.node[S2].segment_files()
    victim = stage.random.choice(files[1:-1])
    if stage.random.random() < 0.5:
        victim.unlink()
        stage.counts["files lost in the middle"] += 1
    else:
        content = bytearray(victim.read_bytes())
        start = stage.random.randrange(len(content) // 2)
        stop = start + stage.random.randint(400, len(content) // 2)
        content[start:stop] = bytes(stop - start)
        victim.write_bytes(content)
        stage.counts["stretches of zeros"] += 1
    stage.recording.fault("rotted", stage.cluster.url(S2))
    stage.append(stage.random.randint(1, 300), w=2)
    with _load(stage):
        stage.start(S2)
        stage.wait_level()


def killed_while_catching_up(victim: str) -> Story:
    """Return the story of a node that is killed, over and over, while S2 catches up."""

    def story(stage: Stage) -> None:
        (stage.stop if stage.random.random() < 0.5 else stage.kill)(S2)
        if stage.random.random() < 0.3:
            stage.wipe(S2)
        stage.append_many(BEHIND, w=2, filling=FILLING)
        end = last_id(stage.cluster, MASTER)
        stage.start(S2)
        for _ in range(stage.random.randint(1, 4)):
            wait_until(
                lambda: last_id(stage.cluster, S2) >= 0,
                "S2 answers",
                explain=stage.cluster.explain,
            )
            time.sleep(stage.random.uniform(0, 0.5))  # the moment is to be any
            stage.kill(victim)
            stage.counts["killed in the middle"] += _is_behind(stage, end)
            stage.start(victim)
        with _load(stage):
            stage.wait_level()

    return story


def _is_behind(stage: Stage, end: int) -> bool:
    """Say whether S2's files lack something yet."""
    return f'{{"id":{end},'.encode() not in stage.content(S2)


def wiped(stage: Stage) -> None:
    """A wiped disk is a new node: what the old one acknowledged counts no more (R2, R6)."""
    stage.append(stage.random.randint(1, 50), w=3)
    entry_id = last_id(stage.cluster, MASTER)
    url = stage.cluster.url(S2)
    if url not in stage.holders(entry_id):
        raise Violation(f"R10: entry {entry_id} was acknowledged by all, but not by S2")
    (stage.stop if stage.random.random() < 0.5 else stage.kill)(S2)
    stage.wipe(S2)
    stage.start(S2, delay_s=600)
    stage.wait_link(S2, "streaming")
    if url in stage.holders(entry_id):
        raise Violation(f"R6: an empty disk counts for entry {entry_id}")
    if stage.append(1, w=3, timeout=0.3) != "pending":
        raise Violation("P2: an empty disk was counted")
    stage.stop(S2)
    with _load(stage):
        stage.start(S2, delay_s=0)
        stage.wait_level()


def grown(stage: Stage) -> None:
    """Give every node one log of several small segments, before any of them starts."""
    for number, node in enumerate(stage.cluster.nodes, 1):
        role = Role.MASTER if node == MASTER else Role.SECONDARY
        for path, content in copies(role, number).original.files.items():
            target = stage.data(node) / path.partition("/")[2]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    original = copies(Role.MASTER, 1).original
    lines = original.lines(EntryId(original.head.last_id)).splitlines()
    stage.recording.write(
        Append(98, 0, "ok", list(map(_message, lines)), 3, first_id=1, returned=0)
    )


def _message(line: bytes) -> str:
    return str(json.loads(line)["message"])


def _load(stage: Stage) -> Clients:
    """Clients that append and read while S2 comes back."""
    seed = stage.random.randrange(1 << 30)
    return Clients(stage.recording, seed=seed, clients=3, pause_s=0.01, timeout_s=60)


def _stop_all(stage: Stage) -> None:
    stage.append(stage.random.randint(1, 100), w=3)
    for node in stage.cluster.nodes:
        stage.stop(node)
