"""Feeds one core: events in, one after another, each one's effects out before the next.

SHELL. The core's time is brought up to date before every event, so that the timer may be
coarse while nothing is due: an event that arrives between two ticks still gets its tick.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from replog.core.effects import Effect
from replog.core.entry import TICK_S, Tick
from replog.core.events import Event, Ticked
from replog.node.trail import Trail

IDLE_TICK_S: Final = 0.05
"""Between ticks while nothing is due to the hundredth: a tenth of a heartbeat (R11)."""


class Core(Protocol):
    """What a master and a secondary have in common."""

    def start(self) -> list[Effect]:
        """Return what is to be done before the first event."""

    def step(self, event: Event) -> list[Effect]:
        """Take one event in; return what is to be done for it, in order."""


class Stepper:
    """Owns a core's time and order.

    Attributes:
        now: the core's present tick.
    """

    def __init__(
        self,
        *,
        is_precise: Callable[[], bool],
        on_tick: Callable[[Tick], None],
        failed: Callable[[str], None],
        trail: Trail,
    ) -> None:
        """Prepare; nothing happens before `begin`.

        Args:
            is_precise: whether something may be due to the hundredth of a second now.
            on_tick: called after the core has heard of a tick of the timer.
            failed: takes why the node must end: a defect, whose traceback is raised as well.
        """
        self._is_precise = is_precise
        self._on_tick = on_tick
        self._failed = failed
        self._trail = trail
        self._loop = asyncio.get_running_loop()
        self._origin = self._loop.time()
        self._events: deque[Event] = deque()
        self._is_stepping = False
        self._is_trailing = trail.is_on
        self._timer: asyncio.TimerHandle | None = None
        self._core: Core | None = None
        self._perform: Callable[[Effect], None] | None = None
        self.now = Tick(0)

    def begin(self, core: Core, perform: Callable[[Effect], None]) -> None:
        """Let `core` live: do what it wants done first, and start its time."""
        self._core = core
        self._perform = perform
        self._take_turn(lambda: self._do(core.start()))
        self._tick()

    def handle(self, *events: Event) -> None:
        """Feed `events` to the core, in order; during a step they wait for their turn.

        What performing an effect brings about at once is such an event.
        """
        self._events.extend(events)
        if self._is_stepping or self._core is None:
            return
        self._take_turn(self._take_events)

    def end(self) -> None:
        """Stop the time, and take no more events."""
        self._core = None
        self._events.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _catch_up(self, core: Core) -> None:
        now = Tick(int((self._loop.time() - self._origin) / TICK_S))
        if now > self.now:
            self.now = now
            self._is_trailing = self._trail.is_on
            self._step(core, Ticked(now))

    def _step(self, core: Core, event: Event) -> None:
        if self._is_trailing:
            self._trail.event(event)
        self._do(core.step(event))

    def _do(self, effects: list[Effect]) -> None:
        assert self._perform is not None
        if effects and self._is_trailing:
            self._trail.effects(effects)
        for effect in effects:
            self._perform(effect)

    def _tick(self) -> None:
        if self._core is None:
            return
        self._timer = self._loop.call_later(
            TICK_S if self._is_precise() else IDLE_TICK_S, self._tick
        )
        core = self._core
        self._take_turn(lambda: self._catch_up(core))
        self.handle()
        self._on_tick(self.now)

    def _take_events(self) -> None:
        events = self._events
        while events and self._core is not None:
            self._catch_up(self._core)
            self._step(self._core, events.popleft())

    def _take_turn(self, act: Callable[[], None]) -> None:
        """Let nothing else into the core meanwhile; after a defect, nothing at all any more."""
        assert not self._is_stepping, "a core takes one event at a time"
        self._is_stepping = True
        is_sound = False
        try:
            act()
            is_sound = True
        finally:
            self._is_stepping = False
            if not is_sound:
                self.end()
                self._failed("a defect in the program: see the traceback")
