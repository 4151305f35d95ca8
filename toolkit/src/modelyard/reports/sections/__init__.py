"""Sections of the report: each makes from the facts what the template prints, or None."""
