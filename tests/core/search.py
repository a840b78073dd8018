"""Trying every order in which a small world can go on.

PURE.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tests.core.parts import Action
from tests.core.world import World


@dataclass(frozen=True, slots=True)
class Budget:
    """What may happen from outside, at any moment, that many times."""

    appends: int = 0
    reads: tuple[int, ...] = ()
    cuts: tuple[int, ...] = ()
    crashes: tuple[int, ...] = ()

    def spend(self) -> Iterator[tuple[Action, Budget]]:
        if self.appends:
            yield Action("append"), replace(self, appends=self.appends - 1)
        if self.reads:
            yield Action("read", self.reads[0]), replace(self, reads=self.reads[1:])
        if self.cuts:
            yield Action("cut", self.cuts[0]), replace(self, cuts=self.cuts[1:])
        if self.crashes:
            yield Action("crash", self.crashes[0]), replace(self, crashes=self.crashes[1:])


@dataclass(slots=True)
class Searched:
    states: int = 0
    rests: int = 0


def fingerprint(world: World) -> int:
    """Return a number that equal worlds share, whatever their objects have in common."""
    out = io.BytesIO()
    pickler = pickle.Pickler(out)
    pickler.fast = True  # Without it, equal values are written differently when shared.
    said = [node.said for node in world.nodes]
    for node in world.nodes:
        node.said = []
    pickler.dump(world)
    for node, lines in zip(world.nodes, said, strict=True):
        node.said = lines
    return hash(out.getvalue())


def try_every_order(world: World, budget: Budget, *, states_max: int = 5000) -> Searched:
    """Go through every order of what can happen; the world checks itself at each step.

    At rest, with everybody linked, nobody may wait any more. An error names the way there.
    """
    searched = Searched()
    seen: set[tuple[int, Budget]] = {(fingerprint(world), budget)}
    stack: list[tuple[bytes, Budget, tuple[Action, ...]]] = [(pickle.dumps(world), budget, ())]
    while stack:
        frozen, left, way = stack.pop()
        here: World = pickle.loads(frozen)
        searched.states += 1
        steps = " ".join(f"{step.kind}:{step.place}" for step in way)
        assert searched.states < states_max, f"goes on for ever? {steps}"
        moves = [(action, left) for action in (*here.internal(), *here.dials())]
        try:
            if not moves:
                searched.rests += 1
                here.check_at_rest()
            for action, after in [*moves, *left.spend()]:
                there: World = pickle.loads(frozen)
                there.act(action)
                mark = (fingerprint(there), after)
                if mark not in seen:
                    seen.add(mark)
                    stack.append((pickle.dumps(there), after, (*way, action)))
        except AssertionError as error:
            raise AssertionError(f"{error}\nafter: {steps}") from error
    return searched
