"""The command line: parses arguments, prints tables and JSON."""
