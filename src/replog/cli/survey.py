"""All nodes of a cluster, asked at the same time, and what is wrong with each by its own word.

NETWORK.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from replog.cli.node import AskedNode, NoNodeError
from replog.cli.output import CommandError, count, duration
from replog.cli.status import delay_of, members_of

ANSWER_WITHIN_S = 3.0

_ADVICE_OF_STATUS = {
    "starting": "wait: a master asks its secondaries what they hold before it takes appends",
    "no-master": "start the master, or look whether this secondary is among its --secondary",
    "no-quorum": "bring nodes back; it resumes by itself",
    "superseded": "stop it, or the other master; the right one starts with --take-over",
    "log-found-elsewhere": "put its directory back, or fill it: replog restore --from URL DATA_DIR",
    "disk-full": "free space; it resumes by itself",
    "stopping": "it was told to stop: start it again",
}
_ADVICE_OF_LOST = {
    True: "it is the master, start it again on its data directory: reads go on without it, and no "
    "append is taken",
    False: "start it again: it catches up by itself, and appends with w=all wait for it",
}
_ADVICE_OF_LINK = {
    "diverged": "keep both directories, and decide which log is the right one; then empty the "
    "other node's directory and let it refill",
    "refused": "the log of the node says why",
}


@dataclass(frozen=True, slots=True)
class Member:
    """One node as it answered.

    Attributes:
        health: what `GET /health` says; None where the node did not answer.
        reason: why it did not.
    """

    url: str
    health: dict[str, object] | None
    reason: str = ""

    @property
    def is_there(self) -> bool:
        return self.health is not None

    @property
    def role(self) -> str:
        return self.text("role") or "-"

    @property
    def state(self) -> str:
        return self.text("status") or "-" if self.is_there else "unreachable"

    @property
    def committed_id(self) -> int:
        value = (self.health or {}).get("committed_id")
        return value if isinstance(value, int) else 0

    def text(self, name: str) -> str | None:
        value = (self.health or {}).get(name)
        return value if isinstance(value, str) else None

    def number(self, name: str) -> str:
        value = (self.health or {}).get(name)
        return str(value) if isinstance(value, int) else "-"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a person should know of one node, and do.

    Attributes:
        is_passing: it goes by itself.
    """

    url: str
    text: str
    advice: str
    is_damage: bool = False
    is_passing: bool = False


def survey(node: AskedNode) -> list[Member]:
    """Return every node of the cluster, the master first where it is known.

    Raises:
        CommandError: the asked node does not answer.
    """
    asked = Member(node.url, node.health())
    master = _master_of(asked)
    known: dict[str, Member] = {}
    if master is not None and master != asked.url:
        known[master] = _ask(master)
    known[asked.url] = asked
    rows = [row for member in known.values() for row in _secondaries(member)]
    others = [url for url in dict.fromkeys(rows) if url not in known]
    if others:
        with ThreadPoolExecutor(max_workers=min(16, len(others))) as pool:
            known |= {member.url: member for member in pool.map(_ask, others)}
    return list(known.values())


def reference_of(members: list[Member]) -> Member:
    """Return the node that others are compared with: a master before the furthest one."""
    return max(members, key=lambda one: (one.is_there, one.role == "master", one.committed_id))


def examine(members: list[Member]) -> list[Finding]:
    """Return what needs somebody, node by node."""
    there = {member.url for member in members if member.is_there}
    named = {_master_of(member) for member in members}
    found = [
        finding
        for member in members
        for finding in _findings(member, there, is_master=member.url in named)
    ]
    masters = [member for member in members if member.role == "master"]
    found += [
        Finding(one.url, "a second master", _ADVICE_OF_STATUS["superseded"]) for one in masters[1:]
    ]
    return found


def _findings(member: Member, there: set[str], *, is_master: bool) -> Iterator[Finding]:
    """`is_master`: some node says so; one that does not answer cannot."""
    health = member.health
    if health is None:
        text = f"does not answer: {member.reason}"
        yield Finding(member.url, text, _ADVICE_OF_LOST[is_master])
        return
    status = member.state
    if status not in {"ok", "damaged"}:
        yield Finding(member.url, status, _ADVICE_OF_STATUS.get(status, "see its log"))
    for damage in members_of(health.get("damage")):
        yield Finding(
            member.url,
            f"damage from id {damage.get('first_id')} on: {damage.get('segment')} at byte "
            f"{damage.get('offset')}: {damage.get('reason')}",
            "with another node reachable it is repaired by itself; look at the disk",
            is_damage=True,
        )
    for row in members_of(health.get("secondaries")):
        yield from _seen(row, is_there=str(row.get("url")) in there)


def _seen(row: dict[str, object], *, is_there: bool) -> Iterator[Finding]:
    """What a master says of one of its secondaries."""
    url, link, lag, delay = str(row.get("url")), str(row.get("link")), row.get("lag"), delay_of(row)
    if link in _ADVICE_OF_LINK:
        yield Finding(url, f"its link to the master is {link}", _ADVICE_OF_LINK[link])
    elif link != "streaming" and is_there:
        text = f"it answers here, and its link to the master is {link}"
        advice = "wait a moment; then look at the network between both, and at the master's log"
        yield Finding(url, text, advice)
    elif link == "streaming" and isinstance(lag, int) and lag > 0:
        behind = f"{count(lag, 'entry')} behind"
        advice = "it catches up by itself; run this again to see it get less"
        yield Finding(url, behind, advice, is_passing=True)
    if delay is not None:
        advice = f"""curl -X PUT -d '{{"seconds":0}}' {url}/delay"""
        yield Finding(url, f"an injected delay of {duration(delay)}", advice)


def _master_of(member: Member) -> str | None:
    if member.role == "master":
        return member.url
    master = (member.health or {}).get("master")
    url = master.get("url") if isinstance(master, dict) else None
    return url if isinstance(url, str) else None


def _secondaries(member: Member) -> list[str]:
    return [str(row.get("url")) for row in members_of((member.health or {}).get("secondaries"))]


def _ask(url: str) -> Member:
    try:
        with AskedNode(url, timeout_s=ANSWER_WITHIN_S) as node:
            return Member(url, node.health())
    except NoNodeError as error:
        return Member(url, None, error.reason)
    except CommandError as error:
        return Member(url, None, str(error))
