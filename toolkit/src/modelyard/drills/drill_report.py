"""Report of a drill: its timeline, and the same as a table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelyard.console import listed
from modelyard.drills.timeline import not_judged, timeline, timeline_width
from modelyard.reports.labels import metric_label
from modelyard.reports.pages import page
from modelyard.reports.wording import fixed, number, plural, span

_TONES = {
    "retrained": "calm",
    "promoted": "good",
    "refused": "warn",
    "released": "good",
    "rolled back": "bad",
    "forced": "bad",
}
_GLOSSARY = (
    ("retrained", "The training pipeline ran on all periods so far."),
    ("promoted, refused", "The decision of the gates: the new model became champion, or did not."),
    (
        "released",
        "The version took over all requests in stages: mirrored, 10%, 50%, 100%.",
    ),
    ("rolled back", "A check of the release failed: the version before stayed in service."),
    (
        "forced",
        "A model that requires a column which no caller sends, released on purpose.",
    ),
    (
        "monitor",
        "azureml/monitoring/monitor.yml at the end of the period: the number of breaches, and the features. "
        "Not judged: no breach, but of some signals too few rows or no truth; they are named.",
    ),
)


def render(content: Mapping[str, Any]) -> str:
    """Render the page of a drill; `content` is that of drill.json."""
    periods = content["periods"]
    served = sum(period["rows"] for period in periods)
    versions = list(dict.fromkeys(period["version"] for period in periods))
    trained = [e for p in periods for e in p["events"] if e["kind"] == "retrained"]
    back = [e for p in periods for e in p["events"] if e["kind"] == "rolled back"]
    breaches = sum(bool(p["monitor"] and p["monitor"]["breached"]) for p in periods)
    unjudged = sum(bool(p["monitor"] and not_judged(p["monitor"])) for p in periods)
    rest = f", and could not judge everything in {unjudged}" if unjudged else ""
    history = content["history"]
    metric = metric_label(content["metric"])
    return page(
        "drill.html.j2",
        title=content["title"],
        metric=metric,
        unit=content["unit"],
        subtitle=[
            ("trained on", f"{history[0]} to {history[-1]}"),
            ("replayed", f"{periods[0]['name']} to {periods[-1]['name']}"),
            ("rows served", f"{served:,}"),
            *(("rows left out", f"{rows:,} {why}") for why, rows in content["left_out"].items()),
        ],
        headline=f"{plural(len(periods), content['unit'])}, {plural(len(versions), 'version')} in service",
        lead=(
            f"The monitor found a breach in {breaches} of them{rest}. Trainings: {len(trained)}; "
            f"rollbacks: {len(back)}."
        ),
        timeline=timeline(periods, metric),
        width=timeline_width(len(periods)),
        rows=[_row(period) for period in periods],
        glossary=_GLOSSARY,
    )


def standalone(content: Mapping[str, Any]) -> str:
    """Render the timeline as an SVG file with a style sheet of its own, in light colours."""
    style = (Path(__file__).parent / "timeline.css").read_text(encoding="utf-8")
    drawn = str(timeline(content["periods"], metric_label(content["metric"])))
    opened = '<svg xmlns="http://www.w3.org/2000/svg" class="figure timeline"'
    return drawn.replace('<svg class="figure timeline"', opened, 1).replace(
        "</title>", f"</title><style>{style}</style>", 1
    )


def _row(period: Mapping[str, Any]) -> dict[str, Any]:
    live = period["live"]
    monitor = period["monitor"] or {"breached": [], "verdict": "–", "unjudged": [], "report": None}
    breached, verdict = monitor["breached"], monitor["verdict"]
    return {
        "name": period["name"],
        "served": f"{period['rows']:,}",
        "failed": f"{period['failed']:,}",
        "version": period["version"],
        "live": "–" if live is None else fixed(live["value"], 3),
        "range": ""
        if live is None or live["low"] is None
        else span(round(live["low"], 3), round(live["high"], 3)),
        "monitor": plural(len(breached), "breach", "breaches") if breached else verdict,
        "monitor_tone": {"breach": "bad", "fine": "good"}.get(verdict, "warn"),
        "unjudged": ", ".join(monitor["unjudged"]),
        "moved": listed((f"{one['feature']} ({number(one['value'])})" for one in breached), 3)
        if breached
        else "",
        "report": monitor["report"],
        "events": [{**event, "tone": _TONES[event["kind"]]} for event in period["events"]],
    }
