"""The steps of the pipeline, from a table to a judged model: `python -m <this package>.<step>`."""
