"""Row 10: write concerns, clients that give up, and retries under a key, across kills and delays.

NETWORK.
"""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from random import Random

from proving.ending import settle_and_judge, wait_equal
from proving.harness import Counts, Harness, Violation
from proving.recording import Clients, Recording, RecordingClient, brief
from proving.sent import Sent
from proving.storm import Storm
from replog.history.lines import Append
from tests.support.cluster import MASTER, ProcessCluster, call, wait_live
from tests.support.waiting import DEADLINE_S, wait_until

RETRIES = 50
"""A case goes on until so many attempts reached the master that were not the first."""
ANSWER_WITHIN_S = 60.0
"""Far beyond what any fault here lasts: whoever waits for longer is stuck."""
PLACES = 8
"""Appends that may wait at the master: fewer than there are clients at times."""
HEAVY_BYTES = 48 * 1024
LIMITS = (
    *("--waiting-appends-max", str(PLACES)),
    *("--request-bytes-in-flight-max", str(1024 * 1024)),
    *("--message-bytes-max", str(64 * 1024)),
)
STATUSES = {200, 202, 503}


def run_retries(case: int, directory: Path) -> Counts:
    """Append under keys until each is answered "ok", and some again; then look for stuck waiters.

    Raises:
        AssertionError: as in `settle_and_judge`; or an answer did not come, or one key got two
            ids, or the master keeps a place for somebody who hung up.
    """
    random = Random(f"retries {case}")
    with ProcessCluster(directory, master_options=LIMITS) as cluster:
        cluster.start_all()
        with Recording(directory / "run.jsonl", cluster.urls) as recording:
            storm = Storm(cluster, recording, random)
            lives = [partial(append_until_ok, case)] * 6
            with Clients(
                recording, seed=case, clients=2, lives=lives, timeout_s=ANSWER_WITHIN_S
            ) as clients:
                _rage(storm, clients)
                storm.heal()
                for node in cluster.nodes[1:]:
                    storm.delay(node, 0)
            look_for_stuck_waiters(storm)
            return {**storm.counts, **settle_and_judge(cluster, recording)}


def _rage(storm: Storm, clients: Clients) -> None:
    """Kill, stop, start and delay nodes until there were enough retries."""
    random, cluster = storm.random, storm.cluster
    counts = storm.recording.counts
    end = time.monotonic() + 2 * ANSWER_WITHIN_S
    while counts.get("retries", 0) < RETRIES and clients.error is None:
        assert time.monotonic() < end, f"appends go on\n{cluster.explain()}"
        kind = random.choice(("master", "secondary", "secondary", "delay", "delay", "stop", "all"))
        if kind == "delay":
            up = [node for node in storm.up() if node != MASTER]
            if up:
                node = random.choice(up)
                wait_live(cluster, node)
                storm.delay(node, random.choice((0, 0.05, 0.3, 1.0)))
        elif kind == "stop":
            storm.stop(MASTER)
            storm.start(MASTER)
        elif kind == "secondary":
            up = [node for node in storm.up() if node != MASTER]
            storm.kill([random.choice(up)] if up else [MASTER])
        else:
            storm.kill([MASTER] if kind == "master" else storm.up())
        for node in sorted(storm.down):
            if node == MASTER or random.random() < 0.5:
                storm.start(node)
        time.sleep(random.uniform(0.05, 1.2))  # the moment is to be any


# --- clients ------------------------------------------------------------------------------------


def append_until_ok(
    case: int, client: RecordingClient, random: Random, stopping: threading.Event
) -> None:
    """Append one thing after the other; repeat each under its key, at any w, until it is "ok".

    What was begun is ended, also when `stopping` is set.
    """
    made = 0
    while not stopping.is_set():
        key = f"{case}-{client.number}-{made}"
        filling = "." * HEAVY_BYTES if random.random() < 0.25 else ""
        messages = [f"{key}-{place}{filling}" for place in range(random.choice((1, 1, 3)))]
        made += 1
        first_id = None
        is_first = True
        is_done = False
        while not is_done:
            lines = _attempt(client, random, key, messages[:1] if filling else messages)
            if client.was_connected and not is_first:
                client.recording.count("retries")
            is_first = False
            for line in lines:
                told = {first_id, line.first_id} - {None}
                if len(told) > 1:
                    raise Violation(
                        f"P6: the first id of {key} was {first_id}, and then {brief(line)}"
                    )
                first_id = first_id or line.first_id
            is_ok = any(line.outcome == "ok" for line in lines)
            is_done = is_ok and random.random() < 0.6
            if not is_done:
                time.sleep(random.uniform(0, 0.05) if client.was_connected else 0.2)


