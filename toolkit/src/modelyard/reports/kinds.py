"""Kinds of evidence: each is one JSON file, and together they are all that a report is made from."""

# Step of the training pipeline: the kinds it writes.
OF_STEPS = {
    "prepare": ("quality", "data"),
    "train": ("training",),
    "assess": ("evaluation", "importance", "fairness", "footprint"),
}
KINDS = (*(kind for kinds in OF_STEPS.values() for kind in kinds), "decision", "sweep")
