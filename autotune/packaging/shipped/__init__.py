"""Modules that are copied into a package: the standard library, NumPy and TVM's foreign function interface alone."""
