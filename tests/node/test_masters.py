"""Masters that lost their disk or have a rival, and secondaries of another log (R2, R3, R8, R9).

What is refused must also be said, and nothing is cut.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from replog.core.effects import Pending, RefusalReason, Refused
from replog.node.restore import restore
from tests.support.nodes import Nodes, RunningNode, until

SECONDARIES = ("s1", "s2")


async def started(nodes: Nodes) -> RunningNode:
    """Start the secondaries, and then the master, on whatever they hold."""
    for name in SECONDARIES:
        await nodes.secondary(name)
    return await nodes.master(*SECONDARIES)


async def filled(nodes: Nodes, count: int) -> RunningNode:
    """Start a cluster that holds `entry 1` to `entry count` on every node."""
    master = await started(nodes)
    await fill(master, 1, count)
    return master


async def fill(master: RunningNode, first: int, last: int) -> None:
    for number in range(first, last + 1):
        assert (await master.stored(f"entry {number}")).first_id == number


async def all_know_what_is_committed(nodes: Nodes) -> None:
    """Return when every node shows all that it holds, and has noted it for its next start (P4).

    One that is stopped before it hears of that shows less, until it has a master again (R7).
    """
    for node in nodes.running.values():
        point = await node.node.read_point()
        assert point.committed_id == node.node.head.last_id, point


async def stop_all(nodes: Nodes) -> None:
    await all_know_what_is_committed(nodes)
    for name in list(nodes.running):
        await nodes.stop(name)


def lines(count: int, *more: str) -> bytes:
    """Return what is read where there are `count` entries of `fill`, and `more`."""
    texts = [*(f"entry {number}" for number in range(1, count + 1)), *more]
    return b"".join(
        f'{{"id":{number},"message":"{text}"}}\n'.encode() for number, text in enumerate(texts, 1)
    )


async def refused(master: RunningNode) -> Refused:
    """Return why the master takes no appends, as soon as it takes none."""
    for _ in range(1000):
        outcome = await master.append("must not be stored", w=1, timeout_s=0)
        if isinstance(outcome, Refused):
            assert master.node.readiness(), "it says so"
            return outcome
        await asyncio.sleep(0.02)
    raise AssertionError("it goes on taking appends")


async def assert_all_equal(nodes: Nodes, expected: bytes) -> None:
    """Return when every node shows `expected`, from byte-identical segments."""
    running = list(nodes.running.values())
    last_id = expected.count(b"\n")

    def all_hold_and_show_it() -> bool:
        """A log is durable on its own thread a moment before the loop hears of it."""
        points = [node.node.read_point_now() for node in running]
        return all(
            point is not None
            and point.committed_id == node.node.head.last_id == last_id
            and node.segments() == running[0].segments()
            for node, point in zip(running, points, strict=True)
        )

    await until(all_hold_and_show_it, f"equal segments, shown up to {last_id}")
    for node in running:
        assert await node.read() == expected


# --- R9: the master lost its disk -----------------------------------------------------------


def test_an_emptied_master_that_starts_with_its_secondaries_takes_no_appends(
    tmp_path: Path,
) -> None:
    """They come while it redials, and show it the log that it does not have."""

    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            master = await filled(nodes, 20)
            await stop_all(nodes)
            shutil.rmtree(master.directory)
            master = await nodes.master(*SECONDARIES)
            for name in SECONDARIES:
                await nodes.secondary(name)
            why = await refused(master)
            assert why.reason is RefusalReason.LOG_FOUND_ELSEWHERE
            assert "replog restore" in why.detail
            assert await master.ids() == []
            for name in SECONDARIES:
                assert await nodes.running[name].read() == lines(20), "something was cut"

    asyncio.run(story())


def test_an_emptied_master_with_its_secondaries_down_stops_when_they_show_another_log(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            master = await filled(nodes, 5)
            await stop_all(nodes)
            shutil.rmtree(master.directory)
            master = await nodes.master(*SECONDARIES)
            stored = await master.stored("a new log, since nobody answered", w=1)
            assert stored.first_id == 1
            for name in SECONDARIES:
                await nodes.secondary(name)
            why = await refused(master)
            assert why.reason is RefusalReason.LOG_FOUND_ELSEWHERE
            assert "replog restore" in why.detail
            for name in SECONDARIES:
                assert await nodes.running[name].read() == lines(5), "something was cut"

    asyncio.run(story())


def test_an_emptied_cluster_starts_a_new_log_at_once(tmp_path: Path) -> None:
    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            await filled(nodes, 3)
            directories = [node.directory for node in nodes.running.values()]
            await stop_all(nodes)
            for directory in directories:
                shutil.rmtree(directory)
            await filled(nodes, 1)
            await assert_all_equal(nodes, lines(1))

    asyncio.run(story())


# --- R8: adoption, epochs -------------------------------------------------------------------


def lose_the_newest_of_the_log(master: RunningNode, older: Path) -> None:
    """Put an older log in the place of the master's; node.json is what it was."""
    newest = (master.directory / "node.json").read_bytes()
    shutil.rmtree(master.directory)
    shutil.copytree(older, master.directory)
    (master.directory / "node.json").write_bytes(newest)


