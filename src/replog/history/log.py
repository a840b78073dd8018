"""The one log that a history is about, put together from what was seen of it.

PURE.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256

import msgspec

from replog.history.lines import Disk, Read
from replog.history.reading import History

END = "end"
"""The name of the last snapshot of all disks."""


class Log:
    """The log, from id 1 on. What nobody saw, and nobody was told, is None.

    Attributes:
        is_final: it is what the disks held at the end; nothing was there beyond it.
        places: where each message stands, first.
    """

    def __init__(self, messages: list[str | None], *, is_final: bool) -> None:
        self.messages = messages
        self.is_final = is_final
        self.places: dict[str, int] = {
            message: place
            for place, message in zip(range(len(messages), 0, -1), reversed(messages), strict=True)
            if message is not None
        }

    def __len__(self) -> int:
        return len(self.messages)

    def at(self, place: int) -> str | None:
        return self.messages[place - 1] if 0 < place <= len(self.messages) else None

    def differs_at(self, first: int, messages: Sequence[str]) -> int | None:
        """Return the first id in which `messages`, from id `first` on, are others than these."""
        stretch = self.messages[first - 1 : first - 1 + len(messages)]
        if stretch == messages:
            return None
        both = zip(messages, stretch, strict=False)
        same = next((place for place, (one, two) in enumerate(both) if one != two), len(stretch))
        return first + same

    def doubles(self) -> Iterator[tuple[str, int]]:
        """Yield every message that stands in the log again, and where."""
        if len(self.places) < len(self.messages):
            for place, message in enumerate(self.messages, 1):
                if message is not None and self.places[message] != place:
                    yield message, place

    def digests(self, stretches: Iterable[tuple[int, int]]) -> dict[tuple[int, int], str]:
        """Return SHA-256 over the entry lines of each stretch (first id, last id).

        All stretches that begin at one id cost as much as the longest of them. One that ends
        beyond the log, or holds what nobody saw, has none.
        """
        found: dict[tuple[int, int], str] = {}
        encode = msgspec.json.Encoder().encode
        digest, first, done = sha256(), 0, 0
        for stretch in sorted(set(stretches)):
            if stretch[0] != first:
                first, done, digest = stretch[0], stretch[0] - 1, sha256()
            lines = []
            for place in range(done + 1, stretch[1] + 1):
                message = self.at(place)
                if message is None:
                    break
                lines.append(b'{"id":%d,"message":%b}\n' % (place, encode(message)))
            digest.update(b"".join(lines))
            done += len(lines)
            if done == stretch[1]:
                found[stretch] = digest.hexdigest()
        return found


def log_of(history: History) -> Log:
    """Return the log that a history shows.

    The fullest disk of the snapshot "end" is the log, the master's where several are. Without
    that snapshot the latest sights of the master come first, then those of other nodes; what
    nobody saw is filled with what appenders were told, and at last with what disks of
    secondaries held, which may be what never counted.
    """
    master = history.nodes[0]
    ends = [disk for disk in history.disks if disk.snapshot == END and disk.messages is not None]
    if ends:
        fullest = max(ends, key=lambda disk: (len(disk.messages or ()), disk.node == master))
        return Log(list(fullest.messages or ()), is_final=True)
    sights: list[tuple[float, Disk | Read]] = [
        *((disk.at, disk) for disk in history.disks if disk.node == master),
        *((read.returned or 0.0, read) for read in history.reads if read.node == master),
    ]
    others = [(read.returned or 0.0, read) for read in history.reads if read.node != master]
    found: list[str | None] = []
    for group in (sights, others):
        for _, sight in sorted(group, key=lambda each: -each[0]):
            first = sight.first if isinstance(sight, Read) else 1
            _fill(found, first, sight.messages or ())
    seen = set(found)
    for append in history.appends:
        told = append.first_id
        if told is not None and seen.isdisjoint(append.messages):
            _fill(found, told, append.messages)
            seen.update(append.messages)
    for disk in history.disks:
        _fill(found, 1, (disk.messages or ())[: len(found)])
    hashed = [disk.last for disk in history.disks if disk.snapshot == END and disk.last is not None]
    return Log(found[: max(hashed)] if hashed else found, is_final=bool(hashed))


def _fill(found: list[str | None], first: int, messages: Sequence[str]) -> None:
    """Take from a sight what is not known better: its end, and what is missing."""
    last = first - 1 + len(messages)
    if not messages:
        return
    found.extend([None] * (first - 1 - len(found)))
    stretch = found[first - 1 : last]
    if None in stretch:
        for place, message in enumerate(messages[: len(stretch)], first - 1):
            if found[place] is None:
                found[place] = message
    found.extend(messages[len(stretch) :])
