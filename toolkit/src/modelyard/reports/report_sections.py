"""What the report says: evidence in, words and charts out.

Evidence may lack any part: a section without anything to say is None and does not appear.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from modelyard.reports import charts, report_figures, report_groups
from modelyard.reports.report_evidence import (
    GROUP_METRICS,
    METRICS,
    Facts,
    Rows,
    Section,
    as_mapping,
    gather,
    listed,
    lowered,
    mapping,
    metric_label,
    outcome,
    records,
    signed_estimate,
    tidy,
    words,
)
from modelyard.reports.report_sweep import sweep
from modelyard.reports.wording import (
    MISSING,
    date,
    estimate,
    finite,
    number,
    percent,
    plural,
    setting,
    text,
)

SPLITS = ("train", "validation", "test")


MOST_COLUMNS = 120


GLOSSARY = {
    "Challenger": "The model this run trained.",
    "Champion": "The model in use, which a challenger has to match.",
    "Baseline": "A small decision tree on the same data: what little effort already achieves.",
    "Held-out rows": "Rows set aside before training; every figure here is measured on them.",
    "Interval": "Where a figure would land if other rows like these had been drawn. An interval "
    "of a difference that contains zero means: cannot tell.",
    "Gate": "A condition a model must meet before it may be promoted.",
    "Calibration": "Whether a predicted 30% happens 30% of the time.",
    "Importance": "How much the main metric drops when one column is shuffled.",
    "Segment": "The rows that share one value of a column.",
    "Group": "The rows that share one value, or range of values, of a sensitive column.",
    "Footprint": "What a model costs to serve: bytes, seconds to load, memory, time per answer.",
    "Digest": "A fingerprint of the rows: the same digest means the same data.",
}


def sections(
    evidence: Mapping[str, Mapping[str, Any] | None], run: Mapping[str, Any]
) -> dict[str, Any]:
    """Turn evidence into what the template prints; see `mlops.reports.report.render`."""
    known = as_mapping(tidy(run))
    facts = gather({kind: as_mapping(tidy(content)) for kind, content in evidence.items()})
    verdict = _verdict(facts)
    title = text(known.get("title"), 120)
    if title == MISSING:
        title = f"Predicting {facts.target}" if facts.target else "Model report"
    found = {
        "hero": report_figures.hero(facts),
        "tiles": _tiles(facts),
        "violations": _violations(facts),
        "data": _data(facts),
        "metrics": report_figures.metrics(facts),
        "learning": report_figures.learning(facts),
        "calibration": report_figures.calibration(facts),
        "roc": report_figures.roc(facts),
        "confusion": report_figures.confusion(facts),
        "residuals": report_figures.residuals(facts),
        "importance": report_figures.importance(facts),
        "fairness": report_groups.fairness(facts),
        "footprint": report_groups.footprint(facts),
        "segments": report_figures.segments(facts),
        "sweep": sweep(as_mapping(tidy(evidence.get("sweep")))),
        "making": _making(facts, known),
    }
    return {
        "title": title,
        "subtitle": _subtitle(facts, known),
        "verdict": verdict,
        **found,
        "glossary": _glossary(facts, found),
        "model_keys": [(facts.model_label(m), charts.key(m)) for m in facts.models()],
    }


def _subtitle(facts: Facts, run: Mapping[str, Any]) -> list[tuple[str, str]]:
    kinds = {
        "binary": "two classes",
        "multiclass": "several classes",
        "regression": "a number",
    }
    found = [("Target", facts.target), ("Kind", kinds.get(facts.kind, facts.kind))]
    if facts.positive and facts.kind == "binary":
        found[0] = ("Target", f"{facts.target} = {facts.positive}")
    model = mapping(facts.decision, "model")
    if model.get("name") is not None:
        version = model.get("version")
        label = text(model["name"], 60)
        found.append(("Model", label if version is None else f"{label}, version {text(version)}"))
    found += [
        ("Run", text(run.get("run_id"), 60)),
        ("Commit", text(run.get("git_commit"), 12).removesuffix("…")),
        ("Finished", date(run.get("finished"))),
    ]
    return [(label, value) for label, value in found if value not in ("", MISSING)]


def _verdict(facts: Facts) -> Section:
    reasons = [_reason(facts, reason) for reason in records(facts.decision.get("reasons"))]
    refused = [reason for reason in reasons if reason["passed"] is False]
    violations = len(records(facts.quality.get("violations")))
    said, stage = facts.decision.get("verdict"), facts.decision.get("stage")
    if said == "promote":
        promoted = stage == "promoted"
        title = "Promoted" if promoted else "Ready to be promoted"
        tone, lead = "good", "Every gate passed." if reasons and not refused else ""
    elif said == "refuse":
        title, tone = "Refused" if stage != "registered" else "Not ready to be promoted", "bad"
        lead = f"{len(refused)} of {plural(len(reasons), 'gate')} said no." if refused else ""
    elif violations and not facts.evaluation:
        title, tone = "Stopped: the table breaks its contract", "bad"
        lead = (
            f"{plural(violations, 'rule is', 'rules are')} violated, so nothing was trained. "
            "Mend the table, or change the contract if the rule is wrong."
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


def _reason(facts: Facts, reason: Mapping[str, Any]) -> Section:
    metric = str(facts.decision.get("metric") or facts.primary)
    passed = reason.get("passed")
    passed = passed if isinstance(passed, bool) else None
    return {
        "gate": _capital(text(reason.get("gate"))),
        "expected": text(reason.get("expected")).replace(metric or "\0", metric_label(metric)),
        "found": text(reason.get("found")),
        "passed": passed,
        "word": {True: "passed", False: "failed", None: "not judged"}[passed],
        "tone": {True: "good", False: "bad", None: "calm"}[passed],
        "advice": text(reason.get("advice"), 400) if reason.get("advice") else "",
    }


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _summary(facts: Facts) -> str:
    """Say in one sentence how good the model is, and against what."""
    found = facts.models().get("challenger", {}).get(facts.primary)
    if found is None:
        return ""
    value, interval = estimate(*found)
    rows = finite(facts.evaluation.get("rows"))
    sentence = f"{metric_label(facts.primary)} is {value}"
    sentence += f" ({facts.interval} {interval})" if interval else ""
    sentence += f" on {plural(rows, 'held-out row')}" if rows else ""
    compared = []
    for model, name in (("baseline", "the baseline"), ("champion", lowered(facts.champion))):
        difference = facts.differences(model).get(facts.primary)
        if difference is not None:
            word = outcome(difference)[0]
            link = "from" if word == "no clear difference" else "than"
            compared.append(f"{word} {link} {name} ({signed_estimate(difference)[0]})")
    return f"{sentence}: {', '.join(compared)}." if compared else f"{sentence}."


def _notes(facts: Facts) -> list[tuple[str, str]]:
    """What else to know: the tone and the words."""
    champion = mapping(facts.evaluation, "champion")
    if champion.get("error") is not None:
        error = text(champion["error"], 400)
        said = f"{facts.champion} could not score these rows, so it is not compared: {error}"
        return [("warn", said)]
    if facts.evaluation and not facts.models().get("champion") and not champion.get("version"):
        is_first = facts.decision.get("stage") == "promoted"
        said = "this is the first." if is_first else "this would be the first."
        return [("calm", f"There is no champion yet: {said}")]
    return []


def _tiles(facts: Facts) -> Rows:
    tiles = []
    found = facts.models().get("challenger", {}).get(facts.primary)
    if found is not None:
        value, interval = estimate(*found)
        note = f"{facts.interval} {interval}" if interval else ""
        tiles.append(_tile(metric_label(facts.primary), value, note))
    for model, name in (("baseline", "the baseline"), ("champion", lowered(facts.champion))):
        difference = facts.differences(model).get(facts.primary)
        if difference is not None:
            value, interval = signed_estimate(difference)
            word, tone = outcome(difference)
            note = f"{interval}, {word}" if interval else word
            tiles.append(_tile(f"Against {name}", value, note, tone))
    rows = finite(facts.evaluation.get("rows"))
    total = finite(facts.quality.get("rows"))
    if rows is not None:
        note = f"of {number(total)} in the table" if total else ""
        tiles.append(_tile("Held-out rows", number(rows), note))
    elif total is not None:
        columns = len(records(facts.quality.get("columns")))
        tiles.append(_tile("Rows", number(total), plural(columns, "column") if columns else ""))
    mean = _target_mean(facts, mapping(facts.data, "split", "test"))
    if mean is not None and facts.kind in ("binary", "regression"):
        known = f"Share of {facts.target} = {facts.positive}"
        label = known if facts.kind == "binary" else f"Mean of {facts.target}"
        tiles.append(_tile(label, facts.amount(mean), "in the held-out rows"))
    classes = listed(mapping(facts.evaluation, "problem").get("classes"))
    if facts.kind == "multiclass" and classes:
        tiles.append(_tile("Classes", number(len(classes)), f"of {facts.target}"))
    if facts.quality:
        violations = len(records(facts.quality.get("violations")))
        tone, note = ("bad", "see below") if violations else ("good", "every check passed")
        tiles.append(_tile("Broken rules in the data", number(violations), note, tone))
    return tiles


def _tile(label: str, value: str, note: str = "", tone: str = "") -> Section:
    return {"label": label, "value": value, "note": note, "tone": tone}


def _violations(facts: Facts) -> Rows | None:
    return [
        {
            "column": text(violation.get("column")) if violation.get("column") else "whole table",
            "rule": text(violation.get("rule")),
            "expected": text(violation.get("expected")),
            "found": text(violation.get("found")),
            "rows": number(violation.get("rows")),
            "share": percent(violation.get("share")),
            "examples": text(violation.get("examples"), 120),
            "first_rows": text(violation.get("first_rows"), 80),
        }
        for violation in records(facts.quality.get("violations"))
    ] or None


def _data(facts: Facts) -> Section | None:
    if not facts.quality and not facts.data:
        return None
    given = records(facts.quality.get("columns"))
    source = mapping(facts.data, "source")
    file = source.get("file") or source.get("name")
    checks = [
        ("File", text(file)),
        ("SHA-256 of the file", text(source.get("sha256"))),
        ("Digest of the rows", text(facts.data.get("digest"))),
    ]
    dropped = [
        (words(name), number(count))
        for name, count in mapping(facts.data, "dropped").items()
        if finite(count) is not None
    ]
    listed = [
        (words(name), text(items, 400))
        for name, items in mapping(facts.data, "dropped").items()
        if isinstance(items, (list, dict)) and items
    ]
    return {
        "columns": [_column(column) for column in given[:MOST_COLUMNS]],
        "more_columns": max(len(given) - MOST_COLUMNS, 0),
        "many": len(given) > 25,
        "rows": number(facts.quality.get("rows")),
        "splits": _splits(facts),
        "prints": [(label, value) for label, value in checks if value != MISSING],
        "dropped": dropped + listed,
    }


def _column(column: Mapping[str, Any]) -> Section:
    role = text(column.get("role")) if column.get("role") else "feature"
    nulls = finite(column.get("nulls"))
    low, mean, high = (finite(column.get(end)) for end in ("min", "mean", "max"))
    top = [
        (text(pair[0], 40), share)
        for pair in listed(column.get("top"))
        if isinstance(pair, list) and len(pair) == 2 and (share := finite(pair[1])) is not None
    ]
    found: Section = {
        "name": text(column.get("name"), 80),
        "type": text(column.get("type")),
        "role": role,
        "why": text(column.get("why"), 120) if column.get("why") else "",
        "nulls": percent(nulls),
        "nulls_bar": charts.share_bar(nulls, "warn") if nulls else "",
        "distinct": number(column.get("distinct")),
        "top": [],
        "range": "",
        "range_bar": "",
        "mean": "",
    }
    if low is not None and high is not None:
        years = column.get("type") == "integer" and low >= 1000 and high < 3000
        write = _year if years else number
        found["range"] = f"{write(low)} to {write(high)}"
        if mean is not None:
            found["mean"] = f"mean {write(mean)}"
            found["range_bar"] = charts.range_bar(low, mean, high) if high > low else ""
    elif top:
        found["top"] = [
            {"value": value, "share": percent(share), "bar": charts.share_bar(share)}
            for value, share in top[:3]
        ]
    elif column.get("min") is not None and column.get("max") is not None:
        found["range"] = f"{date(column['min'])} to {date(column['max'])}"
    return found


def _year(value: float) -> str:
    """Write a whole number that may be a year, so without separators."""
    return f"{value:.0f}"


def _splits(facts: Facts) -> Section | None:
    split = mapping(facts.data, "split")
    sizes = {name: finite(mapping(split, name).get("rows")) for name in SPLITS}
    total = sum(size for size in sizes.values() if size)
    if not total:
        return None
    parts = [(name, mapping(split, name), sizes[name] or 0.0) for name in SPLITS if name in split]
    return {
        "title": {"time": "Split by time", "stratified": "Stratified split"}.get(
            str(split.get("method")), "Split at random" if split.get("method") else "Split"
        ),
        "bar": charts.stack((name, size / total) for name, _, size in parts),
        "timed": any(part.get("from") is not None for _, part, _ in parts),
        "target_label": _target_label(facts),
        "parts": [
            {
                "name": name,
                "rows": number(sizes[name]),
                "share": percent(size / total),
                "from": date(part.get("from")),
                "to": date(part.get("to")),
                "target": _target_words(facts, part),
            }
            for name, part, size in parts
        ],
    }


def _target_label(facts: Facts) -> str:
    if facts.kind == "regression":
        return f"Mean of {facts.target}"
    if facts.kind == "binary" and facts.positive:
        return f"{facts.target} = {facts.positive}"
    return "Target"


def _target_mean(facts: Facts, part: Mapping[str, Any]) -> float | None:
    mean = finite(part.get("target_mean"))
    if mean is None and facts.positive:
        shares = {text(label, 60): share for label, share in mapping(part, "class_shares").items()}
        mean = finite(shares.get(facts.positive))
    return mean


def _target_words(facts: Facts, part: Mapping[str, Any]) -> str:
    mean = _target_mean(facts, part)
    if mean is not None:
        return facts.amount(mean) if facts.kind else number(mean)
    shares = [(text(k, 40), finite(v) or 0.0) for k, v in mapping(part, "class_shares").items()]
    shares.sort(key=lambda pair: (-pair[1], pair[0]))
    named = ", ".join(f"{label} {percent(share)}" for label, share in shares[:4])
    rest = f" and {len(shares) - 4} more" if len(shares) > 4 else ""
    return named + rest if named else MISSING


def _making(facts: Facts, run: Mapping[str, Any]) -> Section:
    labels = {
        "run_id": "Run",
        "mlflow_run_id": "MLflow run",
        "git_commit": "Git commit",
        "pipeline": "Pipeline",
        "started": "Started",
        "finished": "Finished",
    }
    about = [(label, date(run[key])) for key, label in labels.items() if run.get(key) is not None]
    took = _seconds(run.get("started"), run.get("finished"))
    about += [("Took", took)] if took else []
    about += [
        (words(key), text(value, 200))
        for key, value in run.items()
        if key not in labels and key != "title" and value is not None
    ]
    steps = {
        "quality": "Validate",
        "data": "Prepare",
        "training": "Train",
        "evaluation": "Evaluate",
        "fairness": "Compare groups",
        "footprint": "Measure the footprint",
        "importance": "Explain",
        "decision": "Decide",
    }
    groups = [{"title": "Run", "rows": about}] if about else []
    for kind, title in steps.items():
        envelope = facts.envelopes[kind]
        rows = [(key, setting(value)) for key, value in mapping(envelope, "params").items()]
        rows += [(key, setting(value)) for key, value in mapping(envelope, "tags").items()]
        if kind == "training":
            rows += [
                (key.replace("_", " "), text(facts.training[key]))
                for key in ("iterations", "stopped", "threshold")
                if facts.training.get(key) is not None and not any(key == k for k, _ in rows)
            ]
        if kind == "training" and listed(facts.training.get("left_out")):
            rows.append(("left out", text(facts.training["left_out"], 400)))
        if rows:
            groups.append({"title": title, "rows": rows})
    features = [
        {
            "name": text(feature.get("name"), 80),
            "kind": text(feature.get("kind")),
            "encoding": text(feature.get("encoding")),
        }
        for feature in records(facts.training.get("features"))
    ]
    used = [kind for kind in steps if facts.envelopes[kind]]
    return {"groups": groups, "features": features, "used": used}


def _glossary(facts: Facts, found: Mapping[str, Any]) -> list[tuple[str, str]]:
    models = facts.models()
    needed = {
        "Challenger": bool(models),
        "Champion": "champion" in models,
        "Baseline": "baseline" in models,
        "Held-out rows": bool(models),
        "Interval": bool(models),
        "Gate": bool(facts.decision),
        "Calibration": found["calibration"] is not None and facts.kind != "regression",
        "Importance": found["importance"] is not None,
        "Segment": found["segments"] is not None,
        "Group": found["fairness"] is not None,
        "Footprint": found["footprint"] is not None,
        "Digest": facts.data.get("digest") is not None,
    }
    terms = [(term, GLOSSARY[term]) for term, wanted in needed.items() if wanted]
    shown = {name for metrics in models.values() for name in metrics}
    terms += [(label, said) for name, (label, _, said) in METRICS.items() if name in shown]
    compared = report_groups.metrics_shown(facts)
    return terms + [
        (label, said)
        for name, (label, said) in GROUP_METRICS.items()
        if name in compared and label not in dict(terms)
    ]


def _seconds(started: Any, finished: Any) -> str:
    try:
        seconds = (
            datetime.fromisoformat(str(finished)) - datetime.fromisoformat(str(started))
        ).total_seconds()
    except (ValueError, TypeError):
        return ""
    if seconds < 0:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{number(seconds, 2)} s"
