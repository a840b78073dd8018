"""The simulator's own reader agrees with the codec and sees every flipped bit."""

from __future__ import annotations

from random import Random

from replog.core.entry import GENESIS, EntryId, Epoch, Head, LogId
from replog.storage.batch import encode_batch, header_line
from tests.simulator.disk import SimFilesystem
from tests.simulator.reader import GENESIS_HASH, DurableView, scan


def three_batches() -> tuple[bytes, Head]:
    head, data = GENESIS, b""
    for number in range(3):
        header = header_line(LogId("log"), EntryId(1), GENESIS.hash) if not data else b""
        batch = encode_batch(
            after=head,
            messages=[b'"a%d"' % number, b'"b"'],
            epoch=Epoch(number + 1),
            committed_id=head.last_id,
            time_ms=1000,
            header=header,
        )
        data += batch.payload
        head = batch.head
    return data, head


def test_the_reader_finds_what_the_codec_made() -> None:
    data, head = three_batches()
    found = scan(data, prev=GENESIS_HASH, last_id=0)
    assert [(b.first_id, b.last_id, b.epoch) for b in found] == [(1, 2, 1), (3, 4, 2), (5, 6, 3)]
    assert found[-1].hash == head.hash
    assert found[1].messages == (b'"a1"', b'"b"')


def test_the_reader_finds_the_keys_of_a_batch() -> None:
    batch = encode_batch(
        after=GENESIS,
        messages=[b'"a"', b'"b"', b'"c"'],
        epoch=Epoch(1),
        committed_id=EntryId(0),
        time_ms=1000,
        header=header_line(LogId("log"), EntryId(1), GENESIS.hash),
        keys={EntryId(1): 'k "1"', EntryId(3): "}é"},
    )
    (found,) = scan(batch.payload, prev=GENESIS_HASH, last_id=0)
    assert found.keys == ((1, 'k "1"'), (3, "}é"))


def test_the_reader_stops_before_a_flipped_bit() -> None:
    data, _ = three_batches()
    stops = [batch.stop for batch in scan(data, prev=GENESIS_HASH, last_id=0)]
    for offset in range(0, len(data), 7):
        rotten = bytearray(data)
        rotten[offset] ^= 1
        good = scan(bytes(rotten), prev=GENESIS_HASH, last_id=0)
        assert len(good) == sum(stop <= offset for stop in stops)


def test_the_view_of_a_disk_follows_syncs_and_forgets_what_rots() -> None:
    data, head = three_batches()
    disk = SimFilesystem(Random(1))
    disk.make_directory("/s")
    file = disk.open("/s/1", writable=True, create=True)
    view = DurableView(disk, "/s")
    file.write_at(0, data)
    file.sync()
    assert view.refresh() == [], "the name is not durable yet"
    disk.sync_directory("/s")
    assert [batch.last_id for batch in view.refresh()] == [2, 4, 6]
    assert view.refresh() == []
    assert (view.last_id, view.hash) == (6, head.hash)
    disk.flip_bit("/s/1", len(data) - 10, 0)
    view.refresh()
    assert view.last_id == 4
