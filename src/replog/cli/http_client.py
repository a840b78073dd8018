"""The calls that the client commands make to a node, and what their failures mean.

NETWORK. Small and internal: what users import is `replog.client`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import httpx2

from replog.cli.options import DEFAULT_URL
from replog.cli.output import CommandError, ExitCode, InDoubtError, fail

CONNECT_TIMEOUT_S = 5.0

_CODE_OF_STATUS = {
    400: ExitCode.USAGE,
    404: ExitCode.NOT_FOUND,
    405: ExitCode.USAGE,
    412: ExitCode.PRECONDITION_FAILED,
    413: ExitCode.USAGE,
    415: ExitCode.USAGE,
    422: ExitCode.USAGE,
}
"""Everything else is the node's environment: exit 1."""


@dataclass(frozen=True, slots=True)
class Appended:
    """The two good answers to an append.

    Attributes:
        nodes: of the cluster; None where the answer does not say.
        missing: of a pending append: how many nodes are still needed.
    """

    id: int
    is_pending: bool
    acks: tuple[str, ...]
    acks_count: int
    nodes: int | None
    body: bytes


class NodeClient:
    """One keep-alive connection to one node. Without read timeouts: appends may wait."""

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = CONNECT_TIMEOUT_S,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        if not _is_url_of_a_node(url):
            raise _no_url(url)
        self.url = url.rstrip("/")
        self._timeout_s = timeout_s
        timeout = httpx2.Timeout(None, connect=timeout_s)
        # trust_env is off: a proxy of the desktop is not the way to a node.
        try:
            self._http = httpx2.Client(
                base_url=self.url, timeout=timeout, trust_env=False, transport=transport
            )
        except httpx2.InvalidURL as error:
            raise _no_url(url) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    def append(
        self, message: str, *, concern: int | str | None = None, timeout: float | None = None
    ) -> Appended:
        """Append one entry and wait for its write concern.

        Raises:
            InDoubtError: the connection broke off before the answer; the entry may be stored.
            CommandError: refused, or no node was reached; nothing was stored.
            KeyboardInterrupt: no answer came; the entry may be stored.
        """
        body: dict[str, object] = {"message": message}
        if concern is not None:
            body["w"] = concern
        if timeout is not None:
            body["timeout"] = timeout
        content = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
        headers = {"Content-Type": "application/json"}
        try:
            answer = self._http.post("/logs", content=content.encode(), headers=headers)
        except httpx2.HTTPError as error:
            unreached = self._unreached(error, "the entry may be stored or not")
            if _is_refused(error):
                raise unreached from error
            raise InDoubtError(str(unreached), unreached.code) from error
        if answer.status_code not in {200, 202}:
            raise problem(answer)
        return self._appended(answer)

    @contextmanager
    def entries(self, *, first: int | None, limit: int | None) -> Iterator[Iterator[bytes]]:
        """Stream entries as their JSON objects, one after the other, in constant memory."""
        query = {"from": first, "limit": limit}
        given = {name: value for name, value in query.items() if value is not None}
        try:
            with self._http.stream("GET", "/logs", params=given) as answer:
                if answer.status_code != 200:
                    answer.read()
                    raise problem(answer)
                yield split_array(answer.iter_bytes())
        except httpx2.HTTPError as error:
            raise self._unreached(error, "the answer is not whole") from error

    def health(self) -> dict[str, object]:
        try:
            answer = self._http.get("/health", timeout=self._timeout_s)
        except httpx2.HTTPError as error:
            raise self._unreached(error, "it may be stopping") from error
        if answer.status_code != 200:
            raise problem(answer)
        return as_object(answer.content)

    def _appended(self, answer: httpx2.Response) -> Appended:
        body = as_object(answer.content)
        log = body.get("log")
        id_ = log.get("id") if isinstance(log, dict) else None
        if not isinstance(id_, int):
            fail(f"{self.url} does not answer as a node of a replicated log", ExitCode.ENVIRONMENT)
        acks = body.get("acks")
        urls = tuple(str(url) for url in acks) if isinstance(acks, list) else ()
        held, _, nodes = answer.headers.get("Log-Acks", "").partition("/")
        return Appended(
            id=id_,
            is_pending=answer.status_code == 202,
            acks=urls,
            acks_count=int(held) if held.isdigit() else len(urls),
            nodes=int(nodes) if nodes.isdigit() else None,
            body=answer.content,
        )

    def _unreached(self, error: httpx2.HTTPError, doubt: str) -> CommandError:
        if _is_refused(error):
            text = (
                f"no node answers at {self.url} ({error}); is it running? `replog up` starts a "
                "cluster, `replog serve` one node; --url names another one"
            )
        else:
            reason = str(error) or type(error).__name__
            text = f"the connection to {self.url} broke off ({reason}): {doubt}"
        return CommandError(text, ExitCode.NO_NODE_REACHABLE)


def _is_url_of_a_node(url: str) -> bool:
    """A path is allowed: a proxy may show a node under one."""
    try:
        parts = urlsplit(url)
        is_host = bool(parts.hostname) and parts.port != 0  # raises ValueError where it is none
    except ValueError:
        return False
    is_more = parts.query or parts.fragment or any(map(str.isspace, url))
    return is_host and parts.scheme in {"http", "https"} and not is_more


def _no_url(url: str) -> CommandError:
    text = f'--url: got "{url}", which is no URL of a node: one looks like {DEFAULT_URL}'
    return CommandError(text, ExitCode.USAGE)


def _is_refused(error: httpx2.HTTPError) -> bool:
    """Return whether there was no connection at all, so that no request can have left."""
    return isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout)


def problem(answer: httpx2.Response) -> CommandError:
    """Return a refusal in the words of the node (RFC 9457)."""
    code = _CODE_OF_STATUS.get(answer.status_code, ExitCode.ENVIRONMENT)
    try:
        members = as_object(answer.content)
    except CommandError:
        members = {}
    title = members.get("title") or answer.reason_phrase
    detail = members.get("detail")
    text = f"{title}: {detail}" if detail else str(title)
    return CommandError(f"{text} (HTTP {answer.status_code})", code)


def as_object(content: bytes) -> dict[str, object]:
    try:
        value: object = json.loads(content)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        fail("the answer is no JSON object: is this a node?", ExitCode.ENVIRONMENT)
    return value


def split_array(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Split the array of `GET /logs` into its elements, byte for byte, as they arrive.

    Inside a JSON string every quote is escaped, so `},{"id":` can only stand between two
    elements: no parser is needed, and none would keep the bytes.

    Raises:
        CommandError: the array does not end: the node broke the answer off.
    """
    seam, beginning = b'},{"id":', b""
    rest = b""
    is_first_chunk = True
    for chunk in chunks:
        rest += chunk
        if is_first_chunk and rest:
            if rest[:1] != b"[":
                fail("the answer is no array of entries: is this a node?", ExitCode.ENVIRONMENT)
            rest = rest[1:]
            is_first_chunk = False
        *whole, rest = rest.split(seam)
        for element in whole:
            yield beginning + element + b"}"
            beginning = b'{"id":'  # what the seam took from the next one
    if not rest.endswith(b"]"):
        fail("the answer broke off: it is not whole", ExitCode.NO_NODE_REACHABLE)
    if beginning or rest != b"]":
        yield beginning + rest[:-1]
