"""Throughput of served models under a latency limit, by instances, kernel threads and batch."""
