"""Many followers of one node: how late they are, and what they cost the master's appends.

NETWORK. Rounds with followers and without go around each other, at one paced rate of appends.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from benchmarks.follower_load import Arrival, FollowerLoad
from benchmarks.nodes import measured_nodes
from benchmarks.report import Measured, measured, table
from tests.support.connection import append_request, content_length

MESSAGE = 100 * "x"
CLIENTS = 4


@dataclass(frozen=True, slots=True)
class FollowingReport:
    """Figures of `followers` at one node, at `rate` appends a second (`w=all`)."""

    followers: int
    rate: float
    appends_alone_p50_ms: Measured
    appends_alone_p99_ms: Measured
    appends_followed_p50_ms: Measured
    appends_followed_p99_ms: Measured
    delay_p50_ms: Measured
    delay_p99_ms: Measured
    delay_max_ms: Measured
    followers_wrong: int
    memory_mb: float

    def text(self) -> str:
        rows = [
            ["append without followers, p50 ms", self.appends_alone_p50_ms.text(2)],
            ["append with followers, p50 ms", self.appends_followed_p50_ms.text(2)],
            ["append without followers, p99 ms", self.appends_alone_p99_ms.text(2)],
            ["append with followers, p99 ms", self.appends_followed_p99_ms.text(2)],
            ["an entry at a follower after its append was answered, p50 ms",
             self.delay_p50_ms.text()],
            ["the same, p99 ms", self.delay_p99_ms.text()],
            ["the same, the latest of all, ms", self.delay_max_ms.text()],
            ["followers that lost or doubled an entry", str(self.followers_wrong)],
            ["resident memory of the master, MB", f"{self.memory_mb:.0f}"],
        ]  # fmt: skip
        title = f"{self.followers:,} followers of the master at {self.rate:g} appends/s"
        return table(title, ["", "median (spread)"], rows)


@dataclass(slots=True)
class Appends:
    """Paced appends: when each was sent, when its answer came, and how long it took."""

    sent_at: dict[int, float] = field(default_factory=dict)
    answered_at: dict[int, float] = field(default_factory=dict)
    latencies_ms: list[float] = field(default_factory=list)


async def append_paced(port: int, *, rate: float, seconds: float) -> Appends:
    """Append at `rate`, by clients that take turns, so that a slow answer delays no other."""
    result = Appends()
    loop = asyncio.get_running_loop()
    request = append_request(MESSAGE)
    started = loop.time()

    async def client(first: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in range(first, int(rate * seconds), CLIENTS):
            await asyncio.sleep(started + number / rate - loop.time())
            sent_at = time.monotonic()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            body = await reader.readexactly(content_length(head))
            answered_at = time.monotonic()
            if not head.startswith(b"HTTP/1.1 200"):
                raise SystemExit(f"an append was answered {head!r} {body!r}")
            entry_id = json.loads(body)["log"]["id"]
            result.sent_at[entry_id], result.answered_at[entry_id] = sent_at, answered_at
            result.latencies_ms.append(1000 * (answered_at - sent_at))
        writer.close()

    await asyncio.gather(*map(client, range(CLIENTS)))
    return result


def percentile(ranked: list[float], percent: float) -> float:
    return ranked[min(len(ranked) - 1, int(len(ranked) * percent / 100))]


@dataclass(slots=True)
class _Delays:
    """How late entries came, over all followers of a round."""

    ranked_ms: list[float]
    wrong: int

    @classmethod
    def of(cls, arrivals: list[list[Arrival]], answered_at: dict[int, float]) -> _Delays:
        late, wrong = [], 0
        for of_one in arrivals:
            ids = [entry_id for arrival in of_one for entry_id in arrival.ids]
            wrong += ids != sorted(answered_at)
            late += [
                1000 * max(0.0, arrival.at - answered_at[entry_id])
                for arrival in of_one
                for entry_id in arrival.ids
                if entry_id in answered_at
            ]
        return cls(sorted(late), wrong)


def measure_following(
    directory: Path, *, followers: int, rate: float, rounds: int, seconds: float
) -> FollowingReport:
    alone: list[list[float]] = []
    followed: list[list[float]] = []
    delays: list[_Delays] = []
    memory_mb = 0.0
    with measured_nodes(directory) as cluster:
        cluster.start_all()
        port = cluster.master.port

        def one_round(duration_s: float) -> Appends:
            return uvloop.run(append_paced(port, rate=rate, seconds=duration_s))

        one_round(seconds / 4)
        for _ in range(rounds):
            alone.append(sorted(one_round(seconds).latencies_ms))
            with FollowerLoad(port, followers) as load:
                appends = one_round(seconds)
                memory_mb = max(memory_mb, cluster.master.memory_bytes() / 1e6)
                arrivals = load.collect(last_id=max(appends.answered_at))
            followed.append(sorted(appends.latencies_ms))
            delays.append(_Delays.of(arrivals, appends.answered_at))

    def of(ranked: list[list[float]], percent: float) -> Measured:
        return measured([percentile(one, percent) for one in ranked])

    late = [one.ranked_ms for one in delays]
    return FollowingReport(
        followers=followers,
        rate=rate,
        appends_alone_p50_ms=of(alone, 50),
        appends_alone_p99_ms=of(alone, 99),
        appends_followed_p50_ms=of(followed, 50),
        appends_followed_p99_ms=of(followed, 99),
        delay_p50_ms=of(late, 50),
        delay_p99_ms=of(late, 99),
        delay_max_ms=of(late, 100),
        followers_wrong=sum(one.wrong for one in delays),
        memory_mb=memory_mb,
    )
