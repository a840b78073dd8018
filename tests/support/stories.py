"""Stories that must hold on any cluster: told once, run on processes and on containers.

SHELL. Every function takes a `Cluster`; waits have deadlines, and nothing is judged by speed.
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass
from random import Random
from types import TracebackType
from typing import Self

import httpx2

from tests.support.cluster import MASTER, S1, S2, Cluster, answers, call, wait_live
from tests.support.load import Acknowledged, Load
from tests.support.waiting import DEADLINE_S, wait_until

LONG_S = 120.0
"""Deadline of what moves a lot of data."""


# --- what a client does ---------------------------------------------------------------------


def append(cluster: Cluster, message: str, *, w: int | str | None = None) -> int:
    """Append at the master, assert that it is answered 200, and return the id."""
    answer = try_append(cluster, message, w=w)
    assert answer.status_code == 200, f"{answer.text}\n{cluster.explain()}"
    log = answer.json()["log"]
    assert log["message"] == message
    return int(log["id"])


def try_append(
    cluster: Cluster, message: str, *, w: int | str | None = None, timeout: float | None = None
) -> httpx2.Response:
    body: dict[str, str | int | float] = {"message": message}
    if w is not None:
        body["w"] = w
    if timeout is not None:
        body["timeout"] = timeout
    return call("POST", f"{cluster.url(MASTER)}/logs", body=json.dumps(body), timeout_s=LONG_S)


class WaitingAppend:
    """One append whose client waits on a thread of its own."""

    def __init__(self, cluster: Cluster, message: str, *, w: int | str) -> None:
        self._cluster = cluster
        self._message = message
        self._w = w
        self._thread = threading.Thread(target=self._run)
        self.status: int | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._thread.join()

    @property
    def is_answered(self) -> bool:
        return self.status is not None

    def _run(self) -> None:
        try:
            self.status = try_append(self._cluster, self._message, w=self._w).status_code
        except httpx2.TransportError:
            self.status = -1


def messages(cluster: Cluster, node: str) -> list[str]:
    """Return what `GET /logs` shows; its ids must be 1, 2, 3 …"""
    answer = call("GET", f"{cluster.url(node)}/logs", timeout_s=LONG_S)
    assert answer.status_code == 200, answer.text
    log = answer.json()
    assert [entry["id"] for entry in log] == list(range(1, len(log) + 1)), f"not dense on {node}"
    return [entry["message"] for entry in log]


def last_id(cluster: Cluster, node: str) -> int:
    """Return the last id that the node shows, -1 where it does not answer."""
    try:
        answer = call("GET", f"{cluster.url(node)}/health", timeout_s=5)
    except httpx2.TransportError:
        return -1
    return int(answer.json()["committed_id"]) if answer.status_code == 200 else -1


def wait_equal(cluster: Cluster, *, deadline_s: float = DEADLINE_S) -> None:
    """Return when every node shows as much as the master."""

    def is_equal() -> bool:
        shown = [last_id(cluster, node) for node in cluster.nodes]
        return shown[0] >= 0 and len(set(shown)) == 1

    wait_until(is_equal, "all nodes are equal", deadline_s=deadline_s, explain=cluster.explain)


def wait_linked(cluster: Cluster) -> None:
    """Return when the master can reach every configured node's disk: an append at `all`."""
    append(cluster, "is everybody there?", w="all")


def check_history(cluster: Cluster, told: dict[int, str]) -> None:
    """Assert that all nodes hold every acknowledged entry once, in order, in identical files.

    Args:
        told: message of each acknowledged id; messages differ from each other.
    """
    wait_equal(cluster, deadline_s=LONG_S)
    shown = messages(cluster, MASTER)
    for node in cluster.nodes[1:]:
        assert messages(cluster, node) == shown, f"{node} shows another log than the master"
    for entry_id, message in told.items():
        found = shown[entry_id - 1 : entry_id]
        assert found == [message], f"entry {entry_id} was acknowledged as {message!r}"
    assert len(set(shown)) == len(shown), "an entry is there twice"
    files = {node: cluster.segments(node) for node in cluster.nodes}
    for node in cluster.nodes[1:]:
        assert files[node] == files[MASTER], f"the files of {node} differ from the master's"
    cluster.verify()


