"""A server that stops: links that stand are closed, one that comes at that moment is refused."""

from __future__ import annotations

import asyncio
import gc

import pytest
from starlette.websockets import WebSocket

from replog.replication.dial import dial
from replog.replication.endpoint import FRAMES, FrameProtocol
from replog.replication.link import ConnectionLostError
from tests.replication.serving import serving
from tests.support.nodes import until
from tests.support.waiting import DEADLINE_S


@pytest.mark.parametrize("is_taken", [True, False])
def test_a_link_that_a_stop_refused_is_no_error_of_who_would_have_taken_it(
    caplog: pytest.LogCaptureFixture, *, is_taken: bool
) -> None:
    """The stop and the handshake come at once: a node that is stopped as it starts meets both."""

    async def story() -> None:
        ended: list[bool] = []

        async def late(websocket: WebSocket) -> None:
            protocol: FrameProtocol = websocket.scope["extensions"][FRAMES]["protocol"]
            protocol.shutdown()
            try:
                await (websocket.accept() if is_taken else websocket.close(1012))
            finally:
                ended.append(True)

        async with serving(late) as port:
            with pytest.raises(ConnectionLostError, match="it answers HTTP 503 to a link"):
                await dial(f"http://127.0.0.1:{port}")
            await until(lambda: ended == [True], "it heard of that")

    asyncio.run(asyncio.wait_for(story(), DEADLINE_S))
    gc.collect()  # a task that failed tells of it then
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


def test_a_stop_closes_a_link_that_was_taken() -> None:
    async def story() -> None:
        async def hold(websocket: WebSocket) -> None:
            protocol: FrameProtocol = websocket.scope["extensions"][FRAMES]["protocol"]
            await websocket.accept()
            protocol.shutdown()

        async with serving(hold) as port:
            connection = await dial(f"http://127.0.0.1:{port}")
            with pytest.raises(ConnectionLostError, match="closed by the other end"):
                await connection.receive()

    asyncio.run(asyncio.wait_for(story(), DEADLINE_S))
