"""Which configs of one task to measure next: Optuna's samplers, and ours, which asks cost models."""
