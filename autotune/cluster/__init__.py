"""Compiling and measuring on many machines: a coordinator's side that knows no engine, and Ray as the engine."""
