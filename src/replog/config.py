"""What can be set, and where a setting comes from.

SHELL.
"""
