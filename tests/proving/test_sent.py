"""A client may hang up on its append, or be cut off from it, and that is told apart.

SHELL.
"""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from proving.recording import Clients, Recording, RecordingClient
from proving.sent import Sent
from proving.storm import Storm
from tests.support.cluster import MASTER, S1, S2, ProcessCluster
from tests.support.waiting import wait_until

pytestmark = pytest.mark.processes


def test_who_waits_is_answered_when_w_is_met_and_who_hung_up_is_not(tmp_path: Path) -> None:
    with ProcessCluster(tmp_path) as cluster:
        cluster.start_all()
        with Recording(tmp_path / "run.jsonl", cluster.urls) as recording:
            storm = Storm(cluster, recording, Random(1))
            client = RecordingClient(recording, 1)
            assert client.append(["a"], w=3, key="k").outcome == "ok"
            storm.delay(S2, 60)
            sent = [Sent(recording, [message], w=3) for message in ("b", "c")]
            gave_up = client.append(["d"], w=3, give_up_s=0.2)
            wait_until(lambda: len(client.read(cluster.url(S1)).messages or ()) == 4, "d is there")
            assert not any(one.is_answered for one in sent)
            hung_up = sent[0].hang_up()
            storm.delay(S2, 0)
            answered = sent[1].answer()
            assert client.append(["a"], w=3, key="k").first_id == 1
            storm.pause(MASTER, for_s=60)
            cut_off = Sent(recording, ["e"], w=1)
            storm.kill([MASTER])
            unanswered = cut_off.answer()
            client.close()
    assert (gave_up.outcome, gave_up.returned) == ("unknown", None)
    assert (hung_up.outcome, hung_up.returned) == ("unknown", None)
    assert (answered.outcome, answered.messages) == ("ok", ["c"])
    assert (unanswered.outcome, unanswered.returned) == ("unknown", None)
    assert recording.counts["gave up"] == 1
    assert recording.counts["answers replayed"] == 1
    assert storm.counts["nodes killed while paused"] == 1


def test_an_error_of_a_client_is_raised_where_the_clients_end(tmp_path: Path) -> None:
    def raises(client: RecordingClient, *_: object) -> None:
        raise ValueError(client.number)

    with (
        Recording(tmp_path / "run.jsonl", ["http://127.0.0.1:1"]) as recording,
        pytest.raises(ValueError, match="1"),
        Clients(recording, seed=1, clients=0, lives=[raises]),
    ):
        pass
