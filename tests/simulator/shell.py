"""The shell of a simulated node: the real core and the real log, on simulated everything else.

PURE. It performs effects as `replog.node` does, but each thing that takes time there takes a
random time here, during which anything may happen: the process may die between a write, its
sync and either event. Jobs for the disk run one after another; events keep their order.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from replog.core.effects import (
    AnswerAppend,
    AnswerFetch,
    AnswerProbe,
    AnswerRead,
    CloseLink,
    ConfirmKeys,
    CutLog,
    Effect,
    LoadKeys,
    LookUp,
    NoteCommit,
    Persist,
    PersistBatches,
    Repair,
    Say,
    Send,
    SendBatches,
    Show,
    StoreEpoch,
    StoreLogId,
    StoreLossSettled,
    StoreMembers,
    VerifySent,
)
from replog.core.entry import EntryId, LogId, NodeId, ReignId, Tick
from replog.core.errors import FormatError, ReplogError, SyncFailedError
from replog.core.events import (
    DialFailed,
    Event,
    LinkClosed,
    LinkId,
    LinkOpened,
    PersistFailed,
    Received,
    ReceivedBad,
    SecondaryIndex,
    StopRequested,
    Ticked,
)
from replog.core.facts import LinkPhase
from replog.core.master import Master
from replog.core.messages import (
    Acknowledgement,
    Batches,
    Message,
    Refusal,
    RefusalKind,
    StreamStart,
)
from replog.core.secondary import Secondary
from replog.node.cores import shown_at_start
from replog.node.directory import DataDirectory, open_directory
from replog.node.inbound import BatchVerifier
from replog.node.views import Role
from replog.replication import wire
from replog.storage.batch import BadBatch
from replog.storage.log import Log
from tests.simulator.clock import UNITS_PER_TICK, seconds
from tests.simulator.disk import NodeDied, SimFilesystem
from tests.simulator.links import LinkSeen
from tests.simulator.network import End
from tests.simulator.serving import SimReader
from tests.simulator.states import IN_BETWEEN
from tests.simulator.writer import SimWriter

if TYPE_CHECKING:
    from tests.simulator.world import World

DATA = "/data"


class SimNode:
    """One node: a disk that stays, and processes that come and go.

    Attributes:
        process: number of the running process, None while there is none.
        disk_changed_at: when the disk was last wiped or rotted.
        takes_over: its operator starts it with --take-over until its reign is stored.
        is_ending: its process was told to stop, or its disk failed.
        may_show: no commit note of its process failed.
        sync_hook: where set, says how long the next sync takes, and may do more.
    """

    def __init__(self, world: World, name: str, *, disk: SimFilesystem, speed: int = 1000) -> None:
        self.world = world
        self.name = name
        self.url = f"http://{name}"
        self.disk = disk
        self.role = Role.SECONDARY
        self.process: int | None = None
        self.core: Master | Secondary | None = None
        self.directory: DataDirectory | None = None
        self.links: dict[LinkId, LinkSeen] = {}
        self.secondaries: tuple[SimNode, ...] = ()
        self.disk_changed_at = -1
        self.disks = 1
        self.clock_skew_ms = 0
        self._processes = 0
        self._next_link = 0
        self.writer: SimWriter | None = None
        self.reader: SimReader | None = None
        self.marked_id = 0
        self.speed = speed
        self._begun_at = 0
        self._ticked = Tick(0)
        self._phase: LinkPhase | None = None
        self.dies_of_power = False
        self.takes_over = False
        self.is_ending = False
        self.may_show = True
        self.sync_hook: Callable[[], int] | None = None

    # --- life ---------------------------------------------------------------------------

    def start(self, *, accept_loss: bool = False) -> None:
        """Start a process: recover the log, make a core, tick, dial."""
        assert self.process is None
        self._processes += 1
        self.process = self._processes
        self._begun_at = self.world.clock.now - self.world.random.randint(0, seconds(100.0))
        self._phase = None
        self.links = {}
        self.is_ending = False
        self.may_show = True
        self._guarded(lambda: self._open(accept_loss=accept_loss))

    def _open(self, *, accept_loss: bool) -> None:
        world = self.world
        node_id = NodeId(f"{self.name}.{self.disks}")
        self.directory = open_directory(
            self.disk,
            DATA,
            role=self.role,
            take_over=True,
            accept_loss=accept_loss,
            new_id=lambda: node_id,
            segment_bytes_max=world.profile.segment_bytes_max,
        )
        log, state = self.directory.log, self.directory.state
        self.writer = SimWriter(self, self.directory)
        self.reader = SimReader(self, log)
        world.opened(self)
        if self.role is Role.MASTER:
            self.core = Master(
                node_id=state.node_id,
                reign_id=ReignId(f"{self.process}"),
                log_id=state.log_id,
                fresh_log_id=LogId(f"log-{self.name}-{self.process}"),
                epoch=state.epoch,
                epoch_owner=state.epoch_owner,
                head=log.durable,
                damage=log.damage,
                is_loss_unsettled=state.is_loss_unsettled,
                url=self.url,
                members=state.members,
                secondaries=tuple(node.url for node in self.secondaries),
                default_concern=world.default_concern,
                requires_quorum=world.requires_quorum,
                take_over=self.takes_over,
                accept_loss=accept_loss,
                key_window=world.profile.key_window,
                now=self.now,
            )
        else:
            self.core = Secondary(
                node_id=state.node_id,
                log_id=state.log_id,
                epoch=state.epoch,
                epoch_owner=state.epoch_owner,
                head=log.durable,
                committed_id=log.known_committed,
                shown_id=shown_at_start(log),
                damage=log.damage,
                delay=world.delays[self.name],
                members=state.members,
                now=self.now,
            )
        self._ticked = self.now
        self._perform_all(None, self.core.start())
        self._tick()
        self._note_durable()
        for index in range(len(self.secondaries) if self.role is Role.MASTER else 0):
            self._dial(SecondaryIndex(index), first=True)

    def stopped(self) -> None:
        """The process is gone, however it ended; the disk is another matter."""
        self.process = None
        self.core = None
        self.directory = None
        self.writer = self.reader = None

    @property
    def is_disk_idle(self) -> bool:
        return self.writer is not None and self.writer.is_idle

    @property
    def now(self) -> Tick:
        """The time of this process: its own clock, from an origin of its own."""
        elapsed = self.world.clock.now - self._begun_at
        return Tick(elapsed * self.speed // (1000 * UNITS_PER_TICK))

    def after(self, delay: int, callback: Callable[[], None]) -> None:
        """Call back later, unless this process has ended by then."""
        process = self.process

        def call() -> None:
            if self.process == process and process is not None:
                self._guarded(callback)

        self.world.clock.after(delay, call)

    def _guarded(self, callback: Callable[[], None]) -> None:
        """Call, and let the process end as its disk makes it end."""
        try:
            callback()
        except NodeDied:
            self.world.died(self)
        except (ReplogError, OSError) as error:
            self.world.gave_up(self, str(error))

    # --- events -------------------------------------------------------------------------

    def deliver(self, event: Event) -> None:
        """Let the core take an event in, and do what it says; its time comes first."""
        core = self.core
        if core is None:
            return
        self._catch_up(core)
        if self.core is not core:
            return
        if isinstance(event, LinkClosed):
            self.links[event.link].acknowledged = None
        elif isinstance(event, StopRequested | PersistFailed):
            self.is_ending = True
        self._step(core, event)

    def note_phase(self) -> None:
        """Count a rejoin that ended before it came to a stream."""
        if isinstance(self.core, Secondary):
            phase = self.core.facts.phase
            if phase is LinkPhase.ALONE and self._phase in IN_BETWEEN:
                self.world.count(f"a rejoin broken off: {self._phase}")
            self._phase = phase

    def _catch_up(self, core: Master | Secondary) -> None:
        now = self.now
        if now > self._ticked:
            self._ticked = now
            self._step(core, Ticked(now))

    def _step(self, core: Master | Secondary, event: Event) -> None:
        effects = core.step(event)
        self._perform_all(event, effects)
        self.world.stepped(self, event, effects)

    def _perform_all(self, event: Event | None, effects: list[Effect]) -> None:
        if self.world.trace is not None:
            self.world.trace_step(self, event, effects)
        for effect in effects:
            self._perform(effect)

    def _note_commit(self, log: Log, committed_id: EntryId) -> None:
        """As the node does: what cannot be noted is not shown (R7), and the process ends."""
        try:
            log.note_commit(committed_id)
        except SyncFailedError as error:
            self.may_show = False
            self.is_ending = True
            self.after(0, partial(self.world.gave_up, self, str(error)))

    def _tick(self) -> None:
        if self.core is not None:
            self._catch_up(self.core)
        self.after(self.world.tick_every(), self._tick)

    def _note_durable(self) -> None:
        if self.writer is not None:
            self.writer.note_durable()
        self.after(seconds(1.0), self._note_durable)

    # --- links --------------------------------------------------------------------------

    def _dial(self, index: SecondaryIndex, *, first: bool = False) -> None:
        wait = 0 if first else self.world.random.randint(seconds(0.1), seconds(2.0))
        self.after(wait, lambda: self.world.network.dial(self, self.secondaries[index], index))

    def link_opened(self, end: End, secondary: SecondaryIndex | None) -> LinkId:
        self._next_link += 1
        link = LinkId(self._next_link)
        seen = LinkSeen(end, BatchVerifier(), self.world.clock.now, secondary)
        self.links[link] = seen
        end.link = link
        if secondary is None and isinstance(self.core, Master):
            detail = "this node is a master; it takes no links"
            self.send(link, Refusal(RefusalKind.NOT_A_SECONDARY, detail))
            self.close_link(link, detail)
            seen.is_known = False
        else:
            self._guarded(lambda: self.deliver(LinkOpened(link, secondary)))
        return link

    def link_closed(self, end: End, reason: str) -> None:
        assert end.link is not None
        link, seen = end.link, self.links[end.link]
        if not seen.is_known:
            return
        self._guarded(lambda: self.deliver(LinkClosed(link, reason)))
        if seen.secondary is not None and self.process is not None:
            self._dial(seen.secondary)

    def dial_failed(self, secondary: SecondaryIndex, reason: str) -> None:
        self._guarded(lambda: self.deliver(DialFailed(secondary, reason)))
        if self.process is not None:
            self._dial(secondary)

    def message_came(self, end: End, message: Message) -> None:
        if end.link is None or self.directory is None:
            return
        if not end.is_open and not self.world.late_bytes_reach_the_core:
            return
        link, seen = end.link, self.links[end.link]
        if not seen.is_known:
            return
        if self.world.encodes_messages:
            message = wire.Codec().decode(wire.Codec().encode(message))
        event: Event = Received(link, message)
        if isinstance(message, Batches):
            try:
                seen.verifier.verify_now(message, log_id=self.directory.state.log_id)
            except (BadBatch, FormatError) as error:
                event = ReceivedBad(link, str(error))
        if isinstance(message, Acknowledgement) and seen.acknowledged is not None and end.is_open:
            seen.acknowledged = message.head.last_id
            if message.damaged_from is not None:
                seen.acknowledged = min(seen.acknowledged, message.damaged_from - 1)
        self._guarded(lambda: self.deliver(event))

    # --- effects ------------------------------------------------------------------------

    def _perform(self, effect: Effect) -> None:
        if self.directory is None or self.writer is None or self.reader is None:
            return
        match effect:
            case Send(link, message):
                self.send(link, message)
            case AnswerAppend(request, outcome):
                self.world.append_answered(self, request, outcome)
            case AnswerRead() if self.may_show:
                self.world.read_answered(self, effect)
            case NoteCommit(committed_id):
                self._note_commit(self.directory.log, committed_id)
            case Show(committed_id):
                self.world.shows(self, committed_id)
            case Persist() | PersistBatches() | CutLog() | Repair():
                if isinstance(effect, Persist):
                    self.world.ids_given(effect)
                self.writer.perform(effect)
            case StoreEpoch() | StoreLogId() | StoreMembers() | StoreLossSettled():
                self.writer.perform(effect)
            case CloseLink(link, reason):
                self.close_link(link, reason)
            case Say() | AnswerRead():
                pass
            case (
                LookUp() | AnswerProbe() | AnswerFetch() | SendBatches()
                | LoadKeys() | ConfirmKeys() | VerifySent()
            ):  # fmt: skip
                self.after(self.world.read_time(), partial(self.reader.read, effect))

    def close_link(self, link: LinkId, reason: str) -> None:
        """End a link from this side, as the core or the shell wants it."""
        if (seen := self.links.get(link)) is not None:
            seen.acknowledged = None
            self.world.network.close(seen.end, reason)

    def close_links(self, reason: str) -> None:
        for link in list(self.links):
            self.close_link(link, reason)

    def send(self, link: LinkId, message: Message) -> None:
        seen = self.links.get(link)
        if seen is None or not seen.end.is_open:
            return
        if isinstance(message, StreamStart):
            seen.acknowledged = message.after.last_id
        self.world.network.send(seen.end, message)
