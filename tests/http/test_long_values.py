"""Values as long as they may be are read; longer ones are refused before they are."""

from __future__ import annotations

import pytest

from replog.http.append_terms import _key_of_header
from replog.http.problems import ProblemError
from replog.http.query import QUERY_BYTES_MAX, parse_query
from replog.storage.lines import KEY_BYTES_MAX


def test_a_query_is_read_up_to_its_limit() -> None:
    value = "a" * (QUERY_BYTES_MAX - len("key="))
    assert parse_query(f"key={value}".encode(), known=("key",)) == {"key": value}
    with pytest.raises(ProblemError, match="The query is 8193 bytes, and may have 8192"):
        parse_query(f"key={value}a".encode(), known=("key",))


def test_a_quoted_key_is_read_however_it_is_escaped() -> None:
    longest = r"\"" * KEY_BYTES_MAX
    assert _key_of_header(f'"{longest}"') == '"' * KEY_BYTES_MAX
    with pytest.raises(ProblemError, match="is 513 bytes with its quotes; a key may have 255"):
        _key_of_header(f'"{longest}a"')