async def lacking_the_end(nodes: Nodes, older: Path) -> RunningNode:
    """Return a master, stopped like all others, whose log ends at 5 where theirs end at 10.

    `older` is left with the whole directory of that time.
    """
    master = await filled(nodes, 5)
    await nodes.stop("master")
    shutil.copytree(master.directory, older)
    await fill(await nodes.master(*SECONDARIES), 6, 10)
    await stop_all(nodes)
    lose_the_newest_of_the_log(master, older)
    return master


def test_a_master_adopts_what_only_a_secondary_holds(tmp_path: Path) -> None:
    """It comes back without the end of its log; one secondary is there and gives it."""

    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            await lacking_the_end(nodes, tmp_path / "older")
            await nodes.secondary("s1")
            master = await nodes.master(*SECONDARIES)
            await nodes.secondary("s2")
            assert (await master.stored("next")).first_id == 11
            await assert_all_equal(nodes, lines(10, "next"))

    asyncio.run(story())


def test_a_master_that_has_appended_since_does_not_cut_a_longer_committed_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            await lacking_the_end(nodes, tmp_path / "older")
            master = await nodes.master(*SECONDARIES)
            assert (await master.stored("the other 6", w=1)).first_id == 6
            s1 = await nodes.secondary("s1")
            await until(lambda: "diverged" in master.link_states(), "the link stops")
            assert any(
                "diverged" in line.getMessage() and nodes.url("s1") in line.getMessage()
                for line in caplog.records
            )
            assert await s1.read() == lines(10), "something was cut"

    asyncio.run(story())


@pytest.mark.parametrize("has_appended", [False, True])
def test_a_master_from_an_old_backup_loses_nothing(tmp_path: Path, has_appended: bool) -> None:
    """It reigns before its secondaries come. Its epochs were used since: it stands above them,
    unless it made something anew (R8)."""

    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            backup = tmp_path / "backup"
            master = await lacking_the_end(nodes, backup)
            shutil.copy(backup / "node.json", master.directory)
            master = await nodes.master(*SECONDARIES)
            await master.ready()
            if has_appended:
                assert (await master.stored("the other 6", w=1)).first_id == 6
            for name in SECONDARIES:
                await nodes.secondary(name)
            if has_appended:
                why = await refused(master)
                assert why.reason is RefusalReason.SUPERSEDED
                assert "--take-over" in why.detail
                assert await nodes.running["s1"].read() == lines(10), "something was cut"
            else:
                await assert_all_equal(nodes, lines(10))
                assert (await master.stored("next")).first_id == 11

    asyncio.run(story())


