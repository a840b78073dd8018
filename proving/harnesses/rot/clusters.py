"""Row 6: rot in some of three running nodes, while they stand still and while they run.

SHELL. The nodes are real ones in one process, on real files, linked over loopback.
"""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from random import Random
from typing import Final
from unittest.mock import patch

from proving.harness import Counts, Harness, Violation
from proving.harnesses.rot.spoiling import Spoiled, spoil
from proving.harnesses.rot.written import copies
from replog.core.effects import Refused
from replog.core.entry import Tick
from replog.core.errors import DamagedLogError
from replog.node import node as running
from replog.node.views import Role
from tests.storage.logs import DIRECTORY, Original
from tests.support.nodes import Nodes, RunningNode, until

NAMES: Final = ("master", "s1", "s2")


def spoil_cluster(case: int, directory: Path) -> Counts:
    """Rot on one node, on two or three in other places, or the same on all of them.

    In every other case it comes while the nodes run, after they have read all of their logs;
    in one of eight nobody looks again but a secondary that comes back and is sent the rot.
    """
    random = Random(f"rot-clusters {case}")
    story = _Story(random, Nodes(directory), directory, is_running=case % 2 == 1)
    # The scrubber goes round in seconds then, not in minutes.
    faster: AbstractContextManager[object] = nullcontext()
    if story.is_running and case % 8 != 5:
        faster = patch.object(running, "SCRUB_EVERY", Tick(1))
    with faster:
        if case % 8 == 5:
            asyncio.run(story.sent())
        else:
            asyncio.run(story.hopeless() if case % 4 == 3 or case % 8 == 0 else story.mended())
    return story.counts


