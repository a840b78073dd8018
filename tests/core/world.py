"""A world small enough to be tried exhaustively: real cores, logs in memory, ordered links.

PURE. Nothing happens by itself: a test, or a search over all orders, picks one `Action` after
the other. The promises are checked after each of them.
"""

from __future__ import annotations

from collections.abc import Iterable

from replog.core import effects as do
from replog.core import events as ev
from replog.core.entry import EntryId, Epoch, LogId, NodeId, Tick
from replog.core.events import LinkId, RequestId, SecondaryIndex
from replog.core.master import Master
from replog.core.messages import Damage, FetchEnd, ProbeAnswer
from replog.core.secondary import Secondary
from replog.core.write_concern import WriteConcern
from tests.core.disk import Batch, Disk, frame, unframe
from tests.core.parts import Action, Node, Read, ReadJob, Wire, new_master, new_secondary


class World:
    """A master (node 0) and its secondaries (nodes 1 ..).

    Args:
        slow_reads: what is read from a log comes back as an action of its own.
    """

    def __init__(
        self, secondaries: int = 2, *, slow_reads: bool = False, quorum: bool = False
    ) -> None:
        self.now = Tick(0)
        self.slow_reads = slow_reads
        self.quorum = quorum
        self.urls = tuple(f"http://s{number}" for number in range(1, secondaries + 1))
        self.wires: dict[LinkId, Wire] = {}
        self.unreachable: set[int] = set()
        self.outcomes: dict[RequestId, do.AppendOutcome] = {}
        self.reads: dict[RequestId, Read] = {}
        self.acknowledged: dict[int, EntryId] = dict.fromkeys(range(secondaries + 1), EntryId(0))
        self.ever_shown: list[Batch] = []
        self.next_request = 0
        self.next_link = 0
        self.nodes: list[Node] = []
        for number in range(secondaries + 1):
            disk = Disk(NodeId("m" if number == 0 else f"s{number}"))
            core = new_secondary(disk, now=self.now) if number else new_master(disk, self.urls)
            self.nodes.append(Node(disk, core))

    def begin(self, **master_settings: bool) -> None:
        """Start every node from its disk."""
        for number in range(1, len(self.nodes)):
            self.restart(number)
        self.restart(0, **master_settings)

    def _new_core(self, number: int, **settings: bool) -> Master | Secondary:
        disk = self.nodes[number].disk
        if number:
            return new_secondary(disk, now=self.now)
        settings.setdefault("requires_quorum", self.quorum)
        return new_master(disk, self.urls, now=self.now, **settings)

    @property
    def master(self) -> Master:
        core = self.nodes[0].core
        assert isinstance(core, Master)
        return core

    def secondary(self, number: int) -> Secondary:
        core = self.nodes[number].core
        assert isinstance(core, Secondary)
        return core

    # --- what a test does -----------------------------------------------------------------

    def hold(self, number: int, log: list[Batch], *, note: int = 0, epoch: int = 1) -> None:
        """Let a node have followed this master before: to be said before `begin`."""
        disk = self.nodes[number].disk
        disk.log, disk.durable = list(log), len(log)
        disk.epoch, disk.owner, disk.log_id = Epoch(epoch), NodeId("m"), LogId("log")
        disk.members = ("http://m", *self.urls)
        disk.note = EntryId(note)

    def restart(self, number: int, **settings: bool) -> None:
        """Crash a node, losing what is not durable, and start it again."""
        node = self.nodes[number]
        for link, wire in list(self.wires.items()):
            if number in (0, wire.secondary):
                self._close(link, to=None if number == 0 else 0)
                if number == 0:
                    self.step(wire.secondary, ev.LinkClosed(link, "gone"))
        gone = [key for key, read in self.reads.items() if read.node == number and not read.answer]
        for request in gone:
            del self.reads[request]
        del node.disk.log[node.disk.durable :]
        node.jobs.clear()
        node.reading.clear()
        node.is_written = False
        node.shown = EntryId(0)
        node.core = self._new_core(number, **settings)
        self._perform(number, node.core.start())

    def append(
        self,
        *texts: str,
        w: WriteConcern | None = None,
        timeout: int | None = None,
        keys: tuple[str | None, ...] = (),
        expect: int | None = None,
    ) -> int:
        self.next_request += 1
        request = RequestId(self.next_request)
        wait = None if timeout is None else Tick(timeout)
        messages = tuple(text.encode() for text in texts)
        end = None if expect is None else EntryId(expect)
        self.step(0, ev.AppendRequested(request, messages, w, wait, keys, end))
        return request

    def read(self, number: int) -> Read:
        self.next_request += 1
        request = RequestId(self.next_request)
        self.reads[request] = read = Read(number, self.acknowledged[number])
        self.step(number, ev.ReadRequested(request))
        return read

    def outcome(self, request: int) -> do.AppendOutcome | None:
        return self.outcomes.get(RequestId(request))

    def dial(self, number: int) -> None:
        index = SecondaryIndex(number - 1)
        if number in self.unreachable:
            self.step(0, ev.DialFailed(index, "refused"))
            return
        self.next_link += 1
        link = LinkId(self.next_link)
        self.wires[link] = Wire(number)
        self.step(number, ev.LinkOpened(link))
        self.step(0, ev.LinkOpened(link, index))

    def dials(self) -> list[Action]:
        """Dials of every secondary that is not linked."""
        linked = {wire.secondary for wire in self.wires.values()}
        missing = set(range(1, len(self.nodes))) - linked
        return [Action("dial", number) for number in sorted(missing)]

    def dial_all(self) -> None:
        for action in self.dials():
            self.act(action)

    def cut(self, number: int) -> None:
        """Cut the connection; what is on its way is lost, and both ends hear of it."""
        for link, wire in list(self.wires.items()):
            if wire.secondary == number:
                del self.wires[link]
                self.step(0, ev.LinkClosed(link, "cut"))
                self.step(number, ev.LinkClosed(link, "cut"))

    def tick(self, ticks: int = 1) -> None:
        self.now = Tick(self.now + ticks)
        for number in range(len(self.nodes)):
            self.step(number, ev.Ticked(self.now))

    def settle(self, *, moves_max: int = 3000) -> None:
        """Let everything on its way arrive; time stands still."""
        for _ in range(moves_max):
            action = next(iter(self.internal()), None)
            if action is None:
                return
            self.act(action)
        raise AssertionError(f"never comes to rest: {[list(n.said)[-5:] for n in self.nodes]}")

    def run(self, ticks: int, *, step: int = 10) -> None:
        """Let time pass; what is not linked is dialled again all the while."""
        for _ in range(0, ticks, step):
            self.dial_all()
            self.settle()
            self.tick(step)
            self.settle()

    # --- actions ----------------------------------------------------------------------------

    def internal(self) -> Iterable[Action]:
        """What happens by itself sooner or later, but for time and dialling."""
        for number, node in enumerate(self.nodes):
            if node.jobs:
                yield Action("disk", number)
            if node.reading:
                yield Action("reading", number)
        for link, wire in self.wires.items():
            if wire.to_secondary:
                yield Action("down", link)
            if wire.to_master:
                yield Action("up", link)

    def act(self, action: Action) -> None:
        place = action.place
        match action.kind:
            case "disk":
                self._do_disk(place)
            case "reading":
                self._do_read(place, self.nodes[place].reading.popleft())
            case "down":
                wire = self.wires[LinkId(place)]
                message = wire.to_secondary.popleft()
                self.step(wire.secondary, ev.Received(LinkId(place), message))
            case "up":
                message = self.wires[LinkId(place)].to_master.popleft()
                self.step(0, ev.Received(LinkId(place), message))
            case "dial":
                self.dial(place)
            case "cut":
                self.cut(place)
            case "crash":
                self.restart(place)
            case "append":
                self.append(f"x{self.next_request}")
            case "read":
                self.read(place)

    # --- the shell ----------------------------------------------------------------------------

    def step(self, number: int, *events: ev.Event) -> None:
        for event in events:
            self._perform(number, self.nodes[number].core.step(event))

    def _perform(self, number: int, effects: list[do.Effect]) -> None:
        node = self.nodes[number]
        disk = node.disk
        for effect in effects:
            match effect:
                case do.Send(link, message):
                    if (wire := self.wires.get(link)) is not None:
                        (wire.to_master if number else wire.to_secondary).append(message)
                case do.CloseLink(link):
                    if (wire := self.wires.get(link)) is not None:
                        self._close(link, to=0 if number else wire.secondary)
                case do.Persist() | do.PersistBatches() | do.StoreEpoch():
                    node.jobs.append(effect)
                case do.CutLog() | do.Repair():
                    node.jobs.append(effect)
                case do.StoreLogId(log_id):
                    disk.log_id = LogId(log_id)
                case do.StoreMembers(urls):
                    disk.members = urls
                case do.StoreLossSettled():
                    disk.is_loss_unsettled = False
                case do.NoteCommit(committed_id):
                    disk.note = max(disk.note, committed_id)
                case do.Show(committed_id):
                    node.shown = committed_id
                case do.AnswerAppend(request, outcome):
                    self._answered(request, outcome)
                case do.AnswerRead(request):
                    self._read_answered(request, effect)
                case do.Say(_, text):
                    node.said.append(text)
                case _:
                    node.reading.append(effect)
        while node.reading and not self.slow_reads:
            self._do_read(number, node.reading.popleft())
        self._check()

    def _close(self, link: LinkId, *, to: int | None) -> None:
        """One end closed: the other reads what was sent before, then hears of the end."""
        wire = self.wires.pop(link)
        if to is None:
            return
        left = wire.to_master if to == 0 else wire.to_secondary
        for message in left:
            self.step(to, ev.Received(link, message))
        self.step(to, ev.LinkClosed(link, "closed by the other end"))

    def _do_disk(self, number: int) -> None:
        node = self.nodes[number]
        disk = node.disk
        job = node.jobs[0]
        if isinstance(job, do.Persist | do.PersistBatches) and not node.is_written:
            if disk.is_full:
                node.jobs.popleft()
                self.step(number, ev.PersistRefused("no space"))
                return
            disk.write(job)
            node.is_written = True
            self.step(number, ev.Written(disk.head, 100))
            return
        node.jobs.popleft()
        node.is_written = False
        match job:
            case do.StoreEpoch(epoch, owner):
                disk.epoch, disk.owner = epoch, owner
                self.step(number, ev.EpochStored(epoch))
            case do.CutLog(to):
                assert to in disk.ends(), "cut to what is no batch end"
                disk.log = [b for b in disk.log if b.head.last_id <= to.last_id]
                disk.durable = len(disk.log)
                disk.damage = [bad for bad in disk.damage if bad.before.last_id < to.last_id]
                self.step(number, ev.CutDone(disk.head))
            case do.Repair(damage, batches):
                self._repair(number, damage, [b for f in batches for b in unframe(f)])
            case _:
                disk.durable = len(disk.log)
                self.step(number, ev.Persisted(disk.durable_head))

    def _repair(self, number: int, damage: Damage, batches: list[Batch]) -> None:
        disk = self.nodes[number].disk
        if disk.repair(damage, batches):
            self.step(number, ev.DamageRepaired(damage, disk.ends()[-1]))
        else:
            self.step(number, ev.RepairFailed(damage, "the chain does not close"))

    def _do_read(self, number: int, job: ReadJob) -> None:
        disk = self.nodes[number].disk
        if isinstance(job, do.LoadKeys | do.ConfirmKeys):
            self.step(number, *disk.look_for_keys(job))
            return
        wire = self.wires.get(job.link)
        match job:
            case do.VerifySent():
                self.step(number, *disk.found_damage())
            case do.LookUp(link, heads):
                ends = disk.ends()
                self.step(number, ev.LookedUp(link, heads, tuple(h in ends for h in heads)))
            case do.SendBatches(link, after, through):
                run = disk.between(after, through)
                if not run:
                    self.step(number, *disk.found_damage())
                    return
                message = frame(run[:1], epoch=job.epoch, committed=job.committed_id)
                if wire is not None:
                    wire.to_secondary.append(message)
                sent = ev.BatchesSent(link, message.head, 100, job.committed_id, after)
                self.step(number, sent)
            case do.AnswerProbe(link, id):
                ends = disk.ends()
                below = max((e for e in ends if e.last_id <= id), key=lambda e: e.last_id)
                above = [e for e in ends if e.last_id > id]
                if wire is not None:
                    answer = ProbeAnswer(id, below, above[0] if above else None)
                    wire.to_master.append(answer)
            case do.AnswerFetch(_, after, through):
                run = disk.between(after, through)[:2]
                is_found = after in disk.ends()
                if wire is not None:
                    queue = wire.to_master if number else wire.to_secondary
                    if run:
                        queue.append(frame(run, epoch=job.epoch))
                    queue.append(FetchEnd(run[-1].head if run else after, is_found))

    # --- the promises -------------------------------------------------------------------------

    def _answered(self, request: RequestId, outcome: do.AppendOutcome) -> None:
        assert request not in self.outcomes, f"request {request} is answered twice"
        self.outcomes[request] = outcome
        if not isinstance(outcome, do.Stored):
            return
        holders = [
            number
            for number, node in enumerate(self.nodes)
            if node.disk.durable_head.last_id >= outcome.last_id
        ]
        assert 0 in holders, "P2: acknowledged, but not durable on the master"
        assert len(holders) >= outcome.acks, f"P2: {outcome} is durable on {holders} only"
        for number in holders:
            self.acknowledged[number] = max(self.acknowledged[number], outcome.last_id)

    def _read_answered(self, request: RequestId, answer: do.AnswerRead) -> None:
        read = self.reads[request]
        assert read.answer is None, f"read {request} is answered twice"
        read.answer = answer
        if answer.has_master and not self.nodes[read.node].disk.damage:
            must_show = min(read.must_show, self.nodes[read.node].disk.durable_head.last_id)
            assert answer.committed_id >= must_show, f"P4: {answer} must show {must_show}"

    def _check(self) -> None:
        for number, node in enumerate(self.nodes):
            shown = [b for b in node.disk.log if b.head.last_id <= node.shown]
            assert node.disk.durable_head.last_id >= node.shown, f"P3: node {number} shows too much"
            common = min(len(shown), len(self.ever_shown))
            assert shown[:common] == self.ever_shown[:common], f"P3: node {number} shows others"
            self.ever_shown += shown[common:]

    def check_at_rest(self) -> None:
        """Everybody is linked and nothing is on its way: nobody may still wait."""
        logs = [node.disk.log for node in self.nodes]
        assert all(log == logs[0] for log in logs), [node.disk.head for node in self.nodes]
        for number, node in enumerate(self.nodes):
            assert node.shown == node.disk.durable_head.last_id, f"node {number} shows too little"
        assert self.master.appending.is_idle, "an append waits for ever"
        waiting = [read for read in self.reads.values() if read.answer is None]
        assert not waiting, f"a read waits for ever: {waiting}"


def serving_world(secondaries: int = 2, **settings: bool) -> World:
    """Return a world in which every secondary is in the stream and the log is empty."""
    world = World(secondaries, **settings)
    world.begin()
    world.dial_all()
    world.settle()
    return world
