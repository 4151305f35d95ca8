"""Reactions to Azure ML's events, and the function app they run in."""
