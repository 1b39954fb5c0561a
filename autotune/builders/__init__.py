"""Compiles candidates into artifacts: a shared library and, for GPUs, machine code."""