class _Story:
    def __init__(self, random: Random, nodes: Nodes, root: Path, *, is_running: bool) -> None:
        self.is_running = is_running
        self.counts: Counter[str] = Counter()
        self._random = random
        self._spoiled: set[str] = set()
        self._nodes = nodes
        self._root = root
        self._original: Original = copies(Role.MASTER, 1).original
        for number, name in enumerate(NAMES, 1):
            role = Role.MASTER if name == "master" else Role.SECONDARY
            for path, content in copies(role, number).original.files.items():
                target = self._path(name, path)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)

    def _path(self, name: str, path: str) -> Path:
        return self._root / name / path.removeprefix(f"{DIRECTORY}/")

    # --- two ends of a story ------------------------------------------------------------

    async def mended(self) -> None:
        """Some nodes rot, each in places of its own: the others mend them."""
        rotten = self._random.sample(NAMES, self._random.choice((1, 1, 2, 3)))
        paths = self._random.sample(self._original.segments, len(rotten))
        async with self._nodes:
            if self.is_running:
                await self._start(*NAMES)
                await self._read_all()
            for name, path in zip(rotten, paths, strict=True):
                self._spoil((name,), path)
            if not self.is_running:
                await self._start(*NAMES)
                await self._read_all()
            await self._come_right()
            for name in set(NAMES).difference(rotten):
                if (self._root / name / "quarantine").exists():
                    raise Violation(f"R13: rot on {rotten} made {name} cut something")
        self.counts["mended from another node"] += len(rotten)

    async def sent(self) -> None:
        """A master's log rots under it; then a secondary comes that lacks just that.

        It is new, or it holds the log up to the end of the rotten batch: what it holds is good,
        and is not to be cut because the master's trailer rotted.
        """
        path = self._random.choice(self._original.segments[:-1])
        is_empty = self._random.random() < 0.5
        batches = [batch for batch in self._original.batches if batch.path == path]
        if not is_empty:
            batches.pop()  # the segment behind it says its hash too: nobody looks at the rot
        batch = self._random.choice(batches)
        async with self._nodes:
            await self._start(*NAMES)
            await self._read_all()
            await self._nodes.stop("s2")
            if is_empty:
                shutil.rmtree(self._root / "s2")
            else:
                for later in (p for p in self._original.segments if p > path):
                    self._path("s2", later).unlink()
                self._path("s2", path).write_bytes(self._original.files[path][: batch.span.stop])
                (self._root / "s2" / "marks").unlink()
            content = bytearray(self._original.files[path])
            if is_empty:
                at = self._random.randrange(batch.span.start, batch.span.stop)
                content[at] ^= 1 << self._random.randrange(8)
            else:  # a digit of the hash becomes another one: the master would deny the batch
                digits = range(batch.span.stop - 68, batch.span.stop - 4)
                at = self._random.choice([at for at in digits if chr(content[at]) in "0123456789"])
                content[at] ^= 1
            with self._path("master", path).open("r+b") as file:
                file.write(content)
            await self._start("s2")
            await self._come_right()
            for name in ("s1", "s2"):
                if (self._root / name / "quarantine").exists():
                    raise Violation(f"R3: the master's rot made {name} cut what is good")
        self.counts["an empty disk" if is_empty else "a log up to the rot"] += 1

    async def hopeless(self) -> None:
        """The same bytes rot on all nodes: they say where, until one gets them back."""
        path = self._random.choice(self._original.segments)
        spared = "s1"
        async with self._nodes:
            if self.is_running:
                await self._start(*NAMES)
                await self._read_all()
            spoiled = self._spoil(NAMES, path)
            if not self.is_running:
                await self._start(*NAMES)
                await self._read_all()
            for name, node in self._nodes.running.items():
                # R13: a secondary gives a bad end up, behind which nothing good stands, for
                # whatever its master will have; the master never does.
                if name == "master" or path != self._original.segments[-1]:
                    await self._is_named(node, spoiled)
            outcome = await self._nodes.running["master"].append("no", w=1)
            if not isinstance(outcome, Refused):
                raise Violation(f"R13: a damaged master took an append: {outcome}")
            await self._read_all()
            await self._nodes.stop(spared)
            self._path(spared, path).write_bytes(self._original.files[path])
            await self._start(spared)
            await self._come_right()
        self.counts["the same bytes on all nodes"] += 1

    # --- parts --------------------------------------------------------------------------

    def _spoil(self, names: Sequence[str], path: str) -> Spoiled:
        spoiled = spoil(self._original, path, self._random, only_bytes=self.is_running)
        for name in names:
            file = self._path(name, path)
            if spoiled.content is None:
                file.unlink()
            else:
                with file.open("r+b") as open_file:  # in place, as a disk rots under a process
                    open_file.write(spoiled.content)
                    open_file.truncate()
        self.counts[spoiled.what] += len(names)
        self._spoiled.update(names)
        return spoiled

    async def _start(self, *names: str) -> None:
        for name in sorted(names, reverse=True):
            if name == "master":
                await self._nodes.master("s1", "s2")
            else:
                await self._nodes.secondary(name)
        if self.is_running and len(names) == len(NAMES):
            await self._nodes.running["master"].linked()
            await self._nodes.running["master"].ready()

    async def _read_all(self) -> None:
        """Read every node: what comes is what was written, or the read breaks off."""
        right = self._original.lines(self._original.head.last_id)
        for name, node in list(self._nodes.running.items()):
            try:
                lines = await node.read()
            except DamagedLogError:
                self.counts["reads that broke off"] += 1
                continue
            if not right.startswith(lines):
                raise Violation(f"P3: {name} showed what was never written")

    async def _is_named(self, node: RunningNode, spoiled: Spoiled) -> None:
        place = f"{spoiled.segment} at byte {spoiled.offset}, entry {spoiled.before.last_id + 1} "
        await until(
            lambda: any(place in reason for reason in node.node.readiness()),
            f"{node.directory.name} is not ready and names {place}",
            node.node.readiness,
        )

    async def _come_right(self) -> None:
        nodes = [self._nodes.running[name] for name in NAMES]
        right = {path.rpartition("/")[2]: self._original.files[path] for path in self._segments}

        def are_right() -> bool:
            for name, content in self._nodes.running["s2"].segments().items():
                if self._is_good_at("s2") and not right.get(name, b"").startswith(content):
                    raise Violation(f"R5: {name} of s2 holds what the master's disk made of it")
            return all(
                not node.node.health().damage
                and not node.node.readiness()
                and node.segments() == right
                for node in nodes
            )

        await until(are_right, "all mended", lambda: [node.node.health() for node in nodes])
        await nodes[0].ready()
        await nodes[0].stored("after", w="all")
        shown = {await node.read() for node in nodes}
        lines = self._original.lines(self._original.head.last_id)
        if len(shown) != 1 or not shown.pop().startswith(lines):
            raise Violation("P5: the nodes show different logs, or not what was written")
        files = [node.segments() for node in nodes]
        if any(other != files[0] for other in files[1:]):
            raise Violation("P7: the files of the nodes differ")

    def _is_good_at(self, name: str) -> bool:
        return name not in self._spoiled

    @property
    def _segments(self) -> list[str]:
        return self._original.segments


HARNESSES = (
    Harness(
        name="rot-clusters",
        row=6,
        promise="rot is named, mended from another node, and never spread",
        how="bits, stretches, ends and files of eight segments spoiled on one, two or three of "
        "three nodes, stopped or running, or the same bytes on all",
        unit="clusters",
        cases=400,
        run=spoil_cluster,
        sample=(1,),
        starts_processes=False,
        is_parallel=True,
    ),
)
