"""Readers of strangers' files, for `fuzz.py`."""
