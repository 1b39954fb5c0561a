"""Hostile inputs by kind, for `benchmarks/edges.py`."""
