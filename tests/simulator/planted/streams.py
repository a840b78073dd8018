"""Bugs in how a secondary is dialled, and how the log streams to it (R1, R4).

PURE.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from replog.core.effects import Effect
from replog.core.entry import Tick
from replog.core.progress import FRAME_BYTES, WINDOW_BYTES, Peer
from replog.core.reign import Reign
from replog.core.replicas import Replicas
from replog.replication import dial
from tests.simulator.planted.bug import Planted


def pause_ever_longer(patch: pytest.MonkeyPatch) -> None:
    """The pause between two dials doubles without an end (R1)."""

    def patient(generator: random.Random) -> Iterator[float]:
        pause = dial.BACK_OFF_FIRST_S
        while True:
            yield max(dial.BACK_OFF_FIRST_S, pause * generator.uniform(0.6, 1.0))
            pause = 2 * pause

    patch.setattr(dial, "back_off", patient)


def dial_once(patch: pytest.MonkeyPatch) -> None:
    """A link that ended is not dialled again (R1)."""

    async def run(self: dial.Dialler) -> None:
        await self._link_once()

    patch.setattr(dial.Dialler, "run", run)


def wait_for_who_is_not_there(patch: pytest.MonkeyPatch) -> None:
    """A master begins when every secondary has spoken, and not while one is down (R1)."""
    may_open = Reign.may_open

    def patient(self: Reign, now: Tick) -> bool:
        has_all = len(self.heard) == self.secondaries and None not in self.heard.values()
        return has_all and may_open(self, now)

    patch.setattr(Reign, "may_open", patient)


def send_without_a_window(patch: pytest.MonkeyPatch) -> None:
    """However much is on its way to a secondary, the next frame follows (R4)."""
    patch.setattr(Peer, "room", property(lambda self: FRAME_BYTES))


def keep_the_window_small(patch: pytest.MonkeyPatch) -> None:
    """The window of a secondary with an injected delay is that of one without (R4)."""
    patch.setattr(Peer, "window", property(lambda self: WINDOW_BYTES))


def send_two_frames_at_once(patch: pytest.MonkeyPatch) -> None:
    """A frame is read from the segments while the one before it still is: both begin alike (R4)."""
    pump = Replicas.pump

    def eager(self: Replicas, peer: Peer, out: list[Effect]) -> bool:
        peer.is_sending = False
        return pump(self, peer, out)

    patch.setattr(Replicas, "pump", eager)


BUGS = (
    Planted(
        "pausing ever longer",
        "R1",
        pause_ever_longer,
        test="tests/replication/test_dial.py::test_pauses_start_short_grow_and_stay_within_their_bounds",
        hidden="the simulator dials by itself",
    ),
    Planted(
        "dialling once",
        "R1",
        dial_once,
        test="tests/replication/test_both_ends.py::test_what_ended_is_dialled_again",
        hidden="the simulator dials by itself",
    ),
    Planted(
        "waiting for who is not there",
        "R1",
        wait_for_who_is_not_there,
        test="tests/core/test_reign.py::test_a_master_begins_while_a_secondary_is_down",
        hidden="in a history every node is back before it is asked whether all is well again",
    ),
    Planted(
        "sending without a window",
        "R4",
        send_without_a_window,
        test="tests/core/test_links.py::test_a_full_window_waits_for_an_acknowledgement",
        hidden="it costs memory (P10), which no history measures",
    ),
    Planted(
        "a window that does not grow",
        "R4",
        keep_the_window_small,
        test="tests/core/test_links.py::test_a_window_grows_with_the_delay_of_its_secondary",
        hidden="it costs throughput, which no history measures",
    ),
    Planted(
        "sending two frames at once",
        "R4",
        send_two_frames_at_once,
        test="tests/core/test_links.py::test_one_frame_is_read_after_the_other",
        hidden=(
            "the master takes no notice of a frame that does not begin where the last one "
            "ended, and the secondary acknowledges what it holds already once more (R5): it "
            "costs the network twice"
        ),
    ),
)
