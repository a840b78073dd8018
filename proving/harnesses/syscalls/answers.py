"""Row 5's order on running nodes: no answer leaves before the disk has what it tells.

SHELL. A master and a secondary are traced under load, all threads; what a client is answered, and
what a master is acknowledged, is read from what they write into their sockets.
"""

from __future__ import annotations

import re
import signal
from collections import Counter
from pathlib import Path

from proving.calls import Call
from proving.ending import settle_and_judge
from proving.harness import Counts, Violation
from proving.order import Told, broken_orders
from proving.recording import Clients, Recording, RecordingClient
from proving.strace import Strace
from tests.support.cluster import MASTER, S1, S2, ProcessCluster
from tests.support.waiting import wait_until

PROGRAM = "proving.harnesses.syscalls.small_node"
APPENDS = 100
PENDING = 20
PENDING_AFTER_S = 0.001

CALLS = (
    "openat", "close", "mkdir", "pwrite64", "ftruncate", "fdatasync", "fsync", "rename", "unlink",
    "write", "writev", "sendto", "sendmsg",
)  # fmt: skip
_SENDS = frozenset(CALLS[-4:])

_ANSWERED = re.compile(
    r'\\"status\\":\\"(?:success|pending)\\",\\"(?:log\\":\{\\"id\\":(\d+)|first\\":\d+,\\"last\\":(\d+))'
)
_ACKNOWLEDGED = re.compile(
    r'\\"type\\":\\"acknowledgement\\",\\"head\\":\{\\"epoch\\":\d+,\\"last_id\\":(\d+)'
)


def told(call: Call) -> Told | None:
    """Return what a call tells a client, or a master."""
    if call.name not in _SENDS or not call.path.startswith(("socket:", "TCP:")):
        return None
    found = [*_ANSWERED.findall(call.arguments), *_ACKNOWLEDGED.findall(call.arguments)]
    ids = [
        int(one) for each in found for one in (each if isinstance(each, tuple) else [each]) if one
    ]
    return Told(last_id=max(ids)) if ids else None


def _append_beyond(cluster: ProcessCluster, recording: Recording) -> int:
    """Have the master promise what is not on as many nodes as asked for: "stored", all the same."""
    node = cluster.node[S2]
    node.send(signal.SIGSTOP)
    recording.fault("pause", node.url)
    client = RecordingClient(recording, 50, timeout_s=20)
    lines = [client.append([f"{n}"], w=3, timeout=PENDING_AFTER_S) for n in range(PENDING)]
    client.close()
    node.send(signal.SIGCONT)
    recording.fault("resume", node.url)
    assert {line.outcome for line in lines} == {"pending"}, lines
    return len(lines)


def run_case(case: int, directory: Path) -> Counts:
    """Trace one run; the number seeds the clients."""
    counts: Counter[str] = Counter()
    with (
        ProcessCluster(directory) as cluster,
        Recording(directory / "run.jsonl", cluster.urls) as recording,
    ):
        for node in cluster.node.values():
            node.program = PROGRAM
        cluster.start_all()
        straces = {
            name: Strace(
                cluster.node[name].pid,
                directory / f"{name}.trace",
                calls=CALLS,
                all_threads=True,
            )
            for name in (MASTER, S1)
        }
        with Clients(recording, seed=case, clients=4) as clients:
            wait_until(lambda: clients.acknowledged >= APPENDS, "appends are answered")
        counts["answered 202"] += _append_beyond(cluster, recording)
        for name, strace in straces.items():
            strace.close()
            calls = strace.read().calls
            tellings = sum(told(call) is not None for call in calls)
            assert tellings >= APPENDS // 10, f"{name} told only {tellings} times"
            broken = broken_orders(calls, told, epoch=1)
            if broken:
                raise Violation(f"P2: {name}: " + "\n".join(broken[:5]))
            counts[f"answers and acknowledgements of a {cluster.node[name].role}"] += tellings
            counts["syncs"] += sum(call.name in {"fsync", "fdatasync"} for call in calls)
        counts.update(settle_and_judge(cluster, recording))
    return counts
