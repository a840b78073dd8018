"""Row 11: whatever is sent to a log, every node can be read afterwards, and reads the same.

SHELL.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from pathlib import Path
from random import Random

from proving.bodies import JSON, LINES, Request, all_requests, is_large, mutated, some_requests
from proving.harness import Counts, Harness, Violation
from proving.strict import NotStrict, messages_in, messages_in_lines, parse
from tests.http.raw import Answer, Connection
from tests.support import stories
from tests.support.cluster import MASTER, ProcessCluster, wait_live
from tests.support.waiting import wait_until

MUTATED = 1_000
"""How many requests a case makes up by itself, beside the corpus."""

SAMPLE_PER_GROUP = 17
"""Case 0, which `make test` runs, sends some 300 requests: about so many of each kind."""

RESTARTS = 3
"""How many times a case restarts all nodes."""


class _Log:
    """The log of a cluster, as its nodes show it.

    Attributes:
        messages: what the log must hold.
    """

    def __init__(self, cluster: ProcessCluster) -> None:
        self._cluster = cluster
        self._connections: dict[str, Connection] = {}
        self._shown = b"[]"
        self.messages: list[str] = []
        self.counts: Counter[str] = Counter()

    def send(self, node: str, request: Request) -> Answer:
        """Return the answer to `request`, which must come whole and be no 5xx."""
        lines = [b"POST /logs%b HTTP/1.1" % request.query.encode(), b"Host: x"]
        lines += [b"%b: %b" % header for header in request.headers]
        lines += [b"Content-Length: %d" % len(request.body), b"", b""]
        answer = self._exchange(node, b"\r\n".join(lines) + request.body, str(request))
        self.counts[f"answered {answer.status}"] += 1
        if answer.status >= 500:
            raise Violation(f"{node} answered {answer.status} {answer.body!r} to {request}")
        if answer.status >= 400 and answer.problem()["status"] != answer.status:
            raise Violation(f"{node} answered {answer} to {request}")
        return answer

    def stored_by(self, answer: Answer) -> list[str]:
        """Return what an answer says was stored: it, or what the master shows of a batch."""
        value = parse(answer.body)
        assert isinstance(value, dict), answer
        if "log" in value:
            return [value["log"]["message"]]
        entries = parse(self._read(MASTER, "a batch"))
        assert isinstance(entries, list), entries
        return [entry["message"] for entry in entries[-value["count"] :]]

    def check(self, what: str) -> None:
        """Return once all nodes show the same, which is strict JSON, and what was stored."""
        shown = self._read(MASTER, what)
        if shown != self._shown:
            self._check_entries(shown, what)
            self._shown = shown
        for node in self._cluster.nodes[1:]:
            self._wait_shown(node, shown, what)

    def _wait_shown(self, node: str, shown: bytes, what: str) -> None:
        if self._read(node, what) != shown:  # stored at a lower `w`
            wait_until(
                lambda: self._read(node, what) == shown,
                f"{node} shows what the master shows, after {what}",
                explain=self._cluster.explain,
            )

    def close(self) -> None:
        for connection in self._connections.values():
            connection.socket.close()
        self._connections.clear()

    def _check_entries(self, shown: bytes, what: str) -> None:
        try:
            entries = parse(shown)
        except NotStrict as error:
            raise Violation(f"GET /logs is no strict JSON ({error}) after {what}") from error
        held = [{"id": n, "message": text} for n, text in enumerate(self.messages, start=1)]
        if entries != held:
            raise Violation(f"GET /logs shows {shown[-300:]!r}, not {held[-3:]!r}, after {what}")

    def _read(self, node: str, what: str) -> bytes:
        answer = self._exchange(node, b"GET /logs HTTP/1.1\r\nHost: x\r\n\r\n", what)
        self.counts["reads"] += 1
        if answer.status != 200 or answer.headers["content-type"] != "application/json":
            raise Violation(f"GET /logs of {node} is {answer.status} {answer.body!r} after {what}")
        return answer.body

    def _exchange(self, node: str, data: bytes, what: str) -> Answer:
        try:
            return self._ask(node, data)
        except (EOFError, OSError, ValueError) as error:
            raise Violation(f"{node} gave no whole answer ({error!r}) to {what}") from error

    def _ask(self, node: str, data: bytes) -> Answer:
        connection = self._connections.get(node)
        if connection is None:
            connection = Connection(self._cluster.node[node].port)
            self._connections[node] = connection
        with suppress(BrokenPipeError, ConnectionResetError):  # it may answer before it has all
            connection.send(data)
        answer = connection.answer()
        if answer.headers.get("connection") == "close":
            connection.socket.close()
            del self._connections[node]
        return answer


def run(case: int, directory: Path) -> Counts:
    """Send the corpus in an order of the case's own, and requests that it makes up."""
    random = Random(f"bad input {case}")
    if case == 0:
        requests = some_requests(SAMPLE_PER_GROUP)
    else:
        requests = all_requests()
        requests += [mutated(random) for _ in range(MUTATED)]
        random.shuffle(requests)
        requests.sort(key=is_large)
    restarts = {random.randrange(len(requests)) for _ in range(RESTARTS - 1)} if case else set()
    with ProcessCluster(directory) as cluster:
        cluster.start_all()
        stories.wait_linked(cluster)
        log = _Log(cluster)
        log.messages.append("is everybody there?")
        for number, request in enumerate(requests):
            _try(log, cluster, request, case=case, number=number)
            if number in restarts:
                _restart(log, cluster, random)
        _restart(log, cluster, random)
        log.close()
        for node in cluster.nodes:
            cluster.stop(node)
        cluster.verify()
    return {"requests": len(requests), "restarts": len(restarts) + 1, **log.counts}


def _try(log: _Log, cluster: ProcessCluster, request: Request, *, case: int, number: int) -> None:
    what = f"request {number} of case {case}: {request}"
    for node in cluster.nodes[1:]:
        refused = log.send(node, request)
        if refused.status < 400:
            raise Violation(f"{node} is a secondary and answered {refused} to {what}")
    answer = log.send(MASTER, request)
    stores = request.stores
    if stores is None and not request.query:
        stores = _what_it_must_store(request)
    is_stored = answer.status in {200, 202}
    if stores is not None and is_stored != bool(stores):
        raise Violation(f"{answer.status} {answer.body[:500]!r} was answered to {what}")
    if is_stored and "idempotency-replayed" not in answer.headers:
        log.messages += log.stored_by(answer) if stores is None else stores
    log.check(what)


def _what_it_must_store(request: Request) -> tuple[str, ...] | None:
    if request.headers == (JSON,):
        return messages_in(request.body)
    return messages_in_lines(request.body) if request.headers == (LINES,) else None


def _restart(log: _Log, cluster: ProcessCluster, random: Random) -> None:
    log.close()
    end = random.choice((cluster.stop, cluster.kill))
    for node in cluster.nodes:
        end(node)
    cluster.start_all()
    for node in cluster.nodes:
        wait_live(cluster, node)
    stories.wait_linked(cluster)
    log.messages.append("is everybody there?")
    log.check("a restart of all nodes")


HARNESSES = (
    Harness(
        name="bad-input",
        row=11,
        promise="no input breaks reading",
        how="a corpus of JSON's traps, and made-up neighbours of it, to all nodes; after each, and "
        "after restarts, every node is read: 200, strict JSON, equal, and what was stored",
        unit="runs of the corpus",
        cases=30,
        run=run,
        sample=(0,),
    ),
)
