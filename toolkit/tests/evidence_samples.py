"""Evidence as the steps write it, for tests that need a whole run without making one."""

from __future__ import annotations

import math
from typing import Any

Evidence = dict[str, dict[str, Any]]

RUN = {
    "title": "Flight delays",
    "run_id": "train-20260911-0815-4f2a",
    "pipeline": "azureml/pipelines/train.yml",
    "git_commit": "9f1c2ab4d07e6f50c1d2b7a8e9f00112233445566",  # pragma: allowlist secret
    "started": "2026-09-11T08:15:02+00:00",
    "finished": "2026-09-11T08:15:49+00:00",
    "mlflow_run_id": "0c8d2f0b9a5e4b0f8f3d7f2a1b6c9e11",
}
DIGEST = "5b0f6a9c31d24be7a85c0d9f73e4c1aa"  # pragma: allowlist secret
LOWER_IS_BETTER = {"log_loss", "brier", "mae", "rmse", "median_absolute_error"}


def envelope(kind: str, **parts: Any) -> dict[str, Any]:
    """One evidence file."""
    empty: dict[str, Any] = {"params": {}, "metrics": {}, "tags": {}, "series": {}, "details": {}}
    return {"evidence": kind, **empty, **parts}


def interval(value: float, half: float) -> dict[str, float]:
    """A figure with a symmetric interval."""
    return {"value": value, "low": value - half, "high": value + half}


def difference(value: float, half: float) -> dict[str, float]:
    """A difference with a symmetric interval."""
    return {"difference": value, "low": value - half, "high": value + half}


def column(name: str, type_: str, role: str = "feature", **known: Any) -> dict[str, Any]:
    """One entry of quality.json's columns."""
    empty: dict[str, Any] = {
        "nulls": 0.0,
        "distinct": 0,
        "min": None,
        "max": None,
        "mean": None,
        "top": [],
    }
    return {"name": name, "type": type_, "role": role, **empty, **known}


