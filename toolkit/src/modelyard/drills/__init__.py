"""Rehearses the whole loop on the time of a table."""
