"""What a test needs of the machine, and what becomes of the test without it.

SHELL.
"""

from __future__ import annotations

import os

import pytest

from proving.needs import Need, lacking

REQUIRE_FAULTS = bool(os.environ.get("REPLOG_REQUIRE_FAULTS"))
"""Set (as .ci/run does), a fault that cannot be made here is a failure, not a skip."""


def need(*needs: Need) -> None:
    """Skip the test that calls this where one of `needs` is not met."""
    lacks = lacking(needs)
    if lacks is not None:
        assert not REQUIRE_FAULTS, lacks
        pytest.skip(lacks)
