"""Heads of plain appends: which are learnt, and what counts as one that came before."""

from __future__ import annotations

import pytest

from replog.http.plain_heads import HEADS_MAX, PlainHeads


def _scope(headers: list[tuple[bytes, bytes]], **more: object) -> dict[str, object]:
    return {
        "method": "POST",
        "path": "/logs",
        "query_string": b"",
        "http_version": "1.1",
        "headers": headers,
        **more,
    }


LENGTH = (b"content-length", b"2")


def test_a_head_is_known_with_its_body_and_no_other() -> None:
    heads = PlainHeads()
    data = b"POST /logs?w=1 HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}"
    assert heads.append_in(data) is None
    heads.learn(data, _scope([LENGTH], query_string=b"w=1"))
    assert heads.append_in(data) == (b"{}", b"w=1", None)
    assert heads.append_in(data[:-2] + b"[]") == (b"[]", b"w=1", None)
    for other in (data[:-1], data + b" ", data + data, b"\r\n" + data, b"", b"\r\n\r\n", data[5:]):
        assert heads.append_in(other) is None, other


@pytest.mark.parametrize(
    ("head", "headers", "more"),
    [
        (b"POST /logs HTTP/1.1\nContent-Length: 2\r\n\r\n", [LENGTH], {}),
        (b"\r\n\r\nPOST /logs HTTP/1.1\r\nContent-Length: 2\r\n\r\n", [LENGTH], {}),
        (b"\r\nPOST /logs HTTP/1.1\r\nContent-Length: 2\r\n\r\n", [LENGTH], {}),
        (b"POST /logs HTTP/1.1\r\nContent-Length: 3\r\n\r\n", [(b"content-length", b"3")], {}),
        (b"POST /logs HTTP/1.1\r\nA: 2\r\n\r\n", [(b"a", b"2")], {}),
        (
            b"POST /logs HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n",
            [LENGTH, LENGTH],
            {},
        ),
        (b"POST /logs HTTP/1.0\r\nContent-Length: 2\r\n\r\n", [LENGTH], {"http_version": "1.0"}),
        (b"PUT /logs HTTP/1.1\r\nContent-Length: 2\r\n\r\n", [LENGTH], {"method": "PUT"}),
        (b"POST /log HTTP/1.1\r\nContent-Length: 2\r\n\r\n", [LENGTH], {"path": "/log"}),
    ],
)
def test_a_head_in_doubt_is_not_learnt(
    head: bytes, headers: list[tuple[bytes, bytes]], more: dict[str, object]
) -> None:
    heads = PlainHeads()
    heads.learn(head + b"{}", _scope(headers, **more))
    assert len(heads) == 0


def test_a_head_with_a_key_is_known_with_any_other_visible_one() -> None:
    heads = PlainHeads()
    headers = [(b"idempotency-key", b"a"), LENGTH]
    data = b"POST /logs HTTP/1.1\r\nidempotency-key: %b\r\nContent-Length: 2\r\n\r\n{}"
    heads.learn(data % b"a", _scope(headers))
    assert heads.append_in(data % b"a") == (b"{}", b"", b"a")
    assert heads.append_in(data % b'"another one"') == (b"{}", b"", b'"another one"')
    for value in (b"", b" a", b"a ", b"a\tb", b"\xc3\xa9", b"a\r\nx: y", b"a\nb", b"a\x00"):
        assert heads.append_in(data % value) is None, value
    other = data.replace(b"idempotency-key: %b\r\n", b"")
    assert heads.append_in(other) is None
    twice = data.replace(b"\r\nC", b"\r\nidempotency-key: b\r\nC") % b"a"
    heads.learn(twice, _scope([*headers, (b"idempotency-key", b"b")]))
    assert heads.append_in(twice) is None


def test_heads_are_bounded_in_number_and_size() -> None:
    heads = PlainHeads()
    known = [_learnt(heads, b"%d" % number) for number in range(HEADS_MAX + 1)]
    assert len(heads) == 1
    assert [data for data in known if heads.append_in(data)] == known[-1:]
    assert heads.append_in(_learnt(heads, 2000 * b"x")) is None


def _learnt(heads: PlainHeads, value: bytes) -> bytes:
    data = b"POST /logs HTTP/1.1\r\nA: %b\r\nContent-Length: 2\r\n\r\n{}" % value
    heads.learn(data, _scope([(b"a", value), LENGTH]))
    return data
