"""Finding idempotency keys in the trailers of the log (P6).

DISK. For any thread. What is found stands in verified bytes; no index of keys is on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from replog.core.entry import NO_ENTRY, EntryId
from replog.storage.contents import Contents
from replog.storage.lines import LineError, entry_line, parse_trailer
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
        return again(lambda: _keys_of_batch(self._contents, entry_id))

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

        return compare(keys, candidates, self.of_batch, is_stored)


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
    try:
        keys = parse_trailer(line).keys
    except LineError as error:
        raise opened.rotten() from error
    return dict(sorted(keys.items()))


def _keys_of_batch(contents: Contents, entry_id: EntryId) -> Mapping[EntryId, str]:
    segment = _holding(contents, entry_id)
    with Opened(contents, segment) as opened:
        offset, _ = opened.point_before(entry_id)
        window, at = opened.window_with(entry_id, offset)
        start = window.find(b'\n{"batch":{', max(at, 0)) + 1
        return _keys_of_trailer(opened, window[start : window.find(b"\n", start) + 1])


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
    found = tuple(
        _place_of(keys, place, candidates[place], batch_keys) for place in range(len(keys))
    )
    place, known = next(((at, one) for at, one in enumerate(found) if one), (0, NO_ENTRY))
    first_id = EntryId(known - place)
    if not known or first_id < 1:
        return found, False
    last_id = EntryId(first_id + len(keys) - 1)
    in_order = all(not one or one == first_id + at for at, one in enumerate(found))
    is_whole = all(
        first_id <= entry_id <= last_id
        for key in {key for key in keys if key is not None}
        for entry_id in _ids_with(key, batch_keys(known))
    )
    return found, in_order and is_whole and is_stored(first_id)


def _place_of(
    keys: Sequence[str | None], place: int, candidates: Sequence[EntryId], batch_keys: BatchKeys
) -> EntryId:
    """Return the id at which the key of one message is stored; 0 where it is not.

    The key of several entries together stands at the first and at the last of them.
    """
    key = keys[place]
    if key is None:
        return NO_ENTRY
    is_end_of_run = place > 0 and place == len(keys) - 1 and keys[0] == key
    for candidate in reversed(candidates):
        ids = _ids_with(key, batch_keys(candidate))
        if ids and not is_end_of_run:
            return ids[0]
        if len(ids) > 1:
            return ids[-1]
    return NO_ENTRY


def _ids_with(key: str, keys: Mapping[EntryId, str]) -> list[EntryId]:
    return sorted(entry_id for entry_id, stored in keys.items() if stored == key)
