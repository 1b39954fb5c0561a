"""Fakes of builders, runners and devices, and conformance suites for implementations of the interfaces."""
