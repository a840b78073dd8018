"""Entry lines as Server-Sent Events, as a unit."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from replog.core.entry import EntryId
from replog.http.sse import StreamForm, bye, events
from replog.storage.batch import encode_message, entry_line

MESSAGES = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), max_size=5)


def test_each_entry_is_one_event_with_its_id() -> None:
    lines = b'{"id":7,"message":"a"}\n{"id":8,"message":"b"}\n'
    assert events(EntryId(7), lines) == (
        b'id: 7\ndata: {"id":7,"message":"a"}\n\nid: 8\ndata: {"id":8,"message":"b"}\n\n'
    )


@given(MESSAGES)
def test_no_message_breaks_out_of_its_event(messages: list[str]) -> None:
    """Line ends, form feeds, U+2028 and whatever else cuts text in two in one place or another."""
    lines = b"".join(
        entry_line(EntryId(place), encode_message(message))
        for place, message in enumerate(messages, 5)
    )
    made = events(EntryId(5), lines)
    assert b"\r" not in made
    blocks = made.split(b"\n\n")
    assert blocks.pop() == b""
    for place, (block, message) in enumerate(zip(blocks, messages, strict=True), 5):
        id_line, data_line = block.split(b"\n")
        assert id_line == b"id: %d" % place
        entry = json.loads(data_line.removeprefix(b"data: "))
        assert entry == {"id": place, "message": message}


def test_a_bye_says_why_and_where_to_go_on() -> None:
    assert bye("stopping", EntryId(8)) == (b'event: bye\ndata: {"reason":"stopping","next":8}\n\n')


def test_what_is_no_entry_is_nothing_to_a_reader_of_lines() -> None:
    assert StreamForm.LINES.beginning(EntryId(7)) == b""
    assert StreamForm.LINES.heartbeat == b"\n"
