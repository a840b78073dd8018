"""Walking a run of batches of format 1, with every check that a receiver makes.

PURE. docs/storage-format.md is the reference. Offsets count from the beginning of the
given bytes.
"""

from __future__ import annotations

from binascii import hexlify
from dataclasses import dataclass
from hashlib import sha256

from replog.core.entry import GENESIS, EntryId, Head, LogId
from replog.storage.entries import ENTRY, entries_fault
from replog.storage.lines import (
    BATCH_BYTES_MAX,
    HASH_AND_END_BYTES,
    HEADER_BEGINNING,
    NO_KEYS,
    NUMBER_MAX,
    PLAIN_TRAILER,
    Header,
    LineError,
    Trailer,
    parse_header,
    plain_keys,
    refuse_unknown,
)
from replog.storage.span import (
    NEXT_TRAILER,
    BadBatch,
    BatchSpan,
    Unfinished,
    looks_complete,
    trailer_after,
)
from replog.storage.timestamps import is_time

_JOINED_BYTES_MAX = 4096
"""Up to here copying a batch behind the hash before it is faster than hashing twice."""


@dataclass(frozen=True, slots=True)
class Run:
    """Good batches that follow one another, all of one segment.

    Attributes:
        head: the end of the last one, or what they were to follow if there is none.
        last_time: the time of the last one, likewise.
        log_id: what the header said, else what was expected.
        starts_segment: a header line begins it.
        seals: the last batch ends the segment.
        stop: where the last one ends.
    """

    batches: tuple[BatchSpan, ...]
    head: Head
    last_time: bytes
    log_id: LogId | None
    starts_segment: bool
    seals: bool
    stop: int


@dataclass(frozen=True, slots=True)
class BadPlace:
    """Where a walk stopped before the end of the bytes.

    Attributes:
        offset: where the first batch that is not good begins.
        reason: what did not agree, for people.
        is_unfinished: nothing is wrong but that there is no trailer line yet: in the middle
            of a file more bytes may follow, at its end it is torn.
        looks_complete: a line from there on ends as a trailer does (Opening rule 1): it may
            have been acknowledged and rotted, so it must not be cut as a torn tail.
    """

    offset: int
    reason: str
    is_unfinished: bool
    looks_complete: bool


@dataclass(frozen=True, slots=True)
class Scan:
    """What a walk found: the good batches, and the place where it stopped, if it did."""

    run: Run
    bad: BadPlace | None


def hash_after(prev: bytes, payload: bytes, start: int, stop: int) -> bytes:
    """Return the hash of a batch whose hashed bytes are `payload[start:stop]`."""
    if stop - start <= _JOINED_BYTES_MAX:
        return sha256(prev + payload[start:stop]).digest()
    hasher = sha256(prev)
    hasher.update(memoryview(payload)[start:stop])
    return hasher.digest()


# --- verifying ----------------------------------------------------------------------------


def verify_run(
    payload: bytes,
    *,
    after: Head,
    log_id: LogId | None,
    last_time: bytes,
    starts_segment: bool | None = None,
    strict: bool = False,
) -> Run:
    """Make every check of a receiver on whole batches that are to follow on `after`.

    See `scan_run` for the arguments. An empty payload is bad: a run has a batch at least.

    Raises:
        BadBatch: something does not agree; nothing of the payload is to be stored.
        FormatError: a good batch says that it must not be read by this version.
    """
    scan = scan_run(
        payload,
        after=after,
        log_id=log_id,
        last_time=last_time,
        starts_segment=starts_segment,
        strict=strict,
    )
    if scan.bad is not None:
        raise BadBatch(scan.bad.offset, scan.bad.reason)
    if not scan.run.batches:
        raise BadBatch(0, "there is none")
    return scan.run


