"""One simulated cluster: nodes, network, clients, faults and the judge, on one clock.

PURE. Everything random comes from one seeded generator, everything that happens is a
callback on one clock: a seed is a history.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import accumulate
from random import Random

from replog.core.effects import AnswerRead, AppendOutcome, Effect, Persist, Repair, Send, StoreEpoch
from replog.core.entry import Epoch, Head, Tick, ticks
from replog.core.events import Event, Persisted, RequestId, Ticked
from replog.core.master import Master
from replog.core.messages import Message, Refusal
from replog.node.views import Role
from tests.simulator.clients import Clients
from tests.simulator.clock import Clock, seconds
from tests.simulator.disk import SimFilesystem
from tests.simulator.faults import Faults
from tests.simulator.invariants import Judge
from tests.simulator.network import Network
from tests.simulator.profile import PEACE_TICK, Profile
from tests.simulator.safety import SafetyJudge
from tests.simulator.shell import SimNode
from tests.simulator.states import reached
from tests.simulator.trace import brief

WALL_CLOCK_MS = 1_800_000_000_000
OPERATOR_AFTER = seconds(12.0)


@dataclass(slots=True)
class Trace:
    """The readable history, and its hash."""

    lines: list[str] = field(default_factory=list)
    echo: bool = False

    def add(self, line: str) -> None:
        self.lines.append(line)
        if self.echo:
            print(line)

    def hash(self) -> str:
        return sha256("\n".join(self.lines).encode()).hexdigest()


class World:
    """One cluster and its history.

    Attributes:
        counts: how often each thing happened, for the run's sometimes-assertions.
        contested_since: when a reign was last handed over: its old master may run on.
        is_calm: no fault any more: what is left must come right by itself (P9).
        tick: bounds between two ticks of a core, now.
    """

    def __init__(self, random: Random, profile: Profile, trace: Trace | None = None) -> None:
        self.random = random
        self.profile = profile
        self.trace = trace
        self.clock = Clock()
        self.contested_since = 0
        self.judge = Judge() if profile.is_capped else SafetyJudge()
        self.judge.keys.window = profile.key_window
        self.judge.fresh.drift = profile.drift
        self.states: set[str] = set()
        self.counts: dict[str, int] = {}
        self.network = Network(self.clock, random)
        self.network.latency = profile.latency
        self.late_bytes_reach_the_core = profile.late_bytes_reach_the_core
        self.encodes_messages = profile.encodes_messages
        self.default_concern = profile.default_concern
        self.requires_quorum = profile.requires_quorum
        self.action_names = tuple(profile.actions)
        self.action_weights = tuple(accumulate(profile.actions.values()))
        self.is_calm = False
        self.tick = profile.tick
        self.steps = 0
        self.clients = Clients(self)
        self.faults = Faults(self)
        self.delays: dict[str, Tick] = {}
        self.nodes = [
            SimNode(self, f"n{number}", disk=SimFilesystem(random), speed=self._speed())
            for number in range(profile.secondaries + 1)
        ]
        self.master = self.nodes[0]
        self.master.role = Role.MASTER
        self.master.secondaries = tuple(self.nodes[1:])
        for node in self.nodes:
            self.judge.add_node(node.name, node.disk)
        for node, delay in zip(self.nodes, (0.0, *profile.delays), strict=True):
            self.delays[node.name] = ticks(delay)

    def _speed(self) -> int:
        """Draw how fast a node's clock is, per mille of the world's."""
        drift = self.profile.drift
        if drift:
            self.count("clocks drift")
        return 1000 + self.random.choice((-drift, 0, drift))

    def node(self, name: str) -> SimNode:
        return next(node for node in self.nodes if node.name == name)

    @property
    def secondaries(self) -> list[SimNode]:
        return [node for node in self.nodes if node is not self.master]

    @property
    def is_contested(self) -> bool:
        """Whether an old master runs on beside the new one: nobody can know its word as late."""
        return any(isinstance(node.core, Master) for node in self.secondaries)

    def is_level(self) -> bool:
        """Whether all disks hold the same log."""
        hashes = set()
        for node in self.nodes:
            self.judge.check_disk(node.name)
            hashes.add(self.judge.nodes[node.name].view.hash)
        return len(hashes) == 1

    def is_idle(self, node: SimNode) -> bool:
        """Whether nothing is on its way to this node's disk."""
        log = node.directory.log if node.directory is not None else None
        return log is not None and log.head == log.durable and node.is_disk_idle

    # --- time ---------------------------------------------------------------------------

    def write_time(self) -> int:
        return self.random.randint(*self.profile.write)

    def sync_time(self, node: SimNode) -> int:
        if node.sync_hook is not None:
            return node.sync_hook()
        return self.random.randint(*self.profile.sync)

    def event_time(self) -> int:
        return self.random.randint(*self.profile.event)

    def read_time(self) -> int:
        return self.random.randint(*self.profile.read)

    def tick_every(self) -> int:
        return self.random.randint(*self.tick)

    def wall_clock_ms(self) -> int:
        return WALL_CLOCK_MS + self.clock.now // 10

    def at(self, node: SimNode, callback: Callable[[], None]) -> None:
        """Let something come to a node from outside, now or a little later."""
        node.after(self.random.randint(0, 5), callback)

    def run_until(self, time: int) -> None:
        """Let everything happen that is due up to `time`."""
        self.clock.run_until(time)

    def run_for(self, duration: int) -> None:
        self.run_until(self.clock.now + duration)

    def calm(self) -> None:
        """No fault from now on; what is down or cut off comes back."""
        self.note(None, "* peace")
        self.is_calm = True
        self.tick = max(self.tick, PEACE_TICK)
        self.network.corrupts = self.network.duplicates = 0
        self.network.latency = self.profile.latency
        self.network.resume()
        for node in self.nodes:
            node.disk.is_full = False
            node.disk.syncs_to_fail = node.disk.writes_to_fail = 0
            node.disk.syncs_to_lie = node.disk.writes_to_lose = 0
            node.disk.calls_to_death = None
            node.sync_hook = None
            if node.process is None:
                self.start_later(node, within=1000)
            self._scrub_on(node)
        self.clock.after(OPERATOR_AFTER, self._operate)

    def _operate(self) -> None:
        """What an operator does about a master that says it needs one.

        A torn end that looks like damage, and that nobody has: the log cannot tell whether
        it was acknowledged and rotted, or never synced (Opening rule 1). The judge knows,
        and forgives no lost entry. And a reign that the old master contested as it left.
        """
        master = self.master
        if isinstance(master.core, Master) and master.process is not None:
            damage = master.core.facts.damage
            is_lost = bool(damage) and damage[0].last_id is None
            is_contested = bool(master.core.reign.superseded)
            if is_lost or is_contested:
                self.count("loss accepted" if is_lost else "reign taken over again")
                self.end_process(master, lost_power=False)
                master.takes_over |= is_contested
                self.start(master, accept_loss=is_lost)
        self.clock.after(OPERATOR_AFTER, self._operate)

    def _scrub_on(self, node: SimNode) -> None:
        """The scrubber finds what rotted in a sealed segment, in time.

        In peace nothing rots any more: of a disk that is whole there is nothing to find.
        """
        if not self.judge.nodes[node.name].is_rotten:
            return
        if node.reader is not None:
            self.at(node, node.reader.scrub)
        self.clock.after(seconds(0.2), lambda: self._scrub_on(node))

    # --- processes ----------------------------------------------------------------------

    def start(self, node: SimNode, *, accept_loss: bool = False) -> None:
        flags = " --take-over" * node.takes_over + " --accept-loss" * accept_loss
        self.note(node, f"starts as {node.role}{flags}")
        node.start(accept_loss=accept_loss)

    def end_process(self, node: SimNode, *, lost_power: bool) -> None:
        """Kill -9, or no power: what the disk keeps differs, and who is told."""
        if node.process is None:
            return
        self.note(node, "loses power" if lost_power else "is killed")
        if isinstance(node.core, Master) and node is not self.master:
            self.judge.fresh.contest_ended(since=self.contested_since, now=self.clock.now)
        self.count("power lost" if lost_power else "killed")
        node.stopped()
        self.network.process_ended(node, silently=lost_power and self.random.random() < 0.5)
        self.clients.process_ended(node)
        self.judge.process_ended(node.name, lost_power=lost_power)
        if lost_power:
            node.disk.lose_power()
        else:
            node.disk.end_process()
        self.judge.check_disk(node.name)
        if self.is_calm or self.random.random() < 0.8:
            self.start_later(node, within=self.profile.restart[1])

    def start_later(self, node: SimNode, *, within: int) -> None:
        def start() -> None:
            if node.process is None:
                self.start(node)

        self.clock.after(self.random.randint(0, within), start)

    def died(self, node: SimNode) -> None:
        """The disk call that was to be the last one has come."""
        self.end_process(node, lost_power=node.dies_of_power)

    def gave_up(self, node: SimNode, reason: str) -> None:
        """The node ends itself: its disk did not do what was asked."""
        self.note(node, f"gives up: {reason}")
        self.count("node gave up")
        self.end_process(node, lost_power=False)

    # --- what the shell reports ---------------------------------------------------------

    def opened(self, node: SimNode) -> None:
        assert node.directory is not None
        log = node.directory.log
        self.judge.check_disk(node.name)
        if node is self.master:
            self.clients.wishes.ask_at_start()
        if log.damage:
            self.count("damage found at open")
        if log.cuts:
            self.count("torn tail cut at open")

    def shows(self, node: SimNode, committed_id: int) -> None:
        assert node.directory is not None
        if not node.may_show:  # committed it is all the same
            committed_id = min(committed_id, self.judge.nodes[node.name].shown)
        if isinstance(node.core, Master):
            head = node.core.facts.durable.hash
            self.judge.master_shows(node.name, committed_id, head, self.clock.now)
        else:
            head = node.directory.log.durable.hash
            self.judge.secondary_shows(node.name, committed_id, head)

    def ids_given(self, effect: Persist) -> None:
        self.clients.ids_given(effect)

    def batch_made(self, node: SimNode, epoch: Epoch, payload: bytes, before: Head) -> None:
        assert node.directory is not None
        owner = node.directory.state.node_id
        self.judge.batch_made(epoch, owner, payload, prev=before.hash, after=before.last_id)

    def synced(self, node: SimNode) -> None:
        assert node.directory is not None
        self.judge.check_disk(node.name)
        self.judge.head_is(node.name, node.directory.log.head.hash)

    def cut(self, node: SimNode) -> None:
        self.count("cut to quarantine")
        self.judge.cut(node.name)

    def repaired(self, node: SimNode) -> None:
        self.count("repaired range")
        self.judge.check_disk(node.name)

    def append_answered(self, node: SimNode, request: RequestId, outcome: AppendOutcome) -> None:
        self.clients.append_answered(node, request, outcome)

    def read_answered(self, node: SimNode, answer: AnswerRead) -> None:
        self.clients.read_answered(node, answer)

    def stepped(self, node: SimNode, event: Event, effects: list[Effect]) -> None:
        self.steps += 1
        if type(event) is Persisted and node is self.master:
            self.clients.check_prompt()
        if node.core is not None and (effects or type(event) is not Ticked):
            self.states.update(reached(node.core))
            node.note_phase()
        for effect in effects:
            if isinstance(effect, Send):
                self._count_message(effect.message)
            elif isinstance(effect, StoreEpoch | Repair):
                self.count(f"effect: {type(effect).__name__}")

    def _count_message(self, message: Message) -> None:
        if isinstance(message, Refusal):
            self.count(f"refusal: {message.kind}")
        else:
            self.count(f"message: {type(message).__name__}")

    # --- who counts ---------------------------------------------------------------------

    def counted_for(self, master: SimNode, last_id: int) -> list[str]:
        """Return the nodes that the master may count for `last_id` on its present links."""
        names = [master.name]
        for seen in master.links.values():
            if seen.acknowledged is not None and seen.acknowledged >= last_id:
                assert seen.end.peer is not None
                names.append(seen.end.peer.station.name)
        return names

    def excused(self, master: SimNode, last_id: int | None) -> set[str]:
        """Return nodes that were counted in good faith, though their disks say otherwise.

        Wiped or rotten under a link that the master still has; or rotten in a sealed
        segment, which only the next read or the scrubber finds.
        """
        if last_id is None:
            return set()
        excused = {master.name} if self.judge.nodes[master.name].is_rotten else set()
        for seen in master.links.values():
            if seen.acknowledged is not None and seen.acknowledged >= last_id:
                assert seen.end.peer is not None
                peer = self.node(seen.end.peer.station.name)
                is_rotten = self.judge.nodes[peer.name].is_rotten
                if is_rotten or peer.disk_changed_at >= seen.opened_at:
                    excused.add(peer.name)
        return excused

    # --- people -------------------------------------------------------------------------

    def count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    def all_counts(self) -> dict[str, int]:
        """Return the counts of everything that happened here, and 1 for each state reached."""
        counts = self.counts | dict.fromkeys(self.states, 1)
        for part in (self.network.counts, *(node.disk.faults for node in self.nodes)):
            for what, count in part.items():
                counts[what] = counts.get(what, 0) + count
        return counts

    def note(self, node: SimNode | None, text: str) -> None:
        if self.trace is not None:
            name = node.name if node is not None else "--"
            self.trace.add(f"{self.clock.now / 10:>9.1f} ms  {name}  {text}")

    def trace_step(self, node: SimNode, event: Event | None, effects: list[Effect]) -> None:
        if self.trace is None:
            return
        if effects or not isinstance(event, Ticked):
            self.note(node, brief(event) if event is not None else "(start)")
        for effect in effects:
            self.trace.add(f"{'':>18}-> {brief(effect)}")
