"""Measures this log beside what a user would pick instead: `make bench-peers`."""
