"""What the judge keeps of one node.

PURE.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.simulator.disk import SimFilesystem
from tests.simulator.reader import DurableView


@dataclass(slots=True)
class NodeRecord:
    """What the judge keeps of one node.

    Attributes:
        kept: the last committed id that this disk once held durably and must hold still.
        floor: a read here with a live master must show at least this (P4).
        shown: what readers may see in the present process.
        shown_before: what they saw before a kill -9, which must be shown again.
        is_rotten: its disk rotted, and has not been seen whole since.
    """

    name: str
    disk: SimFilesystem
    view: DurableView
    kept: int = 0
    floor: int = 0
    shown: int = 0
    shown_before: int = 0
    is_rotten: bool = False
