"""Connections between simulated nodes: ordered, and cut, late, paused or refused at will.

PURE. One direction of a connection keeps its order, as TCP does; two connections keep none
between them, so a new link can overtake the last bytes of an old one. What a cut leaves on
its way may still come in after the receiver has learnt of the end. A paused direction holds
everything, silently: neither end is told.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Protocol

from msgspec.structs import replace

from replog.core.events import LinkId, SecondaryIndex
from replog.core.messages import Batches, Heartbeat, Message
from tests.simulator.clock import Clock, seconds

CONNECT_TIMEOUT = seconds(1.5)


class Station(Protocol):
    """A node, as the network sees it."""

    name: str

    @property
    def process(self) -> int | None:
        """The number of the running process; None while there is none."""

    def link_opened(self, end: End, secondary: SecondaryIndex | None) -> LinkId: ...
    def link_closed(self, end: End, reason: str) -> None: ...
    def message_came(self, end: End, message: Message) -> None: ...
    def dial_failed(self, secondary: SecondaryIndex, reason: str) -> None: ...


@dataclass(slots=True, eq=False)
class End:
    """One end of a connection.

    Attributes:
        link: the id that the node's shell gave it; None until it was told of the opening.
        is_open: False as soon as this node wanted the end, or learnt of it.
        on_its_way: messages to this end that are not there yet, oldest first; a text is
            the end of the stream, with its reason.
    """

    station: Station
    process: int
    link: LinkId | None = None
    is_open: bool = True
    closed_is_told: bool = False
    on_its_way: deque[Message | str] = field(default_factory=deque)
    last_arrival: int = 0
    peer: End | None = None

    @property
    def is_alive(self) -> bool:
        return self.station.process == self.process


class Network:
    """All connections, and the weather between the nodes.

    Attributes:
        paused: (from, to) names between which everything is held.
        corrupts: batches that are still to arrive with a bit turned over.
        duplicates: messages that are still to arrive a second time.
        latency: bounds of one message's way, in clock units.
        counts: how often each thing happened, for the run's sometimes-assertions.
    """

    def __init__(self, clock: Clock, random: Random) -> None:
        self._clock = clock
        self._random = random
        self._ends: list[End] = []
        self.paused: set[tuple[str, str]] = set()
        self.latency = (1, 50)
        self.corrupts = 0
        self.duplicates = 0
        self.counts: dict[str, int] = {}

    def dial(self, dialler: Station, target: Station, secondary: SecondaryIndex) -> None:
        """Try to connect; the dialler learns what came of it, some time later."""
        process = dialler.process
        assert process is not None

        def fail(reason: str) -> None:
            if dialler.process == process:
                self.count(f"dial failed: {reason}")
                dialler.dial_failed(secondary, reason)

        def arrive() -> None:
            if dialler.process != process:
                return
            if self._is_silent(dialler, target):
                self._clock.after(CONNECT_TIMEOUT, lambda: fail("no answer"))
            elif target.process is None:
                self._clock.after(self._delay(), lambda: fail("refused"))
            else:
                self._connect(dialler, process, target, secondary)

        self._clock.after(self._delay(), arrive)

    def send(self, end: End, message: Message) -> None:
        """Send from `end`; lost without a word where the connection is over."""
        assert end.peer is not None
        if end.is_open:
            message = self._maybe_corrupt(message)
            self._put(end.peer, message)
            self._maybe_repeat(end, message)

    def close(self, end: End, reason: str) -> None:
        """End the connection from one side: what was sent before still goes out first."""
        assert end.peer is not None
        if not end.is_open:
            return
        end.is_open = False
        self._put(end.peer, f"closed by the peer: {reason}")
        self._clock.after(self._delay(), lambda: self._tell_closed(end, reason))

    def cut(self, first: Station, second: Station) -> bool:
        """Break the connections between two nodes; say whether there was one.

        Of what is on its way a beginning still arrives, each direction for itself.
        """
        found = False
        for end in list(self._ends):
            assert end.peer is not None
            if {end.station.name, end.peer.station.name} != {first.name, second.name}:
                continue
            found = True
            kept = self._random.randint(0, len(end.on_its_way))
            while len(end.on_its_way) > kept:
                if not isinstance(end.on_its_way.pop(), str):
                    self.count("message lost in a cut")
            self._break(end, "connection reset")
        return found

    def process_ended(self, station: Station, *, silently: bool) -> None:
        """A process is gone: its peers are told, unless the whole machine went silent."""
        for end in list(self._ends):
            assert end.peer is not None
            if end.station is station:
                end.is_open = False
                self._ends.remove(end)
                if not silently:
                    self._break(end.peer, "connection reset")

    def open_ends(self, station: Station) -> list[End]:
        """Return the live ends at `station`: opened there, and no close was told to it."""
        return [
            end
            for end in self._ends
            if end.station is station and end.is_alive and end.link is not None and end.is_open
        ]

    def pause(self, source: str, target: str) -> None:
        self.paused.add((source, target))

    def resume(self) -> None:
        """Let everything through again that was held, in its order."""
        self.paused.clear()
        for end in list(self._ends):
            for _ in range(len(end.on_its_way)):
                self._clock.after(self._delay(), partial(self._arrive, end))

    def count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    # --- within -------------------------------------------------------------------------

    def _connect(
        self, dialler: Station, process: int, target: Station, secondary: SecondaryIndex
    ) -> None:
        assert target.process is not None
        near = End(dialler, process)
        far = End(target, target.process)
        near.peer, far.peer = far, near
        self._ends += [near, far]
        self._clock.after(self._delay(), lambda: self._open(near, secondary))
        self._clock.after(self._delay(), lambda: self._open(far, None))

    def _open(self, end: End, secondary: SecondaryIndex | None) -> None:
        if not end.is_alive:
            return
        if not end.is_open:  # cut before this end knew of it
            if secondary is not None:
                end.station.dial_failed(secondary, "connection reset")
            return
        end.link = end.station.link_opened(end, secondary)
        for _ in range(len(end.on_its_way)):
            self._clock.after(self._delay(), lambda: self._arrive(end))

    def _put(self, target: End, message: Message | str) -> None:
        target.on_its_way.append(message)
        arrival = max(target.last_arrival, self._clock.now + self._delay())
        target.last_arrival = arrival
        self._clock.after(arrival - self._clock.now, lambda: self._arrive(target))

    def _arrive(self, target: End) -> None:
        """Let the oldest message in, unless its way is paused; late ones are passed on too."""
        assert target.peer is not None
        if not target.on_its_way or self._is_paused(target.peer.station, target.station):
            return
        if not target.is_alive:
            target.on_its_way.clear()
            if target.station.process is not None:  # the machine is back and knows no such link
                self._break(target.peer, "connection reset")
            return
        if target.link is None:
            return  # comes in when the end is told of the opening
        message = target.on_its_way.popleft()
        if isinstance(message, str):
            target.is_open = False
            self._tell_closed(target, message)
            return
        if not target.is_open:
            self.count("late bytes of a dead link")
        target.station.message_came(target, message)

    def _break(self, end: End, reason: str) -> None:
        """The connection is over for `end`, which learns of it some time later."""

        def learn() -> None:
            if end.link is None:
                end.is_open = False
            elif end.is_open:
                end.is_open = False
                self._tell_closed(end, reason)

        self._clock.after(self._delay(), learn)

    def _tell_closed(self, end: End, reason: str) -> None:
        if end.is_alive and end.link is not None and not end.closed_is_told:
            end.closed_is_told = True
            end.station.link_closed(end, reason)
        if not end.on_its_way and end in self._ends:
            self._ends.remove(end)

    def _is_silent(self, first: Station, second: Station) -> bool:
        return self._is_paused(first, second) or self._is_paused(second, first)

    def _is_paused(self, source: Station, target: Station) -> bool:
        return (source.name, target.name) in self.paused

    def _delay(self) -> int:
        return self._random.randint(*self.latency)

    def _maybe_repeat(self, end: End, message: Message) -> None:
        """Let it come once more, behind some of what follows it on the connection.

        No transport of ours does that; a receiver must bear it all the same (R5).
        """
        if not self.duplicates or isinstance(message, Heartbeat):
            return
        self.duplicates -= 1

        def again() -> None:
            assert end.peer is not None
            if end.is_open:
                self.count(f"duplicate: {type(message).__name__}")
                self._put(end.peer, message)

        self._clock.after(self._random.choice((0, 1, 5)) * self._delay(), again)

    def _maybe_corrupt(self, message: Message) -> Message:
        """Turn a bit of a batch over, as TCP's checksum lets through once in a while."""
        if not self.corrupts or not isinstance(message, Batches) or not message.payload:
            return message
        self.corrupts -= 1
        self.count("corrupted batch on a link")
        payload = bytearray(message.payload)
        payload[self._random.randrange(len(payload))] ^= 1 << self._random.randrange(8)
        return replace(message, payload=bytes(payload))
