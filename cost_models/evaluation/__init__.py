"""Evaluation of cost models on held-out data, beside baselines."""
