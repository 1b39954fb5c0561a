"""What XGBoost learns: speed, validity, build time, latency."""
