"""Format 1 is for ever: files that were made once read as they did, and are made alike."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest

from replog.core.entry import GENESIS, EntryId, Epoch, Head, LogId
from replog.core.errors import FormatError
from replog.storage.batch import (
    BadBatch,
    encode_batch,
    encode_message,
    header_line,
    parse_time,
    scan_run,
    spans,
    verify_run,
)

VECTORS = Path(__file__).parent / "vectors"
GOOD = sorted(path.name for path in (VECTORS / "good").iterdir())
BAD = sorted(path.stem for path in (VECTORS / "bad").glob("*.ndjson"))


class ExpectedBatch(msgspec.Struct, frozen=True):
    segment: str
    first: int
    last: int
    epoch: int
    commit: int
    time: str
    seal: bool
    keys: dict[str, str]
    start: int
    stop: int
    hash: str
    messages: tuple[str, ...]


class ExpectedHead(msgspec.Struct, frozen=True):
    epoch: int
    last_id: int
    hash: str


class ExpectedLog(msgspec.Struct, frozen=True):
    log_id: str
    head: ExpectedHead
    batches: tuple[ExpectedBatch, ...]


class ExpectedBad(msgspec.Struct, frozen=True):
    error: str
    offset: int
    strict: bool


def expected_log(name: str) -> ExpectedLog:
    data = (VECTORS / "good" / name / "expected.json").read_bytes()
    return msgspec.json.decode(data, type=ExpectedLog)


EXPECTED_BAD = msgspec.json.decode(
    (VECTORS / "bad" / "expected.json").read_bytes(), type=dict[str, ExpectedBad]
)


def test_the_vectors_are_as_they_were_made() -> None:
    """`sha256sum -c SHA256SUMS`: none changed, none missing, none added."""
    lines = (VECTORS / "SHA256SUMS").read_text().splitlines()
    sums = {path: digest for digest, path in (line.split("  ") for line in lines)}
    found = {
        str(path.relative_to(VECTORS)): sha256(path.read_bytes()).hexdigest()
        for path in [*VECTORS.glob("good/*/*"), *VECTORS.glob("bad/*")]
    }
    assert found == sums
    assert sha256((VECTORS / "SHA256SUMS").read_bytes()).hexdigest() == (
        "84ac4aeecd628b34f711b33bfecb73d7412f839bb206ec5d88265f72d299893c"
    )


@pytest.mark.parametrize("name", GOOD)
def test_a_log_reads_as_it_did(name: str) -> None:
    expected = expected_log(name)
    head, last_time = GENESIS, b""
    for path in sorted((VECTORS / "good" / name).glob("*.ndjson")):
        payload = path.read_bytes()
        batches = [batch for batch in expected.batches if batch.segment == path.name]
        run = verify_run(
            payload,
            after=head,
            log_id=LogId(expected.log_id),
            last_time=last_time,
            starts_segment=True,
            strict=True,
        )
        assert run.stop == len(payload)
        assert [
            ExpectedBatch(
                path.name,
                span.first_id,
                span.last_id,
                span.epoch,
                span.committed_id,
                span.time.decode(),
                span.seal,
                {str(number): key for number, key in span.keys.items()},
                span.start,
                span.stop,
                span.hash.hex(),
                tuple(
                    json.loads(line)["message"]
                    for line in payload[span.entries_start : span.entries_stop].split(b"\n")[:-1]
                ),
            )
            for span in run.batches
        ] == batches
        assert tuple(spans(payload)) == run.batches
        head, last_time = run.head, run.last_time
    told = expected.head
    assert head == Head(Epoch(told.epoch), EntryId(told.last_id), bytes.fromhex(told.hash))


@pytest.mark.parametrize("name", [name for name in GOOD if name != "members"])
def test_a_log_is_made_again_byte_for_byte(name: str) -> None:
    """All but `members`: this version writes no members that it does not know."""
    expected = expected_log(name)
    head, made = GENESIS, dict.fromkeys((batch.segment for batch in expected.batches), b"")
    for batch in expected.batches:
        header = header_line(LogId(expected.log_id), EntryId(batch.first), head.hash)
        encoded = encode_batch(
            after=head,
            messages=[encode_message(message) for message in batch.messages],
            epoch=Epoch(batch.epoch),
            committed_id=EntryId(batch.commit),
            time_ms=parse_time(batch.time.encode()),
            keys={EntryId(int(number)): key for number, key in batch.keys.items()},
            seal=batch.seal,
            header=b"" if made[batch.segment] else header,
        )
        made[batch.segment] += encoded.payload
        head = encoded.head
    for segment, payload in made.items():
        assert payload == (VECTORS / "good" / name / segment).read_bytes()


@pytest.mark.parametrize("name", BAD)
def test_what_must_be_refused_still_is(name: str) -> None:
    expected = EXPECTED_BAD[name]
    payload = (VECTORS / "bad" / f"{name}.ndjson").read_bytes()

    def verify(strict: bool) -> None:
        verify_run(payload, after=GENESIS, log_id=LogId("bad"), last_time=b"", strict=strict)

    if expected.error == "FormatError":
        with pytest.raises(FormatError):
            verify(strict=True)
        return
    with pytest.raises(BadBatch) as caught:
        verify(strict=True)
    assert caught.value.offset == expected.offset
    if expected.strict:
        verify(strict=False)
    else:
        with pytest.raises(BadBatch):
            verify(strict=False)
    good = payload[: expected.offset]
    assert scan_run(good, after=GENESIS, log_id=LogId("bad"), last_time=b"").bad is None


def test_every_refused_vector_is_named() -> None:
    assert sorted(EXPECTED_BAD) == BAD
