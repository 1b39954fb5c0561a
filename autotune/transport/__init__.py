"""Mutual TLS, tokens and SSH between this machine, trackers and boards; the standard library alone, for boards."""
