"""The settings of one node, from its flags, its environment and its TOML file.

SHELL. A setting is taken from its flag, else its environment variable, else the file, else
its default. All of them pass through one table of texts and parsers, so that every error is
one line that names the setting, its source, what was got and what is expected.
pydantic-settings would do this too, but its import alone takes 0.13 s of a start budget of
2 s for three nodes, and its errors are several lines (docs/decisions/0010).
"""

from __future__ import annotations

import socket
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from replog.config.table import (
    ACCEPT_LOSS,
    ADVERTISE_URL,
    BATCH_BYTES_MAX,
    BATCH_ENTRIES_MAX,
    DATA_DIR,
    DEFAULT_TIMEOUT,
    DELAY,
    ENVIRONMENT_PREFIX,
    FOLLOWERS_MAX,
    HOST,
    KEY_WINDOW,
    LOG_FORMAT,
    LOG_LEVEL,
    MESSAGE_BYTES_MAX,
    PORT,
    QUORUM,
    REQUEST_BYTES_IN_FLIGHT_MAX,
    ROLE,
    SECONDARIES,
    TABLE,
    TAKE_OVER,
    WAITING_APPENDS_MAX,
    WRITE_CONCERN,
    Role,
    Setting,
    Settings,
)
from replog.config.texts import base_url
from replog.core.errors import ConfigurationError
from replog.core.write_concern import WriteConcern, copies_needed

T = TypeVar("T")


class UsageError(ConfigurationError):
    """A flag was given a value that it does not take."""


class Origin(StrEnum):
    """Where a setting was given, as an error names it."""

    FLAG = "the command line"
    ENVIRONMENT = "the environment"
    FILE = "the configuration file"


@dataclass(frozen=True, slots=True)
class Given:
    """The text of one setting and where it stood; `place` is its name there."""

    text: str
    origin: Origin
    place: str


class Sources:
    """The texts that were given, by setting; a flag hides the environment, that the file."""

    def __init__(
        self,
        *,
        flags: Mapping[str, str | None],
        environment: Mapping[str, str],
        file: Mapping[str, object],
        file_path: str = "",
    ) -> None:
        self._given: dict[str, Given] = {}
        for setting in TABLE:
            flag = flags.get(setting.name)
            if flag is not None:
                self._given[setting.name] = Given(flag, Origin.FLAG, setting.flag)
            elif environment.get(setting.variable):  # Compose sets "" for "not set"
                text = environment[setting.variable]
                self._given[setting.name] = Given(text, Origin.ENVIRONMENT, setting.variable)
            elif setting.name in file:
                text = _text_of(file[setting.name])
                self._given[setting.name] = Given(text, Origin.FILE, f"{file_path}: {setting.name}")

    def read(self, setting: Setting[T]) -> T:
        """Return the value of `setting`.

        Raises:
            UsageError: a flag was given a value that it does not take.
            ConfigurationError: the environment or the file gives such a value.
        """
        given = self._given.get(setting.name)
        if given is None:
            return setting.default
        try:
            return setting.parse(given.text.strip())
        except ValueError:
            raise error_in(given, f'got "{given.text}", expected {setting.expects}') from None

    def given(self, setting: Setting[T]) -> Given | None:
        return self._given.get(setting.name)


def error_in(given: Given, fault: str) -> ConfigurationError:
    kind = UsageError if given.origin is Origin.FLAG else ConfigurationError
    return kind(f"{given.place} ({given.origin}): {fault}")


