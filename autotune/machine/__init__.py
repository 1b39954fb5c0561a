"""The part of this machine that this process may use."""
