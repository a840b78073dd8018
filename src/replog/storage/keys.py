"""Finding idempotency keys in the trailers of the log (P6).

DISK. For any thread. What is found stands in verified bytes; no index of keys is on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from replog.core.entry import NO_ENTRY, EntryId
from replog.storage.contents import Contents
from replog.storage.lines import Trailer, entry_line
from replog.storage.lookup import Opened, again, missing
from replog.storage.reader import EntryReader
from replog.storage.segment import Segment

_WINDOW_BYTES = 1024 * 1024
_KEYS = b',"keys":{'
"""Never stands inside an entry line: a quotation mark in a message is escaped there."""

BatchKeys = Callable[[EntryId], Mapping[EntryId, str]]
"""The keys of the batch that holds an entry."""


class StoredKeys:
    """The keys that stand in one log."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents

    def between(self, first_id: EntryId, last_id: EntryId) -> tuple[tuple[EntryId, str], ...]:
        """Return the entries from `first_id` to `last_id` with a key, ascending, with that.

        Reads all bytes in between, a window at a time.

        Raises:
            DamagedLogError: they do not verify.
        """
        return again(lambda: tuple(_keys_between(self._contents, first_id, last_id)))

    def of_batch(self, entry_id: EntryId) -> Mapping[EntryId, str]:
        """Return the keys of the batch that holds `entry_id`, which is in the log.

        Raises:
            DamagedLogError: it does not verify.
        """
        return again(lambda: _trailer_of(self._contents, entry_id)).keys

    def confirm(
        self,
        *,
        keys: Sequence[str | None],
        messages: Sequence[bytes],
        candidates: Sequence[Sequence[EntryId]],
    ) -> tuple[tuple[EntryId, ...], bool]:
        """Return where an append's keys are stored, and whether it is what they stand for.

        The meaning of both is that of `replog.core.events.KeysConfirmed`.

        Raises:
            DamagedLogError: the bytes that would tell do not verify.
        """

        def is_stored(first_id: EntryId) -> bool:
            return _holds(self._contents, first_id, messages)

        return compare(keys, candidates, _KeysByBatch(self._contents).of, is_stored)


class _KeysByBatch:
    """The keys of the batches that one question is about, each of them read once.

    A batch may hold thousands of keys, and a retry of it asks for each.
    """

    def __init__(self, contents: Contents) -> None:
        self._contents = contents
        self._by_id: dict[EntryId, Mapping[EntryId, str]] = {}

    def of(self, entry_id: EntryId) -> Mapping[EntryId, str]:
        """Return the keys of the batch that holds `entry_id`. Raises: DamagedLogError."""
        if entry_id not in self._by_id:
            keys = again(lambda: _trailer_of(self._contents, entry_id)).keys
            self._by_id.update(dict.fromkeys((*keys, entry_id), keys))
        return self._by_id[entry_id]


def _holds(contents: Contents, first_id: EntryId, messages: Sequence[bytes]) -> bool:
    """Say whether `messages` are the entries from `first_id` on, byte for byte."""
    last_id = EntryId(first_id + len(messages) - 1)
    if last_id > contents.head.last_id:
        if contents.damage:
            raise missing(contents, last_id)
        return False
    reader = EntryReader(contents, first=first_id, last=last_id)
    try:
        lines = b"".join(iter(reader.next_chunk, None))
    finally:
        reader.close()
    return lines == b"".join(
        entry_line(EntryId(first_id + place), message) for place, message in enumerate(messages)
    )


def _holding(contents: Contents, entry_id: EntryId) -> Segment:
    """Return the segment of an entry that is in the log, unless damage hides it by now."""
    segment = contents.holding(entry_id)
    if segment is None or entry_id > contents.head.last_id:
        raise missing(contents, entry_id)
    return segment