def load_settings(
    *,
    flags: Mapping[str, str | None],
    environment: Mapping[str, str],
    config_path: str | None = None,
) -> Settings:
    """Return what a node is to run with.

    Raises:
        UsageError: a flag is missing, or has a value that it does not take.
        ConfigurationError: so does another source, or the settings contradict each other.
    """
    file = read_file(config_path) if config_path else {}
    sources = Sources(flags=flags, environment=environment, file=file, file_path=config_path or "")
    role: Role = _required(sources, ROLE)
    _refuse_what_the_role_does_not_take(sources, role)
    host, port = sources.read(HOST), sources.read(PORT)
    url = sources.read(ADVERTISE_URL) or own_url(host, port)
    secondaries = sources.read(SECONDARIES)
    given = sources.given(SECONDARIES)
    if given is not None and url in secondaries:
        raise error_in(given, f'got "{url}", which is this node itself')
    return Settings(
        role=role,
        host=host,
        port=port,
        data_dir=_required(sources, DATA_DIR),
        secondaries=secondaries,
        write_concern=_reachable_write_concern(sources, nodes=1 + len(secondaries)),
        advertise_url=url,
        quorum=sources.read(QUORUM),
        take_over=sources.read(TAKE_OVER),
        accept_loss=sources.read(ACCEPT_LOSS),
        delay=sources.read(DELAY),
        log_level=sources.read(LOG_LEVEL),
        log_format=sources.read(LOG_FORMAT),
        default_timeout=sources.read(DEFAULT_TIMEOUT),
        message_bytes_max=sources.read(MESSAGE_BYTES_MAX),
        waiting_appends_max=sources.read(WAITING_APPENDS_MAX),
        request_bytes_in_flight_max=sources.read(REQUEST_BYTES_IN_FLIGHT_MAX),
        batch_entries_max=sources.read(BATCH_ENTRIES_MAX),
        batch_bytes_max=sources.read(BATCH_BYTES_MAX),
        key_window=sources.read(KEY_WINDOW),
        followers_max=sources.read(FOLLOWERS_MAX),
    )


def own_url(host: str, port: int) -> str:
    """Return a URL for clients where none is set; a wildcard address is none to them."""
    name = socket.gethostname() if host in {"0.0.0.0", "::"} else host  # noqa: S104 - compared
    return base_url("http", name, port)


def read_file(path: str) -> Mapping[str, object]:
    """Return the members of a TOML file; each must be the name of a setting."""
    try:
        with open(path, "rb") as stream:
            members: Mapping[str, object] = tomllib.load(stream)
    except OSError as error:
        raise ConfigurationError(f"--config {path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"--config {path}: is no TOML: {error}") from error
    names = [setting.name for setting in TABLE]
    for name in members:
        if name not in names:
            raise ConfigurationError(
                f'{path}: unknown setting "{name}"; the known ones are {", ".join(names)}'
            )
    return members


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """Return the REPLOG_… variables that set nothing.

    They are worth a warning, not an error: some platforms add variables of their own (a
    Kubernetes service named "replog" sets REPLOG_SERVICE_HOST in every container).
    """
    known = {setting.variable for setting in TABLE} | {"REPLOG_CONFIG", "REPLOG_URL"}
    return sorted(
        name for name in environment if name.startswith(ENVIRONMENT_PREFIX) and name not in known
    )


def _text_of(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ",".join(_text_of(item) for item in value)
    return str(value)


def _required(sources: Sources, setting: Setting[T | None]) -> T:
    value = sources.read(setting)
    if value is None:
        raise UsageError(
            f"{setting.flag} is missing: give it, or {setting.variable}, or {setting.name} "
            f"in a file named with --config; expected {setting.expects}"
        )
    return value


def _refuse_what_the_role_does_not_take(sources: Sources, role: Role) -> None:
    # What is ignored in silence is believed to work.
    masters: tuple[Setting[object], ...] = (SECONDARIES, QUORUM, TAKE_OVER, ACCEPT_LOSS)
    others: tuple[Setting[object], ...] = masters if role == "secondary" else (DELAY,)
    for setting in others:
        given = sources.given(setting)
        if given is not None and sources.read(setting) != setting.default:
            raise error_in(given, f"a {role} does not take this setting; leave it away")


def _reachable_write_concern(sources: Sources, *, nodes: int) -> WriteConcern:
    """Refuse a default that no append could ever meet (R10). A secondary knows no number."""
    concern = sources.read(WRITE_CONCERN)
    given = sources.given(WRITE_CONCERN)
    is_master = sources.read(ROLE) == "master"
    if given is not None and is_master and copies_needed(concern, nodes=nodes) is None:
        raise error_in(given, f"got {concern}, but this cluster has {nodes} nodes")
    return concern
