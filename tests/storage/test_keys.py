"""Idempotency keys in the trailers: read back by range, and confirmed with their messages."""

from __future__ import annotations

from random import Random

import pytest

from replog.core.entry import EntryId, Epoch
from replog.core.errors import DamagedLogError
from replog.storage.batch import encode_message
from replog.storage.log import Log
from replog.storage.lookup import Opened
from tests.simulator.disk import SimFilesystem
from tests.storage.logs import (
    NOTHING,
    TIME_MS,
    append,
    changed,
    disk_with,
    everything,
    files_of,
    open_log,
)

Confirmed = tuple[tuple[EntryId, ...], bool]


def keyed(log: Log, *entries: tuple[str, str | None]) -> None:
    """Append one batch of messages, each with its key."""
    first = log.head.last_id + 1
    keys = {EntryId(first + at): key for at, (_, key) in enumerate(entries) if key is not None}
    log.append(
        [encode_message(text) for text, _ in entries],
        epoch=Epoch(1),
        committed_id=NOTHING,
        time_ms=TIME_MS,
        keys=keys,
    )


def confirm(log: Log, *entries: tuple[str, str | None]) -> Confirmed:
    """Ask with every keyed entry of the log as a candidate."""
    stored = tuple(entry_id for entry_id, _ in log.keys.between(EntryId(1), log.head.last_id))
    return log.keys.confirm(
        keys=[key for _, key in entries],
        messages=[encode_message(text) for text, _ in entries],
        candidates=[stored if key is not None else () for _, key in entries],
    )


def mixed_log(filesystem: SimFilesystem) -> tuple[Log, dict[int, str]]:
    """Return a log of many segments, and the keys that were put into it."""
    log = open_log(filesystem)
    keys: dict[int, str] = {}
    random = Random(7)
    for number in range(40):
        if number % 3 == 0:
            append(log, f"no key {number}", 'a message with ,"keys":{ in it')
            continue
        entries = []
        for place in range(1 + random.randrange(4)):
            key = f'key "{number}" \u2028 {place}' if random.random() < 0.6 else None
            entries.append((f"message {number} {place}", key))
            if key is not None:
                keys[log.head.last_id + 1 + place] = key
        keyed(log, *entries)
    log.sync()
    assert len(files_of(filesystem)) > 3
    return log, keys


def test_the_keys_of_any_range_come_back_in_order() -> None:
    log, keys = mixed_log(SimFilesystem(Random(0)))
    last = log.head.last_id
    for first in range(1, last + 1):
        for stop in (first, min(first + 5, last), last):
            wanted = [(at, keys[at]) for at in sorted(keys) if first <= at <= stop]
            assert list(log.keys.between(EntryId(first), EntryId(stop))) == wanted
    log.close()


def test_keys_are_read_again_by_a_log_that_is_opened_cold() -> None:
    disk = SimFilesystem(Random(0))
    log, keys = mixed_log(disk)
    log.close()
    again = open_log(disk_with(everything(disk)))
    assert dict(again.keys.between(EntryId(1), again.head.last_id)) == keys
    again.close()


