"""Everything that can be set for a node: one table, which help, documents and loading share.

PURE.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from replog.config import texts
from replog.core.write_concern import WriteConcern

ENVIRONMENT_PREFIX = "REPLOG_"

MIB = 1024 * 1024

DELAY_S_MAX = 3600
"""An injected delay is for experiments; an hour is far beyond any of them."""

TIMEOUT_S_MAX = 86_400

Role = Literal["master", "secondary"]
Quorum = Literal["none", "majority"]
LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["plain", "json"]

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Setting(Generic[T_co]):
    """One thing that can be set for a node.

    Attributes:
        name: as in a TOML file; the flag has dashes, the environment capitals and a prefix.
        parse: gives the value of a text; raises ValueError where it is none.
        expects: what `parse` takes, for an error: "got …, expected …".
        help: one line for `--help` and docs/configuration.md.
    """

    name: str
    parse: Callable[[str], T_co]
    expects: str
    default: T_co
    help: str

    @property
    def flag(self) -> str:
        return _FLAGS.get(self.name, "--" + self.name.replace("_", "-"))

    @property
    def variable(self) -> str:
        return ENVIRONMENT_PREFIX + self.name.upper()


_FLAGS = {"secondaries": "--secondary"}
"""The one flag that is not its setting's name: it is given once for each secondary."""


