"""Footprint of the model: size, time to load, memory, latency."""

from __future__ import annotations

from modelyard.reports.facts import Facts, Section
from modelyard.reports.labels import COSTS
from modelyard.reports.reading import as_mapping, mapping
from modelyard.reports.wording import MISSING, finite, number, plural, text


def footprint(facts: Facts) -> Section | None:
    """Compare the footprint of the challenger with the champion's."""
    models = mapping(facts.footprint, "models")
    challenger, champion = (as_mapping(models.get(name)) for name in ("challenger", "champion"))
    table = []
    for name, cost in COSTS.items():
        own, other = finite(challenger.get(name)), finite(champion.get(name))
        if own is None and other is None:
            continue
        times = None if own is None or not other else own / other
        table.append(
            {
                "label": cost.label,
                "own": MISSING if own is None else f"{number(own * cost.factor)} {cost.unit}",
                "other": MISSING if other is None else f"{number(other * cost.factor)} {cost.unit}",
                "times": MISSING if times is None else f"{number(times, 2)} ×",
            }
        )
    if not table:
        return None
    machine = mapping(facts.footprint, "machine")
    cores = finite(machine.get("cores"))
    parts = [text(machine.get(key)) for key in ("system", "processor") if machine.get(key)]
    parts += [plural(cores, "core")] if cores else []
    return {
        "table": table,
        "champion": facts.champion if champion else "",
        "machine": ", ".join(parts),
    }
