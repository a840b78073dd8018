"""Programs beside Python that a few tests use.

PURE.
"""

from __future__ import annotations

import os
import shutil

import pytest

REQUIRE_TOOLS = "REPLOG_REQUIRE_TOOLS"
"""Set (as .ci/run does), a test whose program is missing fails instead of being skipped."""


def needs(*programs: str) -> pytest.MarkDecorator:
    """Skip a test where one of `programs` is not installed, saying which."""
    missing = [name for name in programs if shutil.which(name) is None]
    is_skipped = bool(missing) and not os.environ.get(REQUIRE_TOOLS)
    return pytest.mark.skipif(is_skipped, reason=f"needs {', '.join(missing)}")
