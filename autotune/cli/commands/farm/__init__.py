"""Commands of the group `autotune farm`."""
