"""Permutation importance of the columns."""

from __future__ import annotations

from modelyard.reports import charts
from modelyard.reports.facts import Facts, Section
from modelyard.reports.labels import metric_label
from modelyard.reports.wording import fixed, lowered, number, plural, precision

MOST_FEATURES = 20


def importance(facts: Facts) -> Section | None:
    """Rank the columns by how much the metric worsens when they are shuffled."""
    features = facts.ranked_features()
    if not features:
        return None
    ends = [end for _, found in features for end in found if end is not None]
    domain = (min(*ends, 0.0), max(*ends, 0.0) * 1.02 or 1.0)
    decimals = precision(max(abs(found.value) for _, found in features), None, None)
    table = [
        {
            "name": name,
            "value": fixed(found.value, decimals),
            "interval": ""
            if found.low is None or found.high is None
            else f"{fixed(found.low, decimals)} to {fixed(found.high, decimals)}",
            "bar": charts.bar(found.value, domain, low=found.low, high=found.high),
        }
        for name, found in features
    ]
    idle = sum(found.low is not None and found.low <= 0 for _, found in features)
    sentence = f"The most important column is {features[0][0]}."
    if idle:
        sentence += f" {plural(idle, 'column makes', 'columns make')} no measurable difference."
    if rest := facts.importance.get("not_computed"):
        sentence += (
            f" {plural(len(rest), 'more is', 'more are')} not measured, since shuffling them changes "
            "the predictions less: importance.json names them."
        )
    metric = facts.importance.get("metric") or facts.primary
    return {
        "table": table[:MOST_FEATURES],
        "rest": table[MOST_FEATURES:],
        "metric": lowered(metric_label(str(metric))) if metric else "the main metric",
        "sample": number(facts.importance.get("rows")),
        "sentence": sentence,
        "which": "Every measured column" if rest else "Every column",
    }