def test_an_old_master_after_a_newer_epoch_turns_read_only(tmp_path: Path) -> None:
    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            await filled(nodes, 5)
            await nodes.stop("master")
            await nodes.stop("s1")
            heir = await nodes.master("s2", name="s1", take_over=True)
            assert (await heir.stored("new reign", w=2)).first_id == 6
            await all_know_what_is_committed(nodes)
            old = await nodes.master(*SECONDARIES)
            why = await refused(old)
            assert why.reason is RefusalReason.SUPERSEDED
            assert "--take-over" in why.detail
            assert await nodes.running["s2"].read() == lines(5, "new reign")

    asyncio.run(story())


def test_of_two_masters_at_once_one_reigns_and_the_other_says_so(tmp_path: Path) -> None:
    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            await filled(nodes, 5)
            await nodes.stop("master")
            await restore(nodes.url("s1"), str(tmp_path / "second"))
            first = await nodes.master(*SECONDARIES)
            await fill(first, 6, 6)
            second = await nodes.master(*SECONDARIES, name="second", take_over=True)

            async def refusing() -> int:
                outcomes = [await each.append("x", w=2, timeout_s=0.3) for each in (first, second)]
                return sum(
                    isinstance(outcome, Refused) and outcome.reason is RefusalReason.SUPERSEDED
                    for outcome in outcomes
                )

            for _ in range(1000):
                if await refusing() == 1:
                    break
                await asyncio.sleep(0.02)
            else:
                pytest.fail("none of them gives way")
            assert (await nodes.running["s1"].read()).startswith(lines(6))

    asyncio.run(story())


# --- R2, R3: who is who ---------------------------------------------------------------------


def test_a_copied_data_directory_never_counts_as_a_second_node(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        async with Nodes(tmp_path) as nodes:
            master = await filled(nodes, 3)
            ours, theirs = (nodes.running[name].directory for name in SECONDARIES)
            for name in SECONDARIES:
                await nodes.stop(name)
            shutil.rmtree(theirs)
            shutil.copytree(ours, theirs)
            for name in SECONDARIES:
                await nodes.secondary(name)
            assert (await master.stored("on two nodes", w=2)).first_id == 4
            await until(lambda: "refused" in master.link_states(), "the copy is refused")
            outcome = await master.append("never on three", w=3, timeout_s=0.5)
            assert isinstance(outcome, Pending)
            assert len(outcome.acks) == 2
            url = nodes.url(SECONDARIES[master.link_states().index("refused")])
            said = [line.getMessage() for line in caplog.records]
            assert any("same" in line and url in line for line in said)

    asyncio.run(story())


@pytest.mark.parametrize("has_made_its_log", [False, True])
def test_a_secondary_of_another_log_is_refused_said_and_left_as_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, has_made_its_log: bool
) -> None:
    """It stops appends where the master has made its own log in this run: it may have lost one,
    and the other may be that (R9). A log that the master had before goes on without it."""

    async def story() -> None:
        (tmp_path / "other").mkdir()
        async with Nodes(tmp_path / "other") as others:
            foreign = await others.secondary("s1")
            await (await others.master("s1")).stored("foreign")
            await all_know_what_is_committed(others)
        async with Nodes(tmp_path) as nodes:
            master = await filled(nodes, 3)
            if not has_made_its_log:
                await nodes.stop("master")
                master = await nodes.master(*SECONDARIES)
            theirs = nodes.running["s2"].directory
            await nodes.stop("s2")
            shutil.rmtree(theirs)
            shutil.copytree(foreign.directory, theirs)
            await nodes.secondary("s2")
            await until(lambda: "diverged" in master.link_states(), "the link stops")
            said = [line.getMessage() for line in caplog.records]
            assert any(f"{nodes.url('s2')} holds log" in line for line in said)
            if has_made_its_log:
                assert (await refused(master)).reason is RefusalReason.LOG_FOUND_ELSEWHERE
                assert await master.read() == lines(3)
            else:
                assert (await master.stored("here", w=2)).first_id == 4
                assert isinstance(await master.append("not on three", timeout_s=0.5), Pending)
                assert await nodes.running["s1"].read() == lines(3, "here", "not on three")
            assert await nodes.running["s2"].read() == lines(0, "foreign")

    asyncio.run(story())
