"""What a client can be asked, each call as a flow: the one source of both clients.

PURE. `Client` and `AsyncClient` take their methods, signatures and docstrings from here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from replog.client.asking import Asking
from replog.client.errors import ClientError
from replog.client.following import follow_log
from replog.client.iterations import Where, ask, read_pages
from replog.client.model import (
    Acks,
    Appended,
    AppendedMany,
    Entry,
    Level,
    NodeStatus,
    Status,
    WriteConcern,
)
from replog.client.ops import Answer, Call, Flow, Request, Steps, T, call
from replog.client.policy import judge
from replog.client.wire import (
    ANSWER_WITHIN_S,
    JSON,
    Fresh,
    Terms,
    acks_request,
    append_request,
    appended,
    appended_many,
    batch_request,
    decode_acks,
    decode_status,
    decoded,
    encode_batch,
    path_of,
)

STATUS_WITHIN_S = 5.0
ACKS_WAIT_S = 30.0
"""One question of `wait_for`; proxies often cut what takes 60 s."""


class Calls:
    """The calls of one client."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self.nodes = asking.nodes
        self._surroundings = asking.surroundings

    # --- appending ------------------------------------------------------------------------------

    def append(
        self,
        message: str,
        *,
        w: WriteConcern | None = None,
        timeout: float | None = None,
        key: str | None = None,
        expect: int | None = None,
    ) -> Flow[Appended]:
        """Append one entry and wait until `w` nodes hold it on disk.

        Safe to call with retries: every append carries a key, so it is stored once.

        Args:
            w: 1, 2 …, "majority" or "all"; None leaves it to the node ("all" by default).
            timeout: seconds after which it comes back, pending, or with an error where no node
                was reached; None waits for `w` as long as it takes.
            key: your own idempotency key, 1 to 255 bytes; None makes one.
            expect: store it only if this is the last id of the log.

        Raises:
            InDoubtError: it may be stored; append it again with the error's `key`. Every other
                error says that nothing was stored.
            UnreachableError: no node was there.
            NotANodeError: what answered is no node.
            ProblemError: refused, in one of its kinds.
        """
        key = self._key(key)
        result = yield from self._append(
            lambda terms: append_request(message, key, terms),
            lambda answer: appended(answer, key),
            Terms(w, timeout, expect),
            key,
        )
        self.nodes.saw(result.id)
        return result

    def append_many(
        self,
        messages: Iterable[str],
        *,
        w: WriteConcern | None = None,
        timeout: float | None = None,
        key: str | None = None,
        keys: Iterable[str] | None = None,
        expect: int | None = None,
    ) -> Flow[AppendedMany]:
        """Append a batch: all of it with consecutive ids, or nothing.

        A node takes up to 10,000 entries and 16 MiB at once; a `Producer` makes batches of
        any number of appends. Arguments and errors are those of `append`.

        Args:
            key: of the whole batch.
            keys: in place of `key`, one for each message.
        """
        listed = list(messages)
        own_keys = None if keys is None else list(keys)
        if not listed:
            raise ValueError("append_many needs at least one message")
        if own_keys is not None and (key is not None or len(own_keys) != len(listed)):
            raise ValueError("give one key for the batch, or as many keys as messages")
        batch_key = None if own_keys is not None else self._key(key)
        body = encode_batch(listed, own_keys)
        terms = Terms(w, timeout, expect)
        return (yield from self.append_encoded(body, JSON, key=batch_key, terms=terms))

    def append_encoded(
        self, body: bytes, media_type: str, *, key: str | None, terms: Terms
    ) -> Flow[AppendedMany]:
        """Append a batch that is encoded already."""
        result = yield from self._append(
            lambda terms: batch_request(body, media_type=media_type, key=key, terms=terms),
            lambda answer: appended_many(answer, key),
            terms,
            key,
        )
        self.nodes.saw(result.last)
        return result

    def new_key(self) -> str:
        return self._surroundings.new_key()

    def _key(self, given: str | None) -> str:
        if given is None:
            return self.new_key()
        if not 1 <= len(given.encode()) <= 255:
            raise ValueError("an idempotency key has 1 to 255 bytes of UTF-8")
        return given

    def _append(
        self,
        make: Callable[[Terms], Request],
        decode: Callable[[Answer], T],
        terms: Terms,
        key: str | None,
    ) -> Flow[T]:
        def make_call(url: str, elapsed_s: float) -> Call:
            if terms.timeout_s is None:
                return Call(url, make(terms), None)
            left_s = max(0.0, round(terms.timeout_s - elapsed_s, 3))
            return Call(url, make(Terms(terms.w, left_s, terms.expect)), left_s + ANSWER_WITHIN_S)

        return (
            yield from self._asking.master(
                make_call, decode, within_s=terms.timeout_s, is_append=True, key=key
            )
        )

    # --- receipts -------------------------------------------------------------------------------

    def acks(self, id: int, *, w: WriteConcern | None = None) -> Flow[Acks]:
        """Return which nodes hold the entry now, and whether `w` (default: all) is met."""
        request = acks_request(id, w=w, wait_s=None)
        return (
            yield from self._asking.master(
                lambda url, _: Call(url, request, ANSWER_WITHIN_S),
                decode_acks,
                within_s=None,
                is_append=False,
            )
        )

    def wait_for(
        self, id: int, *, w: WriteConcern | None = None, timeout: float | None = None
    ) -> Flow[Acks]:
        """Wait until `w` nodes (default: all) hold a stored entry: appends nothing.

        It comes back with `is_met` False when `timeout` seconds have passed, or raises what it
        met where no node told then; None waits as long as it takes.
        """
        clock = self._surroundings.clock
        started = clock()
        while True:
            left_s = None if timeout is None else max(0.0, started + timeout - clock())
            acks = yield from self._acks(id, w=w, within_s=left_s)
            if acks.is_met or (timeout is not None and clock() - started >= timeout):
                return acks

    def _acks(self, id: int, *, w: WriteConcern | None, within_s: float | None) -> Flow[Acks]:
        """Ask once, and wait until `w` is met for a part of `within_s`, or of a longer time."""

        def make_call(url: str, elapsed_s: float) -> Call:
            wait_s = ACKS_WAIT_S
            if within_s is not None:
                wait_s = min(wait_s, max(0.0, round(within_s - elapsed_s, 3)))
            return Call(url, acks_request(id, w=w, wait_s=wait_s), wait_s + ANSWER_WITHIN_S)

        return (
            yield from self._asking.master(
                make_call, decode_acks, within_s=within_s, is_append=False
            )
        )

    # --- reading --------------------------------------------------------------------------------

    def get(
        self,
        id: int,
        *,
        min_id: int | None = None,
        max_lag: float | None = None,
        level: Level | None = None,
        timeout: float | None = None,
    ) -> Flow[Entry]:
        """Return one entry, from any node. What this client appended is found at once.

        Args:
            min_id: the node must show the log up to here.
            max_lag: seconds; the node must have been level with its master since.
            level: "master" checks with the master at that moment: linearizable.
            timeout: how many seconds it may take until a node is so fresh, 10 by default.

        Raises:
            UnknownIdError: there is no such entry.
            NotFreshError: no node was so fresh in time.
        """
        known = min(id, self.nodes.seen_id)
        fresh = self._fresh(known if min_id is None else min_id, max_lag, level, timeout)
        answer = yield from ask(
            self._asking, lambda query: Request("GET", path_of(f"/logs/{id}", query)), fresh
        )
        entry = decoded(answer, Entry)
        self.nodes.saw(entry.id)
        return entry

    def read(
        self,
        from_: int | None = None,
        limit: int | None = None,
        *,
        last: int | None = None,
        since: str | None = None,
        min_id: int | None = None,
        max_lag: float | None = None,
        level: Level | None = None,
        timeout: float | None = None,
        page: int | None = None,
    ) -> Steps:
        """Iterate over the entries that were committed when the iteration began, in order.

        Pages are fetched as they are needed, each from a node that is well. It shows at least
        what this client appended or read before. The other arguments are those of `get`.

        Args:
            from_: the first id; None is the beginning.
            limit: how many entries at the most.
            last: the last so many entries, in place of `from_`.
            since: an RFC 3339 time, in place of `from_`: what was stored then or later.
            page: how many entries a request fetches; None makes pages of about 2 MiB.
        """
        fresh = self._fresh(
            self.nodes.seen_id if min_id is None else min_id, max_lag, level, timeout
        )
        where = Where(from_, limit, last, since, page)
        return read_pages(self._asking, where, fresh)

    def follow(self, from_: int | None = None, *, retry_for: float | None = None) -> Steps:
        """Iterate over the log and wait for what comes: each entry once, in order, for ever.

        A node that restarts or goes away is replaced by another one, and the iteration goes on
        behind the last entry. Close the iterator, or leave the loop, to end it.

        Args:
            from_: the first id, 1 for everything; None begins with what comes from now on.
            retry_for: seconds without any node after which it raises; None is never, once a
                node was reached.
        """
        return follow_log(self._asking, from_, retry_for_s=retry_for)

    def _fresh(
        self, min_id: int, max_lag: float | None, level: Level | None, timeout: float | None
    ) -> Fresh:
        return Fresh(min_id or None, max_lag, level, timeout)

    # --- the cluster ----------------------------------------------------------------------------

    def status(self) -> Flow[Status]:
        """Ask every node of this client how it is, and the secondaries that a master names."""
        nodes: list[NodeStatus] = []
        unreachable: dict[str, str] = {}
        queue = list(self.nodes.urls)
        for url in queue:
            wanted = Call(url, Request("GET", "/health"), STATUS_WITHIN_S)
            verdict = judge((yield from call(wanted)))
            if isinstance(verdict, Answer):
                node = decode_status(verdict)
                nodes.append(node)
                queue += [other.url for other in node.secondaries if other.url not in queue]
            else:
                error: ClientError = verdict.error
                unreachable[url] = str(error)
        return Status(tuple(nodes), unreachable)
