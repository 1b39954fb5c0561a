"""Engines compared on models and devices, and which of them hold limits of latency, throughput and cost."""