def scan_run(
    payload: bytes,
    *,
    after: Head,
    log_id: LogId | None,
    last_time: bytes,
    starts_segment: bool | None = None,
    strict: bool = False,
) -> Scan:
    """Walk batch by batch from a known head, up to the end or the first bad place.

    Args:
        after: the head on which the first batch is to follow.
        log_id: the log that a header must name; None takes any.
        last_time: the time of the batch before, b"" if there is none.
        starts_segment: whether a header line must begin the payload; None allows both
            (but the first batch of a log always has one).
        strict: compare each message with the canonical form of JSON, for what other
            programs made. Without it lines and ids are checked, and the hash.

    Raises:
        FormatError: a good batch says that it must not be read by this version.
    """
    walk = _Walk(payload, after=after, log_id=log_id, last_time=last_time, strict=strict)
    has_header = payload.startswith(HEADER_BEGINNING)
    reason, is_unfinished = "", False
    if payload and not has_header and (starts_segment or after == GENESIS):
        reason = "the header line of the segment is missing"
        is_unfinished = HEADER_BEGINNING.startswith(payload)
    elif has_header and starts_segment is False:
        reason = "a header line stands in the middle of a segment"
    else:
        try:
            walk.go()
        except LineError as error:
            reason = str(error)
        except Unfinished as error:
            reason, is_unfinished = str(error), True
    batches = tuple(walk.batches)
    return Scan(
        Run(
            batches,
            batches[-1].head if batches else after,
            walk.time,
            walk.log_id,
            has_header and walk.stop > 0,
            walk.seals,
            walk.stop,
        ),
        BadPlace(walk.stop, reason, is_unfinished, looks_complete(payload, walk.stop))
        if reason
        else None,
    )


