"""Samplers that choose the configs of one task to measure next: Optuna's, and one guided by cost models."""
