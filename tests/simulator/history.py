"""One history: a seed's worth of appends, reads and faults, then peace, then the reckoning.

PURE.
"""

from __future__ import annotations

from dataclasses import dataclass

from replog.core.effects import Refused
from tests.simulator.actions import act
from tests.simulator.clients import read_lines
from tests.simulator.clock import seconds
from tests.simulator.dice import Dice
from tests.simulator.invariants import SEGMENTS
from tests.simulator.profile import draw
from tests.simulator.promise import Violation, broken
from tests.simulator.requests import Append, Read
from tests.simulator.shell import SimNode
from tests.simulator.world import Trace, World

PEACE = seconds(60.0)
"""How long the cluster may take to come right when nothing goes wrong any more (P9)."""
RETRY = seconds(0.5)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a history was: its counts, and the hash of its trace where there is one."""

    seed: int
    steps: int
    counts: dict[str, int]
    trace_hash: str | None


def run(
    seed: int,
    *,
    steps: int | None = None,
    focus: str | None = None,
    is_capped: bool = True,
    trace: Trace | None = None,
) -> Outcome:
    """Run one history; where it `is_capped`, no fault takes the last copy of anything.

    Raises:
        AssertionError: a promise was broken, or the code met what it says cannot be; its
            note is the command that repeats it.
    """
    try:
        world = _live(seed, steps=steps, focus=focus, is_capped=is_capped, trace=trace)
    except Exception as error:
        given = "" if steps is None else f" --steps {steps}"
        given += "" if focus is None else f' --focus "{focus}"'
        given += "" if is_capped else " --uncapped"
        error.add_note(
            f"repeat it with: .venv/bin/python -m tests.simulator --seed {seed}{given} --trace"
        )
        raise
    return Outcome(
        seed, world.steps, world.all_counts(), trace.hash() if trace is not None else None
    )


def run_mixed(seed: int) -> Outcome:
    """Run a history, every fourth one uncapped."""
    return run(seed, is_capped=seed % 4 != 3)


def _live(
    seed: int, *, steps: int | None, focus: str | None, is_capped: bool, trace: Trace | None
) -> World:
    random = Dice(seed)
    profile = draw(random, steps=steps, focus=focus, is_capped=is_capped)
    world = World(random, profile, trace)
    if trace is not None:
        world.note(None, f"seed {seed}: {world.profile}")
    for node in world.nodes:
        world.start_later(node, within=2000)
    for _ in range(world.profile.steps):
        world.run_until(world.clock.now + random.randint(*world.profile.gap))
        act(world)
    if is_capped:
        _reckon(world)
    else:
        _look_round(world)
    return world


def _look_round(world: World) -> None:
    """Let who is left meet once more, and read everywhere: nothing wrong is shown."""
    world.calm()
    for _ in range(4):
        world.run_for(seconds(2.0))
        for node in world.nodes:
            world.clients.read(node)
    world.run_for(seconds(1.0))


def _reckon(world: World) -> None:
    """Stop all faults: soon everything is answered, everywhere and equal (P9)."""
    world.calm()
    deadline = world.clock.now + PEACE
    append: Append | None = None
    while append is None or append.outcome is None or isinstance(append.outcome, Refused):
        if append is None or append.request not in world.clients.waiting:
            world.run_until(world.clock.now + RETRY)
            append = world.clients.append(concern="all")
        _go_on(world, deadline, f"{append} is not answered")
    _ask_again(world)
    while not _is_equal(world) or world.clients.waiting_now():
        _go_on(world, deadline, "the nodes are not equal, or somebody waits")
    _read_fresh(world, deadline)
    _check_end(world)


def _ask_again(world: World) -> None:
    """Some who want something stored once ask for it, whatever they were told before."""
    wishes = world.clients.wishes
    adopted = [wish for wish in wishes.all if wishes.is_adopted(wish)]
    asking = world.random.sample(tuple(wishes.all), min(2, len(wishes.all)))
    for wish in (*asking, *adopted[-1:]):
        wishes.ask(wish, concern="all", timeout=None)


def _read_fresh(world: World, deadline: int) -> None:
    """Every node can show what is committed now, and say so."""
    reads: dict[str, Read | None] = {node.name: None for node in world.nodes}
    while not all(read is not None and _is_met(read) for read in reads.values()):
        is_late = [name for name, read in reads.items() if _is_over(world, read)]
        if is_late:
            world.run_until(world.clock.now + RETRY)
        for name in is_late:
            reads[name] = world.clients.read(world.node(name), is_linearizable=True, timeout=300)
        _go_on(world, deadline, f"not all of {reads} are met")


def _is_met(read: Read) -> bool:
    return read.answer is not None and read.answer.is_met


def _is_over(world: World, read: Read | None) -> bool:
    """Whether somebody must ask this node anew."""
    if read is None or read.answer is not None:
        return read is None or not _is_met(read)
    return read.request not in world.clients.reads


def _go_on(world: World, deadline: int, complaint: str) -> None:
    if world.clock.now >= deadline:
        states = "; ".join(_state(world, node) for node in world.nodes)
        states += f"; waiting: {world.clients.waiting_now()}"
        raise Violation(f"P9: after {PEACE / 10_000} s of peace {complaint}: {states}")
    world.clock.run_next()


def _state(world: World, node: SimNode) -> str:
    if node.directory is None:
        return f"{node.name} is down"
    log, shown = node.directory.log, world.judge.nodes[node.name].shown
    return f"{node.name} holds {log.durable}, shows {shown}, damage {log.damage}"


def _is_equal(world: World) -> bool:
    """Whether every node holds and shows the whole log."""
    heads = set()
    for node in world.nodes:
        if node.directory is None or node.directory.log.damage:
            return False
        heads.add(node.directory.log.durable)
        record = world.judge.nodes[node.name]
        if record.shown != node.directory.log.durable.last_id:
            return False
        if record.is_rotten:
            world.judge.check_disk(node.name)
            return False
    return len(heads) == 1


def _check_end(world: World) -> None:
    """Everything that was promised is there, in the bytes of every disk."""
    judge = world.judge
    world.clients.check_all_met()
    contents = set()
    for node in world.nodes:
        judge.check_disk(node.name)
        if judge.nodes[node.name].is_rotten:
            broken("P9", f"{node.name} is not whole again")
        if not judge.is_text(read_lines(node, judge.committed_id), judge.committed_id):
            broken("P5", f"{node.name} differs")
        files = node.disk.durable_files(SEGMENTS)
        contents.add(tuple((name, bytes(inode.durable)) for name, inode in files))
    if len(contents) != 1:
        broken("P7", "equal heads, other files")
    for append in world.clients.stored:
        assert append.first_id is not None
        found = tuple(judge.messages[append.first_id - 1 : append.last_id])
        if found != append.messages:
            broken("P2", f"{append} was stored, the log has {found}")
