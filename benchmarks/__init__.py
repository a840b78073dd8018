"""Measures a cluster of three local nodes: `python -m benchmarks`, or `make bench`."""
