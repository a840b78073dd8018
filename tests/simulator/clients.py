"""Clients of the simulated log: appends with every write concern, reads, changes of mind.

PURE.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from replog.core.effects import (
    AnswerRead,
    AppendOutcome,
    Pending,
    Persist,
    RefusalReason,
    Refused,
    Stored,
)
from replog.core.entry import EntryId, Tick
from replog.core.errors import DamagedLogError
from replog.core.events import (
    AcksAwaited,
    AppendRequested,
    AppendsRequested,
    ReadRequested,
    RequestAbandoned,
    RequestId,
)
from replog.core.master import Master
from replog.core.write_concern import WriteConcern
from tests.simulator.clock import UNITS_PER_TICK
from tests.simulator.invariants import required_copies
from tests.simulator.promise import broken
from tests.simulator.requests import Append, Read, Receipt
from tests.simulator.wishes import Wishes

if TYPE_CHECKING:
    from tests.simulator.shell import SimNode
    from tests.simulator.world import World


@dataclass(slots=True)
class Clients:
    """Everybody who asks something of the cluster.

    Attributes:
        waiting: appends without an answer yet, of the master's present process.
        receipts: questions for copies without an answer yet, likewise.
        reads: reads without an answer yet, of present processes.
    """

    world: World
    wishes: Wishes = field(init=False)
    waiting: dict[RequestId, Append] = field(default_factory=dict)
    receipts: dict[RequestId, Receipt] = field(default_factory=dict)
    reads: dict[RequestId, Read] = field(default_factory=dict)
    home_of: dict[bytes, Append] = field(default_factory=dict)
    stored: list[Append] = field(default_factory=list)
    adopted: set[int] = field(default_factory=set)
    _requests: int = 0
    _arrived: list[AppendRequested] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.wishes = Wishes(self)

    # --- asking -------------------------------------------------------------------------

    def append(
        self,
        *,
        concern: WriteConcern | None,
        timeout: int | None = None,
        entries: int = 1,
        size: int = 8,
        expect: int | None = None,
    ) -> Append | None:
        """Ask the master for an append without a key; None where there is none to ask."""
        messages = self.new_messages(entries, size)
        return self.send(messages, concern=concern, timeout=timeout, expect=expect)

    def new_messages(self, entries: int, size: int) -> tuple[bytes, ...]:
        """Return messages that nobody ever sent."""
        text = f"{self._next()}-"
        return tuple(f'"{text}{number}{"x" * size}"'.encode() for number in range(entries))

    def send(
        self,
        messages: tuple[bytes, ...],
        *,
        concern: WriteConcern | None,
        timeout: int | None = None,
        keys: tuple[str | None, ...] = (),
        expect: int | None = None,
    ) -> Append | None:
        """Ask the master for an append; None where there is none to ask."""
        world = self.world
        master = world.master
        if master.core is None:
            return None
        request = self._next()
        append = Append(
            request=request,
            messages=messages,
            concern=concern,
            required=required_copies(concern, world.profile.default_concern, len(world.nodes)),
            deadline=self._deadline(timeout),
            asked_at=world.clock.now,
            keys=keys,
            expect=expect,
        )
        self.waiting[request] = append
        world.judge.keys.asked(append)
        if not keys:
            for message in messages:
                self.home_of[message] = append
        event = AppendRequested(
            request,
            messages,
            concern,
            None if timeout is None else Tick(timeout),
            keys,
            None if expect is None else EntryId(expect),
        )
        world.at(master, lambda: self._arrive(event))
        return append

    def _arrive(self, event: AppendRequested) -> None:
        """Let appends that come within moments reach the core together, as a node does."""
        master = self.world.master
        self._arrived.append(event)
        if len(self._arrived) == 1:
            master.after(self.world.random.randint(0, 5), self._hand_over)

    def _hand_over(self) -> None:
        arrived, self._arrived = tuple(self._arrived), []
        if len(arrived) == 1:
            self.world.master.deliver(arrived[0])
        else:
            self.world.count("appends arrived together")
            self.world.master.deliver(AppendsRequested(arrived))

    def ask_for_receipt(
        self, entry_id: int, *, concern: WriteConcern | None, timeout: int | None
    ) -> None:
        """Ask the master on how many nodes an entry is."""
        world = self.world
        master = world.master
        if master.core is None:
            return
        request = self._next()
        required = required_copies(concern, world.profile.default_concern, len(world.nodes))
        self.receipts[request] = Receipt(request, entry_id, required, self._deadline(timeout))
        event = AcksAwaited(
            request, EntryId(entry_id), concern, None if timeout is None else Tick(timeout)
        )
        world.at(master, lambda: master.deliver(event))

    def read(
        self,
        node: SimNode,
        *,
        min_id: int = 0,
        is_linearizable: bool = False,
        max_lag: int | None = None,
        timeout: int | None = None,
    ) -> Read | None:
        """Ask a node for a read; None where there is none to ask."""
        if node.core is None:
            return None
        judge = self.world.judge
        request = self._next()
        read = Read(
            request,
            node.name,
            judge.nodes[node.name].floor,
            judge.committed_id,
            self.world.clock.now,
            min_id,
            is_linearizable,
            max_lag,
            timeout,
        )
        self.reads[request] = read
        event = ReadRequested(
            request,
            EntryId(min_id),
            is_linearizable,
            None if max_lag is None else Tick(max_lag),
            None if timeout is None else Tick(timeout),
        )
        self.world.at(node, lambda: node.deliver(event))
        return read

    def abandon(self) -> None:
        """One of those who wait hangs up."""
        world = self.world
        choices: list[RequestId] = [*self.waiting, *self.receipts, *self.reads]
        if not choices:
            return
        request = world.random.choice(choices)
        node = world.master
        if request in self.waiting:
            self.waiting.pop(request).is_heard = False
        elif self.receipts.pop(request, None) is None:
            node = world.node(self.reads.pop(request).node)
        world.count("client hung up")
        world.at(node, lambda: node.deliver(RequestAbandoned(request)))

    def process_ended(self, node: SimNode) -> None:
        """Those who asked this process never hear of it again."""
        if node is self.world.master:
            self._arrived.clear()
            for append in self.waiting.values():
                append.is_heard = False
            self.waiting.clear()
            self.receipts.clear()
        self.reads = {r: read for r, read in self.reads.items() if read.node != node.name}

    def _deadline(self, timeout: int | None) -> int | None:
        """Return when a node may give up: a fast clock is there early."""
        if timeout is None:
            return None
        units = timeout * UNITS_PER_TICK
        return self.world.clock.now + units - units * self.world.profile.drift // 1000

    def _next(self) -> RequestId:
        self._requests += 1
        return RequestId(self._requests)

    # --- what happens -------------------------------------------------------------------

    def ids_given(self, effect: Persist) -> None:
        """A batch is to be made: each append without a key in it has its ids now."""
        for number, message in enumerate(effect.messages, effect.first_id):
            append = self.home_of.get(message)
            if append is not None and message == append.messages[0]:
                self.world.judge.ids_given(append, number)

    def append_answered(self, node: SimNode, request: RequestId, outcome: AppendOutcome) -> None:
        receipt = self.receipts.pop(request, None)
        if receipt is not None:
            self._receipt_answered(node, receipt, outcome)
        append = self.waiting.pop(request, None)
        if append is None:  # hung up: nobody hears it
            return
        world = self.world
        world.count(f"answer: {type(outcome).__name__}")
        last_id = None if isinstance(outcome, Refused) else outcome.last_id
        excused = world.excused(node, last_id)
        world.judge.append_answered(append, outcome, nodes=len(world.nodes), excused=excused)
        world.judge.check_disk(node.name)
        if not world.judge.nodes[node.name].is_rotten:
            ends_at = world.judge.nodes[node.name].view.last_id
            world.judge.keys.expected(append, outcome, ends_at)
        self.wishes.answered(append, outcome)
        if isinstance(outcome, Stored):
            counted = world.counted_for(node, outcome.last_id)
            if outcome.acks > len(counted):
                broken("R10", f"{outcome}, linked are {counted}")
            self.stored.append(append)
            for name in counted:
                if name not in excused:
                    world.judge.counts(name, outcome.last_id)
            self._read_own_write(outcome.last_id)
        if isinstance(outcome, Pending):
            self._check_pending(node, append, outcome, excused, world.judge.holders(append))

    def _read_own_write(self, last_id: int) -> None:
        """Some go to any node at once, to see there what they were told is stored."""
        random = self.world.random
        chance = random.random()
        if chance < 0.2:
            node = random.choice(self.world.nodes)
            is_linearizable = chance < 0.1
            min_id = 0 if is_linearizable else last_id
            self.read(node, min_id=min_id, is_linearizable=is_linearizable, timeout=100)

    def _receipt_answered(self, node: SimNode, receipt: Receipt, outcome: AppendOutcome) -> None:
        world = self.world
        if isinstance(outcome, Refused):
            world.count(f"receipt: {outcome.reason}")
        else:
            world.count(f"receipt: {type(outcome).__name__}")
        assert isinstance(node.core, Master), "a secondary gives no receipts"
        is_refused = isinstance(outcome, Refused) and outcome.reason is RefusalReason.DAMAGED
        if is_refused and node.core.facts.damage:
            return  # it does not know what is there
        excused = world.excused(node, receipt.id)
        world.judge.receipt_answered(receipt, outcome, master=node.name, excused=excused)
        if isinstance(outcome, Pending):
            holders = world.judge.holders_of(receipt.id)
            self._check_pending(node, receipt, outcome, excused, holders)

    def _check_pending(
        self,
        node: SimNode,
        asked: Append | Receipt,
        outcome: Pending,
        excused: set[str],
        holders: set[str],
    ) -> None:
        """Those named hold it, and nobody is told so before the time that was given."""
        world = self.world
        if not excused:
            urls = {each.url: each.name for each in world.nodes}
            world.judge.pending_answered(outcome, urls, holders)
        now = world.clock.now
        is_late = asked.deadline is not None and now >= asked.deadline
        if not is_late and not node.is_ending:
            broken("P2", f"{asked} was told {outcome} at {now}")
        if outcome.required != asked.required:
            broken("P2", f"{asked} was told {outcome}")

    def read_answered(self, node: SimNode, answer: AnswerRead) -> None:
        world = self.world
        read = self.reads.pop(answer.request, None)
        if read is None:
            return
        read.answer = answer
        if read.asks_more:
            world.count(f"read{' not' * (not answer.is_met)} met: {_kind(read)}")
        if not world.is_contested:
            world.judge.fresh.answered(
                read,
                answer,
                now=world.clock.now,
                is_ending=node.is_ending,
                tick_max=world.tick[1],
            )
        if not answer.is_met:
            return
        world.judge.read_answered(
            node.name,
            committed_id=answer.committed_id,
            has_master=answer.has_master,
            floor=read.floor,
            lines=read_lines(node, answer.committed_id),
        )

    # --- checks -------------------------------------------------------------------------

    def check_prompt(self) -> None:
        """P8: what asked for the master's disk alone is answered when that has it."""
        directory = self.world.master.directory
        if directory is None:
            return
        for append in self.waiting.values():
            last_id = append.last_id
            if (
                append.required == 1
                and last_id is not None
                and last_id <= directory.log.durable.last_id
            ):
                broken("P8", f"{append} is durable on the master and waits")

    def waiting_now(self) -> list[Append | Receipt]:
        """Return what waits for copies that it can get."""
        asked: list[Append | Receipt] = [*self.waiting.values(), *self.receipts.values()]
        return [each for each in asked if each.required is not None]

    def check_all_met(self) -> None:
        """After peace no read waits that can be answered."""
        now = self.world.clock.now
        for read in self.reads.values():
            units = (read.timeout or 0) * UNITS_PER_TICK
            deadline = read.asked_at + units + units * self.world.profile.drift // 990
            is_due = read.timeout is None or deadline + self.world.tick[1] * 2 < now
            if is_due:
                broken("P9", f"{read} waits for ever")


def _kind(read: Read) -> str:
    """Return what a read asks for, the hardest of it."""
    if read.is_linearizable:
        return "linearizable"
    return "max_lag" if read.max_lag is not None else "min_id"


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