class _Walk:
    """The state of one `scan_run`: everything up to `stop` is good."""

    def __init__(
        self, payload: bytes, *, after: Head, log_id: LogId | None, last_time: bytes, strict: bool
    ) -> None:
        self.payload = payload
        self.epoch = after.epoch
        self.last_id = after.last_id
        self.hash = after.hash
        self.log_id = log_id
        self.time = last_time
        self.strict = strict
        self.batches: list[BatchSpan] = []
        self.seals = False
        self.stop = 0

    def go(self) -> None:
        """Take batch after batch, to the end of the bytes.

        Raises:
            LineError, Unfinished: the batch that begins at `stop` is not good.
            FormatError: it is good, and must not be read by this version.
        """
        payload = self.payload
        if payload.startswith(HEADER_BEGINNING):
            entries_start = payload.find(b"\n") + 1
            if entries_start == 0:
                raise Unfinished("the header line has no end")
            self._take(entries_start, parse_header(payload[:entries_start]))
        while self.stop < len(payload):
            if self.seals:
                raise LineError("bytes follow on the batch that seals the segment")
            self._take_plain()
            if self.stop < len(payload):
                self._take(self.stop, None)

    def _take_plain(self) -> None:
        """Take batches while they are of the commonest kind: plain keys or none in the
        trailer, the epoch and the day of the one before, no seal.

        This is `_take` at half its cost, and it decides nothing: the first batch that is
        another, good or bad, is left to `_take`.
        """
        payload, size, find = self.payload, len(self.payload), self.payload.find
        trailer_at, entry_at, append = PLAIN_TRAILER.match, ENTRY.match, self.batches.append
        epoch, day, prev = b"%d" % self.epoch, self.time[:10], hexlify(self.hash)
        strict = self.strict
        while self.stop < size:
            start, before = self.stop, find(NEXT_TRAILER, self.stop)
            trailer = trailer_at(payload, before + 1) if before != -1 else None
            if trailer is None:
                return
            first, last, its_epoch, committed, time, written, seal, its_prev, digits = (
                trailer.groups()
            )
            entries_stop, stop = trailer.span()
            first_id = EntryId(self.last_id + 1)
            last_id = first_id if last == first else EntryId(int(last))
            committed_id = EntryId(int(committed))
            keys = plain_keys(written, first=first_id, last=last_id) if written else NO_KEYS
            if (
                keys is None
                or its_prev != prev
                or first != b"%d" % first_id
                or not first_id <= last_id <= NUMBER_MAX
                or its_epoch != epoch
                or committed_id >= first_id
                or time[:10] != day
                or time < self.time
                or seal is not None
                or stop - start > BATCH_BYTES_MAX
            ):
                return
            digest = hash_after(self.hash, payload, start, stop - HASH_AND_END_BYTES)
            prev = hexlify(digest)
            if prev != digits:
                return
            if not strict and last_id == first_id:  # `entries_fault`, without its call
                entry = entry_at(payload, start, entries_stop)
                if entry is None or entry.end() != entries_stop or entry[1] != first:
                    return
            elif entries_fault(payload, start, entries_stop, first_id, last_id, strict=strict):
                return
            append(
                BatchSpan(
                    first_id,
                    last_id,
                    self.epoch,
                    digest,
                    start,
                    start,
                    entries_stop,
                    stop,
                    committed_id,
                    time,
                    False,  # noqa: FBT003 - keywords cost 0.2 µs a batch here
                    self.hash,
                    keys,
                )
            )
            self.last_id, self.hash, self.time, self.stop = last_id, digest, time, stop

    def _take(self, entries_start: int, header: Header | None) -> None:
        entries_stop, trailer, stop = trailer_after(self.payload, entries_start, self.stop)
        # The order of the checks: first that the bytes are what was written, then whether
        # this version may read them, then whether they say what should follow.
        if trailer.prev != hexlify(self.hash):
            raise LineError("it does not follow on the batch before it (prev)")
        digest = hash_after(self.hash, self.payload, self.stop, stop - HASH_AND_END_BYTES)
        if trailer.hash != hexlify(digest):
            raise LineError("its bytes do not give its hash")
        if header is not None:
            refuse_unknown(header)
            self._check_header(header)
        if trailer.unknown_musts:
            refuse_unknown(trailer)
        self._check_trailer(trailer)
        ids = trailer.first_id, trailer.last_id
        fault = entries_fault(self.payload, entries_start, entries_stop, *ids, strict=self.strict)
        if fault:
            raise LineError(fault)
        self.batches.append(
            BatchSpan(
                trailer.first_id,
                trailer.last_id,
                trailer.epoch,
                digest,
                self.stop,
                entries_start,
                entries_stop,
                stop,
                trailer.committed_id,
                trailer.time,
                trailer.seal,
                self.hash,
                trailer.keys,
            )
        )
        self.epoch = trailer.epoch
        self.last_id = trailer.last_id
        self.hash = digest
        self.time = trailer.time
        self.seals = trailer.seal
        self.stop = stop

    def _check_header(self, header: Header) -> None:
        if self.log_id is None:
            self.log_id = header.log_id
        if header.log_id != self.log_id:
            raise LineError(f"it belongs to the log {header.log_id}, not to {self.log_id}")
        if header.first_id != self.last_id + 1:
            raise LineError(
                f"the header line says first id {header.first_id}, {self.last_id + 1} follows"
            )
        if header.prev != hexlify(self.hash):
            raise LineError("the header line does not follow on the batch before it (prev)")

    def _check_trailer(self, trailer: Trailer) -> None:
        first_id, last_id = trailer.first_id, trailer.last_id
        if first_id != self.last_id + 1:
            raise LineError(f"its first id is {first_id}, {self.last_id + 1} follows")
        if trailer.epoch < self.epoch:
            raise LineError(f"its epoch {trailer.epoch} is below {self.epoch}, the one before")
        if last_id < first_id and (
            last_id != self.last_id or trailer.epoch == self.epoch or trailer.seal
        ):
            raise LineError("it covers no id, which only the first of an epoch may")
        if last_id > NUMBER_MAX or trailer.epoch > NUMBER_MAX:
            raise LineError(f"a number is above {NUMBER_MAX}")
        if trailer.committed_id >= first_id:
            raise LineError(f"it says that {trailer.committed_id} is committed before it is made")
        if trailer.time < self.time:
            raise LineError(f"its time is before {self.time.decode()}, the one before")
        if not is_time(trailer.time):
            raise LineError("its time is none")
