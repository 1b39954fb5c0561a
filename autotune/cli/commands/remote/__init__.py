"""The commands of `autotune remote`."""
