"""What machine-learning projects for Azure ML have in common, from the data contract to monitoring."""

__version__ = "0.1.0"
