"""The search space of a TVM operator."""
