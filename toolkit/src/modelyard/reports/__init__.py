"""Pages that people read: reports of runs and model cards, from evidence only."""
