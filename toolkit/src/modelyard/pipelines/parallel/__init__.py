"""What a parallel step is run with."""
