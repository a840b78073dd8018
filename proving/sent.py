"""Appends that are sent without waiting for their answers, as clients that hang up do.

NETWORK.
"""

from __future__ import annotations

import http.client
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from select import select

from proving.recording import Post, Recording, answered
from replog.history.lines import Append

_numbers = count(1_000)
"""No two appends under way are of one client."""


class Sent:
    """An append under way, on a connection of its own; it ends by `answer` or by `hang_up`."""

    def __init__(
        self,
        recording: Recording,
        messages: Sequence[str],
        *,
        w: int,
        key: str | None = None,
        timeout_s: float = 60.0,
    ) -> None:
        self._recording = recording
        self._line = Append(next(_numbers), recording.now(), "unknown", list(messages), w, key=key)
        host = recording.nodes[0].removeprefix("http://")
        self._connection = http.client.HTTPConnection(host, timeout=timeout_s)
        post = Post.of(messages, w=w, key=key, timeout=None)
        with suppress(OSError):  # then there is no answer
            self._connection.request("POST", post.path, post.body, dict(post.headers))

    @property
    def was_connected(self) -> bool:
        return self._connection.sock is not None

    @property
    def is_answered(self) -> bool:
        """Whether something came: an answer, or the end of the connection."""
        return not self.was_connected or bool(select([self._connection.sock], [], [], 0)[0])

    def answer(self) -> Append:
        """Wait for the answer, and return the line that was written."""
        if not self.was_connected:
            return self.hang_up()
        try:
            response = self._connection.getresponse()
            data = response.read()
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, TimeoutError):
                self._recording.count("no answer in time")
            return self.hang_up()
        headers = {name.lower(): value for name, value in response.getheaders()}
        answered(self._recording, self._line, response.status, data, headers)
        return self.hang_up()

    def hang_up(self) -> Append:
        """Close the connection, and return the line that was written."""
        self.close()
        if self._line.returned is None:
            self._line.given_up = self._recording.now()
        self._recording.write(self._line)
        return self._line

    def close(self) -> None:
        """Close the connection, and write nothing: a run ends here."""
        self._connection.close()
