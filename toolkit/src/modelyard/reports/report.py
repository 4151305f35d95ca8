"""Report of a run: one HTML file made from the evidence of its steps."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelyard.console import short_commit
from modelyard.reports import charts
from modelyard.reports.facts import Facts, gather
from modelyard.reports.pages import page
from modelyard.reports.reading import as_mapping, mapping, tidy
from modelyard.reports.sections.candidates import candidates
from modelyard.reports.sections.cohorts import cohorts
from modelyard.reports.sections.curves import calibration, learning, roc
from modelyard.reports.sections.data import data, violations
from modelyard.reports.sections.errors import confusion, residuals
from modelyard.reports.sections.fairness import fairness
from modelyard.reports.sections.footprint import footprint
from modelyard.reports.sections.glossary import glossary
from modelyard.reports.sections.importance import importance
from modelyard.reports.sections.metrics import metrics, primary_metric
from modelyard.reports.sections.provenance import provenance
from modelyard.reports.sections.segments import segments
from modelyard.reports.sections.sweep import sweep
from modelyard.reports.sections.verdict import tiles, verdict
from modelyard.reports.wording import MISSING, date, text

Evidence = Mapping[str, Mapping[str, Any] | None]


def render(evidence: Evidence, run: Mapping[str, Any]) -> str:
    """Make the report: the same input gives the same text.

    Args:
        evidence: content of the evidence files by kind (`KINDS`). A kind that is absent, None or
            empty is left out of the report; nulls inside are shown as a dash.
        run: facts about the run: title, run_id, pipeline, git_commit, started, finished,
            mlflow_run_id and any other name; all optional.

    Returns:
        A whole HTML page without scripts that loads no font and no image from elsewhere.
    """
    return page("report.html.j2", **contents(evidence, run))


def contents(evidence: Evidence, run: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the template prints: a section without evidence is None and does not appear."""
    known = as_mapping(tidy(run))
    facts = gather(evidence)
    title = text(known.get("title"), 120)
    if title == MISSING:
        title = f"Predicting {facts.target}" if facts.target else "Model report"
    sections = {
        "hero": primary_metric(facts),
        "tiles": tiles(facts),
        "violations": violations(facts),
        "data": data(facts),
        "metrics": metrics(facts),
        "candidates": candidates(facts),
        "learning": learning(facts),
        "calibration": calibration(facts),
        "roc": roc(facts),
        "confusion": confusion(facts),
        "residuals": residuals(facts),
        "importance": importance(facts),
        "fairness": fairness(facts),
        "footprint": footprint(facts),
        "segments": segments(facts),
        "cohorts": cohorts(facts),
        "sweep": sweep(as_mapping(tidy(evidence.get("sweep")))),
        "making": provenance(facts, known),
    }
    return {
        "title": title,
        "subtitle": _subtitle(facts, known),
        "verdict": verdict(facts),
        **sections,
        "glossary": glossary(facts, sections),
        "model_keys": [(facts.model_label(m), charts.key(m)) for m in facts.models()],
    }


def about_run() -> dict[str, str | None]:
    """Return the id and the Git commit of the run around this step; outside a run both are None."""
    folder = os.environ.get("MLOPS_RUN")
    return {
        "run_id": Path(folder).name if folder else None,
        "git_commit": os.environ.get("MLOPS_GIT_COMMIT"),
    }


def sweep_of_run() -> Path | None:
    """Return the folder with sweep.json of the run around this step; None if it has no sweep.

    On Azure ML a sweep node has the outputs of its best trial and no others, so there is none.
    """
    run = os.environ.get("MLOPS_RUN")
    found = sorted(Path(run).glob("[!.]*/sweep/sweep.json")) if run else []
    return found[0].parent if found else None


def _subtitle(facts: Facts, run: Mapping[str, Any]) -> list[tuple[str, str]]:
    kinds = {
        "binary": "two classes",
        "multiclass": "several classes",
        "regression": "a number",
    }
    target = facts.target
    if facts.positive and facts.kind == "binary":
        target = f"{target} = {facts.positive}"
    found = [("Target", target), ("Kind", kinds.get(facts.kind, facts.kind))]
    model = mapping(facts.decision, "model")
    if model.get("name") is not None:
        version = model.get("version")
        label = text(model["name"], 60)
        found.append(("Model", label if version is None else f"{label}, version {text(version)}"))
    found += [
        ("Run", text(run.get("run_id"), 60)),
        ("Commit", short_commit(text(run.get("git_commit"), 80))),
        ("Finished", date(run.get("finished"))),
    ]
    return [(label, value) for label, value in found if value not in ("", MISSING)]
