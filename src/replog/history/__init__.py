"""Histories: what clients did with a log and were told, and whether that keeps the promises.

PURE.
"""
