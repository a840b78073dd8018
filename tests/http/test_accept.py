"""Choosing a media type by `Accept`, as a table."""

from __future__ import annotations

import pytest

from replog.http.accept import preferred

OFFERED = ("application/json", "application/x-ndjson", "text/event-stream")
JSON, LINES, EVENTS = OFFERED


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, JSON),
        (b"", JSON),
        (b"*/*", JSON),
        (b"application/*", JSON),
        (b"text/*", EVENTS),
        (b"text/html, */*;q=0.1", JSON),
        (b"application/x-ndjson", LINES),
        (b"Application/X-NDJSON", LINES),
        (b"application/json;q=0.5, application/x-ndjson", LINES),
        (b"application/json ; q=0.5 , application/x-ndjson;q=0.6", LINES),
        (b"application/json;q=0, */*", LINES),
        (b"application/*;q=0.9, application/json;q=0.1", LINES),
        (b"*/*;q=0.2, text/event-stream", EVENTS),
        (b"text/event-stream;charset=utf-8", EVENTS),
        (b"application/json;q=1.000", JSON),
        (b"text/html", None),
        (b"*/*;q=0", None),
        (b"application/json;q=2", None),
        (b"application/json;q=", None),
        (b";;,", None),
        (b"\xff\xfe", None),
    ],
)
def test_the_best_liked_of_what_is_offered_is_chosen(
    accept: bytes | None, chosen: str | None
) -> None:
    assert preferred(accept, OFFERED) == chosen
