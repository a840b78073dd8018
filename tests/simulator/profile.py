"""What kind of history a seed gives: how fast things are, and what goes wrong how often.

PURE. Each history leaves some faults out and stresses others: with all of them at their
usual rate every history would look the same (swarm testing, Groce et al. 2012).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from replog.core.write_concern import WriteConcern
from tests.simulator.clock import seconds

ACTIONS: dict[str, float] = {
    "append": 30.0,
    "burst": 4.0,
    "read": 14.0,
    "ask again": 7.0,
    "receipt": 3.0,
    "abandon": 3.0,
    "kill": 3.0,
    "lose power": 3.0,
    "lose power everywhere": 0.6,
    "lose power in a sync": 4.0,
    "stop": 1.0,
    "restart": 12.0,
    "cut": 4.0,
    "pause": 2.5,
    "resume": 6.0,
    "wipe": 1.0,
    "rot": 1.5,
    "lose tail": 1.0,
    "lose tail, one lags": 1.0,
    "hand over": 0.9,
    "fill disk": 0.7,
    "free disk": 2.0,
    "fail sync": 0.8,
    "fail write": 0.4,
    "die in a call": 3.0,
    "write back": 2.0,
    "drop clean pages": 1.0,
    "corrupt a batch": 0.6,
    "repeat a message": 1.0,
    "isolate master": 0.7,
    "slow network": 0.7,
    "jump clock": 0.7,
    "change delay": 0.7,
    "scrub": 1.0,
}
"""How often each action is taken beside the others."""

UNCAPPED: dict[str, float] = {
    "rot anywhere": 2.0,
    "lose any end": 1.0,
    "lie": 3.0,
    "lose writes": 2.0,
    "wipe any": 0.7,
    "corrupt a batch": 2.0,
    "lose power everywhere": 2.0,
}
"""What happens beside the others where the last copy may go as well: safety alone is judged."""

ALWAYS = frozenset({"append", "read", "restart", "resume", "free disk"})
"""Without these a history would be empty, or end early."""


TICKS = ((100, 500), (500, 3000), (1000, 5000))
"""Bounds between two ticks of a core; the first costs too much where a history is long."""
LONG_GAP = 2000
STEPS = (30, 90)
STEPS_LONG = (20, 60)
PEACE_TICK = (500, 3000)


@dataclass(frozen=True, slots=True)
class Profile:
    """Drawn once for each seed.

    Attributes:
        actions: weights of what the world does.
        gap: bounds of the time between two actions, in clock units.
        latency, write, sync, event, read: bounds of how long those take.
        tick: bounds between two ticks of a core.
        restart: bounds of how long a node stays down when nobody cares.
        key_window: entries behind the last one whose keys a master knows (P6).
        drift: how much faster or slower than the world a node's clock may be, per mille.
        is_capped: no fault takes the last copy of anything, so that all promises hold.
    """

    secondaries: int
    steps: int
    actions: dict[str, float]
    gap: tuple[int, int]
    latency: tuple[int, int]
    write: tuple[int, int]
    sync: tuple[int, int]
    event: tuple[int, int]
    read: tuple[int, int]
    tick: tuple[int, int]
    restart: tuple[int, int]
    segment_bytes_max: int
    default_concern: WriteConcern
    requires_quorum: bool
    delays: tuple[float, ...]
    late_bytes_reach_the_core: bool
    encodes_messages: bool
    key_window: int
    drift: int
    is_capped: bool


def draw(
    random: Random, *, steps: int | None, focus: str | None = None, is_capped: bool = True
) -> Profile:
    """Draw a kind of history; `focus` names an action that is taken more than any other."""
    secondaries = random.choice((1, 2, 2, 2, 2, 3))
    actions = {
        name: weight * random.choice((0.3, 1.0, 1.0, 3.0))
        for name, weight in ACTIONS.items()
        if name in ALWAYS or random.random() < 0.6
    }
    if not is_capped:
        actions |= {
            name: weight * random.choice((0.3, 1.0, 3.0)) for name, weight in UNCAPPED.items()
        }
    if focus is not None:
        actions[focus] = 30.0
    is_slow_disk = random.random() < 0.15
    gap = random.choice(((0, 30), (0, 200), (0, 2000), (100, 8000)))
    return Profile(
        secondaries=secondaries,
        steps=random.randint(*(STEPS_LONG if gap[1] > LONG_GAP else STEPS))
        if steps is None
        else steps,
        actions=actions,
        gap=gap,
        latency=random.choice(((1, 10), (1, 60), (1, 60), (5, 600))),
        write=(0, random.choice((1, 10))),
        sync=(0, 3000) if is_slow_disk else (1, random.choice((10, 60))),
        event=(0, random.choice((1, 10, 60))),
        read=(0, random.choice((1, 10, 100))),
        tick=random.choice(TICKS[gap[1] > LONG_GAP :]),
        restart=random.choice(((10, 300), (100, seconds(1.0)), (100, seconds(8.0)))),
        segment_bytes_max=random.choice((700, 1500, 4000, 100_000)),
        default_concern=random.choice(("all", "all", "majority", 1)),
        requires_quorum=random.random() < 0.1,
        delays=tuple(
            random.choice((0.0, 0.0, 0.0, 0.05, 1.0)) if random.random() < 0.3 else 0.0
            for _ in range(secondaries)
        ),
        late_bytes_reach_the_core=random.random() < 0.5,
        encodes_messages=random.random() < 0.1,
        key_window=random.choice((3, 8, 30, 100_000, 100_000)),
        drift=random.choice((0, 0, 10)),
        is_capped=is_capped,
    )


def quiet(*, secondaries: int) -> Profile:
    """Return a profile for a story: everything is quick, and nothing happens by itself."""
    return replace(
        draw(Random(0), steps=0),
        secondaries=secondaries,
        actions={},
        latency=(1, 30),
        write=(0, 5),
        sync=(1, 20),
        event=(0, 5),
        read=(0, 5),
        tick=(500, 1500),
        restart=(0, 10**12),
        segment_bytes_max=1500,
        default_concern="all",
        requires_quorum=False,
        delays=(0.0,) * secondaries,
        key_window=100_000,
        drift=0,
    )
