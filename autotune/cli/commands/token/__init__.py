"""The commands of `autotune token`."""
