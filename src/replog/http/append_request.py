"""What `POST /logs` asks for, where it brings one message: checked and settled.

PURE. Several messages at once are `append_batch`'s.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from replog.core.entry import EntryId
from replog.core.write_concern import WriteConcern
from replog.http.append_terms import NOTHING_IN_HEADERS, PARAMETERS, HeaderTerms, agreed_terms
from replog.http.json_body import decode_object, kind_of, quoted
from replog.http.limits import Limits
from replog.http.problems import ProblemError, refusal
from replog.storage.batch import encode_message

EXAMPLE = '{"message": "hello"}'

FIELDS = ("message", *PARAMETERS)


class AppendRequest(msgspec.Struct, frozen=True, gc=False):
    """Messages as JSON strings (encoded, quotes included), and on which terms to store them.

    Attributes:
        concern: None is the default of the node's configuration.
        timeout_s: 0 answers as soon as it is stored; None waits without limit.
        keys, expect: as in `replog.core.events.AppendRequested`.
        is_batch: it was sent as several messages, be it one, and is answered so.
    """

    messages: tuple[bytes, ...]
    concern: WriteConcern | None
    timeout_s: float | None
    keys: tuple[str | None, ...] = ()
    expect: EntryId | None = None
    is_batch: bool = False

    @property
    def message(self) -> bytes:
        """The first message, which of one message is all."""
        return self.messages[0]


def parse_append(
    body: bytes, query: bytes, limits: Limits, given: HeaderTerms = NOTHING_IN_HEADERS
) -> AppendRequest:
    """Return what a JSON object, the query and the headers ask for together.

    Raises:
        ProblemError: malformed-json, bad-field, bad-parameter, bad-header, bad-write-concern,
            too-large.
    """
    fields = decode_object(body, known=FIELDS, example=EXAMPLE)
    text = fields.get("message")
    if not isinstance(text, str):
        raise _bad_message(fields)
    if len(fields) == 1 and not query:  # nearly every append
        keys = () if given.key is None else (given.key,)
        return AppendRequest((encode_text(text, limits),), None, None, keys, given.expect)
    for name in fields:
        if name not in FIELDS:
            raise _unknown_field(name)
    return _on_terms(encode_text(text, limits), fields, query, given)


def parse_text(
    body: bytes, query: bytes, limits: Limits, given: HeaderTerms = NOTHING_IN_HEADERS
) -> AppendRequest:
    """Return what a body asks for that is one message as it stands.

    Raises:
        ProblemError: malformed-text, bad-parameter, bad-header, bad-write-concern, too-large.
    """
    if not body:
        raise refusal(
            "malformed-text",
            'The body is empty. To append an empty message, send {"message": ""} as JSON.',
        )
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise refusal(
            "malformed-text",
            f"The body is not UTF-8: byte 0x{body[error.start]:02x} at offset {error.start}.",
        ) from error
    return _on_terms(encode_text(text, limits), {}, query, given)


def _on_terms(
    message: bytes, fields: Mapping[str, object], query: bytes, given: HeaderTerms
) -> AppendRequest:
    terms = agreed_terms(fields, query, given)
    keys = () if terms.key is None else (terms.key,)
    return AppendRequest((message,), terms.concern, terms.timeout_s, keys, terms.expect)


def _bad_message(fields: Mapping[str, object]) -> ProblemError:
    """Return what is wrong with fields that lack a message; raise what is in another one."""
    if "message" in fields:
        return refusal(
            "bad-field",
            f'The field "message" is {kind_of(fields["message"])}, and must be a string, as in '
            f"{EXAMPLE}.",
            field="message",
        )
    for name in fields:
        if name not in FIELDS:
            return _unknown_field(name)
    agreed_terms(fields, b"")  # another field may be why no more was read
    return refusal(
        "bad-field", f'The field "message" is missing. Send it as in {EXAMPLE}.', field="message"
    )


def _unknown_field(name: str) -> ProblemError:
    return refusal(
        "bad-field",
        f"The field {quoted(name)} is unknown: an append takes {', '.join(FIELDS[:5])}.",
        field=quoted(name)[1:-1],
    )


def encode_text(text: str, limits: Limits) -> bytes:
    """Return `text` as the log holds it.

    Raises:
        ProblemError: malformed-json for a lone surrogate, too-large.
    """
    try:
        message = encode_message(text)
        size = len(message) - 2  # never less than the message's own UTF-8
        if size > limits.message_bytes_max:
            size = len(text.encode())
    except UnicodeEncodeError as error:
        raise refusal(
            "malformed-json",
            "The message holds a lone surrogate (\\ud800 to \\udfff without its other half), "
            "which is no character. Send the character itself, or both halves.",
        ) from error
    if size > limits.message_bytes_max:
        raise refusal(
            "too-large",
            f"The message is {size} bytes of UTF-8, and the limit is "
            f"{limits.message_bytes_max}. Split it.",
            limit=limits.message_bytes_max,
        )
    return message
