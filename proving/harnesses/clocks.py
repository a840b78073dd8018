"""Row 14: wall clocks decide nothing, whatever they say on each node.

NETWORK. Each node runs under libfaketime with a clock of its own, which is set while it runs.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Self

from proving.ending import settle_and_judge
from proving.harness import Counts, Harness, Violation
from proving.needs import FAKETIME
from proving.recording import Clients, Recording, RecordingClient
from replog.history.lines import Append
from tests.support.clocks import NodeClock
from tests.support.cluster import MASTER, S1, S2, ProcessCluster, call, wait_live
from tests.support.stories import LONG_S
from tests.support.waiting import wait_until

CASES = 60
"""Those from here on are brief, and their health is not judged: `make test` runs them."""
HOUR_S = 3600.0
YEAR_S = 365 * 24 * HOUR_S
FAR_S = HOUR_S / 2
"""No test takes so long: what says more has looked at a wall clock."""
STALL_S = 1.0
"""Where this process was not run for so long, neither need the nodes have been."""
CHANGED = re.compile(r"is (?:suspected|unhealthy)|is down:|no sign of life|ended: ")
TRAILER_TIME = re.compile(rb'^\{"batch":\{.*?"time":"([^"]+)"', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Scene:
    """One case."""

    cluster: ProcessCluster
    clocks: dict[str, NodeClock]
    recording: Recording
    random: Random
    hold_s: float

    def set_all(self, draw: Callable[[], float]) -> None:
        for clock in self.clocks.values():
            clock.set(draw())

    def hold(self, act: Callable[[], object]) -> None:
        """Do `act` again and again until the time is up."""
        end = time.monotonic() + self.hold_s
        while time.monotonic() < end:
            act()
            time.sleep(self.random.uniform(0.05, 0.5))


Act = Callable[[Scene], None]


# --- what clocks do while nodes run -----------------------------------------------------------


def jumps(scene: Scene) -> None:
    """Each clock jumps, by itself, up to an hour ahead and back."""
    scene.clocks[MASTER].set(HOUR_S)
    _append(scene)

    def jump() -> None:
        clock = scene.random.choice(list(scene.clocks.values()))
        clock.set(scene.random.uniform(-HOUR_S, HOUR_S))

    scene.hold(jump)


def _append(scene: Scene) -> None:
    """Let a batch be made by the clock that was set."""
    client = RecordingClient(scene.recording, 82, timeout_s=LONG_S)
    client.append([f"what time is it at {scene.recording.now()}?"], w=1)
    client.close()


def jumps_while_appends_wait(scene: Scene) -> None:
    """A wait that is long does not end early, one that is short ends, and keys are known."""
    client = RecordingClient(scene.recording, 80, timeout_s=LONG_S)
    first = client.append(["once"], w=2, key="once")
    scene.set_all(lambda: -HOUR_S)
    scene.cluster.kill(S2)
    with WaitingClient(scene.recording) as waiting:
        scene.set_all(lambda: HOUR_S)
        short = client.append(["not for long"], w=3, timeout=0.3)
        scene.set_all(lambda: -HOUR_S)
        also_short = client.append(["nor this"], w=3, timeout=0.3)
        again = client.append(["once"], w=2, key="once")
        if waiting.append is not None:
            raise Violation(f"R11: a wait for {FAR_S} s ended early: {waiting.append}")
        scene.cluster.start(S2)
    client.close()
    outcomes = [short.outcome, also_short.outcome, again.outcome, waiting.outcome]
    if outcomes != ["pending", "pending", "ok", "ok"] or again.first_id != first.first_id:
        raise Violation(f"P6, R11: {outcomes}, {first} and {again}")


class WaitingClient:
    """One append that waits for all nodes, on a thread of its own."""

    def __init__(self, recording: Recording) -> None:
        self._client = RecordingClient(recording, 81, timeout_s=LONG_S)
        self._thread = threading.Thread(target=self._run)
        self.append: Append | None = None

    @property
    def outcome(self) -> str:
        return "none" if self.append is None else self.append.outcome

    def _run(self) -> None:
        self.append = self._client.append(["it waits for all"], w=3, timeout=FAR_S)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._thread.join()
        self._client.close()


def drift(scene: Scene) -> None:
    """Each clock runs at a pace of its own, some a hundred times too fast."""
    for clock in scene.clocks.values():
        ahead_s = scene.random.uniform(-HOUR_S, HOUR_S)
        clock.set(ahead_s, rate=scene.random.choice([0.01, 0.5, 0.99, 1.01, 2.0, 100.0]))
    scene.hold(lambda: None)


def far_future(scene: Scene) -> None:
    """The master lived a century ahead for a while; its trailers stay there."""
    scene.clocks[MASTER].set(100 * YEAR_S)
    _append(scene)
    scene.hold(lambda: None)
    scene.clocks[MASTER].set(0)


def behind_after_a_restart(scene: Scene) -> None:
    """Each node comes back with a clock that stands an hour before it went; or in 1970."""
    for node in (MASTER, S1, S2):
        behind_s = scene.random.choice([HOUR_S, time.time() - 10.0])
        scene.cluster.stop(node)
        scene.clocks[node].set(-behind_s)
        scene.cluster.start(node)
        wait_live(scene.cluster, node)
        scene.recording.fault("restart", scene.cluster.url(node))
        scene.hold(lambda: None)


def paces(scene: Scene) -> None:
    """The monotonic clocks differ, within what health allows for (see `set_clocks`)."""
    scene.hold(lambda: None)


def wild_paces(scene: Scene) -> None:
    """They differ by far more. Health says so; what was promised holds all the same."""
    scene.hold(lambda: None)
    for node in (S2, S1, MASTER):
        scene.cluster.stop(node)
        scene.clocks[node].run_at(1.0)
    scene.cluster.start_all()


ACTS: tuple[Act, ...] = (
    jumps,
    jumps_while_appends_wait,
    drift,
    far_future,
    behind_after_a_restart,
    paces,
    wild_paces,
)
STEADY = frozenset({jumps, drift, far_future, paces})
"""No node ends in these: neither health nor a link changes."""
PACES: dict[Act, tuple[float, ...]] = {
    paces: (0.7, 1.0, 1.4),
    wild_paces: (0.3, 1.0, 10.0),
}
"""How fast monotonic clocks run. A peer whose heartbeats are a second apart instead of half a
one, by the own clock, is far from SUSPECTED (2 s): twice as fast as the other one is no matter."""
AHEAD_S: dict[Act, float] = {jumps: 0.9 * HOUR_S, far_future: 99 * YEAR_S}
"""How far apart two trailers are that follow each other, where libfaketime does its work."""
BRIEF: tuple[Act, ...] = (jumps,)


def set_clocks(case: int, directory: Path) -> Counts:
    """Change the clocks of three nodes under load, and judge what came of it."""
    random = Random(f"clocks {case}")
    is_brief = case >= CASES
    act = BRIEF[case - CASES] if is_brief else ACTS[case % len(ACTS)]
    with ProcessCluster(directory) as cluster:
        clocks = {name: NodeClock(node) for name, node in cluster.node.items()}
        for clock in clocks.values():
            if act in PACES:
                clock.run_at(random.choice(PACES[act]))
        cluster.start_all()
        with Recording(directory / "run.jsonl", cluster.urls) as recording:
            hold_s = 0.5 if is_brief else random.uniform(2, 6)
            scene = Scene(cluster, clocks, recording, random, hold_s)
            stalls = Stalls()
            clients = Clients(
                recording, seed=case, clients=4, timeouts=(None, 0.3), pause_s=0.01, timeout_s=3.0
            )
            if act is not wild_paces:
                _wait_well(cluster)
            with stalls, clients:
                _go_on(cluster, clients)
                before = _changes(cluster)
                recording.fault(act.__name__)
                act(scene)
                changes = _changes(cluster) - before
                _go_on(cluster, clients)
            if act in STEADY and not is_brief and changes and stalls.longest_s < STALL_S:
                raise Violation(f"R11: health or links changed: {changes}\n{cluster.explain()}")
            _no_age_is_an_hour(cluster)
            judged = settle_and_judge(cluster, recording)
            jumped_s = _longest_between_trailers_s(cluster)
    if jumped_s < AHEAD_S.get(act, 0.0):
        raise Violation(f"the clock of the master was not set: it jumped by {jumped_s} s")
    return {
        **judged,
        act.__name__.replace("_", " "): 1,
        "seconds that clocks jumped ahead": int(jumped_s),
        "changes of health": changes.total(),
        "not judged, as the machine stalled": int(stalls.longest_s >= STALL_S),
    }


def _go_on(cluster: ProcessCluster, clients: Clients) -> None:
    reached = clients.acknowledged
    wait_until(
        lambda: clients.acknowledged > reached + 20, "appends go on", explain=cluster.explain
    )


def _wait_well(cluster: ProcessCluster) -> None:
    wait_until(
        lambda: all(one["health"] == "HEALTHY" for one in _told(cluster)),
        "all are healthy",
        explain=cluster.explain,
    )


def _told(cluster: ProcessCluster) -> list[dict[str, object]]:
    health = json.loads(call("GET", f"{cluster.url(MASTER)}/health").content)
    told: list[dict[str, object]] = health["secondaries"]
    return told


def _changes(cluster: ProcessCluster) -> Counter[str]:
    """Return how often each node said that health or a link changed."""
    said = {name: CHANGED.findall(node.said()) for name, node in cluster.node.items()}
    return Counter({name: len(each) for name, each in said.items()})


def _no_age_is_an_hour(cluster: ProcessCluster) -> None:
    """What nodes say of how long ago something was is told by no wall clock."""
    for one in _told(cluster):
        silent_s = one["last_contact_s"]
        if not isinstance(silent_s, float) or not 0 <= silent_s < FAR_S:
            raise Violation(f"R11: {one['url']} was last heard of {silent_s} s ago")
    for name in (S1, S2):
        answer = call("GET", f"{cluster.url(name)}/logs?limit=1&max_lag_ms={FAR_S * 1000:.0f}")
        lag_s = answer.headers.get("log-lag", "0")
        if answer.status_code != 200 or not 0 <= float(lag_s) < FAR_S:
            raise Violation(f"R11: {name} says that it lags by {lag_s} s: {answer.text[:200]}")


def _longest_between_trailers_s(cluster: ProcessCluster) -> float:
    """Return the time between two that follow each other, at most; none goes back."""
    times = [
        datetime.fromisoformat(found.decode())
        for path in cluster.master.segment_files()
        for found in TRAILER_TIME.findall(path.read_bytes())
    ]
    gaps = [(after - before).total_seconds() for before, after in pairwise(times)]
    if min(gaps) < 0:
        raise Violation(f"the time of a trailer goes back by {-min(gaps)} s")
    return max(gaps)


class Stalls:
    """For how long this process was not run, at most: as long may a node not have been."""

    def __init__(self) -> None:
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.longest_s = 0.0

    def _run(self) -> None:
        seen = time.monotonic()
        while not self._ended.wait(0.05):
            before, seen = seen, time.monotonic()
            self.longest_s = max(self.longest_s, seen - before - 0.05)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self._thread.join()


HARNESSES = (
    Harness(
        name="clocks",
        row=14,
        promise="clocks do not matter: no order, timeout or health by wall clocks",
        how="a clock of its own for each node under load: jumps, drift, a century, 1970, paces",
        unit="runs",
        cases=CASES + len(BRIEF),
        run=set_clocks,
        sample=tuple(range(CASES, CASES + len(BRIEF))),
        needs=(FAKETIME,),
    ),
)
