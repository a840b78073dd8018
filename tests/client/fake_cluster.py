"""A cluster without processes or sockets: what nodes answer, and what can go wrong on the way.

PURE. Used as the transport of a client. Faults come first: `break_off` loses the answer to a
request that was performed, `refuse` its connection, `answer` puts something in its place.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field

import httpx2

from replog.http.problems import PROBLEMS, Problem

URLS = ("http://a", "http://b", "http://c")
Fault = Callable[["FakeCluster", httpx2.Request], httpx2.Response]


class Stream(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """A body in pieces, for both kinds of clients; a None in it breaks the connection off."""

    def __init__(self, pieces: list[bytes | None], ended: Callable[[], None]) -> None:
        self._pieces = pieces
        self._ended = ended

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            if piece is None:
                raise httpx2.ReadError("broken off")
            yield piece

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in iter(self):
            yield piece

    def close(self) -> None:
        self._ended()

    async def aclose(self) -> None:
        self._ended()


def problem(name: str, **members: object) -> httpx2.Response:
    made = Problem(PROBLEMS[name], f"detail of {name}", members)
    body = made.body()
    headers = [(key.decode(), value.decode()) for key, value in made.all_headers(body)]
    return httpx2.Response(made.status, headers=headers, content=body)


def refuse(cluster: FakeCluster, request: httpx2.Request) -> httpx2.Response:
    raise httpx2.ConnectError("refused")


def break_off(cluster: FakeCluster, request: httpx2.Request) -> httpx2.Response:
    cluster.perform(request)
    raise httpx2.ReadError("broken off")


def answer(response: httpx2.Response) -> Fault:
    """Answer a copy: a response is read once."""
    status, headers, content = response.status_code, response.headers, response.content
    return lambda cluster, request: httpx2.Response(status, headers=headers, content=content)


def stream(*pieces: bytes | None) -> Fault:
    """Answer a stream of these pieces."""

    def respond(cluster: FakeCluster, request: httpx2.Request) -> httpx2.Response:
        cluster.open_streams += 1
        return httpx2.Response(200, stream=Stream(list(pieces), cluster.stream_ended))

    return respond


def line(id: int) -> bytes:
    return b'{"id":%d,"message":"m%d"}\n' % (id, id)


@dataclass(slots=True)
class FakeCluster:
    """One log; the node at `master` orders it."""

    master: str = URLS[0]
    messages: list[str] = field(default_factory=list)
    id_of_key: dict[str, int] = field(default_factory=dict)
    faults: dict[str, deque[Fault]] = field(default_factory=dict)
    always: dict[str, Fault] = field(default_factory=dict)
    requests: list[httpx2.Request] = field(default_factory=list)
    behind: dict[str, int] = field(default_factory=dict)
    """How many entries a node lacks."""
    log_ids: dict[str, str | None] = field(default_factory=dict)
    statuses: dict[str, str] = field(default_factory=dict)
    open_streams: int = 0

    def fail(self, url: str, *faults: Fault) -> None:
        self.faults.setdefault(url, deque()).extend(faults)

    def asked(self) -> list[str]:
        """Return method, node and path of every request so far."""
        return [f"{r.method} {_url(r)[7:]}{r.url.raw_path.decode()}" for r in self.requests]

    def stream_ended(self) -> None:
        self.open_streams -= 1

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        url = _url(request)
        # A follower asks for the health before each stream: faults are for what comes then.
        waiting = None if request.url.path == "/health" else self.faults.get(url)
        if waiting:
            return waiting.popleft()(self, request)
        if url in self.always:
            return self.always[url](self, request)
        return self.perform(request)

    def perform(self, request: httpx2.Request) -> httpx2.Response:
        url, path = _url(request), request.url.path
        if request.method == "POST":
            return self._append(request) if url == self.master else self._not_here(405)
        if path.endswith("/acks"):
            return self._acks(request) if url == self.master else self._not_here(421)
        if path == "/health":
            return self._health(url)
        return self._read(url, request)

    def _not_here(self, status: int) -> httpx2.Response:
        name = {405: "not-the-master", 421: "ask-the-master"}[status]
        return problem(name, master=self.master)

    def _append(self, request: httpx2.Request) -> httpx2.Response:
        lines = request.content.splitlines()
        values = [json.loads(text) for text in lines] if len(lines) > 1 else None
        if values is None:
            body = json.loads(request.content)
            values = body if isinstance(body, list) else [body]
        is_single = request.headers["content-type"] == "application/json" and not (
            request.content.startswith(b"[")
        )
        key = request.url.params.get("key") or values[0].get("key")
        replayed = {"idempotency-replayed": "true"} if key in self.id_of_key else {}
        if not replayed:
            self.id_of_key[key] = len(self.messages) + 1
            self.messages += [value["message"] for value in values]
        first = self.id_of_key[key]
        headers = {"log-acks": "3/3", **replayed}
        if is_single:
            log = {"id": first, "message": values[0]["message"]}
            return httpx2.Response(200, headers=headers, json={"status": "success", "log": log})
        last = first + len(values) - 1
        body = {"status": "success", "first": first, "last": last, "count": len(values)}
        return httpx2.Response(200, headers=headers, json=body)

    def _acks(self, request: httpx2.Request) -> httpx2.Response:
        number = int(request.url.path.split("/")[2])
        acks = [{"url": url, "node_id": url, "last_id": number, "head": "00"} for url in URLS]
        return httpx2.Response(200, json={"id": number, "required": 3, "met": True, "acks": acks})

    def _health(self, url: str) -> httpx2.Response:
        role = "master" if url == self.master else "secondary"
        secondaries = [{"url": other} for other in URLS if other != url]
        value = {
            "role": role,
            "status": self.statuses.get(url, "ok"),
            "node_id": url,
            "log_id": self.log_ids.get(url, "one"),
            "epoch": 1,
            "last_id": len(self.messages),
            "committed_id": len(self.messages),
            "secondaries": secondaries if role == "master" else [],
        }
        return httpx2.Response(200, json=value)

    def _read(self, url: str, request: httpx2.Request) -> httpx2.Response:
        query = request.url.params
        committed = len(self.messages) - self.behind.get(url, 0)
        if int(query.get("min_id", "0")) > committed:
            return problem("not-fresh", committed=committed)
        headers = {"log-committed": str(committed)}
        if request.method == "HEAD":
            return httpx2.Response(200, headers=headers)
        name = request.url.path.rpartition("/")[2]
        if name == "stream":
            first = int(query["from"])
            pieces: list[bytes | None] = [b"\n"]
            pieces += map(self._line, range(first, committed + 1))
            return stream(*pieces)(self, request)
        if name.isdigit():
            if int(name) > committed:
                return problem("unknown-id", committed=committed)
            return httpx2.Response(200, headers=headers, content=self._line(int(name)))
        first, limit = int(query.get("from", "1")), int(query.get("limit", "1000"))
        ids = range(first, min(committed, first + limit - 1) + 1)
        page = b"".join(map(self._line, ids))
        pieces = [page[at : at + 65_536] for at in range(0, len(page), 65_536)]
        return httpx2.Response(200, headers=headers, stream=Stream([*pieces], lambda: None))

    def _line(self, id: int) -> bytes:
        return json.dumps({"id": id, "message": self.messages[id - 1]}).encode() + b"\n"


def _url(request: httpx2.Request) -> str:
    return f"http://{request.url.host}"
