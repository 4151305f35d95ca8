"""Kinds of evidence: each is one JSON file, and together they are all that a report is made from."""

# What the steps of a training pipeline write.
OF_STEPS = (
    "quality",
    "data",
    "training",
    "evaluation",
    "fairness",
    "footprint",
    "importance",
)
KINDS = (*OF_STEPS, "decision", "sweep")
