"""A master and its secondaries, whole, in one process: what a client sees of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from replog.core.effects import Pending, RefusalReason, Refused, Stored
from replog.core.entry import EntryId
from tests.support.network import Network, Proxy
from tests.support.nodes import Nodes, RunningNode, until


@asynccontextmanager
async def cluster(root: Path) -> AsyncIterator[tuple[Nodes, RunningNode]]:
    """A linked master with two secondaries, s1 and s2."""
    async with Nodes(root) as nodes:
        await nodes.secondary("s1")
        await nodes.secondary("s2")
        master = await nodes.master("s1", "s2")
        await master.ready()
        await master.linked()
        yield nodes, master


def done(first: int, last: int, *, acks: int, nodes: int) -> Stored:
    return Stored(EntryId(first), EntryId(last), acks, nodes)


async def same_files(*nodes: RunningNode) -> None:
    """Return when the segments of all nodes are byte-identical."""
    await until(
        lambda: all(node.segments() == nodes[0].segments() for node in nodes), "equal segments"
    )


def test_an_append_is_on_every_node_when_it_is_answered(tmp_path: Path) -> None:
    async def story() -> None:
        async with cluster(tmp_path) as (nodes, master):
            assert await master.stored("one") == done(1, 1, acks=3, nodes=3)
            assert await master.stored("two", "three") == done(2, 3, acks=3, nodes=3)
            for node in nodes.running.values():
                assert await node.read() == (
                    b'{"id":1,"message":"one"}\n'
                    b'{"id":2,"message":"two"}\n'
                    b'{"id":3,"message":"three"}\n'
                )
            await same_files(*nodes.running.values())

    asyncio.run(story())


def test_the_acceptance_story_of_write_concerns(tmp_path: Path) -> None:
    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            await nodes.secondary("s1")
            master = await nodes.master("s1", "s2")
            await master.ready()
            assert (await master.stored("Msg1", w=1)).first_id == 1
            assert (await master.stored("Msg2", w=2)).first_id == 2
            third = asyncio.ensure_future(master.append("Msg3", w=3))
            await until(lambda: master.node.health().last_id == 3, "Msg3 is stored")
            assert (await master.stored("Msg4", w=1)).first_id == 4
            assert not third.done()
            s2 = await nodes.secondary("s2")
            assert await asyncio.wait_for(third, 30) == done(3, 3, acks=3, nodes=3)
            assert await s2.ids() == [1, 2, 3, 4]

    asyncio.run(story())


def test_a_timeout_says_which_nodes_hold_the_entry(tmp_path: Path) -> None:
    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            await nodes.secondary("s1")
            master = await nodes.master("s1", "s2")
            await master.stored("warm", w=2)
            outcome = await master.append("x", w=3, timeout_s=0.3)
            assert outcome == Pending(
                EntryId(2), EntryId(2), 3, (nodes.url("master"), nodes.url("s1"))
            )
            outcome = await master.append("y", w=1, timeout_s=0)
            assert isinstance(outcome, Pending | Stored)

    asyncio.run(story())


def test_a_write_concern_beyond_the_cluster_is_refused(tmp_path: Path) -> None:
    async def story() -> None:
        async with cluster(tmp_path) as (_, master):
            outcome = await master.append("x", w=4)
            assert isinstance(outcome, Refused)
            assert outcome.reason is RefusalReason.BAD_WRITE_CONCERN
            assert master.node.health().last_id == 0

    asyncio.run(story())


def test_a_client_that_hangs_up_leaves_nothing_behind(tmp_path: Path) -> None:
    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            master = await nodes.master("s1")
            await master.ready()
            appending = asyncio.ensure_future(master.append("x", w=2))
            await until(lambda: master.node.health().last_id == 1, "stored")
            appending.cancel()
            await asyncio.wait((appending,))
            assert not master.node._clients._appends
            await nodes.secondary("s1")
            await master.stored("y", w=2)
            assert await master.ids() == [1, 2]

    asyncio.run(story())


def test_a_secondary_that_was_down_gets_what_it_missed(tmp_path: Path) -> None:
    async def story() -> None:
        async with cluster(tmp_path) as (nodes, master):
            await master.stored("one")
            await nodes.stop("s2")
            for number in range(50):
                await master.stored(f"missed {number}", w=2)
            waiting = asyncio.ensure_future(master.append("last"))
            await nodes.secondary("s2")
            assert await asyncio.wait_for(waiting, 30) == done(52, 52, acks=3, nodes=3)
            await same_files(*nodes.running.values())

    asyncio.run(story())


def test_a_far_behind_secondary_catches_up_from_the_segments(tmp_path: Path) -> None:
    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            master = await nodes.master("s1")
            await master.ready()
            for number in range(20):
                # 20 MB: more than the recent batches in memory, and than one segment.
                await master.stored(*(f"{number} {'x' * 1000}" for _ in range(1000)), w=1)
            s1 = await nodes.secondary("s1")
            await master.stored("the end", w=2)
            assert len(await s1.ids()) == 20_001
            await same_files(master, s1)

    asyncio.run(story())


def test_a_master_that_restarts_goes_on_after_its_last_id(tmp_path: Path) -> None:
    async def story() -> None:
        async with cluster(tmp_path) as (nodes, master):
            await master.stored("one")
            await nodes.stop("master")
            again = await nodes.master("s1", "s2")
            assert (await again.stored("two")).first_id == 2
            assert again.node.health().epoch == 2
            await same_files(*nodes.running.values())

    asyncio.run(story())


def test_delays_are_latency_and_hold_up_nobody_else(tmp_path: Path) -> None:
    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            await nodes.secondary("s1", delay=0.3)
            await nodes.secondary("s2", delay=0.6)
            master = await nodes.master("s1", "s2")
            await master.ready()
            await master.linked()
            loop = asyncio.get_running_loop()
            started = loop.time()
            ended: dict[int, float] = {}

            async def append(w: int) -> None:
                await master.stored(f"w={w}", w=w)
                ended[w] = loop.time() - started

            await asyncio.gather(*(append(w) for w in (3, 2, 1)))
            assert list(ended) == [1, 2, 3]
            assert ended[2] >= 0.29
            assert ended[3] >= 0.59
            started = loop.time()
            await asyncio.gather(*(master.stored(f"{n}") for n in range(100)))
            assert loop.time() - started < 0.6 * 20, "pipelined, not one after another"

    asyncio.run(story())


def test_a_read_right_after_an_answer_shows_the_entry_on_every_counted_node(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        async with cluster(tmp_path) as (nodes, master):
            for number in range(1, 101):
                await master.stored(str(number))
                points = await asyncio.gather(
                    *(node.node.read_point() for node in nodes.running.values())
                )
                assert [point.committed_id for point in points] == [number] * 3

    asyncio.run(story())


def test_a_secondary_without_a_master_serves_what_is_committed_and_says_so(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        async with cluster(tmp_path) as (nodes, master):
            await master.stored("one")
            s1 = nodes.running["s1"]
            assert (await s1.node.read_point()).has_master
            await nodes.stop("master")
            await until(lambda: s1.node.health().status == "no-master", "the link is gone")
            point = await s1.node.read_point()
            assert (point.committed_id, point.has_master) == (1, False)
            assert s1.node.readiness() == ()
            assert s1.node.master_url == nodes.url("master")

    asyncio.run(story())


def test_a_link_cut_again_and_again_loses_and_doubles_nothing(tmp_path: Path) -> None:
    async def story(network: Network) -> None:
        async with Nodes(tmp_path) as nodes:
            proxy = network.proxy(nodes.port("s1"))
            s1 = await nodes.secondary("s1")
            master = await nodes.master(urls=(proxy.url,))
            await master.ready()
            is_over = False
            answered: list[EntryId] = []

            async def client() -> None:
                while not is_over:
                    answered.append((await master.stored("x" * 20_000)).first_id)

            clients = [asyncio.ensure_future(client()) for _ in range(8)]
            for number in range(1, 6):
                seen = s1.node.health().last_id
                await until(
                    partial(is_beyond, s1, seen, proxy, number), "it stores more over each link"
                )
                proxy.cut()
            is_over = True
            await asyncio.wait_for(asyncio.gather(*clients), 60)
            assert sorted(answered) == list(range(1, len(answered) + 1))
            await master.linked()  # without its master it shows what it knows to be committed
            assert await s1.ids() == sorted(answered)
            await same_files(master, s1)

    with Network() as network:
        asyncio.run(story(network))


def is_beyond(node: RunningNode, seen: int, proxy: Proxy, connections: int) -> bool:
    return proxy.connections >= connections and node.node.health().last_id > seen


def test_a_paused_host_is_found_out_by_its_silence(tmp_path: Path) -> None:
    async def story(network: Network) -> None:
        async with Nodes(tmp_path) as nodes:
            proxy = network.proxy(nodes.port("s1"))
            s1 = await nodes.secondary("s1")
            master = await nodes.master(urls=(proxy.url,))
            await master.stored("one", w=2)
            proxy.hold()

            def health() -> str:
                return master.node.health().secondaries[0].health

            await until(lambda: health() == "SUSPECTED", "suspected after 2 s")
            assert (await master.stored("two", w=1)).first_id == 2
            await until(lambda: health() == "UNHEALTHY", "unhealthy after 5 s")
            await until(lambda: s1.node.health().status == "no-master", "the secondary sees it")
            assert not (await s1.node.read_point()).has_master
            proxy.pass_all()
            await master.stored("three", w=2)
            assert health() == "HEALTHY"
            assert await s1.ids() == [1, 2, 3]

    with Network() as network:
        asyncio.run(story(network))


def test_the_same_node_under_two_names_counts_once(tmp_path: Path) -> None:
    async def story(network: Network) -> None:
        async with Nodes(tmp_path) as nodes:
            proxy = network.proxy(nodes.port("s1"))
            await nodes.secondary("s1")
            master = await nodes.master(urls=(nodes.url("s1"), proxy.url))
            await master.stored("one", w=2)
            await until(lambda: "refused" in master.link_states(), "the second name is refused")
            outcome = await master.append("two", w=3, timeout_s=0.5)
            assert isinstance(outcome, Pending)
            assert len(outcome.acks) == 2

    with Network() as network:
        asyncio.run(story(network))


def test_a_stop_answers_waiting_appends_as_pending_and_breaks_reads_off(tmp_path: Path) -> None:
    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            master = await nodes.master("s1")
            await master.ready()
            waiting = [asyncio.ensure_future(master.append(f"{n}", w=2)) for n in range(20)]
            await until(lambda: master.node.health().last_id == 20, "all are stored")
            await nodes.stop("master")
            outcomes = await asyncio.gather(*waiting)
            assert all(isinstance(outcome, Pending) for outcome in outcomes)
            master = await nodes.master("s1")
            await nodes.secondary("s1")
            await master.stored("21")
            assert await master.ids() == list(range(1, 22))

    asyncio.run(story())


def test_hundreds_of_clients_get_dense_ids(tmp_path: Path) -> None:
    async def story() -> None:
        async with cluster(tmp_path) as (nodes, master):
            outcomes = await asyncio.gather(*(master.stored(f"{n}") for n in range(500)))
            assert sorted(outcome.first_id for outcome in outcomes) == list(range(1, 501))
            for node in nodes.running.values():
                assert await node.ids() == list(range(1, 501))
            await same_files(*nodes.running.values())

    asyncio.run(story())
