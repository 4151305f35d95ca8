"""Searches for hyperparameters, as sweep jobs of Azure ML do."""
