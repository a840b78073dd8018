"""Whether two nodes hold one log, and the first entry in which they do not.

NETWORK. The entity tag of an entry holds the hash of the log at its end, which covers every byte
before it: so a tag that is the same on two nodes says that all before it is, and halving finds the
place in a log of a billion entries with thirty questions to each node.
"""

from __future__ import annotations

from dataclasses import dataclass

from replog.cli.node import AskedNode
from replog.cli.output import CommandError
from replog.cli.survey import Member
from replog.client.ops import Request
from replog.client.wire import NDJSON, path_of

PAGE = 1000

ADVICE = (
    "keep both directories, and decide which log is the right one; then stop the other node, "
    "empty its directory and start it again as a secondary: it refills"
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """How the committed log of one node stands to that of another, the reference.

    Attributes:
        relation: in words.
        same_up_to: the last id up to which they are known to be the same.
        first_difference: the first id in which they differ; None where they do not.
        lines: the reference's entry there, and this node's; None where they are alike.
    """

    url: str
    reference_url: str
    relation: str
    same_up_to: int
    first_difference: int | None = None
    lines: tuple[str, str] | None = None
    is_different: bool = False
    advice: str = ADVICE


def compare(reference: Member, other: Member) -> Comparison:
    """Compare what both nodes show; nothing is said about what is not committed yet."""
    common = min(reference.committed_id, other.committed_id)
    ours, theirs = reference.text("log_id"), other.text("log_id")
    is_other_log = ours is not None and theirs is not None and ours != theirs
    try:
        with AskedNode(reference.url) as one, AskedNode(other.url) as two:
            pair = _Pair(one, two)
            if is_other_log:
                found = _other_log(pair, common)
            elif common == 0:
                return Comparison(other.url, reference.url, "nothing to compare", 0)
            elif pair.is_same(common):
                relation = _relation(reference, other, common)
                return Comparison(other.url, reference.url, relation, common)
            else:
                found = _divergence(pair, common)
    except CommandError as error:
        return Comparison(other.url, reference.url, f"not compared: {error}", 0)
    return found


def _relation(reference: Member, other: Member, common: int) -> str:
    if other.text("head") == reference.text("head"):
        return "identical"
    if common < reference.committed_id:
        return f"the same up to its {common}"
    return f"the same up to {common}"


@dataclass(frozen=True, slots=True)
class _Pair:
    one: AskedNode
    two: AskedNode

    def is_same(self, id_: int) -> bool:
        """Return whether everything up to the batch that holds an entry is the same."""
        return _tag(self.one, id_) == _tag(self.two, id_)

    def difference(self, first: int, last: int) -> tuple[int, str, str] | None:
        """Return the first entry from `first` to `last` that differs, from both."""
        while first <= last:
            size = min(PAGE, last - first + 1)
            ours, theirs = _page(self.one, first, size), _page(self.two, first, size)
            for at, (line, other) in enumerate(zip(ours, theirs, strict=True)):
                if line != other:
                    return first + at, line, other
            first += size
        return None


def _divergence(pair: _Pair, common: int) -> Comparison:
    """Return the comparison of two logs of one id that are not the same at `common`."""
    same, different = 0, common  # Invariant: the same at `same`, not at `different`
    while different - same > 1:
        middle = (same + different) // 2
        if pair.is_same(middle):
            same = middle
        else:
            different = middle
    found = pair.difference(different, common)
    if found is None:
        text = (
            f"its entries are alike, and their batches (epoch, time, keys) differ from {different}"
        )
        return _different(pair, f"{text} on", same, different, None)
    id_, ours, theirs = found
    return _different(pair, f"differs from id {id_} on", same, id_, (ours, theirs))


def _other_log(pair: _Pair, common: int) -> Comparison:
    found = pair.difference(1, common)
    if found is None:
        return _different(pair, f"another log, with the same entries up to {common}", 0, None, None)
    id_, ours, theirs = found
    return _different(pair, f"another log; differs from id {id_} on", 0, id_, (ours, theirs))


def _different(
    pair: _Pair, relation: str, same: int, first: int | None, lines: tuple[str, str] | None
) -> Comparison:
    return Comparison(pair.two.url, pair.one.url, relation, same, first, lines, is_different=True)


def _tag(node: AskedNode, id_: int) -> str:
    return node.ask(Request("HEAD", f"/logs/{id_}")).headers.get("etag", "")


def _page(node: AskedNode, first: int, size: int) -> list[str]:
    path = path_of("/logs", {"from": first, "limit": size})
    answer = node.ask(Request("GET", path, (("Accept", NDJSON),)))
    return answer.body.decode().splitlines()
