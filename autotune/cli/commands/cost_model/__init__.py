"""The commands of `autotune cost-model`."""