def flights(violations: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """quality.json of the sample table."""
    carriers = [["UA", 0.174], ["B6", 0.162], ["EV", 0.161], ["DL", 0.143], ["AA", 0.097]]
    columns = [
        column(
            "scheduled_departure",
            "datetime",
            distinct=61_250,
            min="2013-01-01T05:15:00",
            max="2013-12-31T23:59:00",
        ),
        column("carrier", "category", distinct=16, top=carriers),
        column(
            "flight_number", "integer", "identifier", distinct=3844, min=1, max=8500, mean=1971.9
        ),
        column("tail_number", "text", nulls=0.0075, distinct=4043, top=[["N725MQ", 0.0017]]),
        column(
            "origin", "category", distinct=3, top=[["EWR", 0.359], ["JFK", 0.33], ["LGA", 0.31]]
        ),
        column("destination", "category", distinct=105, top=[["ORD", 0.051], ["ATL", 0.051]]),
        column("distance", "integer", distinct=214, min=17, max=4983, mean=1039.9),
        column("planned_minutes", "integer", distinct=480, min=21, max=706, mean=149.3),
        column("plane_year", "integer", nulls=0.171, distinct=46, min=1956, max=2013, mean=2001.4),
        column("plane_seats", "integer", nulls=0.156, distinct=48, min=2, max=450, mean=137.2),
        column(
            "manufacturer",
            "category",
            nulls=0.156,
            distinct=35,
            top=[["BOEING", 0.246], ["EMBRAER", 0.196], ["AIRBUS", 0.14]],
        ),
        column("year", "integer", "ignored", distinct=1, min=2013, max=2013, mean=2013.0),
        column("late", "boolean", "target", distinct=2, top=[["false", 0.763], ["true", 0.237]]),
    ]
    found = violations or []
    return envelope(
        "quality",
        params={"data": "flights.parquet"},
        metrics={"rows": 327_346, "columns": len(columns), "violations": len(found)},
        tags={"quality": "refused" if found else "passed"},
        details={"rows": 327_346, "columns": columns, "violations": found},
    )


def violations() -> list[dict[str, Any]]:
    """What a table that breaks its contract leaves in quality.json."""
    return [
        {
            "column": "distance",
            "rule": "range",
            "expected": "17 to 5,000",
            "found": "-12 to 99,999",
            "rows": 41,
            "share": 41 / 327_346,
            "examples": ["-12", "99999"],
            "first_rows": [18, 4021, 5100],
        },
        {
            "column": "carrier",
            "rule": "categories",
            "expected": "AA, B6, DL, EV, UA",
            "found": "ZZ",
            "rows": 3,
            "share": 3 / 327_346,
            "examples": ["ZZ"],
            "first_rows": [7],
        },
        {
            "column": None,
            "rule": "missing column",
            "expected": "plane_seats",
            "found": "no such column",
            "rows": None,
            "share": None,
            "examples": [],
            "first_rows": [],
        },
    ]


def prepared(**target: Any) -> dict[str, Any]:
    """data.json of the sample table; `target` is the target's summary in each part."""
    return envelope(
        "data",
        params={"split": "time", "split_test": 0.2, "split_validation": 0.2, "split_seed": 0},
        metrics={"rows_train": 196_410, "rows_validation": 65_466, "rows_test": 65_470},
        tags={"dataset_digest": DIGEST},  # pragma: allowlist secret
        details={
            "source": {"file": "flights.parquet", "sha256": "ab" * 32},
            "digest": DIGEST,
            "dropped": {"no_target": 9_430, "no_time": 0, "duplicates": 0},
            "split": {
                "method": "time",
                "train": {
                    "rows": 196_410,
                    "from": "2013-01-01T05:15:00",
                    "to": "2013-08-06T18:30:00",
                    **target,
                },
                "validation": {
                    "rows": 65_466,
                    "from": "2013-08-06T18:35:00",
                    "to": "2013-10-19T16:20:00",
                    **target,
                },
                "test": {
                    "rows": 65_470,
                    "from": "2013-10-19T16:25:00",
                    "to": "2013-12-31T23:59:00",
                    **target,
                },
            },
        },
    )


def trained(threshold: float | None = None) -> dict[str, Any]:
    """training.json: a loss that falls, then rises a little."""
    loss = [0.31 + 0.24 * math.exp(-i / 28) + 0.00012 * max(i - 120, 0) for i in range(144)]
    return envelope(
        "training",
        params={"learning_rate": 0.06, "max_iterations": 500, "max_leaf_nodes": 31, "seed": 0},
        metrics={"iterations": 123},
        tags={"scikit-learn": "1.9.1", "python": "3.11.7"},
        series={"validation_loss": loss},
        details={
            "features": [
                {"name": "scheduled_departure_hour", "kind": "number", "encoding": "as it is"},
                {"name": "carrier", "kind": "category", "encoding": "ordinal, 16 levels"},
                {"name": "tail_number", "kind": "text", "encoding": "mean of the target"},
            ],
            "threshold": threshold,
            "purpose": None if threshold is None else "highest f1",
            "algorithm": "Histogram-based Gradient Boosting Classification Tree (HistGradientBoostingClassifier of sklearn)",
            "learner": "boosting",
            "compared_on": "the validation rows",
            "candidates": [
                candidate("linear", 0.33, above=0.02),
                candidate("boosting", 0.31, above=0.0, chosen=True),
            ],
            "calibration": [
                {"method": name, "chosen": chosen, "log_loss": loss, "calibration_error": error}
                for name, chosen, loss, error in (
                    ("none", False, 0.31, 0.04),
                    ("sigmoid", True, 0.305, 0.011),
                )
            ],
            "iterations": 123,
            "stopped": "early",
        },
    )


def candidate(name: str, loss: float, *, above: float, chosen: bool = False) -> dict[str, Any]:
    """A line of what was compared."""
    error = 0.004 if above else 0.0
    more = {"above_lowest": above, "standard_error": error, "iterations": 123, "rows": 196_408}
    return {"name": name, "chosen": chosen, "loss": loss, **more}


def explained(names: list[str]) -> dict[str, Any]:
    """importance.json: each column half as important as the one before, the last not at all."""
    sizes = [0.083 * 0.55**i for i in range(len(names) - 1)] + [-0.0001]
    features = [
        {
            "name": name,
            "importance": size,
            "low": size - 0.0008 - size * 0.06,
            "high": size + 0.0008 + size * 0.06,
        }
        for name, size in zip(names, sizes, strict=True)
    ]
    return envelope("importance", params={"repeats": 5}, details={"features": features})


def decided(
    metric: str, *, passed: bool = True, stage: str = "registered", champion: str | None = "3"
) -> dict[str, Any]:
    """decision.json with one gate of each kind; the last one fails unless `passed`."""
    reasons = [
        ("data follows the contract", "no violation", "no violation", True, ""),
        ("good enough on its own", f"{metric} ≥ 0.55", "0.7421", True, ""),
        (
            "better than the baseline",
            f"{metric} better by more than 0",
            "+0.0413 [+0.0382, +0.0444]",
            True,
            "",
        ),
    ]
    if champion:
        reasons.append(
            (
                f"not worse than champion v{champion}",
                f"{metric} not worse by more than 0.01, with confidence",
                "+0.0059 [+0.0018, +0.01]" if passed else "-0.031 [-0.0351, -0.0269]",
                passed,
                "" if passed else "the challenger is worse: keep the champion",
            )
        )
    keys = ("gate", "expected", "found", "passed", "advice")
    verdict = "promote" if passed else "refuse"
    return envelope(
        "decision",
        tags={"verdict": verdict, "model_version": "4"},
        details={
            "verdict": verdict,
            "stage": stage,
            "model": {"name": "flight-delays", "version": "4"},
            "champion": {"name": "flight-delays", "version": champion} if champion else None,
            "metric": metric,
            "reasons": [dict(zip(keys, reason, strict=True)) for reason in reasons],
            "notes": ['"carrier" has limits of its own: airlines are companies'],
            "decided": None
            if stage == "registered"
            else {"by": "Ada Lovelace", "at": "2026-09-11T09:30:00+00:00"},
        },
    )


def opened(decision: dict[str, Any], policy: str, accepted: str | None) -> dict[str, Any]:
    """The same decision with a baseline that cannot be told from the model."""
    details = decision["details"]
    reasons = [
        reason | {"passed": None} if reason["gate"] == "better than the baseline" else reason
        for reason in details["reasons"]
    ]
    changed = {
        "verdict": "open",
        "open": ["better than the baseline"],
        "open_gates": policy,
        "accepted_by": accepted,
        "reasons": reasons,
    }
    return decision | {"details": details | changed}


def judged_on(rows: int, **classes: int) -> dict[str, Any]:
    """What evaluation.json says of the rows that the models are judged on."""
    return {
        "method": "held-out",
        "rows": rows,
        "held_out": rows,
        "classes": classes or None,
        "error": None,
    }


def compared(
    challenger: dict[str, float],
    worse: dict[str, float],
    *,
    champion: bool,
    half: float,
    lead: float = 1 / 7,
) -> dict[str, Any]:
    """Models and comparisons: the baseline worse by `worse`, the champion by `lead` times it."""
    signs = {name: -1 if name in LOWER_IS_BETTER else 1 for name in challenger}

    def model(part: float) -> dict[str, Any]:
        return {
            name: interval(value - signs[name] * worse[name] * part, half * abs(value) + 1e-4)
            for name, value in challenger.items()
        }

    def against(part: float) -> dict[str, Any]:
        return {name: difference(worse[name] * part, abs(worse[name]) * 0.1) for name in challenger}

    return {
        "higher_is_better": {name: sign > 0 for name, sign in signs.items()},
        "models": {
            "challenger": model(0),
            "baseline": model(1),
            "champion": model(lead) if champion else None,
        },
        "champion": {"name": "flight-delays", "version": "3" if champion else None, "error": None},
        "comparisons": {"baseline": against(1), "champion": against(lead) if champion else None},
    }


def segment(column_: str, value: str, rows: int, metric: str, size: float) -> dict[str, Any]:
    """One segment; fewer rows make a wider interval."""
    return {
        "column": column_,
        "value": value,
        "rows": rows,
        "metric": metric,
        "value_metric": interval(size, 0.9 / math.sqrt(rows)),
        "target": 0.2 + size / 10,
        "predicted": 0.19 + size / 9,
        "small": rows < 50,
    }


def cohorts(error: float, *, share: bool = True, worst: bool = True) -> dict[str, Any]:
    """A tree of three divisions, in which one cohort is worse; or the root alone."""

    def node(rows: int, times: float, *rule: str) -> dict[str, Any]:
        half = 5 * error / math.sqrt(rows)
        return {
            "rule": list(rule),
            "rows": rows,
            "error": interval(error * times, half),
            "more": difference(error * (times - 1), half) if rule else None,
            "worse": times > 1.1,
        }

    far = "distance > 1020"
    carriers = "carrier is EV or MQ"
    nodes = [node(32_735, 1.0)]
    if worst:
        nodes += [
            node(20_104, 0.8, "distance ≤ 1020"),
            node(12_631, 1.31, far),
            node(9_050, 1.2, far, "carrier is not EV or MQ"),
            node(3_581, 1.58, far, carriers),
            node(2_480, 1.42, far, carriers, "planned_minutes ≤ 162 or missing"),
            node(1_101, 1.94, far, carriers, "planned_minutes > 162"),
        ]
    return {
        "unit": "share wrong" if share else "absolute error",
        "found_on": 32_735,
        "judged_on": 32_735,
        "least_rows": 654,
        "depth": 3,
        "confidence": 0.95,
        "comparisons": 14,
        "nodes": nodes,
        "worst": 6 if worst else None,
        "why": None,
    }


GROUP_FIGURES = {
    "binary": ("selection_rate", "true_positive_rate", "false_positive_rate", "accuracy"),
    "multiclass": ("accuracy",),
    "regression": ("mae", "mean_error"),
}


def fair(kind: str, *, champion: bool = True, columns: tuple[str, ...] = ("carrier",)) -> Any:
    """fairness.json: groups of each column, the last of them too small to judge."""
    figures = GROUP_FIGURES[kind]
    sizes = {"UA": 11_500, "EV": 10_400, "WN": 2_531, "HA": 61}

    def figure(at: int, rows: int) -> dict[str, Any]:
        ends = interval(0.3 + 0.07 * at, 0.9 / math.sqrt(rows))
        return {**ends, "rows": rows, "judged": rows >= 100}

    def apart(size: float) -> dict[str, Any]:
        return {
            "groups": 3,
            "lowest": "UA",
            "highest": "WN",
            "difference": interval(size, 0.02),
            "ratio": interval(0.68, 0.03),
            "small": {"groups": ["HA"], "share": 0.002},
            "over_champion": interval(0.01, 0.02) if champion else None,
        }

    disparities = {name: apart(0.14 + 0.01 * i) for i, name in enumerate(figures)}
    if kind == "binary":
        disparities["equalized_odds"] = apart(0.15)
    return envelope(
        "fairness",
        params={"group_rows": 100, "confidence": 0.95, "resamples": 500, "seed": 0},
        metrics={f"{name}_difference": 0.14 for name in disparities},
        details={
            "kind": kind,
            "rows": 65_469,
            "sensitive": list(columns),
            "group_rows": 100,
            "measured_on": dict.fromkeys(figures, "rows"),
            "scale": 44.6 if kind == "regression" else None,
            "champion": {"name": "m", "version": "3" if champion else None, "error": None},
            "columns": [
                {
                    "column": name,
                    "groups": [
                        {
                            "value": value,
                            "rows": rows,
                            "metrics": {name: figure(at, rows) for name in figures},
                        }
                        for at, (value, rows) in enumerate(sizes.items())
                    ],
                    "disparities": disparities,
                }
                for name in columns
            ],
        },
    )


def costs(*, champion: bool = True, **changed: float | None) -> dict[str, Any]:
    """footprint.json; figures of the challenger may be changed."""
    own = {
        "model_bytes": 240_000,
        "load_seconds": 0.012,
        "memory_bytes": 235_000_000,
        "latency_p50": 3.1,
        "latency_p95": 4.2,
    }
    return envelope(
        "footprint",
        params={"rounds": 5},
        metrics=own,
        details={
            "models": {
                "challenger": {**own, **changed},
                "champion": dict(own) if champion else None,
            },
            "champion": {"name": "m", "version": "3" if champion else None, "error": None},
            "machine": {"system": "Linux", "processor": "x86_64", "cores": 2, "python": "3.12.1"},
        },
    )


def group(
    predicted: float, observed: float, below: float, above: float, rows: int
) -> dict[str, float]:
    """A group of rows of a calibration; its interval lies so far below and above what was observed."""
    low, high = observed - below, observed + above
    return {"predicted": predicted, "observed": observed, "low": low, "high": high, "rows": rows}


def binary(*, champion: bool = True, passed: bool = True, stage: str = "registered") -> Evidence:
    """A whole run on flights: will it be late?"""

    def curve(power: float) -> list[list[float]]:
        return [[i / 99, (i / 99) ** power] for i in range(100)]

    def groups(bend: float) -> list[dict[str, float]]:
        known = [(0.04 + 0.075 * i, 12_000 - 1_150 * i) for i in range(10)]
        halves = [1.1 / math.sqrt(n) for _, n in known]
        return [
            group(p, p + bend * math.sin(p * 5), half, half, n)
            for (p, n), half in zip(known, halves, strict=True)
        ]

    challenger = {
        "roc_auc": 0.74213,
        "average_precision": 0.4871,
        "log_loss": 0.4602,
        "brier": 0.14893,
        "f1": 0.4785,
        "precision": 0.4102,
        "recall": 0.5741,
        "accuracy": 0.7312,
    }
    worse = dict(
        zip(challenger, (0.0413, 0.082, 0.031, 0.011, 0.035, 0.02, 0.07, 0.004), strict=True)
    )
    carriers = [("UA", 11_500, 0.735), ("OO", 32, 0.61), ("EV", 10_400, 0.69), ("DL", 9_800, 0.758)]
    carriers += [("AA", 6_100, 0.722), ("B6", 10_900, 0.744), ("HA", 48, 0.83)]
    origins = [("EWR", 23_900, 0.731), ("JFK", 21_000, 0.739), ("LGA", 20_500, 0.754)]
    details = {
        "problem": {
            "kind": "binary",
            "target": "late",
            "positive": True,
            "classes": [False, True],
        },
        "rows": 65_470,
        "judged_on": judged_on(65_470, false=52_810, true=12_660),
        "primary": "roc_auc",
        **compared(
            challenger, worse, champion=champion, half=0.0055, lead=1 / 7 if passed else -0.75
        ),
        "calibration": {
            "challenger": groups(0.012),
            "baseline": groups(0.055),
            "champion": groups(-0.03) if champion else None,
        },
        "curves": {
            "roc": {
                "challenger": curve(0.35),
                "baseline": curve(0.45),
                "champion": curve(0.37) if champion else None,
            }
        },
        "confusion": {"labels": [False, True], "matrix": [[40_910, 11_900], [5_395, 7_265]]},
        "residuals": None,
        "segments": [segment("carrier", v, n, "roc_auc", m) for v, n, m in carriers]
        + [segment("origin", v, n, "roc_auc", m) for v, n, m in origins],
        "cohorts": cohorts(0.269),
    }
    names = ["scheduled_departure", "carrier", "destination", "planned_minutes", "origin"]
    names += ["plane_year", "tail_number", "distance", "manufacturer", "plane_seats"]
    return {
        "quality": flights(),
        "data": prepared(class_shares={"false": 0.766, "true": 0.234}),
        "training": trained(threshold=0.2713),
        "evaluation": envelope(
            "evaluation",
            params={"confidence": 0.95, "resamples": 500, "segment_rows": 50, "seed": 0},
            metrics=challenger,
            details=details,
        ),
        "fairness": fair("binary", champion=champion),
        "footprint": costs(champion=champion),
        "importance": explained(names),
        "decision": decided(
            "roc_auc", passed=passed, stage=stage, champion="3" if champion else None
        ),
        "sweep": trials(),
    }


def multiclass(classes: int = 3) -> Evidence:
    """A run with several classes, its first one (so no champion)."""
    labels = [f"class {i}" for i in range(classes)]
    matrix = [
        [
            400 - 9 * i if i == j else (37 * (i + 2 * j) % 23 if abs(i - j) < 4 else 0)
            for j in range(classes)
        ]
        for i in range(classes)
    ]
    challenger = {
        "balanced_accuracy": 0.8612,
        "accuracy": 0.8733,
        "log_loss": 0.4181,
        "macro_f1": 0.8574,
        "roc_auc_ovr": 0.9713,
    }
    worse = dict.fromkeys(challenger, 0.12)
    evidence = binary(champion=False)
    evidence["data"] = prepared(class_shares=dict.fromkeys(labels, 1 / classes))
    evidence["evaluation"] = envelope(
        "evaluation",
        params={"confidence": 0.95},
        metrics=challenger,
        details={
            "problem": {
                "kind": "multiclass",
                "target": "cultivar",
                "positive": None,
                "classes": labels,
            },
            "rows": sum(map(sum, matrix)),
            "judged_on": judged_on(sum(map(sum, matrix))),
            "primary": "balanced_accuracy",
            **compared(challenger, worse, champion=False, half=0.02),
            "calibration": {
                "challenger": [
                    group(0.5 + i / 10, 0.47 + i / 10, 0.07, 0.07, 90) for i in range(5)
                ],
            },
            "curves": {},
            "confusion": {"labels": labels, "matrix": matrix},
            "residuals": None,
            "segments": [],
            "cohorts": cohorts(0.127, worst=False),
        },
    )
    evidence["fairness"] = fair("multiclass", champion=False, columns=())
    evidence["decision"] = decided("balanced_accuracy", champion=None)
    del evidence["sweep"]
    return evidence


def regression(*, champion: bool = True) -> Evidence:
    """A run that predicts minutes."""
    challenger = {"r2": 0.2143, "mae": 19.842, "rmse": 34.61, "median_absolute_error": 12.27}
    worse = {"r2": 0.0712, "mae": 1.31, "rmse": 1.52, "median_absolute_error": 0.84}
    predicted = [-9.1, -5.2, -2.0, 0.9, 3.8, 7.2, 11.4, 17.3, 26.2, 48.7]
    edges = [-120.0 + 12 * i for i in range(26)]
    counts = [round(9_000 * math.exp(-(((e + 10) / 32) ** 2))) for e in edges[:-1]]
    details = {
        "problem": {"kind": "regression", "target": "arrival_delay"},
        "rows": 65_470,
        "judged_on": judged_on(65_470),
        "primary": "r2",
        **compared(challenger, worse, champion=champion, half=0.02),
        "calibration": {
            "challenger": [group(p, p * 1.04 - 1, 3, 2.5, 6547) for p in predicted],
            "baseline": [group(p * 0.8, p * 0.9, 5, 4, 6547) for p in predicted],
        },
        "curves": None,
        "confusion": None,
        "residuals": {
            "edges": edges,
            "counts": counts,
            "quantiles": {"0.05": -41.2, "0.25": -17.9, "0.5": -5.1, "0.75": 9.3, "0.95": 62.8},
        },
        "segments": [
            segment("carrier", v, n, "r2", m)
            for v, n, m in [("UA", 11_500, 0.23), ("EV", 10_400, 0.17), ("HA", 40, -0.31)]
        ],
        "cohorts": cohorts(19.842, share=False),
    }
    evidence = binary(champion=champion)
    evidence["data"] = prepared(target_mean=6.91)
    evidence["training"] = trained()
    evidence["evaluation"] = envelope(
        "evaluation", params={"confidence": 0.95}, metrics=challenger, details=details
    )
    evidence["fairness"] = fair("regression", champion=champion)
    evidence["decision"] = decided("r2", champion="3" if champion else None)
    del evidence["sweep"]
    return evidence


def stopped() -> Evidence:
    """A run that ended at validation."""
    return {"quality": flights(violations())}


def trials() -> dict[str, Any]:
    """sweep.json of six trials, one ended early and one failed."""

    def trial(number: int, rate: float, leaves: int, best: float | None, **more: Any) -> Any:
        history = [] if best is None else [[n, best * (1 + 1 / n)] for n in range(1, 5)]
        return {
            "number": number,
            "params": {"learning_rate": rate, "max_leaf_nodes": leaves, "mood": "calm"},
            "state": "completed",
            "best": best,
            "reports": len(history),
            "stopped_by": None,
            "stopped_at": None,
            "history": history[: more.get("stopped_at")],
            **more,
        }

    return envelope(
        "sweep",
        params={
            "primary_metric": "validation_loss",
            "goal": "minimize",
            "sampling_algorithm": "random",
            "early_termination": "bandit",
        },
        metrics={"trials": 6, "completed": 4, "stopped": 1, "failed": 1, "best": 0.313},
        series={"best_so_far": [0.331, 0.331, 0.331, 0.313, 0.313, 0.313]},
        details={
            "best": 3,
            "sweep": {"search_space": {"learning_rate": {"type": "loguniform"}}},
            "trials": [
                trial(0, 0.2, 31, 0.331),
                trial(1, 0.02, 7, 0.39, state="stopped", stopped_by="bandit", stopped_at=20),
                trial(2, 0.29, 127, None, state="failed"),
                trial(3, 0.08, 15, 0.313),
                trial(4, 0.1, 31, 0.3175),
                trial(5, 0.05, 63, 0.32),
            ],
        },
    )