def test_a_window_that_is_shorter_than_a_line_still_finds_its_keys(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("replog.storage.keys._WINDOW_BYTES", 16)
    log, keys = mixed_log(SimFilesystem(Random(0)))
    assert dict(log.keys.between(EntryId(1), log.head.last_id)) == keys
    log.close()


def test_keys_behind_damage_are_not_told() -> None:
    disk = SimFilesystem(Random(0))
    log, keys = mixed_log(disk)
    last = log.head.last_id
    log.close()
    files = everything(disk)
    path = sorted(files_of(disk))[1]
    content = bytearray(files[path])
    content[len(content) // 2] ^= 1
    again = open_log(disk_with(changed(files, path, bytes(content))))
    with pytest.raises(DamagedLogError):
        again.keys.between(EntryId(1), last)
    good = again.damage[0].before.last_id
    told = dict(again.keys.between(EntryId(1), good))
    assert told == {at: key for at, key in keys.items() if at <= good}
    # What was asked for before the damage was known is not answered with less.
    with pytest.raises(DamagedLogError):
        again.keys.between(EntryId(1), EntryId(good + 1))
    with pytest.raises(DamagedLogError):
        again.keys.of_batch(EntryId(good + 1))
    with pytest.raises(DamagedLogError):
        again.keys.confirm(keys=["k"], messages=[b'"x"'], candidates=[[EntryId(good + 1)]])
    again.close()


# --- confirming ---------------------------------------------------------------------------------


def stored() -> Log:
    """Return a log with: 1 single, 2-4 one run, 5-7 keys of their own."""
    log = open_log(SimFilesystem(Random(0)))
    keyed(log, ("one", "single"))
    keyed(log, ("a", "run"), ("b", None), ("c", "run"))
    keyed(log, ("x", "kx"), ("y", None), ("z", "kz"))
    log.sync()
    return log


@pytest.mark.parametrize(
    ("entries", "found"),
    [
        ([("one", "single")], [1]),
        ([("a", "run"), ("b", None), ("c", "run")], [2, 0, 4]),
        ([("x", "kx"), ("y", None), ("z", "kz")], [5, 0, 7]),
        ([("x", "kx")], [5]),
        ([("y", None), ("z", "kz")], [0, 7]),
    ],
)
def test_what_was_stored_is_confirmed_where_it_stands(
    entries: list[tuple[str, str | None]], found: list[int]
) -> None:
    log = stored()
    assert confirm(log, *entries) == (tuple(found), True)
    log.close()


@pytest.mark.parametrize(
    ("entries", "found"),
    [
        ([("two", "single")], [1]),  # another message
        ([("a", "run")], [2]),  # a part of a run
        ([("a", "run"), ("b", "run")], [2, 4]),
        ([("a", "run"), ("b", None), ("c", None), ("x", "run")], [2, 0, 0, 4]),
        ([("one", "single"), ("one", "single")], [1, 0]),  # a run of what was a single one
        ([("z", "kz"), ("y", None), ("x", "kx")], [7, 0, 5]),  # another order
        ([("x", "kx"), ("z", "kz")], [5, 7]),  # not behind one another
        ([("z", "kz"), ("beyond", None)], [7, 0]),  # beyond the end of the log
        ([("x", None), ("y", None), ("one", "single")], [0, 0, 1]),  # before its beginning
    ],
)
def test_what_was_stored_otherwise_is_not_confirmed(
    entries: list[tuple[str, str | None]], found: list[int]
) -> None:
    log = stored()
    told, is_same = confirm(log, *entries)
    assert told == tuple(found)
    assert not is_same
    log.close()


def test_a_key_that_is_not_stored_beside_one_that_is_is_not_found() -> None:
    log = stored()
    assert confirm(log, ("x", "kx"), ("y", "new"))[0] == (5, 0)
    log.close()


def test_another_key_of_the_same_hash_is_not_found() -> None:
    log = stored()
    assert confirm(log, ("one", "another")) == ((0,), False)
    log.close()


def test_a_retry_of_many_keys_reads_its_batch_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading it for each key makes the cost quadratic (P8)."""
    reads = 0
    read = Opened.read

    def counting(self: Opened, start: int, stop: int) -> bytes:
        nonlocal reads
        reads += 1
        return read(self, start, stop)

    log = open_log(SimFilesystem(Random(0)))
    entries = [(f"message {number}", f"key {number}") for number in range(500)]
    keyed(log, *entries)
    monkeypatch.setattr(Opened, "read", counting)
    found, is_same = log.keys.confirm(
        keys=[key for _, key in entries],
        messages=[encode_message(text) for text, _ in entries],
        candidates=[(EntryId(at),) for at in range(1, len(entries) + 1)],
    )
    assert (found, is_same) == (tuple(range(1, len(entries) + 1)), True)
    assert reads < 10
