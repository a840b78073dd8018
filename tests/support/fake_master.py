"""A master by hand: says to a secondary's endpoint exactly what a test wants said.

NETWORK.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self, TypeVar

from replog.core.entry import GENESIS, EntryId, Epoch, Head, LogId, NodeId
from replog.core.messages import (
    Acknowledgement,
    Batches,
    Heartbeat,
    Hello,
    Message,
    Refusal,
    RefusalKind,
    Report,
    StreamStart,
    Welcome,
)
from replog.replication import wire
from replog.replication.dial import dial
from replog.replication.link import Connection, ConnectionLostError
from replog.storage.batch import encode_batch, encode_message, header_line

LOG = LogId("log-of-the-test")
TIME_MS = 1_700_000_000_000

T = TypeVar("T")


def batch(
    after: Head,
    *texts: str,
    epoch: int = 1,
    link_epoch: int = 1,
    committed: int = 0,
    log_id: str = LOG,
    opens: bool | None = None,
    seal: bool = False,
    time_ms: int = TIME_MS,
) -> Batches:
    """Make a good batch that follows on `after`; the first of a log opens a segment."""
    opens = after == GENESIS if opens is None else opens
    encoded = encode_batch(
        after=after,
        messages=tuple(map(encode_message, texts)),
        epoch=Epoch(epoch),
        committed_id=EntryId(0),
        time_ms=time_ms,
        seal=seal,
        header=header_line(LogId(log_id), EntryId(after.last_id + 1), after.hash) if opens else b"",
    )
    return Batches(Epoch(link_epoch), after, encoded.head, EntryId(committed), encoded.payload)


class FakeMaster:
    """One connection to a secondary.

    Attributes:
        hello: what the secondary said first.
        report: its last report.
    """

    def __init__(self, connection: Connection, codec: wire.Codec, hello: Hello) -> None:
        self._connection = connection
        self._codec = codec
        self.hello = hello
        self.report: Report | None = None

    @classmethod
    async def connect(cls, url: str) -> Self:
        connection = await dial(url)
        codec = wire.Codec()
        hello = await _next(connection, codec)
        assert isinstance(hello, Hello), hello
        return cls(connection, codec, hello)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._connection.abort()

    async def welcome(
        self,
        *,
        epoch: int = 1,
        node_id: str = "fake",
        log_id: str = LOG,
        members: tuple[str, ...] = ("http://127.0.0.1:1",),
    ) -> Report:
        """Say who reigns, and return what the secondary reports."""
        url = "http://127.0.0.1:1"
        await self.send(Welcome(LogId(log_id), NodeId(node_id), Epoch(epoch), url, members))
        self.report = await self.expect(Report)
        return self.report

    async def stream(self) -> Head:
        """Begin the stream at the reported head."""
        assert self.report is not None
        await self.send(StreamStart(self.report.head))
        return self.report.head

    async def send(self, message: Message) -> None:
        await self._connection.send(self._codec.encode(message))

    async def send_frame(self, frame: str | bytes) -> None:
        await self._connection.send(frame)

    async def expect(self, kind: type[T]) -> T:
        """Return the next message but heartbeats; it must be of this kind."""
        message = await _next(self._connection, self._codec)
        assert isinstance(message, kind), message
        return message

    async def acknowledged(self, head: Head) -> None:
        """Return when exactly this head is acknowledged."""
        acknowledgement = await self.expect(Acknowledgement)
        assert acknowledgement.head == head, acknowledgement

    async def closed(self) -> str:
        """Return why the secondary ended the link.

        Before that it may say that what came is not good (R5), and nothing else.
        """
        try:
            message = await _next(self._connection, self._codec)
            if isinstance(message, Refusal) and message.kind is RefusalKind.BAD_BYTES:
                message = await _next(self._connection, self._codec)
        except ConnectionLostError as error:
            return str(error)
        raise AssertionError(f"not closed: {message}")


async def _next(connection: Connection, codec: wire.Codec) -> Message:
    async with asyncio.timeout(30):
        while True:
            message = codec.decode(await connection.receive())
            if not isinstance(message, Heartbeat):
                return message
            # A master that says nothing for 5 s is no master (R11), however slow the machine.
            await connection.send(codec.encode(Heartbeat(message.epoch)))
