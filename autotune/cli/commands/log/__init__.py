"""The commands of `autotune log`."""
