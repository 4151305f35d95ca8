"""The scorecard: what a card begins with, on one printed page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from modelyard.principles import FAIR, Shown
from modelyard.reports.facts import Facts, as_estimate
from modelyard.reports.labels import group_metric_label
from modelyard.reports.reading import as_mapping, listed, mapping, records
from modelyard.reports.sections.cohorts import NONE_WORSE, worst_of
from modelyard.reports.sections.verdict import tiles, verdict
from modelyard.reports.wording import estimate, plain, plural, text

MOST_FIGURES = 4
MOST_LIMITS = 4
NOTE, LONG = 110, 170  # characters that leave room for the others on the page
STATES = {True: ("shown", "good"), False: ("not kept", "bad"), None: ("not shown", "warn")}


@dataclass(frozen=True)
class Cell:
    """A figure or a state in plain text; `tone` is good, bad, warn, calm or empty."""

    label: str
    value: str
    note: str = ""
    tone: str = ""


@dataclass(frozen=True)
class Scorecard:
    """What the model is for, how it was judged, what shows the principles, and its first limits."""

    purpose: str
    tone: str
    figures: Sequence[Cell]
    judgements: Sequence[Cell]
    principles: Sequence[Cell]
    limits: Sequence[str]


def scorecard(
    facts: Facts, purpose: str, principles: Sequence[Shown], limits: Sequence[str]
) -> Scorecard:
    """Sum a card up."""
    more = len(limits) - MOST_LIMITS
    first = [plain(limit, LONG) for limit in limits[:MOST_LIMITS]]
    return Scorecard(
        plain(purpose, 300),
        verdict(facts)["tone"],
        [
            _cell(tile["label"], tile["value"], tile["note"], tile["tone"])
            for tile in tiles(facts)[:MOST_FIGURES]
        ],
        [_gates(facts), _fairness(facts), _cohort(facts)],
        [_cell(one.name.capitalize(), *_state(one)) for one in principles],
        [*first, f"{plural(more, 'further limit')}: see below."] if more > 0 else first,
    )


def _cell(label: str, value: str, note: str = "", tone: str = "") -> Cell:
    return Cell(plain(label, 80), plain(value, 40), plain(note, NOTE) if note else "", tone)


def _state(one: Shown) -> tuple[str, str, str]:
    word, tone = STATES[one.is_shown]
    return word, one.said, tone


def _gates(facts: Facts) -> Cell:
    reasons = records(facts.decision.get("reasons"))
    if not reasons:
        return _cell("Gates", "not judged", "", "calm")
    passed = sum(reason.get("passed") is True for reason in reasons)
    failed = [text(one.get("gate"), 60) for one in reasons if one.get("passed") is False]
    unjudged = [text(gate, 60) for gate in listed(facts.decision.get("open"))]
    said = [f"failed: {', '.join(failed)}"] if failed else []
    said += [f"open: {', '.join(unjudged)}"] if unjudged else []
    tone = "bad" if failed else "good" if passed == len(reasons) else "warn"
    return _cell("Gates", f"{passed} of {len(reasons)} passed", "; ".join(said), tone)


def _fairness(facts: Facts) -> Cell:
    columns = records(facts.fairness.get("columns"))
    if not columns:
        return _cell("Fairness", "not compared", "no column is named as sensitive", "warn")
    gates = [
        reason.get("passed")
        for reason in records(facts.decision.get("reasons"))
        if str(reason.get("gate")).startswith(FAIR)
    ]
    value, tone = "no limit is set", "calm"
    if gates:
        is_open = any(not isinstance(passed, bool) for passed in gates)
        value, tone = ("not judged in full", "warn") if is_open else ("within its limits", "good")
        value, tone = ("beyond its limits", "bad") if False in gates else (value, tone)
    apart = [
        (found.value, found, group_metric_label(name), column, as_mapping(disparity))
        for column in columns
        for name, disparity in mapping(column, "disparities").items()
        if (found := as_estimate(as_mapping(disparity).get("difference"))) is not None
    ]
    if not apart:
        return _cell("Fairness", value, "no two groups have enough rows", tone)
    _, found, label, column, disparity = max(apart, key=lambda one: one[0])
    size, interval = estimate(*found)
    spread = f" ({interval})" if interval else ""
    ends = " to ".join(text(disparity.get(end), 24) for end in ("lowest", "highest"))
    name = text(column.get("column"), 40)
    return _cell("Fairness", value, f"{label} by {name} differs most: {size}{spread}, {ends}", tone)


def _cohort(facts: Facts) -> Cell:
    given, worst = mapping(facts.evaluation, "cohorts"), worst_of(facts)
    if worst is not None:
        value = f"{worst.value} wrong" if worst.is_share else f"off by {worst.value}"
        spread = f"{worst.interval}, " if worst.interval else ""
        note = f"{spread}{worst.rows}; of all rows {worst.everyone}. Where {worst.rule}"
        return Cell("Worst cohort", plain(value, 40), plain(note, LONG), "warn")
    if records(given.get("nodes")):
        return _cell("Worst cohort", "none", NONE_WORSE, "good")
    return _cell(
        "Worst cohort", "not looked for", text(given.get("why"), NOTE) if given else "", "calm"
    )
