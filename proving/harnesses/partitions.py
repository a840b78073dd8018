"""Row 8: whatever the network does, nothing is lost; and all is well soon after it stops.

NETWORK. Every connection between nodes, and between clients and nodes, passes a proxy.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from random import Random

import httpx2

from proving.ending import look_at_disks, settle_and_judge
from proving.harness import Counts, Harness, Violation
from proving.recording import Clients, Recording, RecordingClient
from tests.support.cluster import MASTER, S1, S2, Node, ProcessCluster, call
from tests.support.network import Network, Proxy
from tests.support.stories import LONG_S
from tests.support.waiting import wait_until

CASES = 250
"""Judged by time; those from here on are brief, and are not: `make test` runs them."""
HEALS_WITHIN_S = 5.0
NOTICED_LATE_S = 1.5
"""What a busy machine may add to a threshold of R11 before a full run calls it late."""

ALONE_S = 5.0 + NOTICED_LATE_S
"""Who was cut off for so long says so."""


class Networked(ProcessCluster):
    """Three nodes; `links` lead from the master to each secondary, `doors` to each node."""

    def __init__(self, directory: Path, network: Network, *, quorum: bool) -> None:
        super().__init__(directory)
        self.doors = {name: network.proxy(node.port) for name, node in self.node.items()}
        self.links = {name: network.proxy(self.node[name].port) for name in (S1, S2)}
        known = [word for link in self.links.values() for word in ("--secondary", link.url)]
        self.master.options = (*known, *(["--quorum", "majority"] if quorum else []))

    def url(self, node: str) -> str:
        return self.doors[node].url


def health_of(cluster: ProcessCluster) -> dict[str, str]:
    """Return what the master says of each secondary, past any door."""
    each = json.loads(call("GET", f"{cluster.master.url}/health").content)["secondaries"]
    return {name: one["health"] for name, one in zip((S1, S2), each, strict=True)}


@dataclass(frozen=True, slots=True)
class Scene:
    """One case: what is there, and what was drawn for it."""

    cluster: Networked
    recording: Recording
    random: Random
    hold_s: float
    is_brief: bool
    has_quorum: bool

    @property
    def links(self) -> list[Proxy]:
        return list(self.cluster.links.values())

    def some_links(self) -> list[Proxy]:
        """Return one link, the other one, or both."""
        return self.random.choice([self.links, self.links[:1], self.links[1:]])

    def hold(self, part: float = 1.0) -> None:
        time.sleep(self.hold_s * part)


Act = Callable[[Scene], None]


def master_alone(scene: Scene) -> None:
    """No secondary is reached; clients still are. With a quorum the master refuses."""
    for link in scene.links:
        link.hold()
    if scene.has_quorum:
        _refuses_before_it_stores(scene)
    scene.hold()
    for node in (S1, S2):
        _read_answers(scene, node, is_alone=scene.hold_s > ALONE_S)


def _refuses_before_it_stores(scene: Scene) -> None:
    """The judge finds a refused entry that was stored; here that it is refused, and why."""
    client = RecordingClient(scene.recording, 93, timeout_s=LONG_S)
    numbers = count()

    def is_refused() -> bool:
        append = client.append([f"is it refused? {next(numbers)}"], w=1)
        return append.outcome == "refused"

    wait_until(is_refused, "the master is read-only", explain=scene.cluster.explain)
    client.close()
    url = f"{scene.cluster.master.url}/logs?w=1"
    answer = call("POST", url, body=json.dumps({"message": "not to be stored"}))
    if answer.status_code != 503 or "quorum" not in answer.text:
        raise Violation(f"R11: a master without its quorum answered {answer.text}")


def _read_answers(scene: Scene, node: str, *, is_alone: bool) -> None:
    """A secondary that clients reach answers, whoever else it reaches (P4, R7)."""
    client = RecordingClient(scene.recording, 90, timeout_s=LONG_S)
    read = client.read(scene.cluster.url(node))
    client.close()
    if read.outcome != "ok":
        raise Violation(f"P4: {node} did not answer a read: {read.outcome}")
    if is_alone and read.has_master:
        raise Violation(f"P4: {node} was cut off for {scene.hold_s} s and says that it was not")


def master_and_its_clients_apart(scene: Scene) -> None:
    for proxy in (*scene.links, scene.cluster.doors[MASTER]):
        proxy.hold()
    scene.hold()


def one_alone(scene: Scene) -> None:
    node = scene.random.choice([S1, S2])
    scene.cluster.links[node].hold()
    scene.hold()
    _read_answers(scene, node, is_alone=scene.hold_s > ALONE_S)


def split(scene: Scene) -> None:
    """One secondary is on the one side, all the rest on the other; clients are on the larger."""
    node = scene.random.choice([S1, S2])
    scene.cluster.links[node].hold()
    scene.cluster.doors[node].hold()
    scene.hold()


def deaf(scene: Scene) -> None:
    """What the master sends does not arrive; what it is sent does."""
    for link in scene.some_links():
        link.hold(back=False)
    scene.hold()


def mute(scene: Scene) -> None:
    """What the master sends arrives; what it is sent does not."""
    for link in scene.some_links():
        link.hold(onward=False)
    scene.hold()


def black_hole(scene: Scene) -> None:
    """Bytes vanish without a reset; only silence tells (R11). Who asks for less goes on."""
    node = scene.random.choice([S1, S2])
    if scene.is_brief:
        scene.cluster.links[node].lose()
        scene.hold()
        return
    client = RecordingClient(scene.recording, 91, timeout_s=LONG_S)
    scene.cluster.links[node].lose()
    began, numbers = time.monotonic(), count()
    for word, after_s in (("SUSPECTED", 2.0), ("UNHEALTHY", 5.0)):
        while health_of(scene.cluster)[node] != word:
            late_s = time.monotonic() - began - after_s
            if late_s > NOTICED_LATE_S:
                raise Violation(f"R11: {node} is not {word} {late_s:.1f} s after its time")
            append = client.append([f"{node} is not needed {next(numbers)}"], w=2)
            if append.outcome != "ok":
                raise Violation(f"P8: {append.outcome} at w=2 while {node} is in a black hole")
    pending = client.append([f"{node} is needed"], w=3, timeout=0.2)
    if pending.outcome != "pending":
        raise Violation(f"P3: {pending.outcome} at w=3 while {node} is in a black hole")
    client.close()
    _read_answers(scene, node, is_alone=False)
    scene.hold(0.5)
    _read_answers(scene, node, is_alone=True)


def unanswered_dials(scene: Scene) -> None:
    """Connections are reset, and new ones hear nothing."""
    for link in scene.some_links():
        link.lose()
        link.cut()
    scene.hold()


def flapping(scene: Scene) -> None:
    """It passes, and it does not, and it does."""
    proxies = scene.some_links()
    acts: list[Callable[[Proxy], None]] = [Proxy.hold, Proxy.cut, Proxy.refuse]
    _again_and_again(
        scene,
        0.4,
        lambda: scene.random.choice([*acts, Proxy.pass_all])(scene.random.choice(proxies)),
    )


def resets(scene: Scene) -> None:
    everywhere = [*scene.links, *scene.cluster.doors.values()]
    _again_and_again(scene, 0.5, lambda: scene.random.choice(everywhere).cut())


def corruption(scene: Scene) -> None:
    """One bit after another is turned over, in frames, hellos and handshakes, either way."""

    def corrupt() -> None:
        link = scene.random.choice(scene.links)
        after, bit = int(10 ** scene.random.uniform(0, 4.3)), scene.random.randrange(8)
        way = scene.random.choice([link.onward, link.back])
        if scene.random.random() < 0.5:
            link.cut()

        def turn_over(_: Proxy) -> None:
            way.corrupt_after, way.bit = after, bit

        link.change(turn_over)

    _again_and_again(scene, 0.3, corrupt)


def half_open(scene: Scene) -> None:
    """A secondary is killed, and comes back, and nobody tells its master."""
    node = scene.random.choice([S1, S2])

    def keep_quiet(proxy: Proxy) -> None:
        proxy.onward.keeps_ends = proxy.back.keeps_ends = True

    scene.cluster.links[node].change(keep_quiet)
    scene.cluster.kill(node)
    scene.cluster.start(node)
    scene.hold()


def slow_line(scene: Scene) -> None:
    rate = scene.random.choice([30_000, 100_000, 300_000])

    def throttle(proxy: Proxy) -> None:
        proxy.onward.bytes_per_s = proxy.back.bytes_per_s = float(rate)

    for link in scene.some_links():
        link.change(throttle)
    scene.hold()


def long_way(scene: Scene) -> None:
    delay_s = scene.random.choice([0.02, 0.1, 0.4, 1.0])

    def delay(proxy: Proxy) -> None:
        proxy.onward.delay_s, proxy.back.delay_s = delay_s, delay_s * scene.random.random()

    for link in scene.some_links():
        link.change(delay)
    scene.hold()


def _again_and_again(scene: Scene, pause_s: float, act: Callable[[], object]) -> None:
    end = time.monotonic() + scene.hold_s
    while time.monotonic() < end:
        act()
        time.sleep(scene.random.uniform(0.02, pause_s))


ACTS: tuple[Act, ...] = (
    master_alone,
    master_and_its_clients_apart,
    one_alone,
    split,
    deaf,
    mute,
    black_hole,
    unanswered_dials,
    flapping,
    resets,
    corruption,
    half_open,
    slow_line,
    long_way,
)
BRIEF: tuple[Act, ...] = (corruption, split)


def cut_off(case: int, directory: Path) -> Counts:
    """Hurt the network of three nodes under load, heal it, and judge the history."""
    random = Random(f"partitions {case}")
    is_brief = case >= CASES
    act = BRIEF[case - CASES] if is_brief else ACTS[case % len(ACTS)]
    hold_s = 0.7 if is_brief else random.uniform(1, 10)
    has_quorum = not is_brief and random.random() < 0.35
    with ExitStack() as stack:
        network = stack.enter_context(Network())
        cluster = stack.enter_context(Networked(directory, network, quorum=has_quorum))
        cluster.start_all()
        recording = stack.enter_context(Recording(directory / "run.jsonl", cluster.urls))
        scene = Scene(cluster, recording, random, hold_s, is_brief, has_quorum)
        with Clients(
            recording, seed=case, clients=6, timeouts=(None, 0.3), pause_s=0.01, timeout_s=3.0
        ) as clients:
            wait_until(lambda: clients.acknowledged > 30, "appends are answered")
            recording.fault(act.__name__)
            act(scene)
            look_at_disks(cluster, recording, "before it heals")
            healed_s = _heal(scene, act.__name__)
        bits = sum(proxy.onward.corrupted + proxy.back.corrupted for proxy in network.proxies)
        judged = settle_and_judge(cluster, recording)
    return {
        **judged,
        act.__name__.replace("_", " "): 1,
        "with a quorum": int(has_quorum),
        "bits turned over": bits,
        "connections": sum(proxy.connections for proxy in network.proxies),
        f"healed within {int(healed_s) + 1} s": 1,
    }


def _heal(scene: Scene, name: str) -> float:
    """End the fault; return how many seconds it took until all was well again."""
    for proxy in (*scene.links, *scene.cluster.doors.values()):
        proxy.pass_all()
    took_s = wait_well(scene.cluster, scene.recording)
    if took_s > HEALS_WITHIN_S and not scene.is_brief:
        raise Violation(f"{took_s:.1f} s after {name} ({scene.hold_s:.1f} s) until all was well")
    return took_s


def wait_well(cluster: ProcessCluster, recording: Recording) -> float:
    """Return how long it takes until an append at "all" is answered and every node is well."""
    began = time.monotonic()
    client = RecordingClient(recording, 92, timeout_s=LONG_S)
    numbers = count()

    def is_well() -> bool:
        append = client.append([f"healed? {next(numbers)}"], w=3, timeout=1.0)
        return append.outcome == "ok" and all(map(_is_node_well, cluster.node.values()))

    wait_until(is_well, "all is well again", explain=cluster.explain)
    client.close()
    return time.monotonic() - began


def _is_node_well(node: Node) -> bool:
    try:
        health = json.loads(call("GET", f"{node.url}/health").content)
    except httpx2.TransportError:
        return False
    each = [one["health"] for one in health.get("secondaries") or ()]
    return health["status"] == "ok" and set(each) <= {"HEALTHY"}


HARNESSES = (
    Harness(
        name="partitions",
        row=8,
        promise="partitions: safe, then live",
        how="each connection through a proxy that holds, loses, corrupts, delays and resets",
        unit="partitions",
        cases=CASES + len(BRIEF),
        run=cut_off,
        sample=tuple(range(CASES, CASES + len(BRIEF))),
    ),
)
