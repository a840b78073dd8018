"""Appends that are refused: body, query and headers, and what their problem says.

PURE.
"""

from __future__ import annotations

from dataclasses import dataclass, field

JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Bad:
    body: bytes
    status: int
    name: str
    says: str
    query: str = ""
    headers: dict[str, str] = field(default_factory=lambda: JSON)


def _bad_fields() -> list[Bad]:
    return [
        Bad(body, 400, "bad-field", says)
        for body, says in [
            (b"{}", '"message" is missing'),
            (b'{"w":1}', '"message" is missing'),
            (b'{"mesage":"x"}', '"mesage" is unknown'),
            (b'{"message":"x","wc":1}', '"wc" is unknown'),
            (b'{"message":"x","W":1}', '"W" is unknown'),
            (b'{"message":"x","\\ud800":1}', "is unknown"),
            (b'{"message":"x","' + b"k" * 500 + b'":1}', "is unknown"),
            (b'{"message":null}', '"message" is null'),
            (b'{"message":5}', '"message" is a number'),
            (b'{"message":true}', '"message" is a boolean'),
            (b'{"message":["x"]}', '"message" is an array'),
            (b'{"message":{"a":"b"}}', '"message" is an object'),
            (b'{"message":"x","timeout":-1}', '"timeout"'),
            (b'{"message":"x","timeout":"1"}', '"timeout" is "1"'),
            (b'{"message":"x","timeout":true}', '"timeout" is a boolean'),
            (b'{"message":"x","timeout":null}', '"timeout" is null'),
            (b'{"message":"x","timeout":1e999}', '"timeout"'),
        ]
    ]


def _malformed() -> list[Bad]:
    return [
        Bad(body, 400, "malformed-json", says)
        for body, says in [
            (b"", "is empty"),
            (b" \n ", "not JSON"),
            (b"hello", "not JSON"),
            (b'{"message":"x"', "not JSON"),
            (b'{"message":"x"} x', "not JSON"),
            (b'{"message":"x",}', "not JSON"),
            (b"{'message':'x'}", "not JSON"),
            (b'\'{"message":"x"}\'', "single quote"),
            (b'{"message":"a\nb"}', "not JSON"),
            (b'{"message":"a\x00b"}', "not JSON"),
            (b'{"message":"\\x41"}', "not JSON"),
            (b'\xef\xbb\xbf{"message":"x"}', "byte order mark"),
            (b'{"message":"\xff"}', "byte 0xff at offset 12"),
            (b'{"message":"\xed\xa0\x80"}', "not UTF-8"),
            (b'{"message":"\xc0\x80"}', "not UTF-8"),
            ('{"message":"x"}'.encode("utf-16"), "not UTF-8"),
            (b'{"message":"\\ud800"}', "lone surrogate"),
            (b'{"message":"\\udc00\\ud800"}', "lone surrogate"),
            (b'{"message":"x","w":NaN}', "NaN"),
            (b'{"message":"x","timeout":Infinity}', "Infinity"),
            (b'{"message":"x","timeout":-Infinity}', "-Infinity"),
            (b'{"message":"x","w":' + b"1" * 5000 + b"}", "5000 digits"),
            (b'{"message":"a","message":"b"}', '"message" is given twice'),
            (b'{"message":"a","message":"a"}', '"message" is given twice'),
            (b'{"message":"a","mess\\u0061ge":"b"}', '"message" is given twice'),
            (b'{"message":"x","w":1,"w":1}', '"w" is given twice'),
            (b"[]", "an array"),
            (b'["message","x"]', "an array"),
            (b'"message"', "a string"),
            (b"5", "a number"),
            (b"null", "null"),
            (b"true", "a boolean"),
            (b"[" * 100_000, "an array stands there"),
            (b'{"message":' + b"[" * 60_000, "nested too deeply"),
        ]
    ]


def _bad_concerns() -> list[Bad]:
    values = ["0", "-1", "2.0", '"2"', "true", "false", "null", '"ALL"', '"quorum"', '""', "[1]"]
    values += ["{}", "1e0", '"majority "', "4", "9" * 30, '"\\ud800"']
    bad = [
        Bad(b'{"message":"x","%b":%b}' % (name, value.encode()), 400, "bad-write-concern", "")
        for value in values
        for name in (b"w", b"write_concern", b"writeConcern")
    ]
    queries = ["w=0", "w=-1", "w=2.0", "w=", "w", "w=%222%22", "w=ALL", "w=+2", "w=02", "w=4"]
    queries += ["w=two", "w=%D9%A2", "write_concern=x", "writeConcern=0", "w=" + "9" * 400]
    bad += [
        Bad(b'{"message":"x"}', 400, "bad-write-concern", "", query=f"?{query}")
        for query in queries
    ]
    bad += [
        Bad(b'{"message":"x","w":1,"write_concern":1}', 400, "bad-write-concern", "w and as"),
        Bad(b'{"message":"x","w":1,"writeConcern":2}', 400, "bad-write-concern", "w and as"),
        Bad(b'{"message":"x"}', 400, "bad-write-concern", "as", query="?w=1&write_concern=1"),
        Bad(b'{"message":"x","w":1}', 400, "bad-write-concern", "as", query="?writeConcern=1"),
        Bad(b'{"message":"x","w":1}', 400, "bad-write-concern", "query w 2", query="?w=2"),
        Bad(b'{"message":"x","w":3}', 400, "bad-write-concern", "query w all", query="?w=all"),
    ]
    return bad


def _bad_parameters() -> list[Bad]:
    body = b'{"message":"x"}'
    queries = {
        "?q=1": '"q" is unknown',
        "?W=1": '"W" is unknown',
        "?from=1": '"from" is unknown',
        "?message=x": '"message" is unknown',
        "?=1": "is unknown",
        "?w=1&w=1": '"w" is given twice',
        "?timeout=1&timeout=1": '"timeout" is given twice',
        "?timeout=": "timeout",
        "?timeout=-1": "timeout",
        "?timeout=nan": "timeout",
        "?timeout=inf": "timeout",
        "?timeout=1e999": "timeout",
        "?timeout=1_0": "timeout",
        "?timeout=+1": "timeout",
        "?timeout=%FF": "not UTF-8",
    }
    bad = [Bad(body, 400, "bad-parameter", says, query=query) for query, says in queries.items()]
    both = b'{"message":"x","timeout":1}'
    return [*bad, Bad(both, 400, "bad-parameter", "timeout 1", query="?timeout=2")]


def _bad_types() -> list[Bad]:
    body = b'{"message":"x"}'
    form = "application/x-www-form-urlencoded"
    headers: list[dict[str, str]] = [
        {"Content-Type": "text/html"},
        {"Content-Type": "application/xml"},
        {"Content-Type": "text/plain; charset=latin-1"},
        {"Content-Type": "application/x-ndjson; charset=utf-16"},
        {"Content-Type": "text/plain; format=flowed; charset=iso-8859-1"},
        {"Content-Type": "text/plain; charset=utf-8; Charset=latin-1"},
        {"Content-Type": "text/plain", "Origin": "http://evil.example"},
        {"Content-Type": "text/plain;charset=UTF-8", "Sec-Fetch-Site": "same-site"},
        {"Content-Type": ""},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": form, "Origin": "http://evil.example"},
        {"Content-Type": form, "Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ]
    return [
        Bad(body, 415, "unsupported-media-type", "Content-Type: application/json", headers=h)
        for h in headers
    ]


BAD = [*_malformed(), *_bad_fields(), *_bad_concerns(), *_bad_parameters(), *_bad_types()]
