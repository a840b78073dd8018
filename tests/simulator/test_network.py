"""The simulated network: ordered within a connection, lawless between two."""

from __future__ import annotations

from random import Random

from replog.core.entry import Epoch
from replog.core.events import LinkId, SecondaryIndex
from replog.core.messages import Heartbeat, Message
from tests.simulator.clock import Clock, seconds
from tests.simulator.network import End, Network


class Host:
    """A station that writes down what it is told."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.process: int | None = 1
        self.ends: list[End] = []
        self.heard: list[float] = []
        self.told: list[str] = []
        self.late: list[float] = []

    def link_opened(self, end: End, secondary: SecondaryIndex | None) -> LinkId:
        self.ends.append(end)
        return LinkId(len(self.ends))

    def link_closed(self, end: End, reason: str) -> None:
        self.told.append(reason)

    def message_came(self, end: End, message: Message) -> None:
        assert isinstance(message, Heartbeat)
        (self.heard if end.is_open else self.late).append(message.delay_s)

    def dial_failed(self, secondary: SecondaryIndex, reason: str) -> None:
        self.told.append(reason)


class Pair:
    """Two hosts, one dialling the other."""

    def __init__(self, seed: int) -> None:
        self.clock = Clock()
        self.network = Network(self.clock, Random(seed))
        self.master, self.secondary = Host("m"), Host("s")

    def dial(self) -> None:
        self.network.dial(self.master, self.secondary, SecondaryIndex(0))

    def settle(self, within: int = seconds(10.0)) -> None:
        until = self.clock.now + within
        self.clock.run_until(until)

    def send(self, count: int) -> None:
        for number in range(count):
            self.network.send(self.master.ends[-1], Heartbeat(Epoch(1), float(number)))


def test_messages_of_a_connection_arrive_once_and_in_order() -> None:
    for seed in range(20):
        pair = Pair(seed)
        pair.dial()
        pair.settle()
        pair.send(10)
        pair.settle()
        assert pair.secondary.heard == [float(number) for number in range(10)]


def test_a_cut_loses_an_end_of_what_is_on_its_way_and_tells_both() -> None:
    lost = 0
    for seed in range(20):
        pair = Pair(seed)
        pair.dial()
        pair.settle()
        pair.send(10)
        assert pair.network.cut(pair.master, pair.secondary)
        pair.settle()
        came = pair.secondary.heard + pair.secondary.late
        assert came == [float(number) for number in range(len(came))]
        assert pair.master.told == pair.secondary.told == ["connection reset"]
        lost += 10 - len(came)
    assert lost > 0


def test_bytes_of_a_dead_link_may_come_in_late() -> None:
    late = 0
    for seed in range(20):
        pair = Pair(seed)
        pair.dial()
        pair.settle()
        pair.send(10)
        pair.network.cut(pair.master, pair.secondary)
        pair.settle()
        late += len(pair.secondary.late)
    assert late > 0


def test_a_pause_holds_everything_one_way_without_a_word() -> None:
    pair = Pair(1)
    pair.dial()
    pair.settle()
    pair.network.pause("m", "s")
    pair.send(3)
    pair.network.send(pair.secondary.ends[0], Heartbeat(Epoch(1), 7.0))
    pair.settle()
    assert (pair.secondary.heard, pair.master.heard) == ([], [7.0])
    assert (pair.master.told, pair.secondary.told) == ([], [])
    pair.network.resume()
    pair.settle()
    assert pair.secondary.heard == [0.0, 1.0, 2.0]


def test_a_dial_is_refused_by_a_node_that_is_down_and_unanswered_behind_a_pause() -> None:
    pair = Pair(1)
    pair.secondary.process = None
    pair.dial()
    pair.settle()
    pair.network.pause("s", "m")
    pair.secondary.process = 2
    pair.dial()
    pair.settle(within=seconds(1.0))
    assert pair.master.told == ["refused"]
    pair.settle()
    assert pair.master.told == ["refused", "no answer"]


def test_a_closed_link_tells_both_ends_after_what_was_sent_before() -> None:
    pair = Pair(1)
    pair.dial()
    pair.settle()
    pair.send(3)
    pair.network.close(pair.master.ends[0], "enough")
    pair.send(3)
    pair.settle()
    assert pair.secondary.heard == [0.0, 1.0, 2.0]
    assert pair.master.told == ["enough"]
    assert pair.secondary.told == ["closed by the peer: enough"]


def test_a_silent_end_of_a_machine_is_noticed_when_it_is_back_and_asked() -> None:
    pair = Pair(1)
    pair.dial()
    pair.settle()
    pair.secondary.process = None
    pair.network.process_ended(pair.secondary, silently=True)
    pair.send(1)
    pair.settle()
    assert pair.master.told == []
    pair.secondary.process = 2
    pair.send(1)
    pair.settle()
    assert pair.master.told == ["connection reset"]
    assert pair.secondary.heard == []
