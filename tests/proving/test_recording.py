"""What clients write down is what happened, whatever becomes of the node that they asked.

SHELL.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from proving.disks import held_on_disk
from proving.recording import Clients, Recording, RecordingClient
from replog.history.lines import Append, Line, Nodes, Read
from tests.support.cluster import MASTER, S1, ProcessCluster
from tests.support.waiting import wait_until

pytestmark = pytest.mark.processes


def lines(path: Path) -> list[Line]:
    decode = msgspec.json.Decoder(Line).decode
    return [decode(line) for line in path.read_bytes().splitlines()]


def test_each_outcome_is_told_apart(tmp_path: Path) -> None:
    with ProcessCluster(tmp_path) as cluster:
        cluster.start_all()
        with Recording(tmp_path / "run.jsonl", cluster.urls) as recording:
            client = RecordingClient(recording, 1, timeout_s=0.5)
            appends = [client.append(["a", "b"], w=3), client.append(["c"], w=3, key="k")]
            appends.append(client.append(["c"], w=3, key="k"))
            cluster.kill(S1)
            appends.append(client.append(["d"], w=3, timeout=0.1))
            appends.append(client.append(["e"], w=3))
            appends.append(client.append(["f"], w=4))
            reads = [client.read(cluster.url(MASTER)), client.read(cluster.url(S1))]
            reads.append(client.read(cluster.url(MASTER), first=3, limit=1))
            client.close()
        assert [(one.outcome, one.first_id) for one in appends] == [
            ("ok", 1), ("ok", 3), ("ok", 3), ("pending", 4), ("unknown", None), ("refused", None),
        ]  # fmt: skip
        assert [(one.outcome, one.messages) for one in reads] == [
            ("ok", ["a", "b", "c", "d", "e"]), ("unknown", None), ("ok", ["c"]),
        ]  # fmt: skip
        assert [one.given_up is None for one in reads] == [True, False, True]
        assert lines(recording.path) == [Nodes(list(cluster.urls)), *appends, *reads]
        cluster.stop(MASTER)
        held = held_on_disk(cluster.master.data)
        assert (held.messages, held.is_whole) == (["a", "b", "c", "d", "e"], True)


def test_clients_go_on_past_a_kill(tmp_path: Path) -> None:
    with ProcessCluster(tmp_path) as cluster:
        cluster.start_all()
        with (
            Recording(tmp_path / "run.jsonl", cluster.urls) as recording,
            Clients(recording, seed=1, clients=4) as clients,
        ):
            wait_until(lambda: clients.acknowledged > 50, "appends are answered")
            cluster.kill(MASTER)
            cluster.start(MASTER)
            before = clients.acknowledged
            wait_until(lambda: clients.acknowledged > before + 50, "appends are answered again")
        written = lines(recording.path)
        kinds = {(type(line), line.outcome) for line in written if isinstance(line, Append | Read)}
        assert {(Append, "ok"), (Read, "ok"), (Append, "unknown")} <= kinds