ROLE: Setting[Role | None] = Setting(
    name="role",
    parse=texts.choice("master", "secondary"),
    expects="master or secondary",
    default=None,
    help="master: orders appends. secondary: follows a master and needs to know nobody",
)
HOST = Setting(
    name="host",
    parse=texts.text_of_some_length,
    expects="a host name or an address",
    default="127.0.0.1",
    help="address to listen on",
)
PORT = Setting(
    name="port",
    parse=texts.whole_number(1, 65535),
    expects="a whole number from 1 to 65535",
    default=8000,
    help="port to listen on, for clients and for the link alike",
)
DATA_DIR: Setting[str | None] = Setting(
    name="data_dir",
    parse=texts.text_of_some_length,
    expects="the path of a directory",
    default=None,
    help="directory of this node's log; made where it is missing",
)
SECONDARIES: Setting[tuple[str, ...]] = Setting(
    name="secondaries",
    parse=texts.node_urls,
    expects="different URLs like http://127.0.0.1:8001, separated by commas",
    default=(),
    help="URL of a secondary; a master's flag may be given again for each",
)
WRITE_CONCERN: Setting[WriteConcern] = Setting(
    name="write_concern",
    parse=texts.write_concern,
    expects='a number of nodes from 1 on, "majority" or "all"',
    default="all",
    help="how many nodes must hold an entry before its append is answered, if it does not say",
)
ADVERTISE_URL: Setting[str | None] = Setting(
    name="advertise_url",
    parse=texts.node_url,
    expects="a URL like http://127.0.0.1:8000",
    default=None,
    help="URL under which clients reach this node; else made of host and port",
)
QUORUM: Setting[Quorum] = Setting(
    name="quorum",
    parse=texts.choice("none", "majority"),
    expects="none or majority",
    default="none",
    help="nodes that a master must reach to take appends at all",
)
TAKE_OVER = Setting(
    name="take_over",
    parse=texts.truth,
    expects="true or false, yes or no, 1 or 0",
    default=False,
    help="reign although another master did before, or this directory was a secondary's (R8)",
)
ACCEPT_LOSS = Setting(
    name="accept_loss",
    parse=texts.truth,
    expects="true or false, yes or no, 1 or 0",
    default=False,
    help="start as master on a damaged log without hearing every secondary first (R8)",
)
DELAY = Setting(
    name="delay",
    parse=texts.seconds(DELAY_S_MAX),
    expects=f"seconds from 0 to {DELAY_S_MAX}",
    default=0.0,
    help="seconds for which a secondary holds each batch before it stores it (R12)",
)
LOG_LEVEL: Setting[LogLevel] = Setting(
    name="log_level",
    parse=texts.choice("debug", "info", "warning", "error"),
    expects="debug, info, warning or error",
    default="info",
    help="least important lines that are logged",
)
LOG_FORMAT: Setting[LogFormat] = Setting(
    name="log_format",
    parse=texts.choice("plain", "json"),
    expects="plain or json",
    default="plain",
    help="plain: lines for people. json: one object a line",
)
DEFAULT_TIMEOUT: Setting[float | None] = Setting(
    name="default_timeout",
    parse=texts.optional(texts.seconds(TIMEOUT_S_MAX)),
    expects=f"none, or seconds from 0 to {TIMEOUT_S_MAX}",
    default=None,
    help="seconds after which an append that gives no timeout is answered 202; none: no limit",
)
MESSAGE_BYTES_MAX = Setting(
    name="message_bytes_max",
    # The format's batch ends at 32 MiB encoded, and a NUL takes six bytes as JSON.
    parse=texts.whole_number(1, 5 * MIB),
    expects=f"a whole number of bytes from 1 to {5 * MIB}",
    default=MIB,
    help="largest message that is taken, in bytes of UTF-8",
)
WAITING_APPENDS_MAX = Setting(
    name="waiting_appends_max",
    parse=texts.whole_number(1, 1_000_000),
    expects="a whole number from 1 to 1000000",
    default=10_000,
    help="appends that may wait for their answer; beyond, 503",
)
REQUEST_BYTES_IN_FLIGHT_MAX = Setting(
    name="request_bytes_in_flight_max",
    parse=texts.whole_number(MIB, 1024 * MIB),
    expects=f"a whole number of bytes from {MIB} to {1024 * MIB}",
    default=64 * MIB,
    help="bytes of request bodies that may be under way together; beyond, 503",
)
BATCH_ENTRIES_MAX = Setting(
    name="batch_entries_max",
    # With the next one: whatever is within both fits into the format's batch, see `Limits`.
    parse=texts.whole_number(1, 100_000),
    expects="a whole number from 1 to 100000",
    default=10_000,
    help="entries that one request may append together; beyond, 413",
)
BATCH_BYTES_MAX = Setting(
    name="batch_bytes_max",
    parse=texts.whole_number(1, 24 * MIB),
    expects=f"a whole number of bytes from 1 to {24 * MIB}",
    default=16 * MIB,
    help="largest body of a request that appends several entries; beyond, 413",
)
KEY_WINDOW = Setting(
    name="key_window",
    parse=texts.whole_number(1, 10_000_000),
    expects="a whole number of entries from 1 to 10000000",
    default=100_000,
    help="last entries whose idempotency keys a master knows: 300 bytes of memory a key",
)
FOLLOWERS_MAX = Setting(
    name="followers_max",
    parse=texts.whole_number(1, 100_000),
    expects="a whole number from 1 to 100000",
    default=2_000,
    help="streams and long polls that may be open together; beyond, 503",
)

TABLE: tuple[Setting[object], ...] = (
    ROLE,
    HOST,
    PORT,
    DATA_DIR,
    SECONDARIES,
    WRITE_CONCERN,
    ADVERTISE_URL,
    QUORUM,
    TAKE_OVER,
    ACCEPT_LOSS,
    DELAY,
    LOG_LEVEL,
    LOG_FORMAT,
    DEFAULT_TIMEOUT,
    MESSAGE_BYTES_MAX,
    WAITING_APPENDS_MAX,
    REQUEST_BYTES_IN_FLIGHT_MAX,
    BATCH_ENTRIES_MAX,
    BATCH_BYTES_MAX,
    KEY_WINDOW,
    FOLLOWERS_MAX,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The effective configuration of one node; the table says what each member means."""

    role: Role
    host: str
    port: int
    data_dir: str
    secondaries: tuple[str, ...]
    write_concern: WriteConcern
    advertise_url: str
    quorum: Quorum
    take_over: bool
    accept_loss: bool
    delay: float
    log_level: LogLevel
    log_format: LogFormat
    default_timeout: float | None
    message_bytes_max: int
    waiting_appends_max: int
    request_bytes_in_flight_max: int
    batch_entries_max: int
    batch_bytes_max: int
    key_window: int
    followers_max: int
