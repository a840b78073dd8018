"""Row 7: a secondary that comes back holds the master's log again, byte for byte.

NETWORK, and DISK while nodes do not run.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from types import MappingProxyType
from typing import Final

from proving.ending import settle_and_judge, wait_equal
from proving.harness import Counts, Harness, Violation
from proving.harnesses.rejoin import latency, stories
from proving.harnesses.rejoin.stage import Stage
from proving.harnesses.rejoin.stories import Story
from proving.recording import Recording, RecordingClient
from tests.support.cluster import MASTER, S2, ProcessCluster

STORIES: Final[Mapping[str, Story]] = MappingProxyType(
    {
        "wiped": stories.wiped,
        "away for 0": stories.away(0),
        "away for 1": stories.away(1),
        "away for 1,000": stories.away(1000),
        "tail cut": stories.tail_is_cut,
        "tail adopted": stories.tail_is_adopted,
        "tail diverged": stories.tail_has_diverged,
        "stale backup": stories.stale_backup,
        "hole": stories.hole,
        "killed": stories.killed_while_catching_up(S2),
        "master killed": stories.killed_while_catching_up(MASTER),
        "wiped again": stories.wiped,
    }
)
MILLION: Final = 1_000_000
HOLES_MAX: Final = 10
"""More than any story makes."""


def rejoin(case: int, directory: Path) -> Counts:
    """Play one story; then all nodes hold one log, and nothing that was answered is lost."""
    name = list(STORIES)[case % len(STORIES)]
    return _play(case, directory, {name: STORIES[name]}, is_grown=name == "hole")


def rejoin_far_behind(case: int, directory: Path) -> Counts:
    """A secondary misses a million entries; in every other case its disk is wiped as well."""
    return _play(case, directory, {"away for 1,000,000": stories.far_behind(MILLION)})


def _play(
    case: int, directory: Path, named: Mapping[str, Story], *, is_grown: bool = False
) -> Counts:
    [(name, story)] = named.items()
    with (
        ProcessCluster(directory) as cluster,
        Recording(directory / "run.jsonl", cluster.urls) as recording,
    ):
        stage = Stage(cluster, recording, case)
        if is_grown:
            stories.grown(stage)
        cluster.start_all()
        story(stage)
        stage.close()
        if is_grown:
            _come_by_holes(cluster, recording)
        return {name: 1, **stage.counts, **settle_and_judge(cluster, recording)}


def _come_by_holes(cluster: ProcessCluster, recording: Recording) -> None:
    """Read every node until a read comes whole.

    A node that has not read a segment yet knows of no hole in it, and is well: the read that
    comes by the hole breaks off there (R13), and is repeated when that is mended.
    """
    with closing(RecordingClient(recording, 0)) as client:
        for node in cluster.nodes:
            for _ in range(HOLES_MAX):
                wait_equal(cluster)
                if client.read(cluster.url(node)).outcome == "ok":
                    break
            else:
                raise Violation(f"R13: {node} broke off {HOLES_MAX} reads\n{cluster.explain()}")


HARNESSES = (
    Harness(
        name="rejoins",
        row=7,
        promise="rejoin is exact",
        how="a secondary comes back after 0, 1 and 1,000 entries, with a tail of its own, an old "
        "directory, a hole, a wiped disk; it or the master is killed while it catches up",
        unit="rejoins",
        cases=300,
        run=rejoin,
        sample=(0,),
    ),
    Harness(
        name="rejoin-far",
        row=7,
        promise="however far behind",
        how="a secondary comes back after 1,000,000 entries, with its log or with an empty disk",
        unit="rejoins",
        cases=4,
        run=rejoin_far_behind,
        sample=(),
    ),
    *latency.HARNESSES,
)