def _attempt(
    client: RecordingClient, random: Random, key: str, messages: list[str]
) -> list[Append]:
    """Try once, or twice at the same time: wait, be told that it is pending, or give up."""
    recording = client.recording
    w = random.choice((1, 2, 3))
    kind = random.choice(("wait", "wait", "wait", "timeout", "give up", "two"))
    if kind == "timeout":
        return [client.append(messages, w=w, key=key, timeout=round(random.uniform(0, 0.3), 3))]
    if kind == "give up":
        return [client.append(messages, w=w, key=key, give_up_s=random.uniform(0.005, 0.8))]
    if kind == "wait":
        return [client.append(messages, w=w, key=key)]
    other = Sent(recording, messages, w=random.choice((1, 2, 3)), key=key)
    if other.was_connected:
        recording.count("retries")
    own = client.append(messages, w=w, key=key)
    return [own, other.hang_up() if random.random() < 0.3 else other.answer()]


# --- what the master keeps ----------------------------------------------------------------------


def look_for_stuck_waiters(storm: Storm, *, within_s: float = DEADLINE_S) -> None:
    """Raise Violation unless just as many appends may wait as nobody ever waited before.

    All nodes are well, and no client is there. With one secondary delayed for ever, appends at
    "all" fill every place; one more is refused. Those who hang up free theirs in `within_s`,
    those who stay are answered when the delay ends.
    """
    cluster, recording = storm.cluster, storm.recording
    for status in range(100, 600):
        count = recording.counts.get(f"answers of status {status}", 0)
        if count and status not in STATUSES:
            raise Violation(f"{count} appends were answered with status {status}")
    late = recording.counts.get("no answer in time", 0)
    if late:
        raise Violation(f"P8: {late} clients got no answer within {ANSWER_WITHIN_S:g} s")
    wait_equal(cluster)
    with ExitStack() as stack:
        _check_places(storm, stack, within_s)
    storm.counts["places found free"] += PLACES


def _check_places(storm: Storm, stack: ExitStack, within_s: float) -> None:
    cluster, recording = storm.cluster, storm.recording
    client = stack.enter_context(closing(RecordingClient(recording, 0, timeout_s=ANSWER_WITHIN_S)))
    delayed = storm.random.choice(cluster.nodes[1:])
    storm.delay(delayed, 3600)
    sent = _fill(storm, stack, PLACES, "first", within_s=0)
    refused = client.append(["one too many"], w=len(cluster.nodes), timeout=0.1)
    if refused.outcome != "refused":
        raise Violation(f"P10: {PLACES} appends wait, no more may, and {brief(refused)}")
    for one in sent[PLACES // 2 :]:
        one.hang_up()
    sent = sent[: PLACES // 2]
    tries = iter(range(10_000))
    wait_until(
        lambda: client.append([f"is there room? {next(tries)}"], w=1).outcome == "ok",
        "the places of those who hung up are free",
        deadline_s=within_s,
        explain=cluster.explain,
    )
    sent += _fill(storm, stack, PLACES - len(sent), "second", within_s=within_s)
    storm.delay(delayed, 0)
    for one in sent:
        line = one.answer()
        if line.outcome != "ok":
            raise Violation(f"P8: w is met, and {brief(line)}")


def _fill(storm: Storm, stack: ExitStack, places: int, name: str, *, within_s: float) -> list[Sent]:
    """Send appends that wait, and return when they do.

    One that is refused is sent again until `within_s` are over: where one place is free, those
    of others who hung up may not be yet.
    """
    cluster = storm.cluster
    end = time.monotonic() + within_s
    tries = iter(range(10_000))

    def send(place: int) -> Sent:
        # What is sent again is told apart; the history is of appends, not of retries.
        message = f"{name} {place}.{next(tries)}{'.' * HEAVY_BYTES}"
        one = Sent(storm.recording, [message], w=len(cluster.nodes))
        stack.callback(one.close)
        return one

    sent = [send(place) for place in range(places)]

    def are_stored() -> bool:
        for place, one in enumerate(sent):
            if one.is_answered:
                line = one.answer()
                if line.outcome != "refused" or time.monotonic() > end:
                    raise Violation(
                        f"P10: {places} places were free, and an append that waits for one "
                        f"is answered: {brief(line)}"
                    )
                sent[place] = send(place)
        shown = call("GET", f"{cluster.url(MASTER)}/logs?last={2 * places}").text
        return all(f"{name} {place}." in shown for place in range(places))

    wait_until(are_stored, f"{places} appends are stored, and wait", explain=cluster.explain)
    return sent


HARNESSES = (
    Harness(
        name="retries",
        row=10,
        promise="P6, P8: no stuck waiter, no duplicate; each answer is ok, refused or pending",
        how="retries under keys across kills and delays, by clients that wait or give up",
        unit="retries",
        cases=10_000 // RETRIES,
        per_case=RETRIES,
        run=run_retries,
        sample=(0,),
    ),
)
