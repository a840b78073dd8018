"""Settings: which source wins, what each takes, and what an error says.

SHELL.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from replog.cli.up import parse_delays
from replog.config import Settings
from replog.config.load import UsageError, load_settings, unknown_variables
from replog.config.table import DELAY, DELAY_S_MAX, MIB, TABLE
from replog.config.texts import shown
from replog.core.entry import EntryId
from replog.core.errors import ConfigurationError
from replog.core.keys import KEY_WINDOW_ENTRIES
from replog.http.limits import BODY_SLACK_BYTES, Limits
from replog.storage.batch import BATCH_BYTES_MAX, encode_message, entry_line

MASTER = {"REPLOG_ROLE": "master", "REPLOG_DATA_DIR": "data"}
SECONDARY = {"REPLOG_ROLE": "secondary", "REPLOG_DATA_DIR": "data"}


def load(
    environment: dict[str, str] = MASTER, config_path: str | None = None, **flags: str | None
) -> Settings:
    return load_settings(flags=flags, environment=environment, config_path=config_path)


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def test_defaults_are_those_of_the_documents() -> None:
    settings = load()
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert settings.write_concern == "all"
    assert settings.quorum == "none"
    assert settings.default_timeout is None
    assert settings.message_bytes_max == 1024 * 1024
    assert settings.waiting_appends_max == 10_000
    assert settings.request_bytes_in_flight_max == 64 * 1024 * 1024
    assert settings.batch_entries_max == Limits().batch_entries_max == 10_000
    assert settings.batch_bytes_max == Limits().batch_bytes_max == 16 * 1024 * 1024
    assert settings.key_window == KEY_WINDOW_ENTRIES == 100_000
    assert settings.followers_max == Limits().followers_max == 2_000


def test_the_highest_settings_of_a_batch_fit_into_one_of_the_format() -> None:
    settings = load(MASTER, batch_entries_max="100000", batch_bytes_max=str(24 * 1024 * 1024))
    limits = Limits(
        batch_entries_max=settings.batch_entries_max, batch_bytes_max=settings.batch_bytes_max
    )
    assert limits.batch_body_bytes_max == 24 * 1024 * 1024


def test_a_delay_has_one_limit_for_one_node_and_for_a_cluster() -> None:
    most = str(DELAY_S_MAX)
    assert load(SECONDARY, delay=most).delay == DELAY_S_MAX
    assert parse_delays([f"1={most}"], secondaries=1) == {1: DELAY_S_MAX}
    assert f"to {most}" in DELAY.expects


def test_a_message_of_the_largest_size_fits_into_a_batch_however_it_is_escaped() -> None:
    most = 5 * MIB
    settings = load(message_bytes_max=str(most))
    with pytest.raises(UsageError, match=f"from 1 to {most}"):
        load(message_bytes_max=str(most + 1))
    line = entry_line(EntryId(2**63 - 1), encode_message("\0" * settings.message_bytes_max))
    assert len(line) > 6 * most
    assert len(line) + BODY_SLACK_BYTES < BATCH_BYTES_MAX
    assert Limits(message_bytes_max=most).body_bytes_max < settings.request_bytes_in_flight_max


def test_a_flag_beats_the_environment_that_beats_the_file_that_beats_the_default(
    tmp_path: Path,
) -> None:
    path = write(tmp_path / "node.toml", "port = 9001\n")
    assert load().port == 8000
    assert load(config_path=path).port == 9001
    assert load(MASTER | {"REPLOG_PORT": "9002"}, config_path=path).port == 9002
    assert load(MASTER | {"REPLOG_PORT": "9002"}, config_path=path, port="9003").port == 9003


def test_every_setting_can_come_from_a_file(tmp_path: Path) -> None:
    path = write(
        tmp_path / "node.toml",
        """
        role = "master"
        host = "0.0.0.0"
        port = 9000
        data_dir = "/var/lib/replog"
        secondaries = ["http://b:1/", "http://c:1"]
        write_concern = 2
        advertise_url = "https://a.example"
        quorum = "majority"
        take_over = true
        accept_loss = false
        delay = 0
        log_level = "debug"
        log_format = "json"
        default_timeout = 2.5
        message_bytes_max = 100
        waiting_appends_max = 5
        request_bytes_in_flight_max = 2097152
        batch_entries_max = 8
        batch_bytes_max = 9
        key_window = 6
        followers_max = 7
        """,
    )
    assert load({}, config_path=path) == Settings(
        role="master",
        host="0.0.0.0",
        port=9000,
        data_dir="/var/lib/replog",
        secondaries=("http://b:1", "http://c:1"),
        write_concern=2,
        advertise_url="https://a.example",
        quorum="majority",
        take_over=True,
        accept_loss=False,
        delay=0.0,
        log_level="debug",
        log_format="json",
        default_timeout=2.5,
        message_bytes_max=100,
        waiting_appends_max=5,
        request_bytes_in_flight_max=2_097_152,
        batch_entries_max=8,
        batch_bytes_max=9,
        key_window=6,
        followers_max=7,
    )
    text = Path(path).read_text()
    assert all(f" {setting.name} = " in text for setting in TABLE)


def test_an_empty_variable_is_not_set_as_compose_means_it() -> None:
    assert load(MASTER | {"REPLOG_PORT": "", "REPLOG_SECONDARIES": ""}).port == 8000


@pytest.mark.parametrize("name", ["take_over", "accept_loss"])
@pytest.mark.parametrize(
    ("text", "value"),
    [("1", True), ("yes", True), ("True", True), ("0", False), ("NO", False), ("false", False)],
)
def test_a_switch_takes_what_people_write_for_it(name: str, text: str, value: bool) -> None:
    settings = load(MASTER | {f"REPLOG_{name.upper()}": text})
    assert getattr(settings, name) is value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ((), "none"),
        (None, "none"),
        (("http://b:1", "http://c:1"), "http://b:1,http://c:1"),
        (True, "true"),
        (0.0, "0"),
        (2.5, "2.5"),
        (8000, "8000"),
        ("all", "all"),
    ],
)
def test_a_value_is_shown_to_people_as_they_would_write_it(value: object, text: str) -> None:
    assert shown(value) == text


def test_secondaries_are_separated_by_commas_and_may_end_in_a_slash() -> None:
    settings = load(MASTER | {"REPLOG_SECONDARIES": "http://b:1/, http://c:1"})
    assert settings.secondaries == ("http://b:1", "http://c:1")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("role", "leader"),
        ("host", " "),
        ("port", "0"),
        ("port", "65536"),
        ("port", "80a"),
        ("port", "-1"),
        ("port", "１"),
        ("secondaries", "b:1"),
        ("secondaries", "http://"),
        ("secondaries", "http://b:1/logs"),
        ("secondaries", "http://b:99999"),
        ("secondaries", "http://a..b:1"),
        ("secondaries", f"http://{'a' * 64}.b:1"),
        ("secondaries", "http://a b:1"),
        ("secondaries", "http://user@b:1"),
        ("secondaries", "http://:secret@b:1"),
        ("secondaries", "http://b:1,http://b:1"),
        ("secondaries", "http://b:1,http://b:1/"),
        ("secondaries", "http://b:1,HTTP://B:1"),
        ("secondaries", "http://b,http://b:80/"),
        ("secondaries", "https://[::A],https://[::a]:443"),
        ("write_concern", "0"),
        ("write_concern", "most"),
        ("write_concern", "1.0"),
        ("advertise_url", "ftp://a"),
        ("quorum", "all"),
        ("take_over", "on"),
        ("delay", "-1"),
        ("delay", "nan"),
        ("delay", "inf"),
        ("delay", "1s"),
        ("delay", "3600.1"),
        ("log_level", "loud"),
        ("log_format", "xml"),
        ("default_timeout", "-0.1"),
        ("message_bytes_max", "0"),
        ("message_bytes_max", "99999999"),
        ("waiting_appends_max", "0"),
        ("request_bytes_in_flight_max", "1"),
        ("batch_entries_max", "0"),
        ("batch_entries_max", "100001"),
        ("batch_bytes_max", "0"),
        ("batch_bytes_max", "25165825"),
        ("key_window", "0"),
        ("followers_max", "0"),
    ],
)
def test_a_wrong_value_is_named_with_its_setting_source_and_what_is_expected(
    name: str, text: str
) -> None:
    setting = next(row for row in TABLE if row.name == name)
    environment = SECONDARY if name == "delay" else MASTER
    with pytest.raises(UsageError) as flag:
        load(environment, **{name: text})
    assert str(flag.value) == (
        f'{setting.flag} (the command line): got "{text}", expected {setting.expects}'
    )
    with pytest.raises(ConfigurationError) as variable:
        load(environment | {setting.variable: text})
    assert not isinstance(variable.value, UsageError)
    assert str(variable.value) == (
        f'{setting.variable} (the environment): got "{text}", expected {setting.expects}'
    )


def test_a_wrong_value_in_the_file_is_named_with_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "node.toml", 'port = "http"')
    with pytest.raises(ConfigurationError, match=r"node\.toml: port \(the configuration file\)"):
        load(config_path=path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("prot = 1", 'unknown setting "prot"; the known ones are role, host'),
        ("port =", "is no TOML"),
        ("[port]\nvalue = 1", "expected a whole number"),
        ("port = true", "expected a whole number"),
    ],
)
def test_a_wrong_file_is_refused_by_name(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        load(config_path=write(tmp_path / "node.toml", text))
    assert "node.toml" in str(error.value)
    assert said in str(error.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
        load(config_path=str(tmp_path / "none.toml"))


@pytest.mark.parametrize(("missing", "flag"), [("role", "--role"), ("data_dir", "--data-dir")])
def test_a_missing_setting_is_named_with_every_way_to_give_it(missing: str, flag: str) -> None:
    environment = {n: v for n, v in MASTER.items() if n != f"REPLOG_{missing.upper()}"}
    with pytest.raises(UsageError) as error:
        load(environment)
    assert str(error.value).startswith(f"{flag} is missing: give it, or REPLOG_{missing.upper()},")


@pytest.mark.parametrize(
    ("environment", "flags"),
    [
        (SECONDARY, {"secondaries": "http://b:1"}),
        (SECONDARY, {"quorum": "majority"}),
        (SECONDARY, {"take_over": "true"}),
        (SECONDARY, {"accept_loss": "true"}),
        (MASTER, {"delay": "1"}),
    ],
)
def test_what_a_role_would_ignore_is_refused(
    environment: dict[str, str], flags: dict[str, str]
) -> None:
    with pytest.raises(UsageError, match="does not take this setting"):
        load(environment, **flags)


def test_a_default_write_concern_that_no_append_can_meet_is_refused() -> None:
    two_nodes = MASTER | {"REPLOG_SECONDARIES": "http://b:1"}
    assert load(two_nodes, write_concern="2").write_concern == 2
    with pytest.raises(UsageError, match="got 3, but this cluster has 2 nodes"):
        load(two_nodes, write_concern="3")


def test_a_url_has_one_spelling_however_it_was_written() -> None:
    written = "HTTP://B.Example:80/,http://c:8443,https://c:443,http://[::A]:8000"
    assert load(secondaries=written).secondaries == (
        "http://b.example",
        "http://c:8443",
        "https://c",
        "http://[::a]:8000",
    )
    assert load(advertise_url="HTTPS://A:443/").advertise_url == "https://a"


@pytest.mark.parametrize(
    ("host", "port", "secondary"),
    [
        ("127.0.0.1", "8000", "http://127.0.0.1:8000"),
        ("Alpha", "8000", "http://alpha:8000/"),
        ("alpha", "80", "http://ALPHA"),
    ],
)
def test_a_master_is_not_its_own_secondary(host: str, port: str, secondary: str) -> None:
    with pytest.raises(UsageError, match="this node itself"):
        load(host=host, port=port, secondaries=secondary)


@pytest.mark.parametrize(
    ("host", "url"), [("10.0.0.1", "http://10.0.0.1:8000"), ("::1", "http://[::1]:8000")]
)
def test_clients_are_told_host_and_port_where_no_url_is_set(host: str, url: str) -> None:
    assert load(host=host).advertise_url == url


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_clients_are_never_told_a_wildcard_address(host: str) -> None:
    assert host not in load(host=host).advertise_url


def test_misspelt_variables_are_found() -> None:
    environment = {"REPLOG_PRT": "1", "REPLOG_PORT": "1", "REPLOG_URL": "x", "PATH": "/bin"}
    assert unknown_variables(environment) == ["REPLOG_PRT"]
