"""What an ML engineer maintains: running, registering, judging and promoting models."""
