"""What can be set for a node, and where each setting comes from.

PURE. Loading stands in `replog.config.load`: who only reads settings imports none of it.
"""

from replog.config.table import Settings

__all__ = ["Settings"]
