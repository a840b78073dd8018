"""Bugs put into the core, the log and the shell on purpose: can the simulator see them?

PURE. Each is a patch of one or two functions, as somebody might get them wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from replog.core.effects import Effect, Send
from replog.core.entry import Epoch
from replog.core.events import Event, Persisted, Written
from replog.core.leadership import Leadership
from replog.core.messages import CommitNews
from replog.core.progress import Peer
from replog.core.reign import Reign
from replog.core.replicas import Replicas
from replog.core.secondary import Secondary
from replog.storage import recovery
from tests.simulator import shell
from tests.simulator.disk import SimFilesystem
from tests.simulator.images import Inode

Patch = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True, slots=True)
class Planted:
    """One bug, and within how many seeds it must show.

    `focus` names an action of the world that is taken more often: where a bug needs one
    rare chain of faults, the other seeds would only cost time.
    """

    name: str
    plant: Patch
    within: int
    focus: str | None = None


def acknowledge_before_fsync(patch: pytest.MonkeyPatch) -> None:
    """A secondary takes a returned write for a durable one."""
    step = Secondary.step

    def hasty(self: Secondary, event: Event) -> list[Effect]:
        match event:
            case Written():
                return step(self, Persisted(event.head))
            case Persisted():
                return []
            case _:
                return step(self, event)

    patch.setattr(Secondary, "step", hasty)


def never_sync_segments(patch: pytest.MonkeyPatch) -> None:
    """The log calls no fdatasync on what it writes."""
    sync = SimFilesystem.sync

    def lazy(self: SimFilesystem, inode: Inode, path: str) -> None:
        if "/segments/" not in path:
            sync(self, inode, path)

    patch.setattr(SimFilesystem, "sync", lazy)


def never_sync_directories(patch: pytest.MonkeyPatch) -> None:
    """A new file's name is not made durable before the entries in it are answered."""
    patch.setattr(SimFilesystem, "sync_directory", lambda self, path: None)


def trust_the_page_cache_at_open(patch: pytest.MonkeyPatch) -> None:
    """What reads back well at open is taken for durable (rule 3 left out)."""
    patch.setattr(recovery, "_write_again", lambda *given: None)


def skip_the_chain_check(patch: pytest.MonkeyPatch) -> None:
    """A secondary stores what comes over a link without checking hashes and chain."""
    patch.setattr(shell, "verify", lambda *given: None)


def count_lost_links(patch: pytest.MonkeyPatch) -> None:
    """The acknowledgement of a link that is gone goes on counting."""
    forget = Peer.link_closed

    def remember(self: Peer) -> None:
        acknowledged = self.acknowledged
        forget(self)
        self.acknowledged = acknowledged

    patch.setattr(Peer, "link_closed", remember)


def reuse_ids_after_a_restart(patch: pytest.MonkeyPatch) -> None:
    """A restarted master goes on in its old epoch, with other batches for the same ids."""
    following = Reign.next_epoch

    def same(self: Reign) -> Epoch:
        return self.epoch or following(self)

    patch.setattr(Reign, "next_epoch", same)


def take_a_refusal_for_an_answer_after_damage(patch: pytest.MonkeyPatch) -> None:
    """A master that found damage at open starts without having heard every secondary."""
    waiting = Leadership._is_waiting_for_proof

    def hasty(self: Leadership) -> bool:
        self.reign.must_hear_all = False
        return waiting(self)

    patch.setattr(Leadership, "_is_waiting_for_proof", hasty)


def apply_news_beyond_what_is_proven(patch: pytest.MonkeyPatch) -> None:
    """A master tells commit news to whoever greets it; secondaries show all that they hold.

    The first half alone is allowed: the rule is the secondary's.
    """
    welcome, advance = Replicas.welcome, Secondary._advance

    def talkative(self: Replicas, peer: Peer, out: list[Effect]) -> None:
        welcome(self, peer, out)
        assert peer.link is not None
        out.append(Send(peer.link, CommitNews(self.epoch, self._facts.committed_id)))

    def gullible(self: Secondary, out: list[Effect]) -> None:
        self.facts.proven = self.facts.durable.last_id
        advance(self, out)

    patch.setattr(Replicas, "welcome", talkative)
    patch.setattr(Secondary, "_advance", gullible)


PLANTED = (
    Planted("acknowledging before fsync", acknowledge_before_fsync, 20),
    Planted("no fsync of segments", never_sync_segments, 20),
    Planted("no fsync of directories", never_sync_directories, 20),
    Planted("trusting the page cache at open", trust_the_page_cache_at_open, 200),
    Planted("skipping the chain check", skip_the_chain_check, 200),
    Planted("counting a lost link's old acknowledgement", count_lost_links, 300),
    Planted("reusing ids after a restart", reuse_ids_after_a_restart, 100),
    Planted(
        "taking a refused connection for an answer after damage",
        take_a_refusal_for_an_answer_after_damage,
        200,
        focus="lose tail, one lags",
    ),
    Planted(
        "applying commit news beyond what is proven common", apply_news_beyond_what_is_proven, 300
    ),
)
