"""Candidates that were compared before the model was chosen, and corrections of its probabilities."""

from __future__ import annotations

from modelyard.reports.facts import Facts, Section
from modelyard.reports.reading import records
from modelyard.reports.wording import MISSING, finite, number, percent, text

CORRECTIONS = {
    "none": "as they are",
    "sigmoid": "sigmoid of their log odds",
    "isotonic": "isotonic steps",
    "temperature": "temperature",
}


def candidates(facts: Facts) -> Section | None:
    """Tell which candidates were compared on which rows, and which was chosen."""
    given = records(facts.training.get("candidates"))
    if not given:
        return None
    where = text(facts.training.get("compared_on"), 120)
    loss = "half the squared error" if facts.kind == "regression" else "log loss"
    rows = [
        {
            "name": text(one.get("name"), 80),
            "chosen": one.get("chosen") is True,
            "loss": number(one.get("loss")),
            "above": f"{number(one.get('above_lowest'), 2)} ± {number(one.get('standard_error'), 2)}"
            if finite(one.get("above_lowest"))
            else "lowest",
            "learnt": number(one.get("rows")),
        }
        for one in given
    ]
    chosen = next((row["name"] for row in rows if row["chosen"]), MISSING)
    sentence = f"By {loss} on {where}; {chosen} is the model."
    if len(rows) > 1:
        sentence += " The first that is within a standard error of the lowest, and within two without rows far out, is taken."
    corrections = [
        {
            "name": CORRECTIONS.get(str(one.get("method")), text(one.get("method"), 40)),
            "chosen": one.get("chosen") is True,
            "loss": number(one.get("log_loss")),
            "error": percent(one.get("calibration_error")),
        }
        for one in records(facts.training.get("calibration"))
    ]
    return {"sentence": sentence, "rows": rows, "corrections": corrections}
