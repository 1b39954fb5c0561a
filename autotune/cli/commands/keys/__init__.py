"""Commands of `autotune keys`."""
