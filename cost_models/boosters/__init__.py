"""Models of boosted trees: speed, validity, build time, latency."""
