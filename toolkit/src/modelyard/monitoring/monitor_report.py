"""What a monitor's report says: its evidence in, words and charts out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from markupsafe import Markup

from modelyard.reports import charts
from modelyard.reports.charts import Moment
from modelyard.reports.pages import page
from modelyard.reports.report_evidence import listed, mapping, records, tidy
from modelyard.reports.wording import MISSING, date, finite, number, percent, plural, text

Section = dict[str, Any]

MOST_OPEN = 6  # features whose pictures are shown without asking
# metric: (label, smaller is worse, in plain words)
METRICS: dict[str, tuple[str, bool, str]] = {
    "jensen_shannon_distance": (
        "Jensen-Shannon distance",
        False,
        "How little two distributions overlap: 0 for the same, 1 for nothing in common.",
    ),
    "normalized_wasserstein_distance": (
        "Normalised Wasserstein distance",
        False,
        "How far the values would have to be moved, on average, to look as before, in standard "
        "deviations of the reference.",
    ),
    "population_stability_index": (
        "Population stability index",
        False,
        "How far shares have shifted. Credit scoring calls 0.1 a small shift and 0.25 a large one.",
    ),
    "two_sample_kolmogorov_smirnov_test": (
        "Kolmogorov-Smirnov test",
        True,
        "The chance of a difference this large without any drift. Small values mean drift, and with "
        "many rows every small difference gives one.",
    ),
    "pearsons_chi_squared_test": (
        "Chi-squared test",
        True,
        "The chance of a difference this large without any drift. Small values mean drift, and with "
        "many rows every small difference gives one.",
    ),
    "null_value_rate": ("Missing", False, "Share of the rows without a value."),
    "data_type_error_rate": (
        "Of another type",
        False,
        "Share of the rows whose value is not of the column's type.",
    ),
    "out_of_bounds_rate": (
        "Out of bounds",
        False,
        "Share of the rows below the reference's smallest value, above its largest, or with a word "
        "that the reference does not have.",
    ),
    "normalized_discounted_cumulative_gain": (
        "Agreement of the rankings",
        True,
        "Whether the features matter in the same order as in the reference (NDCG): 1 for the same.",
    ),
    "accuracy": ("Accuracy", True, "Share of the predictions that turned out right."),
    "precision": (
        "Precision",
        True,
        "Of the rows predicted as a class, the share that was; averaged over the classes.",
    ),
    "recall": (
        "Recall",
        True,
        "Of the rows of a class, the share predicted as it; averaged over the classes. Guessing "
        "reaches one in the number of classes.",
    ),
    "mae": ("Mean absolute error", False, "How far off a prediction was on average."),
    "mse": ("Mean squared error", False, "The mean of the squared errors."),
    "rmse": (
        "Root mean squared error",
        False,
        "How far off predictions were, large errors counting more.",
    ),
}
BEST_AT_ONE = {"normalized_discounted_cumulative_gain", "accuracy", "precision", "recall"}
FURTHEST = 1000.0
SIGNALS = {
    "data_drift": ("Inputs", "Are the inputs distributed as in the table the model is from?"),
    "data_quality": ("Data quality", "Do inputs miss values, or hold others than they should?"),
    "prediction_drift": ("Predictions", "Are the predictions distributed as in the weeks before?"),
    "feature_attribution_drift": (
        "Attributions",
        "Do the same columns matter to the model as before?",
    ),
    "model_performance": ("Performance", "Did the predictions turn out right?"),
}
ADVICE = {
    "data_drift": "Ask where the change comes from. A season or a new market: retrain on newer rows "
    "(mlops run azureml/pipelines/train.yml). A fault upstream: mend it there.",
    "data_quality": "Mostly a fault upstream: ask who delivers the column, and since when. If the new "
    "values are meant, put them into the contract and retrain.",
    "prediction_drift": "Look at the inputs first: if one of them moved as well, it is the reason. If "
    "none did, the world behind them may have changed; watch the performance.",
    "feature_attribution_drift": "The model leans on other columns than when it was judged. Look at "
    "those that rose, then retrain.",
    "model_performance": "Retrain on rows of this window. If the gates refuse the new model, bring "
    "other columns or another model; mlops rollback restores the champion before this one.",
}
VERDICTS = {
    "breach": ("bad", "breach"),
    "fine": ("good", "fine"),
    "not judged": ("calm", "not judged"),
}


def render(evidence: Mapping[str, Any], *, title: str) -> str:
    """Make the page: the same evidence gives the same text.

    Args:
        evidence: monitor.json.
        title: of the project.

    Returns:
        A whole HTML page that loads nothing: no script, no font, no image from elsewhere.
    """
    details = mapping(tidy(evidence), "details")
    return page("monitor.html.j2", **sections(details, title))


def sections(details: Mapping[str, Any], title: str) -> Section:
    """What the template prints."""
    signals = mapping(details, "signals")
    of_type = {
        kind: {name: s for name, s in signals.items() if s.get("type") == kind} for kind in SIGNALS
    }
    drift = [
        _drift(name, signal, details)
        for name, signal in of_type["data_drift"].items()
        if signal["measures"]
    ]
    predictions = [
        _drift(name, signal, details)
        for name, signal in of_type["prediction_drift"].items()
        if signal["measures"]
    ]
    found = {
        "verdict": _verdict(details, signals),
        "closest": _closest(signals),
        "signals": [_signal(name, signal) for name, signal in signals.items()],
        "drift": drift,
        "quality": [_quality(n, s) for n, s in of_type["data_quality"].items() if s["measures"]],
        "predictions": predictions,
        "attribution": [
            _attribution(n, s)
            for n, s in of_type["feature_attribution_drift"].items()
            if s["measures"]
        ],
        "performance": [
            _performance(n, s, details)
            for n, s in of_type["model_performance"].items()
            if s["measures"]
        ],
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
        "glossary": [(METRICS[name][0], METRICS[name][2]) for name in METRICS if name in used],
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
    said = str(details.get("verdict"))
    alerting = {name: s for name, s in signals.items() if s["alert"]}
    moved = [m for s in alerting.values() for m in s["measures"] if m["verdict"] == "breach"]
    names = list(dict.fromkeys(m["feature"] for m in moved if m["feature"]))
    judged = sum(s["verdict"] != "not judged" for s in signals.values())
    if said == "breach":
        broken = [_signal_label(s).lower() for s in alerting.values() if s["verdict"] == "breach"]
        title = f"Breach: {_joined(dict.fromkeys(broken))}"
        lead = (
            f"{_joined(names[:4])} moved beyond {'its' if len(names) == 1 else 'their'} threshold."
            if names
            else ""
        )
        if len(names) > 4:
            lead = (
                f"{_joined([*names[:3], f'{len(names) - 3} more'])} moved beyond their thresholds."
            )
        if not names:
            lead = " ".join(_said(m) + "." for m in moved[:2])
        return {"tone": "bad", "title": title, "lead": lead, "summary": _since_words(moved)}
    if said == "fine":
        count = sum(m["verdict"] == "fine" for s in signals.values() for m in s["measures"])
        left = len(signals) - judged
        rest = f"; {plural(left, 'signal')} had not enough data" if left else ""
        return {
            "tone": "good",
            "title": "Nothing moved",
            "lead": f"{plural(count, 'measurement')} in {plural(judged, 'signal')}, all within their thresholds{rest}.",
            "summary": "",
        }
    return {
        "tone": "calm",
        "title": "Not enough data",
        "lead": "No signal could be judged. This is no alarm, and no all-clear either.",
        "summary": "",
    }


def _since_words(moved: Sequence[Mapping[str, Any]]) -> str:
    lasting = [m for m in moved if any(p["verdict"] == "breach" for p in m["trend"][-1:])]
    if not lasting:
        return "It was not so in the window before." if any(m["trend"] for m in moved) else ""
    oldest = min(lasting, key=lambda m: m["since"])
    runs = 1 + sum(point["at"] >= oldest["since"] for point in oldest["trend"])
    what = oldest["feature"] or METRICS[oldest["metric"]][0]
    return f"{what} has been beyond its threshold since {_day(oldest['since'])}, in {plural(runs, 'window')} in a row."


def _closest(signals: Mapping[str, Any]) -> Section | None:
    """The measurements nearest to their limit, or furthest beyond."""
    found = []
    for signal in signals.values():
        for measure in signal["measures"]:
            nearness = _nearness(measure)
            if nearness is not None and measure["verdict"] != "not judged":
                label = measure["feature"] or METRICS[measure["metric"]][0]
                if signal["type"] == "data_quality":
                    label = f"{label}, {METRICS[measure['metric']][0].lower()}"
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
        }
        for nearness, label, verdict in shown
    ]
    return {"rows": rows}


def _nearness(measure: Mapping[str, Any]) -> float | None:
    """How much of what the threshold leaves room for is used up: above 1 it is beyond."""
    value, limit, threshold = (finite(measure[key]) for key in ("value", "limit", "threshold"))
    if value is None or limit is None or threshold is None:
        return None
    if measure["metric"] in BEST_AT_ONE:
        used, room = 1 - value, 1 - limit
    elif METRICS[measure["metric"]][1]:
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
    if signal["verdict"] == "not judged":
        found = str(signal.get("reason") or "")
        found = found[:1].upper() + found[1:]
    elif features:
        found = f"{_joined(dict.fromkeys(features[:5]))} of {plural(len({m['feature'] for m in judged}), 'column')}"
    elif judged and not judged[0]["feature"]:
        found = "; ".join(_said(measure) for measure in judged)
    else:
        found = f"{plural(len({m['feature'] for m in judged}), 'column')}, all within"
    rows = mapping(signal, "rows")
    return {
        "name": name,
        "label": _signal_label(signal),
        "question": SIGNALS[signal["type"]][1],
        "tone": tone,
        "word": word,
        "found": found,
        "rows": number(rows.get("production")) if rows else MISSING,
        "reference_rows": number(rows.get("reference")) if rows else MISSING,
        "advice": ADVICE[signal["type"]] if beyond else "",
        "silent": not signal["alert"],
    }


def _signal_label(signal: Mapping[str, Any]) -> str:
    return SIGNALS[str(signal["type"])][0]


def _said(measure: Mapping[str, Any]) -> str:
    label, below, _ = METRICS[measure["metric"]]
    beyond = measure["verdict"] == "breach"
    side = ("below" if below else "above") if beyond else ("at least" if below else "at most")
    return f"{label} {number(measure['value'])}, {side} {number(measure['limit'])}"


def _drift(name: str, signal: Mapping[str, Any], details: Mapping[str, Any]) -> Section:
    measures = sorted(signal["measures"], key=lambda m: -(_nearness(m) or 0))
    features = [_feature(f"{name}-{i}", m, details) for i, m in enumerate(measures)]
    loud = [f for f in features if f["tone"] == "bad"]
    shown = loud or features[:1]
    return {
        "name": name,
        "rows": features,
        "shown": shown[:MOST_OPEN],
        "rest": [f for f in features if f not in shown[:MOST_OPEN]],
        "sentence": _rows_sentence(signal),
        "lasting": bool(loud),
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
    label = METRICS[measure["metric"]][0]
    tone, word = VERDICTS[str(measure["verdict"])]
    shape = mapping(measure, "distribution")
    moments = _moments(measure, details)
    sentence = _change(measure, shape)
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
        "metric": label,
        "value": number(measure["value"]),
        "limit": number(measure["limit"]),
        "tone": tone,
        "word": word,
        "since": _day(measure["since"]) if measure.get("since") else "",
        "chance": number(measure["chance"], 2) if finite(measure.get("chance")) is not None else "",
        "reason": text(measure["reason"]) if measure.get("reason") else "",
        "spark": charts.sparkline(values, measure["limit"]),
        "picture": picture,
        "history": history if len(moments) > 1 else Markup(""),
        "sentence": sentence,
    }


def _change(measure: Mapping[str, Any], shape: Mapping[str, Any]) -> str:
    """What moved, in one sentence."""
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
    """Past and present values that are numbers."""
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
    """Columns with anything to tell; the others are counted."""
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
        }
        if breach:
            row["since"] = _day(measure["since"])
        if measure.get("examples") and measure["value"]:
            row["examples"] = ", ".join(text(e, 30) for e in measure["examples"])
    told = [
        row | {"breach": any(c["breach"] for c in row["cells"].values())}
        for row in rows.values()
        if any(cell["under"] for cell in row["cells"].values())
    ]
    told.sort(key=lambda row: not row["breach"])
    return {
        "name": name,
        "headings": [(metric, METRICS[metric][0]) for metric in metrics],
        "rows": told,
        "clean": len(rows) - len(told),
        "new": any(row["examples"] for row in told),
        "lasting": any(row["since"] for row in told),
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
    sentence = f"{_said(measure)}. Measured on {number(signal.get('sample'))} rows of each window."
    return {
        "name": name,
        "tone": tone,
        "word": word,
        "sentence": sentence,
        "chart": charts.compared_bars(f"{name}-a", "What the model lives on", sentence, rows[:16]),
    }


def _performance(name: str, signal: Mapping[str, Any], details: Mapping[str, Any]) -> Section:
    rows = mapping(signal, "rows")
    figures = []
    for index, measure in enumerate(signal["measures"]):
        tone, word = VERDICTS[str(measure["verdict"])]
        moments = _moments(measure, details)
        label, _, words_ = METRICS[measure["metric"]]
        figures.append(
            {
                "label": label,
                "value": number(measure["value"]),
                "said": _said(measure),
                "tone": tone,
                "word": word,
                "words": words_,
                "since": _day(measure["since"]) if measure.get("since") else "",
                "history": charts.trend(
                    f"{name}-{index}",
                    f"{label} over time",
                    f"{label} of each window.",
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
    listed_ = [str(name) for name in names]
    return (
        listed_[0]
        if len(listed_) == 1
        else f"{', '.join(listed_[:-1])} and {listed_[-1]}"
        if listed_
        else ""
    )
