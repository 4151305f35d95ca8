"""Report of a monitor: an HTML page from its evidence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from markupsafe import Markup

from modelyard import console
from modelyard.monitoring.metrics import BEST_AT_ONE, METRICS, SIGNALS
from modelyard.reports import charts
from modelyard.reports.charts import Moment
from modelyard.reports.pages import page
from modelyard.reports.reading import listed, mapping, records, tidy
from modelyard.reports.wording import MISSING, date, finite, number, percent, plural, text

Section = dict[str, Any]

MOST_OPEN = 6  # features whose charts are shown at once
FURTHEST = 1000.0
NOISE = (
    "Noise",
    "What windows of unchanged rows reach by chance at these numbers of rows, all but 1 of 100 for "
    "all columns of a signal together. Only a value above both threshold and noise is a breach.",
)
VERDICTS = {
    "breach": ("bad", "breach"),
    "fine": ("good", "fine"),
    "not judged": ("warn", "not judged"),
}


def render(evidence: Mapping[str, Any], *, title: str) -> str:
    """Render monitor.json as a page without scripts, fonts or images from elsewhere; the same evidence gives the same text."""
    details = mapping(tidy(evidence), "details")
    return page("monitor.html.j2", **sections(details, title))


def sections(details: Mapping[str, Any], title: str) -> Section:
    """Return the content of the template."""
    signals = mapping(details, "signals")

    def measured(kind: str) -> list[tuple[str, Mapping[str, Any]]]:
        return [(n, s) for n, s in signals.items() if s.get("type") == kind and s["measures"]]

    drift = [_drift(*one, details) for one in measured("data_drift")]
    predictions = [_drift(*one, details) for one in measured("prediction_drift")]
    found = {
        "verdict": _verdict(details, signals),
        "closest": _closest(signals),
        "signals": [_signal(name, signal) for name, signal in signals.items()],
        "drift": drift,
        "quality": [_quality(*one) for one in measured("data_quality")],
        "predictions": predictions,
        "attribution": [_attribution(*one) for one in measured("feature_attribution_drift")],
        "performance": [_performance(*one, details) for one in measured("model_performance")],
        "notes": [text(note, 300) for note in listed(details.get("notes"))],
    }
    used = {m["metric"] for s in signals.values() for m in s["measures"]}
    return {
        "title": text(title, 120),
        "subtitle": _subtitle(details, signals),
        "keys": [
            ("Reference", Markup('<span class="was"></span>')),
            ("This window", Markup('<span class="now"></span>')),
        ],
        "glossary": [(m.label, m.meaning) for name, m in METRICS.items() if name in used]
        + ([NOISE] if drift or predictions else []),
        **found,
    }


def _subtitle(details: Mapping[str, Any], signals: Mapping[str, Any]) -> list[tuple[str, str]]:
    model = mapping(details, "model")
    version = model.get("version")
    windows = [mapping(s, "windows", "production") for s in signals.values()]
    spans = {(_day(w.get("from")), _day(w.get("to"))) for w in windows if w}
    found = [
        ("Model", f"{text(model.get('name'), 60)}, version {text(version)}" if version else ""),
        ("Endpoint", f"{text(details.get('endpoint'), 60)}, {text(details.get('deployment'), 40)}"),
        ("Window", " to ".join(next(iter(spans))) if len(spans) == 1 else ""),
        ("Run at", date(details.get("at"))),
    ]
    return [(label, said) for label, said in found if said and said != MISSING]


def _verdict(details: Mapping[str, Any], signals: Mapping[str, Any]) -> Section:
    verdict = str(details.get("verdict"))
    alerting = {name: s for name, s in signals.items() if s["alert"]}
    beyond = [m for s in alerting.values() for m in s["measures"] if m["verdict"] == "breach"]
    never = list(dict.fromkeys(m["feature"] for m in beyond if m["reason"]))
    names = list(
        dict.fromkeys(m["feature"] for m in beyond if m["feature"] and m["feature"] not in never)
    )
    if verdict == "breach":
        labels = [_signal_label(s).lower() for s in alerting.values() if s["verdict"] == "breach"]
        title = f"Breach: {_joined(dict.fromkeys(labels))}"
        lead = (
            f"{_joined(names[:4])} moved beyond {'its' if len(names) == 1 else 'their'} threshold."
            if names
            else ""
        )
        if len(names) > 4:
            lead = (
                f"{_joined([*names[:3], f'{len(names) - 3} more'])} moved beyond their thresholds."
            )
        if never:
            said = console.listed(never, 4) if len(never) > 4 else _joined(never)
            lead = f"{said} never came. {lead}".strip()
        elif not names:
            lead = " ".join(_finding(m) + "." for m in beyond[:2])
        return {"tone": "bad", "title": title, "lead": lead, "summary": _duration(beyond)}
    counted = {word: _count(signals, word) for word in ("fine", "not judged")}
    if verdict == "fine":
        return {
            "tone": "good",
            "title": "No breach",
            "lead": f"{plural(counted['fine'], 'measurement')} in {plural(len(alerting), 'signal')}, all within "
            "their thresholds.",
            "summary": "",
        }
    unjudged = [_signal_label(s).lower() for s in alerting.values() if s["verdict"] == "not judged"]
    if counted["fine"]:
        left = "" if not counted["not judged"] else f", {counted['not judged']} not judged"
        return {
            "tone": "warn",
            "title": f"No breach, but not judged whole: {_joined(dict.fromkeys(unjudged))}",
            "lead": f"{plural(counted['fine'], 'measurement')} within their thresholds{left}. What is "
            "missing stands beside each signal.",
            "summary": "",
        }
    return {
        "tone": "warn",
        "title": "Not enough data",
        "lead": "No signal could be judged, so there is neither a breach nor an all-clear.",
        "summary": "",
    }


def _count(signals: Mapping[str, Any], verdict: str) -> int:
    return sum(m["verdict"] == verdict for s in signals.values() for m in s["measures"])


def _duration(beyond: Sequence[Mapping[str, Any]]) -> str:
    """Describe how long the breaches have lasted."""
    before = [m["trend"][-1]["verdict"] for m in beyond if m["trend"]]
    lasting = [m for m in beyond if any(p["verdict"] == "breach" for p in m["trend"][-1:])]
    if not lasting:
        if "not judged" in before:
            return "In the window before, not all of it could be judged."
        return "The window before was within its thresholds." if before else ""
    oldest = min(lasting, key=lambda m: m["since"])
    runs = 1 + sum(point["at"] >= oldest["since"] for point in oldest["trend"])
    what = oldest["feature"] or METRICS[oldest["metric"]].label
    return f"{what} has been beyond its threshold since {_day(oldest['since'])}, in {plural(runs, 'window')} in a row."


def _closest(signals: Mapping[str, Any]) -> Section | None:
    """Return the measurements nearest to their limit, or furthest beyond it."""
    found = []
    for signal in signals.values():
        for measure in signal["measures"]:
            nearness = _nearness(measure)
            if nearness is not None and measure["verdict"] != "not judged":
                label = measure["feature"] or METRICS[measure["metric"]].label
                if signal["type"] == "data_quality":
                    label = f"{label}, {METRICS[measure['metric']].label.lower()}"
                found.append((nearness, label, measure["verdict"]))
    found.sort(key=lambda row: -row[0])
    shown = [row for row in found if row[0] > 0][:6]
    if not shown:
        return None
    furthest = max(1.25, min(shown[0][0] * 1.08, 3.0))
    rows = [
        {
            "label": label,
            "said": f"{number(nearness, 2)} ×" if nearness < 100 else "> 100 ×",
            "bar": charts.bar(
                min(nearness, furthest),
                (0, furthest),
                css="bad" if verdict == "breach" else "challenger",
                reference=1.0,
            ),
            "clipped": nearness > furthest,
        }
        for nearness, label, verdict in shown
    ]
    return {"rows": rows, "clipped": any(row["clipped"] for row in rows)}


def _nearness(measure: Mapping[str, Any]) -> float | None:
    """Return the used share of the room that the threshold leaves: above 1 is a breach."""
    value, limit, threshold = (finite(measure[key]) for key in ("value", "limit", "threshold"))
    if value is None or limit is None or threshold is None:
        return None
    if measure["metric"] in BEST_AT_ONE:
        used, room = 1 - value, 1 - limit
    elif METRICS[measure["metric"]].is_worse_below:
        used, room = limit, value
    else:
        used, room = value - (limit - threshold), threshold
    if room <= 0:
        return 0.0 if used <= 0 else FURTHEST
    return max(min(used / room, FURTHEST), 0.0)


def _signal(name: str, signal: Mapping[str, Any]) -> Section:
    tone, word = VERDICTS[str(signal["verdict"])]
    beyond = [m for m in signal["measures"] if m["verdict"] == "breach"]
    features = [m["feature"] for m in beyond if m["feature"]]
    judged = [m for m in signal["measures"] if m["verdict"] != "not judged"]
    reason = str(signal.get("reason") or "")
    if not judged:
        found, reason = reason, ""
    elif features:
        found = f"{_joined(dict.fromkeys(features[:5]))} of {plural(len({m['feature'] for m in judged}), 'column')}"
    elif judged and not judged[0]["feature"]:
        found = "; ".join(_finding(measure) for measure in judged)
    else:
        found = f"{plural(len({m['feature'] for m in judged}), 'column')} within"
    rows = mapping(signal, "rows")
    return {
        "name": name,
        "label": _signal_label(signal),
        "question": SIGNALS[signal["type"]].question,
        "tone": tone,
        "word": word,
        "found": found,
        "unjudged": f"Not judged: {reason}." if reason else "",
        "rows": number(rows.get("production")) if rows else MISSING,
        "reference_rows": number(rows.get("reference")) if rows else MISSING,
        "advice": SIGNALS[signal["type"]].advice if beyond else "",
        "silent": not signal["alert"],
    }


def _signal_label(signal: Mapping[str, Any]) -> str:
    return SIGNALS[str(signal["type"])].label


def _finding(measure: Mapping[str, Any]) -> str:
    metric = METRICS[measure["metric"]]
    value, limit = measure["value"], measure["limit"]
    below = metric.is_worse_below
    beyond = value is not None and (value < limit if below else value > limit)
    side = ("below" if below else "above") if beyond else ("at least" if below else "at most")
    ends = " to ".join(map(number, measure.get("interval") or []))
    return f"{metric.label} {number(value)}{f' ({ends})' if ends else ''}, {side} {number(limit)}"


def _drift(name: str, signal: Mapping[str, Any], details: Mapping[str, Any]) -> Section:
    measures = sorted(signal["measures"], key=lambda m: -(_nearness(m) or 0))
    features = [_feature(f"{name}-{i}", m, details) for i, m in enumerate(measures)]
    breached = [f for f in features if f["tone"] == "bad"]
    drawn = [f for f in features if f["drawn"]]
    shown = ([f for f in breached if f["drawn"]] or drawn[:1])[:MOST_OPEN]
    return {
        "name": name,
        "rows": features,
        "shown": shown,
        "rest": [f for f in drawn if f not in shown],
        "sentence": _rows_sentence(signal),
        "lasting": bool(breached),
    }


def _rows_sentence(signal: Mapping[str, Any]) -> str:
    rows = mapping(signal, "rows")
    reference = mapping(signal, "windows", "reference")
    span = (
        f" of {_day(reference['from'])} to {_day(reference['to'])}" if reference.get("from") else ""
    )
    return (
        f"{number(rows.get('production'))} rows of this window against {number(rows.get('reference'))} "
        f"of the reference{span}; rows with a gap in any of these columns are left out."
    )


def _feature(name: str, measure: Mapping[str, Any], details: Mapping[str, Any]) -> Section:
    label = METRICS[measure["metric"]].label
    tone, word = VERDICTS[str(measure["verdict"])]
    shape = mapping(measure, "distribution")
    moments = _moments(measure, details)
    sentence = _change(shape)
    feature = text(measure["feature"], 80)
    title = f"{feature}: reference and this window"
    if shape.get("words"):
        rows = list(zip(shape["words"], shape["reference"], shape["production"], strict=True))
        rows = [(text(w, 60), b, n) for w, b, n in rows]
        if shape.get("others"):
            rows.append((f"{plural(shape['others'], 'other')}", *shape["other_shares"]))
        picture = charts.compared_bars(f"{name}-d", title, sentence, rows)
    else:
        edges = listed(shape.get("edges"))
        picture = charts.compared_histogram(
            f"{name}-d",
            title,
            sentence,
            edges,
            shape.get("reference", []),
            shape.get("production", []),
            x_label=feature,
        )
    values = [moment.y for moment in moments]
    history = charts.trend(
        f"{name}-t", f"{feature} over time", f"{label} of each window.", moments, measure["limit"]
    )
    return {
        "name": feature,
        "kind": measure["kind"],
        "drawn": bool(shape),
        "metric": label,
        "value": number(measure["value"]),
        "limit": number(measure["limit"]),
        "tone": tone,
        "word": word,
        "since": _day(measure["since"]) if measure.get("since") else "",
        "noise": number(measure["noise"], 2) if finite(measure.get("noise")) is not None else "",
        "reason": text(measure["reason"]) if measure.get("reason") else "",
        "spark": charts.sparkline(values, measure["limit"]),
        "picture": picture,
        "history": history if len(moments) > 1 else Markup(""),
        "sentence": sentence,
    }


def _change(shape: Mapping[str, Any]) -> str:
    """Describe the change of a distribution in a sentence."""
    if shape.get("means"):
        (before, now), (old, new) = shape["means"], shape["medians"]
        return f"Mean {number(before)} before, {number(now)} now; median {number(old)} before, {number(new)} now."
    rows = zip(
        shape.get("words", []), shape.get("reference", []), shape.get("production", []), strict=True
    )
    changes = sorted(rows, key=lambda row: -abs(row[2] - row[1]))[:2]
    said = [
        f"{text(word, 40)} {percent(before)} before, {percent(now)} now"
        for word, before, now in changes
    ]
    return f"{'; '.join(said)}." if said else ""


def _moments(measure: Mapping[str, Any], details: Mapping[str, Any]) -> list[Moment]:
    """Return past and present values, without those that are not defined."""
    points = [*records(measure.get("trend")), {**measure, "at": details.get("at")}]
    times = [datetime.fromisoformat(str(p["at"])) for p in points if finite(p["value"]) is not None]
    known = [p for p in points if finite(p["value"]) is not None]
    wide = bool(times) and (times[-1] - times[0]).days > 60
    return [
        Moment(
            when.timestamp(),
            float(point["value"]),
            f"{when:%b %Y}" if wide else f"{when.day} {when:%b}",
            point["verdict"] == "breach",
            f"{_day(point['at'])}: {number(point['value'])}",
        )
        for when, point in zip(times, known, strict=True)
    ]


def _quality(name: str, signal: Mapping[str, Any]) -> Section:
    """Return the columns with a missing, mistyped or out-of-bounds value; count the others."""
    rows: dict[str, Section] = {}
    metrics = list(dict.fromkeys(m["metric"] for m in signal["measures"]))
    for measure in signal["measures"]:
        row = rows.setdefault(
            measure["feature"],
            {"name": text(measure["feature"], 80), "cells": {}, "since": "", "examples": ""},
        )
        breach = measure["verdict"] == "breach"
        row["cells"][measure["metric"]] = {
            "value": percent(measure["value"]),
            "under": f"{percent(measure['reference'])} in the reference"
            if measure["value"] or measure["reference"]
            else "",
            "breach": breach,
            "limit": percent(measure["limit"]),
            "noise": percent(measure["noise"]) if finite(measure.get("noise")) else "",
            "open": measure["verdict"] == "not judged",
        }
        if breach:
            row["since"] = _day(measure["since"])
        if measure.get("examples") and measure["value"]:
            row["examples"] = ", ".join(text(e, 30) for e in measure["examples"])
    shown = [
        row | {"breach": any(c["breach"] for c in row["cells"].values())}
        for row in rows.values()
        if any(cell["under"] for cell in row["cells"].values())
    ]
    shown.sort(key=lambda row: not row["breach"])
    return {
        "name": name,
        "headings": [(metric, METRICS[metric].label) for metric in metrics],
        "rows": shown,
        "clean": len(rows) - len(shown),
        "new": any(row["examples"] for row in shown),
        "lasting": any(row["since"] for row in shown),
        "sentence": f"{number(mapping(signal, 'rows').get('production'))} rows of this window.",
    }


def _attribution(name: str, signal: Mapping[str, Any]) -> Section:
    sides = mapping(signal, "attributions")
    before, now = mapping(sides, "reference"), mapping(sides, "production")
    totals = [sum(side.values()) or 1.0 for side in (before, now)]
    order = sorted(before, key=lambda feature: -before[feature])
    rows = [(text(f, 60), before[f] / totals[0], now.get(f, 0.0) / totals[1]) for f in order]
    measure = signal["measures"][0]
    tone, word = VERDICTS[str(measure["verdict"])]
    sentence = (
        f"{_finding(measure)}. Measured on {number(signal.get('sample'))} rows of each window."
    )
    return {
        "name": name,
        "tone": tone,
        "word": word,
        "sentence": sentence,
        "chart": charts.compared_bars(f"{name}-a", "Feature attributions", sentence, rows[:16]),
    }


def _performance(name: str, signal: Mapping[str, Any], details: Mapping[str, Any]) -> Section:
    rows = mapping(signal, "rows")
    figures = []
    for index, measure in enumerate(signal["measures"]):
        tone, word = VERDICTS[str(measure["verdict"])]
        moments = _moments(measure, details)
        metric = METRICS[measure["metric"]]
        figures.append(
            {
                "label": metric.label,
                "value": number(measure["value"]),
                "said": _finding(measure),
                "tone": tone,
                "word": word,
                "words": metric.meaning,
                "since": _day(measure["since"]) if measure.get("since") else "",
                "history": charts.trend(
                    f"{name}-{index}",
                    f"{metric.label} over time",
                    f"{metric.label} of each window.",
                    moments,
                    measure["limit"],
                )
                if len(moments) > 1
                else Markup(""),
            }
        )
    known, made = rows.get("production"), rows.get("predictions")
    return {
        "name": name,
        "figures": figures,
        "sentence": f"The truth is known of {number(known)} of {number(made)} predictions of this window.",
    }


def _day(when: Any) -> str:
    return date(when)[:10] if when else ""


def _joined(names: Iterable[str]) -> str:
    texts = [str(name) for name in names]
    return (
        texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}" if texts else ""
    )
