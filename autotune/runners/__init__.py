"""Runs artifacts on a device: this CPU, this machine's GPU, boards behind RPC, a recorded table."""
