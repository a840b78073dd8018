"""The one source of chance of a history: Python's generator, with the bounds drawn faster.

PURE.
"""

from __future__ import annotations

from random import Random


class Dice(Random):
    """Gives the same numbers as `Random` does; a history draws thousands of them."""

    def randint(self, a: int, b: int) -> int:
        width = b - a + 1
        assert width > 0, (a, b)
        bits = width.bit_length()
        drawn = self.getrandbits(bits)
        while drawn >= width:
            drawn = self.getrandbits(bits)
        return a + drawn
