"""Runs pipelines of Azure ML on this machine, and keeps what they did."""
