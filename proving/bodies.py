"""What is sent to `POST /logs` to break reading: 2,000 requests, most of them wrong.

PURE. RFC 8259's traps, and those of the ways around JSON: types, charsets, codings, queries, keys.
Those with a problem of their own stand in `tests.http.bad_appends`.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from tests.http.bad_appends import BAD

JSON = (b"Content-Type", b"application/json")
LINES = (b"Content-Type", b"application/x-ndjson")
TEXT = (b"Content-Type", b"text/plain")

LARGE_BYTES = 10_000

Headers = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Request:
    """One append.

    Attributes:
        stores: the messages that it must store, none where it must be refused; None leaves that
            to `proving.strict`, or to the node where that does not know either.
    """

    body: bytes
    stores: tuple[str, ...] | None = None
    query: str = ""
    headers: Headers = (JSON,)

    def __str__(self) -> str:
        shown = self.body if len(self.body) <= 200 else self.body[:200] + b"..."
        return f"POST /logs{self.query} {self.headers} {shown!r} ({len(self.body)} bytes)"


VALUES = (
    *("0", "-0", "0.0", "-0.0", "1", "2", "3", "4", "-1", "00", "01", "-01", "+1", ".5", "5.",
      "1.0"),
    *("1e0", "1E+0", "1e-0", "1e", "1e+", "1.e1", "-", "--1", "0x10", "1_000", "0e1", "1e5",
      "1e309"),
    *("1e999", "-1e999", "1e-999", "1.7976931348623159e308", "123456789012345678901234567890"),
    *("9" * 400, "9" * 5000, "0." + "3" * 5000, "1e" + "9" * 100, "NaN", "-NaN", "nan", "Infinity"),
    *("-Infinity", "inf", "null", "Null", "true", "false", "True", "undefined", "None", "''",
      "'a'"),
    *('"1"', '"all"', '"majority"', '"ALL"', '"all "', '""', "[]", "[1]", "[[[]]]", "{}",
      '{"a":1}'),
    *('{"a":1,"a":1}', "[1,]", "[,1]", "[1,,2]", "{1:2}", '{"a"}', '{"a":}', '{"a":1,}', "{,}"),
    *("1 2", "1//x", "/*x*/1", "#1", "\ufeff1", "\u00a01", "\u20281", "\x0c1", "\x001", "１", "٣"),
)  # fmt: skip
"""Where a value is expected: numbers, words and structures, right and wrong."""

STRINGS = (
    *(r"\u0000", r"\u001f", r"\u007f", r"\u0085", r"\u2028", r"\u2029", r"\ufeff", r"\ufffe",
      r"\uffff"),
    *(r"\ud83d\ude00", r"\ud800\udc00", r"\udbff\udfff", r"\uD83D\uDE00", r"\ud800", r"\udfff"),
    *(r"\ude00\ud83d", r"\ud83d\ud83d\ude00", r"\ud83dx", r"\ud83d\u0041", r"\ud83d\n", r"x\udbff"),
    *(r"\u", r"\u1", r"\u12", r"\u123", r"\u12G4", r"\U00000041", r"\u{41}", r"\x41", r"\0", r"\a"),
    *(r"\'", r"\/", r"\\", r"\"", r"\b\f\n\r\t", "\\", "\\\n", r"\ ", "\x7f", "\u0085", "\u2028"),
    *("\u2029", "\ufeff", "\ufffd", "\ufffe", "\uffff", "\U0010ffff", "\U0001f600", "\u202e",
      "\u200b"),
    *("e\u0301", "é", "\U000e0041", "\u0000", "\t", "\n", "\r", "\x1b[2J", "</script>", "%00",
      "${x}"),
    *(r'{\"id\":1,\"message\":\"x\"}', r'\"}}\n{\"batch\":{', r'\n{\"segment\":{', r"]", r"[",
      r"\u005d"),
    *("a" * 100_000, "é" * 50_000, r"\u0000" * 20_000, r"\ud83d\ude00" * 10_000),
)  # fmt: skip
"""What may stand between the quotes of a string, right and wrong."""

BYTES = (
    *(b"\x80", b"\xbf", b"\xc0\x80", b"\xc1\xbf", b"\xc2", b"\xe0\x80\x80", b"\xe0\x9f\xbf",
      b"\xe2\x82"),
    *(b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xed\xa0\xbd\xed\xb8\x80", b"\xf0\x80\x80\x80",
      b"\xf0\x9f\x98"),
    *(b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xf8\x88\x80\x80\x80",
      b"\xfc\x84\x80\x80\x80\x80"),
    *(b"\xfe", b"\xff", b"\xff\xfe", b"\xfe\xff", b"\xef\xbb", b"\xc3\x28", b"\xe2\x28\xa1",
      b"x\xc3"),
)  # fmt: skip
"""What no UTF-8 is: overlong forms, surrogates, beyond U+10FFFF, cut off."""

_WHOLE = '{"message":"é\\ud83d\\ude00\\u2028","key":"whole","w":3,"timeout":1.5}'.encode()
_ARRAY = b'[{"message":"one","key":"k-1"},{"message":"t\\u0077o"}]'
_TWO_LINES = b'{"message":"one"}\n{"message":"two"}\n'


def all_requests() -> list[Request]:
    """Return every request of the corpus; those that are large come last."""
    return sorted((request for group in _groups() for request in group), key=is_large)


def some_requests(per_group: int) -> list[Request]:
    """Return about so many of each kind of request, or all that there are of it."""
    some = [group[:: max(1, len(group) // per_group)][:per_group] for group in _groups()]
    return sorted((request for group in some for request in group), key=is_large)


def _groups() -> list[list[Request]]:
    makers = (
        *(_bad, _values, _strings, _bytes, _single_bytes, _truncations, _encodings, _spaces),
        *(_keys_of_objects, _batches, _lines, _texts, _types, _queries, _headers, _large),
    )
    return [list(make()) for make in makers]


def is_large(request: Request) -> bool:
    """Whether it comes last: every read behind it may have to bring it."""
    return len(request.body) > LARGE_BYTES


def mutated(random: Random) -> Request:
    """Return one whose body is that of another with bytes changed, taken out or put in."""
    source = random.choice((_WHOLE, _ARRAY, _TWO_LINES, b'{"message":"\\u0000\xe2\x80\xa8 x"}'))
    body = bytearray(source)
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(body) + 1)
        match random.randrange(4):
            case 0:
                body[at : at + 1] = bytes([random.randrange(256)])
            case 1:
                del body[at : at + random.randint(1, 5)]
            case 2:
                body[at:at] = random.choice(
                    (*BYTES, b'"', b"\\", b"{", b"[", b"}", b",", b":", b"\n")
                )
            case _:
                start = random.randrange(len(body) + 1)
                body[at:at] = body[start : start + random.randint(1, 20)]
    kind = LINES if source is _TWO_LINES else random.choice((JSON, JSON, LINES, TEXT))
    unique = bytes(body).replace(b"whole", b"%08x" % random.getrandbits(32))
    return Request(unique.replace(b"k-1", b"%08x" % random.getrandbits(32)), headers=(kind,))


def _bad() -> Iterator[Request]:
    for bad in BAD:
        headers = tuple((name.encode(), value.encode()) for name, value in bad.headers.items())
        yield Request(bad.body, (), bad.query, headers)


def _values() -> Iterator[Request]:
    for value in VALUES:
        for form in ("%s", '{"message":%s}', '[{"message":%s}]'):
            yield Request((form % value).encode())
    for number, value in enumerate(VALUES):
        for field in ("w", "timeout", "key", "expect"):
            yield Request(f'{{"message":"{field} {number}","{field}":{value}}}'.encode())


def _strings() -> Iterator[Request]:
    for string in STRINGS:
        for form in ('{"message":"%s"}', '[{"message":"%s"}]'):
            yield Request((form % string).encode())
        yield Request(f'{{"message":"{string}"}}'.encode(), headers=(LINES,))
        yield Request(f'{{"message":"x","{string}":1}}'.encode())


def _bytes() -> Iterator[Request]:
    for data in BYTES:
        yield Request(b'{"message":"%b"}' % data, ())
        yield Request(b'{"%b":"message"}' % data, ())
        yield Request(b'[{"message":"x"},{"message":"%b"}]' % data, ())
        yield Request(b'{"message":"x"}\n{"message":"%b"}' % data, (), headers=(LINES,))
        yield Request(b"x%b" % data, (), headers=(TEXT,))


def _single_bytes() -> Iterator[Request]:
    """Each byte, in a string, before an object and behind it."""
    for byte in range(256):
        yield Request(b'{"message":"a%cb"}' % byte)
    for byte in (*range(33), 0x7F, 0x85, 0xA0, 0xFF):
        yield Request(b'%c{"message":"x"}' % byte)
        yield Request(b'{"message":"x"}%c' % byte)


def _truncations() -> Iterator[Request]:
    """Each beginning of a body, whole as HTTP: none is a body itself."""
    for size in range(len(_WHOLE)):
        yield Request(_WHOLE[:size], ())
    for size in range(len(_ARRAY)):
        yield Request(_ARRAY[:size], ())
    for size in range(len(_TWO_LINES)):
        yield Request(_TWO_LINES[:size], headers=(LINES,))


def _encodings() -> Iterator[Request]:
    text = '{"message":"é"}'
    for name in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be", "utf-7"):
        yield Request(text.encode(name), None if name == "utf-7" else ())
        kind = f"application/json; charset={name}".encode()
        yield Request(text.encode(name), (), headers=((b"Content-Type", kind),))
    yield Request(text.encode("latin-1"), ())
    yield Request(text.encode("utf-8-sig"), ())
    yield Request(b"\xef\xbb\xbf" + _TWO_LINES, (), headers=(LINES,))
    for coding, packed in (
        (b"gzip", gzip.compress(text.encode(), mtime=0)),
        (b"deflate", zlib.compress(text.encode())),
        (b"br", b"\x8b\x07\x80" + text.encode()),
        (b"zstd", b"\x28\xb5\x2f\xfd" + text.encode()),
        (b"gzip, gzip", gzip.compress(gzip.compress(text.encode(), mtime=0), mtime=0)),
        (b"x", text.encode()),
        (b"gzip", text.encode()),
    ):
        yield Request(packed, (), headers=(JSON, (b"Content-Encoding", coding)))
        yield Request(packed)  # and without a word of it


def _spaces() -> Iterator[Request]:
    yield Request(b' \t\r\n{ \t\r\n"message" \t\r\n: \t\r\n"x" \t\r\n} \t\r\n', ("x",))
    yield Request(b" " * 70_000 + b'{"message":"x"}' + b"\n" * 70_000, ("x",))
    for space in ("\x0b", "\x0c", "\u00a0", "\u2003", "\u3000", "\ufeff", "\u2028", "\x85"):
        yield Request(f'{{{space}"message":"x"}}'.encode(), ())
        yield Request(f'{{"message"{space}:"x"}}'.encode(), ())


def _keys_of_objects() -> Iterator[Request]:
    yield Request(b'{"mess\\u0061ge":"x"}', ("x",))
    yield Request(b'{"\\u006d\\u0065\\u0073\\u0073\\u0061\\u0067\\u0065":"x"}', ("x",))
    for name in (
        "Message",
        "message ",
        " message",
        "message\\u0000",
        "m\u0435ssage",
        "__proto__",
        "",
    ):
        yield Request(f'{{"{name}":"x"}}'.encode(), ())
    for twice in ('"message":"a","message":"b"', '"a":1,"a":1', '"key":"k","k\\u0065y":"k"'):
        yield Request(b'{"message":"x",%b}' % twice.encode(), ())
    yield Request(b'[{"message":"a","mess\\u0061ge":"b"}]', ())
    yield Request(b'{"message":"a","mess\\u0061ge":"b"}', (), headers=(LINES,))
    for key in ("k", "\\u0000", "é" * 100, "\\ud83d\\ude00", "\u2028", " ", "\\\\", '\\"'):
        yield Request(f'{{"message":"with a key","key":"object {key}"}}'.encode(), ("with a key",))
    for key in ("", "k" * 256, "é" * 128, "\\ud800"):
        yield Request(f'{{"message":"x","key":"{key}"}}'.encode(), ())


def _batches() -> Iterator[Request]:
    yield Request(b'[{"message":"a"},{"message":""},{"message":"c"}]', ("a", "", "c"))
    yield Request(b' [ {"message":"a"} , {"message":"b"} ] ', ("a", "b"))
    for bad in ("{}", '{"message":1}', "null", "[]", '"x"', '{"message":"\\ud800"}',
    '{"message":"x","w":1}',
                '{"message":"x"', '{"message":"x","message":"y"}', "NaN",
                '{"message":"x","key":""}'):  # fmt: skip
        yield Request(f'[{{"message":"good"}},{bad}]'.encode(), ())
        yield Request(f'[{bad},{{"message":"good"}}]'.encode(), ())
        yield Request(f'{{"message":"good"}}\n{bad}\n'.encode(), (), headers=(LINES,))
    one = '{"message":"x"}'
    for text in ("[]", "[,]", f"[{one},]", f"[{one}", f"{one}]", f"[{one}]]", f"[{one}{one}]",
    f"[{one}] x",
                 f"{one},{one}", f"[[{one}]]",
                 '[{"message":"a","key":"b"},{"message":"c","key":"b"}]'):  # fmt: skip
        yield Request(text.encode(), ())
    yield Request(b"[" + b",".join([b'{"message":"x"}'] * 10_001) + b"]", ())


def _lines() -> Iterator[Request]:
    def lines(text: str, *stores: str) -> Request:
        return Request(text.encode(), stores, headers=(LINES,))

    one = '{"message":"x"}'
    yield lines(one, "x")
    yield lines(f"{one}\n{one}", "x", "x")
    yield lines(f"{one}\r\n{one}\r\n", "x", "x")
    yield lines(f"  {one}  \n\t{one}\n\n\n", "x", "x")
    yield lines('{"message":"a\u2028b\u0085c"}\n', "a\u2028b\u0085c")
    for text in ("", "\n", "\n\n", f"\n{one}", f"{one}\n\n{one}", f"{one}\r{one}\r{one}x",
    f"[{one}]",
                 f"{one}{one}", f"{one},\n{one}", f"\x1e{one}\n", '{"message":\n"x"}',
                 f"{one}\x00"):  # fmt: skip
        yield Request(text.encode(), headers=(LINES,))
    for name in (
        b"application/ndjson",
        b"application/jsonl",
        b"Application/X-NDJSON; charset=UTF-8",
    ):
        yield Request(_TWO_LINES, ("one", "two"), headers=((b"Content-Type", name),))


def _texts() -> Iterator[Request]:
    for text in ("x", " ", "\n", "\x00", "\x00\x01\x1f\x7f", "\u2028\u2029\x85", "\ufeffx", '"',
    "\\", "\\ud800",
                 '{"message":"x"}', "\r\n", "\U0010ffff", "a" * 100_000, "\x00" * 50_000,
                 "é" * 50_000):  # fmt: skip
        yield Request(text.encode(), (text,), headers=(TEXT,))
    yield Request(b"", (), headers=(TEXT,))
    yield Request("x".encode("utf-16"), (), headers=(TEXT,))


def _types() -> Iterator[Request]:
    body = b'{"message":"x"}'
    for kind in (b"text/json", b"application/json5", b"application/x-json", b"*/*", b"json",
    b"application/",
                 b"application/json, text/plain", b"\xff", b"application/vnd.api+json",
                 b"text/plain2",
                 b"multipart/form-data; boundary=x", b"application/octet-stream",
                 b"text/csv"):  # fmt: skip
        yield Request(body, (), headers=((b"Content-Type", kind),))
    for parameters in (b"", b";", b";;", b"; charset", b"; charset=", b'; charset="utf-8',
    b"; charset='utf-8'",
                       b"; charset=utf8", b"; a=b", b"; charset=UTF-8; charset=utf-8"):  # fmt: skip
        yield Request(body, headers=((b"Content-Type", b"application/json" + parameters),))


def _queries() -> Iterator[Request]:
    body = b'{"message":"of a query"}'
    for name in ("w", "timeout", "key", "expect", "write_concern"):
        for number, value in enumerate(("", "%00", "%FF", "%ED%A0%80", "%C0%80", "%2", "%zz",
        "%E2%80%A8", "+", "1", "3", "1e2",
                      "1E400", "9" * 20, "-0", "0x1", "1%202", "%31", "all", "NaN",
                      "a" * 300)):  # fmt: skip
            unique = f"q{number}" if name == "key" else ""
            yield Request(body, query=f"?{name}={value}{unique}")
    for query in ("?", "??", "?&", "?&&w=1", "?w=1&", "?w", "?=", "?w=1;timeout=1", "?w=1&w=2",
    "?x=%26w=1",
                  "?w%3D1", "?%77=1", "?w=1#x", "?[]", "?{}", "?w=1&timeout=0",
                  "?%C3=1"):  # fmt: skip
        yield Request(body, query=query)


def _headers() -> Iterator[Request]:
    body = b'{"message":"of a header"}'
    for value in (b"", b"k", b'""', b'"', b'"k', b'k"', b'"a"b"', b'"\\x"', b'"\\"', b'"\\\\"',
    b"\xff", b'"\xff"',
                  b"\xed\xa0\x80", b"\xe2\x80\xa8", b"\xc2\x85", b"\x7f", b"\x01", b"k" * 255,
                  b"k" * 256, b" k ",
                  b"a,b", b"\t"):  # fmt: skip
        yield Request(body, headers=(JSON, (b"Idempotency-Key", value)))
    for value in (
        b"",
        b"*",
        b"0",
        b'"0"',
        b"W/0",
        b'"1", "2"',
        b"-1",
        b"1e1",
        b"9" * 30,
        b"\xff",
        b'"',
    ):
        yield Request(body, (), headers=(JSON, (b"If-Match", value)))
    yield Request(body, (), headers=(JSON, (b"Idempotency-Key", b"a"), (b"Idempotency-Key", b"b")))
    yield Request(body, (), headers=(JSON, (b"Idempotency-Key", b"a"), (b"idempotency-key", b"a")))


def _large() -> Iterator[Request]:
    deep = 100_000
    yield Request(b"[" * deep, ())
    yield Request(b"[" * deep + b"]" * deep, ())
    yield Request(b'{"message":' * deep, ())
    yield Request(b'{"a":' * deep + b"1" + b"}" * deep, ())
    yield Request(b'{"message":"x","w":' + b"[" * deep + b"]" * deep + b"}", ())
    yield Request(b'[{"message":' + b"[" * deep + b"]" * deep + b"}]", ())
    yield Request(b'{"message":' + b"[" * deep + b"\n", (), headers=(LINES,))
    yield Request(b"{" + b",".join(b'"%d":1' % n for n in range(20_000)) + b"}", ())
    yield Request(b"[" + b"{}," * 300_000 + b"{}]", ())
    yield Request(b'{"message":"x","timeout":' + b"1" * 1_000_000 + b"}", ())
    yield Request(b'{"message":"x","' + b"k" * 1_000_000 + b'":1}', ())
    yield Request(b'{"message":"%b"}' % (b"\\u0000" * ((1 << 20) + 1)), ())
    yield Request(b"\x00" * ((1 << 20) + 1), (), headers=(TEXT,))
    yield Request(b'"' * (1 << 20), (), headers=(JSON,))
    yield Request(b"\\" * (1 << 20), (), headers=(JSON,))
    yield Request(b" " * (1 << 20), (), headers=(JSON,))
    yield Request(b"\n" * (1 << 20), (), headers=(LINES,))
    # From here on they are stored, and every read behind them brings them.
    yield Request(b'{"message":"%b"}' % (b"\\u0000" * (1 << 20)), ("\0" * (1 << 20),))
    yield Request(b"\x00" * (1 << 20), ("\0" * (1 << 20),), headers=(TEXT,))
