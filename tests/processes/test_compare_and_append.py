"""Compare-and-append on real nodes: many writers, one place each, one winner a place.

NETWORK.
"""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from replog.client import Client, PreconditionFailedError
from tests.support.cluster import MASTER, ProcessCluster
from tests.support.waiting import DEADLINE_S

WRITERS = 50
ROUNDS = 4


class Writer:
    """Appends only behind the last id that it knows, and decides again when that has moved on."""

    def __init__(self, url: str, number: int) -> None:
        self._url = url
        self._number = number
        self.won: dict[int, str] = {}
        self.lost: list[tuple[int, int]] = []
        """What was expected, and the last id that the refusal told."""

    def race(self, start: threading.Barrier) -> None:
        """Try for the same id as all the others, once a round."""
        with Client([self._url]) as client:
            for round_ in range(ROUNDS):
                expect = _last_id(client)
                start.wait(DEADLINE_S)
                self._try(client, expect, f"race {round_} of {self._number}")
                start.wait(DEADLINE_S)

    def insist(self, start: threading.Barrier) -> None:
        """Append one entry, as often refused as it may be."""
        with Client([self._url]) as client:
            expect = _last_id(client)
            start.wait(DEADLINE_S)
            while not self._try(client, expect, f"insists {self._number}"):
                expect = self.lost[-1][1]

    def _try(self, client: Client, expect: int, message: str) -> bool:
        try:
            stored = client.append(message, expect=expect, w="majority")
        except PreconditionFailedError as error:
            self.lost.append((expect, error.last_id or 0))
            return False
        assert stored.id == expect + 1
        self.won[stored.id] = message
        return True


def _last_id(client: Client) -> int:
    """Return the end of the log as a master shows it that nobody writes to at the moment."""
    return max((entry.id for entry in client.read(last=1, level="master")), default=0)


def test_of_fifty_writers_that_expect_one_id_exactly_one_is_taken_each_time(
    tmp_path: Path,
) -> None:
    with ProcessCluster(tmp_path) as cluster:
        cluster.start_all()
        writers = [Writer(cluster.url(MASTER), number) for number in range(WRITERS)]
        barrier = threading.Barrier(WRITERS)
        with ThreadPoolExecutor(WRITERS) as pool:
            for done in [pool.submit(writer.race, barrier) for writer in writers]:
                done.result()
        winners = Counter(won for writer in writers for won in writer.won)
        assert winners == dict.fromkeys(range(1, ROUNDS + 1), 1)
        for writer in writers:
            assert len(writer.won) + len(writer.lost) == ROUNDS
            assert all(last_id == expect + 1 for expect, last_id in writer.lost)

        with ThreadPoolExecutor(WRITERS) as pool:
            for done in [pool.submit(writer.insist, barrier) for writer in writers]:
                done.result()
        told = dict(won for writer in writers for won in writer.won.items())
        assert sorted(told) == list(range(1, ROUNDS + WRITERS + 1))
        for node in cluster.nodes:
            with Client([cluster.url(node)]) as client:
                entries = list(client.read(min_id=ROUNDS + WRITERS))
            assert [(entry.id, entry.message) for entry in entries] == sorted(told.items())
