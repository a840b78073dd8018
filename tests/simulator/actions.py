"""What the world does to a cluster, by name: `profile.ACTIONS` says how often.

PURE.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.simulator import uncapped
from tests.simulator.clock import seconds
from tests.simulator.wishes import terms

if TYPE_CHECKING:
    from tests.simulator.shell import SimNode
    from tests.simulator.world import World

QUIET = frozenset({"append", "burst", "read", "ask again", "receipt"})
"""Not noted in the trace: what comes of them is."""


def act(world: World) -> None:
    """Let one thing happen, chosen by the profile's weights."""
    [name] = world.random.choices(world.action_names, cum_weights=world.action_weights)
    node = world.random.choice(world.nodes)
    if name not in QUIET:
        world.note(node, f"* {name}")
    _DO[name](world, node)


def append(world: World, _: SimNode) -> None:
    """Mostly without a key; sometimes several want to follow on the same entry."""
    random = world.random
    clients = world.clients
    concern, timeout = terms(random)
    entries = random.choice((1, 1, 1, 2, 5))
    size = random.choice((1, 8, 8, 60, 400))
    kind = random.random()
    expect = expected_end(world) if kind > 0.85 else None
    if kind < 0.6:
        clients.append(concern=concern, timeout=timeout, entries=entries, size=size)
    elif kind < 0.92:
        wish = clients.wishes.make(entries=entries, size=size, expect=expect)
        clients.wishes.ask(wish, concern=concern, timeout=timeout)
    else:
        for _number in range(random.choice((1, 2, 3))):
            clients.append(concern=concern, timeout=timeout, size=size, expect=expect)


def expected_end(world: World) -> int:
    """Return what a client takes for the end of the log: mostly what it could have read."""
    committed = world.judge.committed_id
    return world.random.choice((committed, committed, committed, committed + 1, committed // 2))


def receipt(world: World, _: SimNode) -> None:
    random = world.random
    concern, timeout = terms(random)
    entry_id = random.randint(1, world.judge.committed_id + 2)
    world.clients.ask_for_receipt(entry_id, concern=concern, timeout=timeout)


def read(world: World, node: SimNode) -> None:
    """Half of them take what there is, the others want it fresh."""
    random = world.random
    if random.random() < 0.5:
        world.clients.read(node)
        return
    committed = world.judge.committed_id
    min_id = random.choice((0, committed, committed, committed + 1, committed + 3))
    is_linearizable = random.random() < 0.4
    max_lag = random.choice((0, 1, 5, 40, 300)) if random.random() < 0.5 else None
    timeout = random.choice((0, 3, 50, 500, None))
    if timeout is None and min_id > committed:
        timeout = 500
    world.clients.read(
        node, min_id=min_id, is_linearizable=is_linearizable, max_lag=max_lag, timeout=timeout
    )


def burst(world: World, node: SimNode) -> None:
    for _ in range(world.random.randint(2, 12)):
        append(world, node)


def restart(world: World, node: SimNode) -> None:
    down = [each for each in world.nodes if each.process is None]
    if down:
        world.start(world.random.choice(down))


def cut(world: World, node: SimNode) -> None:
    if world.network.cut(world.master, world.random.choice(world.secondaries)):
        world.count("cut connection")


def pause(world: World, node: SimNode) -> None:
    pair = [world.master, world.random.choice(world.secondaries)]
    world.random.shuffle(pair)
    world.faults.pause(pair[0], pair[1])


def lose_power_in_sync(world: World, node: SimNode) -> None:
    """Mostly at the master: that is where others can be ahead afterwards."""
    chosen = world.master if world.random.random() < 0.7 else node
    world.faults.lose_power_in_sync(chosen)


def fill_disk(world: World, node: SimNode) -> None:
    node.disk.is_full = True


def free_disk(world: World, node: SimNode) -> None:
    for each in world.nodes:
        each.disk.is_full = False


def fail_sync(world: World, node: SimNode) -> None:
    node.disk.syncs_to_fail = 1


def fail_write(world: World, node: SimNode) -> None:
    node.disk.writes_to_fail = 1


def corrupt(world: World, node: SimNode) -> None:
    world.network.corrupts += 1


def repeat(world: World, node: SimNode) -> None:
    world.network.duplicates += world.random.choice((1, 1, 5))


def isolate(world: World, node: SimNode) -> None:
    """Nobody hears the master, and it hears nobody."""
    world.count("isolated master")
    for other in world.secondaries:
        world.network.pause(world.master.name, other.name)
        world.network.pause(other.name, world.master.name)


def slow_network(world: World, node: SimNode) -> None:
    world.count("slow network")
    world.network.latency = (seconds(0.05), seconds(0.8))


def resume(world: World, node: SimNode) -> None:
    world.network.latency = world.profile.latency
    world.network.resume()


def jump_clock(world: World, node: SimNode) -> None:
    world.count("wall clock jumped")
    node.clock_skew_ms += world.random.randint(-3_600_000, 3_600_000)


def scrub(world: World, node: SimNode) -> None:
    if node.reader is not None:
        world.at(node, node.reader.scrub)


_DO: dict[str, Callable[[World, SimNode], None]] = {
    "append": append,
    "burst": burst,
    "read": read,
    "ask again": lambda world, node: world.clients.wishes.ask_again(),
    "receipt": receipt,
    "abandon": lambda world, node: world.clients.abandon(),
    "kill": lambda world, node: world.faults.kill(node),
    "lose power": lambda world, node: world.faults.lose_power(node),
    "lose power everywhere": lambda world, node: world.faults.lose_power_everywhere(),
    "lose power in a sync": lose_power_in_sync,
    "stop": lambda world, node: world.faults.stop(node),
    "restart": restart,
    "cut": cut,
    "pause": pause,
    "isolate master": isolate,
    "slow network": slow_network,
    "resume": resume,
    "wipe": lambda world, node: world.faults.wipe(node),
    "rot": lambda world, node: world.faults.rot(node),
    "lose tail": lambda world, node: world.faults.lose_tail(node),
    "lose tail, one lags": lambda world, node: world.faults.lose_tail_with_a_laggard(),
    "hand over": lambda world, node: world.faults.hand_over(),
    "fill disk": fill_disk,
    "free disk": free_disk,
    "fail sync": fail_sync,
    "fail write": fail_write,
    "die in a call": lambda world, node: world.faults.die_in_a_call(node),
    "write back": lambda world, node: node.disk.write_back(),
    "drop clean pages": lambda world, node: node.disk.drop_clean_pages(),
    "corrupt a batch": corrupt,
    "repeat a message": repeat,
    "jump clock": jump_clock,
    "change delay": lambda world, node: world.faults.change_delay(node),
    "scrub": scrub,
    "rot anywhere": uncapped.rot,
    "lose any end": uncapped.lose_end,
    "lie": uncapped.lie,
    "lose writes": uncapped.lose_writes,
    "wipe any": uncapped.wipe,
}
