"""How a node logs: plain lines for people, JSON lines for machines.

SHELL.
"""
