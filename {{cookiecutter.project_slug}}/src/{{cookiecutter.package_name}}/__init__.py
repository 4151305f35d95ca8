"""What this project makes its own: features, model and training."""
