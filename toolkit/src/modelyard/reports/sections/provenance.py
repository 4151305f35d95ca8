"""Provenance of the report: the run, the parameters of its steps, the encoded features."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from modelyard.reports.facts import Facts, Section
from modelyard.reports.reading import listed, mapping, records
from modelyard.reports.sections.data import MOST_COLUMNS
from modelyard.reports.wording import date, number, setting, text, words

_RUN = {
    "run_id": "Run",
    "mlflow_run_id": "MLflow run",
    "git_commit": "Git commit",
    "pipeline": "Pipeline",
    "started": "Started",
    "finished": "Finished",
}
_KINDS = {
    "quality": "Validate",
    "data": "Prepare",
    "training": "Train",
    "evaluation": "Evaluate",
    "fairness": "Compare groups",
    "footprint": "Measure the footprint",
    "importance": "Explain",
    "decision": "Decide",
}


def provenance(facts: Facts, run: Mapping[str, Any]) -> Section:
    """List the run's facts, parameters and tags by kind of evidence, and the features."""
    about = [(label, date(run[key])) for key, label in _RUN.items() if run.get(key) is not None]
    took = _duration(run.get("started"), run.get("finished"))
    about += [("Took", took)] if took else []
    about += [
        (words(key), text(value, 200))
        for key, value in run.items()
        if key not in _RUN and key != "title" and value is not None
    ]
    groups = [{"title": "Run", "rows": about}] if about else []
    for kind, title in _KINDS.items():
        rows = [
            (key, setting(value))
            for part in ("params", "tags")
            for key, value in mapping(facts.envelopes[kind], part).items()
        ]
        if kind == "training":
            rows += [
                (key.replace("_", " "), text(facts.training[key]))
                for key in ("algorithm", "iterations", "stopped", "threshold", "purpose")
                if facts.training.get(key) is not None and not any(key == k for k, _ in rows)
            ]
            if listed(facts.training.get("left_out")):
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
    used = [kind for kind in _KINDS if facts.envelopes[kind]]
    return {
        "groups": groups,
        "features": features[:MOST_COLUMNS],
        "more_features": max(len(features) - MOST_COLUMNS, 0),
        "used": used,
    }


def _duration(started: Any, finished: Any) -> str:
    """Write the time between two ISO times; empty if it is not known."""
    try:
        begin, end = (datetime.fromisoformat(str(when)) for when in (started, finished))
        seconds = (end - begin).total_seconds()
    except (ValueError, TypeError):
        return ""
    if seconds < 0:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{number(seconds, 2)} s"