# --- the stories ----------------------------------------------------------------------------


def acceptance(cluster: Cluster) -> None:
    """Start only S1; `w=3` waits, blocks nobody, and is answered when S2 comes (P8, P9)."""
    for node in (MASTER, S1):
        cluster.start(node)
        wait_live(cluster, node)
    assert append(cluster, "Msg1", w=1) == 1
    assert append(cluster, "Msg2", w=2) == 2
    with WaitingAppend(cluster, "Msg3", w=3) as third:
        wait_until(lambda: "Msg3" in messages(cluster, MASTER), "Msg3 is stored")
        assert append(cluster, "Msg4", w=1) == 4
        wait_until(
            lambda: messages(cluster, S1) == ["Msg1", "Msg2", "Msg3", "Msg4"],
            "S1 shows all four",
            explain=cluster.explain,
        )
        assert not third.is_answered
        cluster.start(S2)
        wait_until(lambda: third.is_answered, "Msg3 is answered", explain=cluster.explain)
    assert third.status == 200
    check_history(cluster, {1: "Msg1", 2: "Msg2", 3: "Msg3", 4: "Msg4"})


def set_delay(cluster: Cluster, node: str, seconds: float) -> None:
    answer = call("PUT", f"{cluster.url(node)}/delay", body=json.dumps({"seconds": seconds}))
    assert answer.status_code in {200, 204}, answer.text


def delays(cluster: Cluster, *, first_s: float, second_s: float) -> None:
    """With S1 late and S2 later, each `w` waits for just the nodes it counts (P8, R12).

    The secondaries have their delays already. A lower bound on a wait is a promise; an
    upper bound is not, so lists are compared only where the machine was not too slow.
    """
    wait_linked(cluster)
    for w, needed_s in ((1, 0.0), (2, first_s), (3, second_s)):
        message = f"w={w}"
        sent_at = time.monotonic()
        append(cluster, message, w=w)
        answered_s = time.monotonic() - sent_at
        assert answered_s >= needed_s
        shown = {node: message in messages(cluster, node) for node in cluster.nodes}
        looked_s = time.monotonic() - sent_at
        assert shown[MASTER]
        for node, delay_s, counted in ((S1, first_s, w >= 2), (S2, second_s, w >= 3)):
            if counted:
                assert shown[node], f"P4: {node} was counted and does not show the entry"
            elif looked_s < delay_s:
                assert not shown[node], f"{node} shows an entry before its delay has passed"
        wait_equal(cluster)


def delay_is_latency(cluster: Cluster, *, delay_s: float) -> None:
    """100 appends under a delay of 2 s take about 2 s, not 200 s (R12)."""
    start = time.monotonic()
    with Load(cluster.url(MASTER), prefix="late", clients=100, query="?w=all", total=100) as load:
        load.wait()
    told = dict(load.acknowledged.messages)
    for number in range(100):
        message = f"one by one {number}"
        told[append(cluster, message, w=1)] = message
    wait_equal(cluster)
    elapsed_s = time.monotonic() - start
    assert len(told) == 200
    assert 2 * delay_s <= elapsed_s < 100 * delay_s, "the delay was paid for each append"
    check_history(cluster, told)


@dataclass(frozen=True, slots=True)
class Killing:
    """What one round of `kill_under_load` did, for the message of a failed assertion."""

    victims: tuple[str, ...]
    w: str
    after: int


