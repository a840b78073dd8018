"""The replicated log: one master, any number of secondaries, in order, durable.

PURE.
"""

__version__ = "0.1.0"
