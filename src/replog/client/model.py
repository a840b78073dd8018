"""What the calls of a client give back: frozen values.

PURE.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import msgspec

WriteConcern: TypeAlias = int | Literal["majority", "all"]
"""How many nodes, the master counted, must hold an entry on disk before the answer."""

Level: TypeAlias = Literal["committed", "master"]


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One message and its place in the log."""

    id: int
    message: str


@dataclass(frozen=True, slots=True)
class Appended:
    """An entry that is stored.

    Attributes:
        is_pending: it is not on as many nodes as asked for yet, and gets there by itself;
            `wait_for` waits for it. Never append it again.
        is_replayed: it was stored by an earlier request with the same key.
        held: how many nodes hold it on disk, as far as the answer says.
        nodes: how many nodes the cluster has; None where the answer does not say.
        key: its idempotency key, the one that was given or one that was made.
    """

    id: int
    is_pending: bool
    is_replayed: bool
    held: int
    nodes: int | None
    key: str


@dataclass(frozen=True, slots=True)
class AppendedMany:
    """A batch that is stored: all of it, as the ids `first` to `last`. Else as `Appended`.

    Attributes:
        key: of the whole batch; None where the messages have keys of their own.
    """

    first: int
    last: int
    is_pending: bool
    is_replayed: bool
    held: int
    nodes: int | None
    key: str | None

    @property
    def ids(self) -> range:
        return range(self.first, self.last + 1)


class Ack(msgspec.Struct, frozen=True, kw_only=True):
    """One node that holds an entry on disk.

    Attributes:
        since: when the master learned of it, RFC 3339; None where it does not know.
        last_id: of the node's durable log.
        head: hash of the node's durable log.
    """

    url: str
    node_id: str | None = None
    since: str | None = None
    last_id: int | None = None
    head: str | None = None


class Acks(msgspec.Struct, frozen=True, kw_only=True):
    """Which nodes hold an entry on disk.

    Attributes:
        required: how many nodes `w` asks for.
        is_met: so many hold it.
    """

    id: int
    required: int
    is_met: bool = msgspec.field(name="met")
    nodes: tuple[Ack, ...] = msgspec.field(name="acks")


class SecondaryStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A secondary as its master sees it; None is "not known"."""

    url: str
    health: str | None = None
    link: str | None = None
    last_id: int | None = None
    lag: int | None = None


class NodeStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What one node says of itself.

    Attributes:
        status: "ok", or the first reason why not.
        committed_id: readers of this node see everything up to here.
        head: hash of the durable log: equal heads mean identical logs.
        secondaries: on a master, each configured one.
    """

    url: str = ""
    role: str
    status: str
    node_id: str | None = None
    log_id: str | None = None
    epoch: int | None = None
    last_id: int = 0
    committed_id: int = 0
    head: str | None = None
    secondaries: tuple[SecondaryStatus, ...] = ()


@dataclass(frozen=True, slots=True)
class Status:
    """The nodes of a client, as they answer now.

    Attributes:
        unreachable: URLs that did not answer, with the reason.
    """

    nodes: tuple[NodeStatus, ...]
    unreachable: dict[str, str]

    @property
    def master(self) -> NodeStatus | None:
        masters = [node for node in self.nodes if node.role == "master"]
        return max(masters, key=lambda node: node.epoch or 0, default=None)
