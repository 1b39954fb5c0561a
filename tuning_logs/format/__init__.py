"""The lines of a log file: JSON with a schema, a checksum and definitions."""
