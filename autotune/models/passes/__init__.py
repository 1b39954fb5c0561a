"""Graph rewrites that TVM does not have."""