def _keys_between(
    contents: Contents, first_id: EntryId, last_id: EntryId
) -> Iterator[tuple[EntryId, str]]:
    next_id = first_id
    while next_id <= last_id:
        segment = _holding(contents, next_id)
        with Opened(contents, segment) as opened:
            for entry_id, key in _keys_of_segment(opened, segment, next_id):
                if first_id <= entry_id <= last_id:
                    yield entry_id, key
        next_id = EntryId(segment.stop.head.last_id + 1)


def _keys_of_segment(
    opened: Opened, segment: Segment, first_id: EntryId
) -> Iterator[tuple[EntryId, str]]:
    offset, _ = opened.point_before(first_id)
    size = _WINDOW_BYTES
    while offset < segment.stop.offset:
        window = opened.read(offset, offset + size)
        whole = window.rfind(b"\n") + 1
        if not whole:
            if offset + size >= segment.stop.offset:
                raise opened.rotten()  # the last line ended there
            size *= 2
            continue
        at = window.find(_KEYS, 0, whole)
        while at != -1:
            start, stop = window.rfind(b"\n", 0, at) + 1, window.find(b"\n", at) + 1
            yield from _keys_of_trailer(opened, window[start:stop]).items()
            at = window.find(_KEYS, stop, whole)
        offset += whole
        size = _WINDOW_BYTES


def _keys_of_trailer(opened: Opened, line: bytes) -> Mapping[EntryId, str]:
    return dict(sorted(opened.parsed(line).keys.items()))


def _trailer_of(contents: Contents, entry_id: EntryId) -> Trailer:
    with Opened(contents, _holding(contents, entry_id)) as opened:
        return opened.trailer_of(entry_id)


def compare(
    keys: Sequence[str | None],
    candidates: Sequence[Sequence[EntryId]],
    batch_keys: BatchKeys,
    is_stored: Callable[[EntryId], bool],
) -> tuple[tuple[EntryId, ...], bool]:
    """Decide for `StoredKeys.confirm`, whatever holds the log.

    Args:
        is_stored: whether the append's messages are the entries from an id on.
    """
    places = _Places(batch_keys)
    found = tuple(_place_of(keys, place, candidates[place], places) for place in range(len(keys)))
    place, known = next(((at, one) for at, one in enumerate(found) if one), (0, NO_ENTRY))
    first_id = EntryId(known - place)
    if not known or first_id < 1:
        return found, False
    last_id = EntryId(first_id + len(keys) - 1)
    in_order = all(not one or one == first_id + at for at, one in enumerate(found))
    own = set(keys)
    is_whole = all(
        first_id <= entry_id <= last_id for entry_id, key in batch_keys(known).items() if key in own
    )
    return found, in_order and is_whole and is_stored(first_id)


class _Places:
    """Where each key stands in the batches that were looked at, turned around once a batch."""

    def __init__(self, batch_keys: BatchKeys) -> None:
        self._batch_keys = batch_keys
        self._turned: dict[int, tuple[Mapping[EntryId, str], dict[str, list[EntryId]]]] = {}

    def of(self, key: str, candidate: EntryId) -> list[EntryId]:
        """Return the ids of `key` in the batch of `candidate`, ascending."""
        keys = self._batch_keys(candidate)
        if id(keys) not in self._turned:
            ids: dict[str, list[EntryId]] = {}
            for entry_id in sorted(keys):
                ids.setdefault(keys[entry_id], []).append(entry_id)
            self._turned[id(keys)] = keys, ids
        return self._turned[id(keys)][1].get(key, [])


def _place_of(
    keys: Sequence[str | None], place: int, candidates: Sequence[EntryId], places: _Places
) -> EntryId:
    """Return the id at which the key of one message is stored; 0 where it is not.

    The key of several entries together stands at the first and at the last of them.
    """
    key = keys[place]
    if key is None:
        return NO_ENTRY
    is_end_of_run = place > 0 and place == len(keys) - 1 and keys[0] == key
    for candidate in reversed(candidates):
        ids = places.of(key, candidate)
        if ids and not is_end_of_run:
            return ids[0]
        if len(ids) > 1:
            return ids[-1]
    return NO_ENTRY
