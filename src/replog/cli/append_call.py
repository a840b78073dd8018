"""The appends of the command line as calls to a node, and their two good answers.

NETWORK.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import msgspec

from replog.cli.node import AskedNode, object_in
from replog.cli.output import InDoubtError
from replog.client import WriteConcern
from replog.client.asking import LOOKED_FOR_THE_KEY
from replog.client.ops import Answer, Call, Failed, Flow, Pause, Request, call
from replog.client.pile import encode
from replog.client.policy import Again, Final, Patience, Surroundings, Verdict, judge
from replog.client.wire import JSON, NDJSON, Terms, batch_request

RETRY_FOR_S = 30.0

DOUBT_OF_ONE = "the entry may be stored or not"


@dataclass(frozen=True, slots=True)
class AppendWanted:
    """What goes beside a message; None is not asked for."""

    concern: int | str | None
    timeout_s: float | None
    expect: int | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Appended:
    """The two good answers to an append: the entries `first` to `last` are stored.

    Attributes:
        acks: who holds it, of a pending append.
        nodes: of the cluster; None where the answer does not say.
        required: how many nodes a pending append waits for; None where it does not say.
    """

    first: int
    last: int
    is_pending: bool
    is_replayed: bool
    acks: tuple[str, ...]
    held: int
    nodes: int | None
    required: int | None
    body: bytes


@dataclass(frozen=True, slots=True)
class _Ended:
    """What an append came to.

    Attributes:
        is_in_doubt: where it is no good answer, the append may be stored all the same (P3).
    """

    outcome: Answer | Failed
    is_in_doubt: bool


def append_message(
    node: AskedNode, message: str, wanted: AppendWanted, on_lost: Callable[[str], None]
) -> Appended:
    """Append one entry and wait for its write concern.

    With a key a connection that breaks off is no end: the node stores a key once (P6).

    Args:
        on_lost: called with the reason when it has to be sent again, once.

    Raises:
        InDoubtError: no answer says what became of it; the entry may be stored.
        CommandError: refused, or no node was reached; nothing was stored.
        KeyboardInterrupt: no answer came; the entry may be stored.
    """
    fields = {
        "message": message,
        "w": wanted.concern,
        "timeout": wanted.timeout_s,
        "key": wanted.key,
        "expect": wanted.expect,
    }
    given = {name: value for name, value in fields.items() if value is not None}
    request = Request("POST", "/logs", (("Content-Type", JSON),), msgspec.json.encode(given))
    if wanted.key is None:
        outcome = node.run(call(Call(node.url, request, None)))
        ended = _Ended(outcome, _may_be_stored(judge(outcome)))
    else:
        ended = node.run(_until_answered(node.url, request, is_known=False, on_lost=on_lost))
    return _appended(node, ended, doubt=DOUBT_OF_ONE)


class BatchAppender:
    """Appends batches one after the other, each with a key of its own, over one connection.

    Since the node stores a key once, a batch whose answer got lost is sent again (P6), until
    the node was away for `RETRY_FOR_S`.

    Args:
        on_lost: called with the reason when a batch has to be sent again, once for each.
    """

    def __init__(
        self, node: AskedNode, wanted: AppendWanted, on_lost: Callable[[str], None]
    ) -> None:
        self._node = node
        self._wanted = wanted
        self._on_lost = on_lost
        self._is_known = False

    def append(self, messages: Sequence[str]) -> Appended:
        """Append a batch, all of it or nothing; raises as `append_message` does."""
        body = b'{"message":' + b'}\n{"message":'.join(map(encode, messages)) + b"}\n"
        wanted = self._wanted
        terms = Terms(as_write_concern(wanted.concern), wanted.timeout_s, wanted.expect)
        request = batch_request(body, media_type=NDJSON, key=uuid.uuid4().hex, terms=terms)
        flow = _until_answered(
            self._node.url, request, is_known=self._is_known, on_lost=self._on_lost
        )
        doubt = f"{'the line' if len(messages) == 1 else 'the lines'} may be stored or not"
        answer = _appended(self._node, self._node.run(flow), doubt=doubt)
        self._is_known = True
        if wanted.expect is not None:  # nobody comes between two batches either
            self._wanted = replace(wanted, expect=answer.last)
        return answer


def _until_answered(
    url: str,
    request: Request,
    *,
    is_known: bool,
    on_lost: Callable[[str], None],
) -> Flow[_Ended]:
    """Send a request that carries a key until it is answered with more than "later".

    A doubt stays until the node proves that nothing is stored, as in the client: where it gives
    up, the last outcome that left one is what it tells.

    Args:
        is_known: a node answered there before, so that it is worth waiting for it.
    """
    surroundings = Surroundings(time.monotonic, random.random, lambda: uuid.uuid4().hex)
    patience = Patience(surroundings, retry_for_s=RETRY_FOR_S)
    doubtful: Answer | Failed | None = None
    is_told = False
    while True:
        outcome = yield from call(Call(url, request, None))
        verdict = judge(outcome)
        if _may_be_stored(verdict):
            doubtful = outcome
        if not isinstance(verdict, Again):
            is_proof = isinstance(verdict, Final) and isinstance(verdict.error, LOOKED_FOR_THE_KEY)
            return _Ended(outcome, doubtful is not None and not is_proof)
        pause_s = None
        if is_known or doubtful is not None:
            pause_s = patience.pause_s(at_least_s=verdict.after_s)
        if pause_s is None:
            return _Ended(doubtful or outcome, doubtful is not None)
        if not is_told:
            on_lost(str(verdict.error))
            is_told = True
        yield Pause(pause_s)


def _may_be_stored(verdict: Verdict) -> bool:
    """Whether the request that was judged was taken, or may have been."""
    return isinstance(verdict, Answer) or (isinstance(verdict, Again) and verdict.may_be_stored)


def how_to_see(node: AskedNode, *, after: int = 0) -> str:
    """Return the way to learn of an entry without an answer.

    Args:
        after: the last id that is known to stand before the entry; 0 for none.
    """
    first = f" --from {after + 1}" if after else " --last 10"
    return f"look before you append it again:\n  replog get{first} --url {node.url}"


def as_write_concern(given: int | str | None) -> WriteConcern | None:
    """Args: given: a parsed `-w`."""
    if given is None or isinstance(given, int):
        return given
    return "majority" if given == "majority" else "all"


def _appended(node: AskedNode, ended: _Ended, *, doubt: str) -> Appended:
    outcome = ended.outcome
    appended = _decoded(outcome) if isinstance(outcome, Answer) else None
    if appended is not None:
        return appended
    error = node.refused(outcome, doubt=doubt)
    if ended.is_in_doubt and not isinstance(error, InDoubtError):
        raise InDoubtError(f"{error}; {doubt}", error.code)
    raise error


def _decoded(answer: Answer) -> Appended | None:
    """Return what a good answer of a node says; None where it is none."""
    if answer.status not in {200, 202}:
        return None
    body = object_in(answer.body) or {}
    log = body.get("log")
    first = log.get("id") if isinstance(log, dict) else body.get("first")
    last = body.get("last", first)
    if not (isinstance(first, int) and isinstance(last, int)):
        return None
    acks, required = body.get("acks"), body.get("required")
    urls = tuple(str(url) for url in acks) if isinstance(acks, list) else ()
    held, _, nodes = answer.headers.get("log-acks", "").partition("/")
    return Appended(
        first=first,
        last=last,
        is_pending=answer.status == 202,
        is_replayed=answer.headers.get("idempotency-replayed") == "true",
        acks=urls,
        held=int(held) if held.isdigit() else len(urls),
        nodes=int(nodes) if nodes.isdigit() else None,
        required=required if isinstance(required, int) else None,
        body=answer.body,
    )
