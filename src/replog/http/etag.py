"""Entity tags of pages that never change while the log is the same.

PURE. RFC 9110, section 8.8.3. A hash of the log covers every byte before it, so that the id of
the log, the range and the hash at its end name the entries, whatever became of the log since.
"""

from __future__ import annotations

from collections.abc import Iterable

from replog.core.entry import EntryId, LogId

_HASH_DIGITS = 32


def entity_tag(
    log_id: LogId, first: EntryId, last: EntryId, hash: bytes, *, form: str, is_gzip: bool
) -> bytes:
    """Return the strong tag of the entries `first` to `last` in one form and content coding.

    Args:
        hash: of the log at the end of the batch that holds `last`.
    """
    coding = ".gzip" if is_gzip else ""
    digits = hash.hex()[:_HASH_DIGITS]
    return f'"{log_id}.{first}-{last}.{digits}.{form}{coding}"'.encode()


def is_known(tag: bytes, known: Iterable[bytes]) -> bool:
    """Say whether a client that names the tags `known` has what `tag` names."""
    return any(one in (tag, b"*") for one in known)
