"""The command line: where text becomes values, and values become tables."""
