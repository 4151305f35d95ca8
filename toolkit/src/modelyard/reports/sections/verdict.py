"""Verdict on the model, with the results of the gates and the key figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelyard.reports.facts import Facts, Section, outcome, signed_estimate
from modelyard.reports.labels import metric_label
from modelyard.reports.reading import Rows, listed, mapping, records
from modelyard.reports.sections.data import positive_share_or_mean
from modelyard.reports.wording import estimate, finite, number, plural, text


def verdict(facts: Facts) -> Section:
    """State whether the model may be promoted, and why."""
    reasons = [_reason(facts, reason) for reason in records(facts.decision.get("reasons"))]
    refused = [reason for reason in reasons if reason["passed"] is False]
    unjudged = [reason["gate"] for reason in reasons if reason["passed"] is None]
    violations = len(facts.violations)
    found, stage = facts.decision.get("verdict"), facts.decision.get("stage")
    if found == "promote":
        title = "Promoted" if stage == "promoted" else "Ready to be promoted"
        tone, lead = "good", "Every gate passed." if reasons else ""
    elif found == "open":
        tone = "warn"
        title = {
            "promoted": "Promoted with open gates",
            "refused": "Refused: not judged in full",
        }.get(str(stage), "Not judged in full")
        lead = f"{plural(len(unjudged), 'gate is', 'gates are')} open: {', '.join(unjudged)}."
        lead += f" {open_gates(facts.decision)}"
    elif found == "refuse":
        title, tone = "Refused" if stage != "registered" else "Not ready to be promoted", "bad"
        lead = f"{len(refused)} of {plural(len(reasons), 'gate')} failed." if refused else ""
        if unjudged:
            lead += f" Not judged: {', '.join(unjudged)}."
    elif violations and not facts.evaluation:
        title, tone = "Stopped: the table breaks its contract", "bad"
        lead = (
            f"{plural(violations, 'rule is', 'rules are')} violated, so nothing was trained. "
            "Correct the table, or change the contract if the rule is wrong."
        )
    elif facts.evaluation:
        title, tone, lead = "Not judged yet", "calm", "No decision was made in this run."
    else:
        title, tone, lead = "Not evaluated", "calm", "This run holds no evaluation of a model."
    return {
        "title": title,
        "tone": tone,
        "lead": lead,
        "summary": _summary(facts),
        "reasons": reasons,
        "advised": any(reason["advice"] for reason in reasons),
        "notes": _notes(facts),
    }


def open_gates(decision: Mapping[str, Any]) -> str:
    """Say what follows from the open gates, or who accepted them."""
    if decision.get("accepted_by"):
        return f"{text(decision['accepted_by'], 120)} accepted that."
    if decision.get("open_gates") == "ask":
        return "Promotion asks who accepts that: mlops promote --accepted-by NAME."
    return "Promotion is refused until they can be judged."


def _reason(facts: Facts, reason: Mapping[str, Any]) -> Section:
    metric = str(facts.decision.get("metric") or facts.primary)
    passed = reason.get("passed")
    passed = passed if isinstance(passed, bool) else None
    gate, expected = text(reason.get("gate")), text(reason.get("expected"))
    return {
        "gate": gate[:1].upper() + gate[1:],
        "expected": expected.replace(metric, metric_label(metric)) if metric else expected,
        "found": text(reason.get("found")),
        "passed": passed,
        "word": {True: "passed", False: "failed", None: "open"}[passed],
        "tone": {True: "good", False: "bad", None: "warn"}[passed],
        "advice": text(reason.get("advice"), 400) if reason.get("advice") else "",
    }


def _summary(facts: Facts) -> str:
    """Write the primary metric and its differences to the other models in one sentence."""
    found = facts.result()
    if found is None:
        return ""
    value, interval = estimate(*found)
    rows = facts.judged_rows()
    sentence = f"{metric_label(facts.primary)} is {value}"
    sentence += f" ({facts.interval} {interval})" if interval else ""
    sentence += f" on {rows}" if rows else ""
    compared = []
    for name, difference in facts.primary_differences():
        word = outcome(difference)[0]
        link = "from" if word == "no clear difference" else "than"
        compared.append(f"{word} {link} {name} ({signed_estimate(difference)[0]})")
    return f"{sentence}: {', '.join(compared)}." if compared else f"{sentence}."


def _notes(facts: Facts) -> list[tuple[str, str]]:
    """Return notes on the champion as pairs of tone and text."""
    champion = mapping(facts.evaluation, "champion")
    if champion.get("error") is not None:
        error = text(champion["error"], 400)
        note = f"{facts.champion} could not score these rows, so it is not compared: {error}"
        return [("warn", note)]
    if former := mapping(champion, "former"):
        version, why = text(former.get("version"), 30), text(former.get("why"), 400)
        return [("calm", f"A new line of versions: champion {version} is no rival, {why}.")]
    if facts.evaluation and not facts.models().get("champion") and not champion.get("version"):
        is_first = facts.decision.get("stage") == "promoted"
        note = "this is the first." if is_first else "this would be the first."
        return [("calm", f"There is no champion yet: {note}")]
    return []


def tiles(facts: Facts) -> Rows:
    """Return the key figures of the run."""
    found = []
    result = facts.result()
    if result is not None:
        value, interval = estimate(*result)
        note = f"{facts.interval} {interval}" if interval else ""
        found.append(_tile(metric_label(facts.primary), value, note))
    for name, difference in facts.primary_differences():
        value, interval = signed_estimate(difference)
        word, tone = outcome(difference)
        note = f"{interval}, {word}" if interval else word
        found.append(_tile(f"Against {name}", value, note, tone))
    rows = finite(facts.evaluation.get("rows"))
    total = finite(facts.quality.get("rows"))
    if rows is not None:
        note = f"of {number(total)} in the table" if total else ""
        label = "Rows predicted out of fold" if facts.is_out_of_fold else "Held-out rows"
        found.append(_tile(label, number(rows), note))
    elif total is not None:
        columns = len(records(facts.quality.get("columns")))
        found.append(_tile("Rows", number(total), plural(columns, "column") if columns else ""))
    mean = positive_share_or_mean(facts, mapping(facts.data, "split", "test"))
    if mean is not None and facts.kind in ("binary", "regression"):
        share = f"Share of {facts.target} = {facts.positive}"
        label = share if facts.kind == "binary" else f"Mean of {facts.target}"
        found.append(_tile(label, facts.target_mean(mean), "in the held-out rows"))
    classes = listed(mapping(facts.evaluation, "problem").get("classes"))
    if facts.kind == "multiclass" and classes:
        found.append(_tile("Classes", number(len(classes)), f"of {facts.target}"))
    if facts.quality:
        violations = len(facts.violations)
        tone, note = ("bad", "see below") if violations else ("good", "every check passed")
        found.append(_tile("Violated rules in the data", number(violations), note, tone))
    return found


def _tile(label: str, value: str, note: str = "", tone: str = "") -> Section:
    return {"label": label, "value": value, "note": note, "tone": tone}