class Watcher:
    """Reads every node over and over: what a node has shown never shrinks or changes (P3, P5)."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._shown: dict[str, list[str]] = {node: [] for node in cluster.nodes}
        self.broken: list[str] = []
        self.reads = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping.set()
        self._thread.join()
        if error is None:
            assert self.reads > 0
            assert not self.broken, "\n".join(self.broken)

    def _run(self) -> None:
        while not self._stopping.wait(0.05):
            for node in self._cluster.nodes:
                try:
                    shown = messages(self._cluster, node)
                except (httpx2.TransportError, json.JSONDecodeError):
                    continue  # it was killed just now; a torn answer must not be valid JSON
                except AssertionError as error:
                    self.broken.append(f"{node}: {error}")
                    continue
                self.reads += 1
                before = self._shown[node]
                if shown[: len(before)] != before:
                    self.broken.append(f"{node} showed {len(before)} entries, then other ones")
                self._shown[node] = shown


def read_what_was_acknowledged(cluster: Cluster, *, rounds: int) -> None:
    """After an answer at `all`, a read at any node shows the entry, under load too (P4)."""
    with Load(cluster.url(MASTER), prefix="other", clients=8, query="?w=1"):
        for number in range(rounds):
            entry_id = append(cluster, f"mine {number}", w="all")
            for node in cluster.nodes:
                url = f"{cluster.url(node)}/logs?from={entry_id}&limit=1"
                shown = call("GET", url).json()
                assert shown == [{"id": entry_id, "message": f"mine {number}"}], f"P4: {node}"


def kill_under_load(cluster: Cluster, *, seed: int, rounds: int, clients: int = 24) -> None:
    """`kill -9` anything at any moment under load; nothing acknowledged changes (P1, P2, P3)."""
    random = Random(seed)
    told: dict[int, str] = {}
    for node in cluster.nodes:
        wait_live(cluster, node)
    with Watcher(cluster):
        _kill_rounds(cluster, random, seed=seed, rounds=rounds, clients=clients, told=told)


def _all_kinds_of_victims(cluster: Cluster, random: Random, rounds: int) -> list[tuple[str, ...]]:
    """Return whom each round kills: the master, a secondary and all at once among them."""
    kinds = [(MASTER,), (S1,), (S2,), (S1, S2), cluster.nodes]
    victims = [(MASTER,), (random.choice((S1, S2)),), cluster.nodes]
    victims += [random.choice(kinds) for _ in range(rounds - len(victims))]
    random.shuffle(victims)
    return victims


def _kill_rounds(
    cluster: Cluster, random: Random, *, seed: int, rounds: int, clients: int, told: dict[int, str]
) -> None:
    for number, victims in enumerate(_all_kinds_of_victims(cluster, random, rounds)):
        plan = Killing(
            victims=victims,
            w=random.choice(["1", "2", "majority", "all"]),
            after=random.randint(1, 1500),
        )
        acknowledged = _load_and_kill(cluster, plan, f"{seed}.{number}", clients)
        assert not acknowledged.doubles, f"two appends got one id: {plan}"
        for given, message in acknowledged.messages.items():
            assert told.setdefault(given, message) == message, f"id {given} came again: {plan}"
        for node in plan.victims:
            cluster.start(node)
        for node in plan.victims:
            wait_live(cluster, node)
        check_history(cluster, told)


def _load_and_kill(cluster: Cluster, plan: Killing, prefix: str, clients: int) -> Acknowledged:
    with Load(cluster.url(MASTER), prefix=prefix, clients=clients, query=f"?w={plan.w}") as load:
        wait_until(
            lambda: load.count >= plan.after or not load.is_running,
            f"{plan.after} appends are answered, {plan}",
            deadline_s=LONG_S,
            explain=cluster.explain,
        )
        assert load.is_running, f"the load broke off: {load.acknowledged.statuses}, {plan}"
        for node in plan.victims:
            cluster.kill(node)
    return load.acknowledged


def is_ready(cluster: Cluster, node: str) -> bool:
    return answers(f"{cluster.url(node)}/readyz")
