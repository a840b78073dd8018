"""How much one node takes from its HTTP clients at a time.

PURE.
"""

from __future__ import annotations

from dataclasses import dataclass

from replog.core.errors import ConfigurationError
from replog.storage.batch import BATCH_BYTES_MAX

ESCAPED_BYTES_MAX = 6
r"""The most bytes that one byte of a message takes as JSON: `\u0000`."""

BODY_SLACK_BYTES = 64 * 1024
"""Room in a request's body for the other fields and for white space."""

MESSAGE_BYTES_MAX = (BATCH_BYTES_MAX - BODY_SLACK_BYTES) // ESCAPED_BYTES_MAX
"""The highest message limit that can be set: such a message always fits into a batch."""

ENTRY_GROWTH_BYTES = 64
"""How much longer an entry may be in the log than in the body of a batch. The canonical form
of a string is never longer than any other, so all that grows is what stands around it:
`{"id":…,"message":…}` for `{"message":…},` is 22 bytes, and `"…":` for `,"key":` 13 more."""

ACKS_WAIT_S_MAX = 3600
"""The longest wait for a receipt; who wants to wait longer asks again."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What is refused before anything is stored.

    Attributes:
        message_bytes_max: one message as UTF-8, decoded (413 beyond it).
        waiting_appends_max: appends that may wait at one time (503 beyond it); a batch is one.
        request_bytes_max: bytes of all requests' bodies held at one time, until the outcome of
            each is known (503 beyond it).
        batch_entries_max: entries that one request may bring (413 beyond it).
        batch_bytes_max: the body of such a request (413 beyond it).
        followers_max: streams and long polls at one time, together (503 beyond it).
    """

    message_bytes_max: int = 1024 * 1024
    waiting_appends_max: int = 10_000
    request_bytes_max: int = 64 * 1024 * 1024
    batch_entries_max: int = 10_000
    batch_bytes_max: int = 16 * 1024 * 1024
    followers_max: int = 2_000

    @property
    def body_bytes_max(self) -> int:
        """The largest body that can hold a message of `message_bytes_max` bytes."""
        return self.message_bytes_max * ESCAPED_BYTES_MAX + BODY_SLACK_BYTES

    @property
    def batch_body_bytes_max(self) -> int:
        """The largest body of a batch that is ever taken: all bodies in flight bound it too."""
        return min(self.batch_bytes_max, self.request_bytes_max)

    def __post_init__(self) -> None:
        if not 1 <= self.message_bytes_max <= MESSAGE_BYTES_MAX:
            raise ConfigurationError(
                f"The message limit is {self.message_bytes_max} bytes, and must be from 1 to "
                f"{MESSAGE_BYTES_MAX}: a batch of the format holds no more."
            )
        if self.request_bytes_max < self.body_bytes_max:
            raise ConfigurationError(
                f"The limit of request bytes in flight is {self.request_bytes_max}, and must be "
                f"at least {self.body_bytes_max}: one message of the largest size."
            )
        if self.waiting_appends_max < 1:
            raise ConfigurationError(
                f"The limit of waiting appends is {self.waiting_appends_max}, and must be at "
                "least 1."
            )
        if self.followers_max < 1:
            raise ConfigurationError(
                f"The limit of followers is {self.followers_max}, and must be at least 1."
            )
        self._check_batches()

    def _check_batches(self) -> None:
        if self.batch_entries_max < 1 or self.batch_bytes_max < 1:
            raise ConfigurationError(
                f"The limits of a batch are {self.batch_entries_max} entries and "
                f"{self.batch_bytes_max} bytes, and must be at least 1 each."
            )
        stored = self.batch_bytes_max + self.batch_entries_max * ENTRY_GROWTH_BYTES
        if stored + BODY_SLACK_BYTES > BATCH_BYTES_MAX:
            raise ConfigurationError(
                f"The limits of a batch are {self.batch_entries_max} entries and "
                f"{self.batch_bytes_max} bytes, which may become {stored} bytes in the log; a "
                f"batch of the format holds no more than {BATCH_BYTES_MAX}. Lower one of them."
            )


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a connection may take over what is its own to do; waiting has no deadline.

    Attributes:
        headers_s: from the first byte of a request to the end of its headers, and from the
            opening of a connection to its first request.
        body_s: from `progress_bytes` of a body to the next ones, or to its end.
        idle_s: between two requests. Above the 60 s that proxies keep connections for.
        unread_s: in each such span some of an answer that is on its way must be taken.
            Streams and large reads have rules of their own beside it.
    """

    headers_s: float = 10.0
    body_s: float = 10.0
    progress_bytes: int = 1024
    idle_s: float = 75.0
    unread_s: float = 10.0
