"""A log in a file: append, lock, follow, index, merge, compact."""
