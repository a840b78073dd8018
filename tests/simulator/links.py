"""What a simulated shell keeps of a link.

PURE.
"""

from __future__ import annotations

from dataclasses import dataclass

from replog.core.events import SecondaryIndex
from replog.node.inbound import BatchVerifier
from tests.simulator.network import End


@dataclass(slots=True)
class LinkSeen:
    """What the shell keeps of one link.

    Attributes:
        acknowledged: at a master, the last id that counts on this link for now.
        is_known: the core was told of it; a master takes no links and hears of none.
    """

    end: End
    verifier: BatchVerifier
    opened_at: int
    secondary: SecondaryIndex | None
    acknowledged: int | None = None
    is_known: bool = True
