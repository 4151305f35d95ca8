"""Kinds of evidence: one JSON file each. A report is made from them and nothing else."""

# Kinds that each step of the training pipeline writes.
OF_STEPS = {
    "prepare": ("quality", "data"),
    "train": ("training",),
    "assess": ("evaluation", "importance", "fairness", "footprint"),
}
KINDS = (*(kind for kinds in OF_STEPS.values() for kind in kinds), "decision", "sweep")
