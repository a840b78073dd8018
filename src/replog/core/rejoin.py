"""Finding the last batch that two logs share, by proof (R3).

PURE. A hash covers every byte before it, so "both hold the batch that ends here, with this
hash" is true up to some batch and false after it: a search over ids finds that batch in a
number of questions that grows with the logarithm of what differs.
"""

from __future__ import annotations

from dataclasses import dataclass

from replog.core.entry import GENESIS, EntryId, Head


@dataclass(slots=True)
class CommonSearch:
    """The search for one secondary's log.

    Attributes:
        shared: a batch end that both logs are known to hold.
        differs: a batch end of the secondary that the master does not hold.
    """

    differs: Head
    shared: Head = GENESIS
    _step: int = 1

    def next_probe(self, *, own_last_id: EntryId) -> EntryId:
        """Return the id to ask about next.

        The end of the master's own log comes first where the secondary's goes beyond it:
        most often that is where they meet. Then backwards from what differs in growing steps,
        as what differs is short most often.
        """
        below = self.differs.last_id - self._step
        if own_last_id < self.differs.last_id and self._step == 1:
            below = min(below, own_last_id)
        if self.shared is not GENESIS:
            below = max(below, (self.shared.last_id + self.differs.last_id - 1) // 2)
        self._step *= 2
        return EntryId(max(below, self.shared.last_id))

    def learn(self, *, below: Head, has_below: bool, above: Head | None, has_above: bool) -> bool:
        """Take in an answer; return whether `shared` is now the last common batch.

        Args:
            below, above: neighbouring batch ends of the secondary around the probed id.
            has_below, has_above: whether the master holds each.
        """
        if not has_below:
            self.differs = below
            return False
        self.shared = below
        if above is None:
            return True
        if has_above:
            self.shared = above
            return False
        self.differs = above
        return True
