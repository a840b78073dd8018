"""Marks by directory, and what a skipped Docker test means.

SHELL.
"""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Generator
from pathlib import Path

import pytest

REQUIRE_DOCKER = "REPLOG_REQUIRE_DOCKER"
"""Set to 1 (as .ci/run does) it turns a skipped Docker test into a failure."""

MARK_OF_DIRECTORY = {"processes": pytest.mark.processes, "docker": pytest.mark.docker}


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is collected stays to the end: let no search for garbage go through it."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(tryfirst=True)  # pytest-xdist looks for groups in the same hook
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    tests = Path(__file__).parent
    for item in items:
        mark = MARK_OF_DIRECTORY.get(item.path.relative_to(tests).parts[0])
        if mark is not None:
            item.add_marker(mark)
        if mark is MARK_OF_DIRECTORY["docker"]:
            item.add_marker(pytest.mark.xdist_group("docker"))  # one image, one after the other


def pytest_collection_finish(session: pytest.Session) -> None:
    """Say so where groups have no effect: several workers would each build the image."""
    if getattr(session.config.option, "loadgroup", False):  # of a worker, with --dist loadgroup
        for item in session.items:
            if item.get_closest_marker("xdist_group") and not item.nodeid.endswith("@docker"):
                raise pytest.UsageError(f"pytest-xdist put {item.nodeid} into no group")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Tests wait as much as they compute: two at a time keep a core busy (147 s -> 115 s)."""
    return 2 * (os.cpu_count() or 1)


def pytest_configure(config: pytest.Config) -> None:
    """Let Ctrl-C reach the processes that tests start, also when the run is in the background.

    A shell starts what it puts in the background with SIGINT ignored, and children inherit that.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and item.get_closest_marker("docker") and os.environ.get(REQUIRE_DOCKER):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{REQUIRE_DOCKER} is set, and this Docker test was skipped: {reason}"
    return report


@pytest.fixture(autouse=True)
def _signals_as_they_were() -> Generator[None, None, None]:
    """A server command that was run inside this process keeps SIGTERM to its end, as it must."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(autouse=True)
def _no_settings_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    """A REPLOG_PORT in a developer's shell must not decide what a test sees.

    REPLOG_REQUIRE_DOCKER and names that begin with REPLOG_TEST_ are the tests' own.
    """
    for name in list(os.environ):
        if name.startswith("REPLOG_") and not name.startswith((REQUIRE_DOCKER, "REPLOG_TEST_")):
            monkeypatch.delenv(name)
