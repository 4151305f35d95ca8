"""Azure ML pipelines: read, checked, and run on this machine."""
