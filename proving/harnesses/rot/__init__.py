"""Row 6: rot is found, never served, never spread, repaired.

PURE.
"""

from proving.harnesses.rot import bits, clusters, files

HARNESSES = (*bits.HARNESSES, *files.HARNESSES, *clusters.HARNESSES)
