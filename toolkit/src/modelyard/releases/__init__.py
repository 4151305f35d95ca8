"""Releases a model to an endpoint, stage by stage, and back."""
