"""One module for each command of `autotune`."""
