"""The errors of the environment, one tree: what happened, and what to do next.

PURE. Programmer's errors are assertions, expected outcomes are values (CONTRIBUTING.md);
what is left is here, and is translated once at each edge (HTTP, CLI).
"""

from __future__ import annotations


class ReplogError(Exception):
    """Any failure of the environment. Its text is one sentence for a person."""


class ConfigurationError(ReplogError):
    """The settings contradict each other or the data directory; change them."""


class StorageError(ReplogError):
    """The disk did not do what was asked."""


class DiskFullError(StorageError):
    """A write found no space and provably left nothing behind; free some space."""


class SyncFailedError(StorageError):
    """fdatasync failed: what was written is unknown, and the node must end (never retried)."""


class DirectoryLockedError(StorageError):
    """Another process has the data directory open; stop it first."""


class DamagedLogError(StorageError):
    """Bytes of the log do not verify (R13); its text names segment, id and byte offset."""


class FormatError(StorageError):
    """The data was written in a format that this version does not know; upgrade."""


class WireError(ReplogError):
    """Bytes on a link that are no message of the protocol."""
