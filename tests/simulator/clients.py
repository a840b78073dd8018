"""Clients of the simulated log: appends with every write concern, reads, changes of mind.

PURE.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from replog.core.effects import AnswerRead, AppendOutcome, Pending, Persist, Stored
from replog.core.entry import EntryId, Tick
from replog.core.errors import DamagedLogError
from replog.core.events import AppendRequested, ReadRequested, RequestAbandoned, RequestId
from replog.core.write_concern import WriteConcern
from tests.simulator.invariants import Append, promise, required_copies

if TYPE_CHECKING:
    from tests.simulator.shell import SimNode
    from tests.simulator.world import World


@dataclass(slots=True)
class Read:
    """A read that waits; `floor` is what it must show at least if there is a master (P4)."""

    node: str
    floor: int


@dataclass(slots=True)
class Clients:
    """Everybody who asks something of the cluster.

    Attributes:
        waiting: appends without an answer yet, of the master's present process.
        reads: reads without an answer yet, of present processes.
    """

    world: World
    waiting: dict[RequestId, Append] = field(default_factory=dict)
    reads: dict[RequestId, Read] = field(default_factory=dict)
    home_of: dict[bytes, Append] = field(default_factory=dict)
    stored: list[Append] = field(default_factory=list)
    _requests: int = 0

    def append(
        self,
        *,
        concern: WriteConcern | None,
        timeout: Tick | None = None,
        entries: int = 1,
        size: int = 8,
    ) -> Append | None:
        """Ask the master for an append; None where there is none to ask."""
        world = self.world
        master = world.master
        if master.core is None:
            return None
        request = self._next()
        text = f"{request}-"
        messages = tuple(f'"{text}{number}{"x" * size}"'.encode() for number in range(entries))
        append = Append(
            request=request,
            messages=messages,
            concern=concern,
            required=required_copies(concern, world.profile.default_concern, len(world.nodes)),
            deadline=None if timeout is None else world.clock.now // 100 + timeout,
            asked_at=world.clock.now,
        )
        self.waiting[request] = append
        for message in messages:
            self.home_of[message] = append
        event = AppendRequested(request, messages, concern, timeout)
        world.at(master, lambda: master.deliver(event))
        return append

    def read(self, node: SimNode) -> None:
        if node.core is None:
            return
        request = self._next()
        floor = self.world.judge.nodes[node.name].floor
        if node is self.world.master:
            floor = max(floor, self.world.judge.nodes[node.name].floor)
        self.reads[request] = Read(node.name, floor)
        self.world.at(node, lambda: node.deliver(ReadRequested(request)))

    def abandon(self) -> None:
        """One of those who wait hangs up."""
        world = self.world
        choices: list[RequestId] = [*self.waiting, *self.reads]
        if not choices:
            return
        request = world.random.choice(choices)
        node = world.master
        if self.waiting.pop(request, None) is None:
            node = world.node(self.reads.pop(request).node)
        world.count("client hung up")
        world.at(node, lambda: node.deliver(RequestAbandoned(request)))

    def process_ended(self, node: SimNode) -> None:
        """Those who asked this process never hear of it again."""
        if node is self.world.master:
            self.waiting.clear()
        self.reads = {r: read for r, read in self.reads.items() if read.node != node.name}

    def ids_given(self, effect: Persist) -> None:
        """A batch is to be made: each append in it has its ids now."""
        for number, message in enumerate(effect.messages, effect.first_id):
            append = self.home_of[message]
            if message == append.messages[0]:
                self.world.judge.ids_given(append, number)

    def append_answered(self, node: SimNode, request: RequestId, outcome: AppendOutcome) -> None:
        world = self.world
        append = self.waiting.pop(request, None)
        if append is None:  # hung up: nobody hears it
            return
        world.count(f"answer: {type(outcome).__name__}")
        excused = world.excused(node, append)
        world.judge.append_answered(append, outcome, nodes=len(world.nodes), excused=excused)
        if isinstance(outcome, Stored):
            counted = world.counted_for(node, outcome.last_id)
            promise("R10", outcome.acks <= len(counted), f"{outcome}, linked are {counted}")
        if isinstance(outcome, Pending):
            urls = {each.url: each.name for each in world.nodes}
            if not excused:
                world.judge.pending_answered(outcome, urls, append)
        if isinstance(outcome, Stored):
            self.stored.append(append)
            for name in world.counted_for(node, outcome.last_id):
                if name not in excused:
                    world.judge.counts(name, outcome.last_id)

    def read_answered(self, node: SimNode, answer: AnswerRead) -> None:
        read = self.reads.pop(answer.request, None)
        if read is None:
            return
        self.world.judge.read_answered(
            node.name,
            committed_id=answer.committed_id,
            has_master=answer.has_master,
            floor=read.floor,
            lines=read_lines(node, answer.committed_id),
        )

    def check_prompt(self) -> None:
        """P8: what asked for the master's disk alone is answered when that has it."""
        directory = self.world.master.directory
        if directory is None:
            return
        for append in self.waiting.values():
            last_id = append.last_id
            promise(
                "P8",
                append.required != 1 or last_id is None or last_id > directory.log.durable.last_id,
                f"{append} is durable on the master and waits",
            )

    def check_all_met(self) -> None:
        """After peace nobody waits who can be answered."""
        for append in self.waiting.values():
            promise("P9", append.required is None, f"{append} waits for ever")
        promise("P9", not self.reads, f"reads {self.reads} wait for ever")

    def _next(self) -> RequestId:
        self._requests += 1
        return RequestId(self._requests)


def read_lines(node: SimNode, last_id: int) -> bytes | None:
    """Return what a read of the whole log shows; None where it broke off at damage."""
    assert node.directory is not None
    if last_id == 0:
        return b""
    reader = node.directory.log.reader(EntryId(1), EntryId(last_id))
    chunks = []
    try:
        while (chunk := reader.next_chunk()) is not None:
            chunks.append(chunk)
    except DamagedLogError:
        if node.reader is not None:
            node.after(0, node.reader.tell_damage)
        return None
    finally:
        reader.close()
    return b"".join(chunks)
