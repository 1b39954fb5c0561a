"""Devices to measure on: names, connections, fingerprints, rooflines."""
