"""Makes a history of any length in which every promise was kept, for the judge to be timed on.

PURE. Operations begin at equal steps and overlap: each client has one under way. The log has them
in the order in which they began; a secondary shows what began some steps ago.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from random import Random

import msgspec

from replog.history.lines import Append, Disk, Line, Nodes, Read

NODES = ("http://127.0.0.1:8000", "http://127.0.0.1:8001", "http://127.0.0.1:8002")
CLIENTS = 8
STEP_S = 0.0001
READ_EVERY = 5
HASHED_EVERY = 20
"""One read in so many is of the whole log, as a hash; the others go on where their client was."""

_LAGS = (0, 2, 4)
"""How many steps each node is behind: no append at `w` is answered before `w` nodes show it."""
_STEPS_MAX = CLIENTS - 0.1


def made_history(operations: int, *, seed: int = 1) -> Iterator[bytes]:
    """Yield the lines of a history: four appends to a read, and three disks at the end."""
    encode = msgspec.json.Encoder().encode
    making = _Making(Random(seed))  # noqa: S311 - the same history each time
    return (encode(line) + b"\n" for line in making.lines(operations))


class _Making:
    """The log so far, and how far each node shows it."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._log: list[str] = []
        self._ends = [0]
        """The length of the log after so many operations."""
        self._reads = 0
        self._digests = [sha256() for _ in NODES]
        self._hashed = [0 for _ in NODES]
        self._shown = dict[tuple[int, int], int]()

    def lines(self, operations: int) -> Iterator[Line]:
        yield Nodes(list(NODES))
        for number in range(operations):
            if number % READ_EVERY == READ_EVERY - 1:
                yield self._read(number)
            else:
                yield self._append(number)
            self._ends.append(len(self._log))
        for node in NODES:
            yield Disk((operations + CLIENTS) * STEP_S, "end", node, self._log)

    def _append(self, number: int) -> Append:
        random = self._random
        w = random.choice((1, 2, 3))
        messages = [f"{number}-{place}" for place in range(random.choice((1, 1, 1, 5)))]
        line = Append(number % CLIENTS, number * STEP_S, "ok", messages, w)
        ended = (number + random.uniform(_LAGS[w - 1], _STEPS_MAX)) * STEP_S
        line.outcome = random.choices(("ok", "pending", "refused", "unknown"), (97, 1, 1, 1))[0]
        if line.outcome == "unknown":
            line.given_up = ended
        else:
            line.returned = ended
        if line.outcome in {"ok", "pending"}:
            line.first_id = len(self._log) + 1
        if line.outcome != "refused":
            self._log += messages
        return line

    def _read(self, number: int) -> Read:
        self._reads += 1
        client, place = number % CLIENTS, self._random.randrange(len(NODES))
        last = self._ends[max(0, number - _LAGS[place])]
        line = Read(client, number * STEP_S, NODES[place], "ok")
        line.returned = (number + self._random.uniform(0, _STEPS_MAX)) * STEP_S
        if self._reads % HASHED_EVERY == 0:
            line.last, line.sha256 = last, self._hash(place, last)
            return line
        before = self._shown.get((client, place), 0)
        self._shown[client, place] = last
        line.first = max(1, before - self._random.randrange(20))
        line.messages = self._log[line.first - 1 : last]
        return line

    def _hash(self, place: int, last: int) -> str:
        """Return SHA-256 over the entry lines up to `last`, which never falls for a node."""
        digest, encode = self._digests[place], msgspec.json.encode
        for one in range(self._hashed[place] + 1, last + 1):
            digest.update(b'{"id":%d,"message":%b}\n' % (one, encode(self._log[one - 1])))
        self._hashed[place] = last
        return digest.hexdigest()
