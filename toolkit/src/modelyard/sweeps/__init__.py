"""Hyperparameter sweeps: search spaces, sampling, early termination, and the runner of trials."""
