"""One node as a process: here the parts are put together, run, and ended by a signal.

SHELL.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from threading import Thread
from typing import NoReturn

import uvloop

from replog.cli.lost_identity import with_way_out
from replog.cli.open_files import allow_open_files
from replog.cli.output import ExitCode
from replog.config import Settings
from replog.config.load import unknown_variables
from replog.core.errors import StorageError
from replog.http.app import create_app
from replog.http.limits import Limits
from replog.http.server import listen, serve
from replog.node.node import Node, start_node
from replog.observability import set_up_logging

STOP_TIMEOUT_S = 5.0

FILES_BESIDE = 1024
"""Open files beside followers and waiting appends: reads, segments, links."""

GC_THRESHOLDS = (700, 10, 100)
"""Python's own, but for the last: a look at all objects is ten times as rare. With 10,000
connections it takes the loop for 0.1 to 0.3 s, and finds next to nothing."""

_log = logging.getLogger("replog.serve")


@dataclass(frozen=True, slots=True)
class Parent:
    """What ties a node to the `replog up` that started it; nothing where a person did.

    Attributes:
        until_stdin_ends: stop when stdin does, which is when the parent is gone.
        listen_fd: an inherited socket that listens at the node's port already.
    """

    until_stdin_ends: bool
    listen_fd: int | None


def run(settings: Settings, *, name: str, parent: Parent) -> NoReturn:
    """Run the node that `settings` describe until a signal, or until it cannot go on.

    Its end is the end of the process: with status 0 after a signal, with 1 where it could not
    go on and has said why in its log.

    Raises:
        ReplogError: it could not start.
    """
    allow_open_files(settings.followers_max + settings.waiting_appends_max + FILES_BESIDE)
    if parent.until_stdin_ends:
        Thread(target=_end_with_parent, daemon=True).start()
    set_up_logging(
        level=logging.getLevelNamesMapping()[settings.log_level.upper()],
        is_json=settings.log_format == "json",
        node=name,
        url=settings.advertise_url,
    )
    for variable in unknown_variables(os.environ):
        _log.warning("%s is in the environment, and is no setting of replog", variable)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        has_failed = runner.run(_serve(settings, parent.listen_fd))
        _exit(ExitCode.ENVIRONMENT if has_failed else ExitCode.OK)


def _exit(code: ExitCode) -> NoReturn:
    """End the process now, whatever its threads are in.

    Closing the event loop waits for them, and so does the interpreter at its end; one may be
    looking up a name, another reading from a disk that does not answer. The log is closed.
    """
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(code)


async def _serve(settings: Settings, listen_fd: int | None) -> bool:
    """Return whether the node ended because it could not go on."""
    limits = Limits(
        message_bytes_max=settings.message_bytes_max,
        waiting_appends_max=settings.waiting_appends_max,
        request_bytes_max=settings.request_bytes_in_flight_max,
        batch_entries_max=settings.batch_entries_max,
        batch_bytes_max=settings.batch_bytes_max,
        followers_max=settings.followers_max,
    )
    # The port first: a second node of the same command must not touch the data directory.
    if listen_fd is None:
        listeners = listen(settings.host, settings.port)
    else:
        listeners = [socket.socket(fileno=listen_fd)]
        listeners[0].setblocking(False)
    try:
        node = await _start(settings)
    except BaseException:
        for listener in listeners:
            listener.close()
        raise
    stop = asyncio.Event()

    def begin_stop() -> None:
        node.request_stop()  # whoever waits is answered before the server closes
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, begin_stop)
    # What was imported stays: no collection need look at it again, nor the end of the process.
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    gc.enable()
    ending = asyncio.create_task(_stop_when_fatal(node.fatal, stop))
    try:
        app = create_app(node, limits=limits, default_timeout_s=settings.default_timeout)
        await serve(app, node, stop=stop, listeners=listeners)
    finally:
        ending.cancel()
        await node.stop()
    return node.fatal.is_set()


async def _start(settings: Settings) -> Node:
    try:
        return await start_node(settings)
    except StorageError as error:
        raise with_way_out(error, settings) from error


async def _stop_when_fatal(fatal: asyncio.Event, stop: asyncio.Event) -> None:
    await fatal.wait()
    stop.set()


def _end_with_parent() -> None:
    """Wait until the parent's end of stdin is closed, by it or by its death; then stop."""
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(STOP_TIMEOUT_S)
    os._exit(ExitCode.ENVIRONMENT)  # it hangs, and nobody is left who could kill it
