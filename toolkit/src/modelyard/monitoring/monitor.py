"""Computes an Azure ML model monitor here, on collected data: the file's signals, windows, thresholds."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelyard.errors import UsageError
from modelyard.files import link_tree, read_json, write_json, write_text
from modelyard.models.registry import locate
from modelyard.monitoring.monitor_file import (
    AttributionDrift,
    DataDrift,
    DataQuality,
    ModelPerformance,
    Monitor,
    MonitorData,
    MonitorError,
    PredictionDrift,
    Signal,
    TopFeatures,
    load_monitor,
)
from modelyard.pipelines.data_assets import local_path
from modelyard.project import Project, load_project
from modelyard.reports import pages
from modelyard.tracking import tracking_uri
from modelyard.yaml_files import Problem, did_you_mean, read_yaml

if TYPE_CHECKING:
    from rich.console import Console

MONITOR = Path("azureml") / "monitoring" / "monitor.yml"
COLLECTED, RESULTS = ".collected", ".monitor"
LOCAL_ENDPOINT = "local"
PARTS = ("train", "validation", "test")
# Below their threshold these are worse; all other metrics are worse above it. For the first three this
# is what Azure ML does (model_monitor_evaluate_metrics_threshold in github.com/Azure/azureml-assets).
WORSE_BELOW = {
    "two_sample_kolmogorov_smirnov_test",
    "pearsons_chi_squared_test",
    "normalized_discounted_cumulative_gain",
    "accuracy",
    "precision",
    "recall",
}
FINE, BREACH, UNJUDGED = "fine", "breach", "not judged"
MOST_PAST = 24  # past results that the trend goes back


@dataclass(frozen=True)
class Breach:
    """A metric beyond its threshold.

    Attributes:
        feature: "" where the metric is not of one feature.
        since: end of the first of the windows, without a gap up to this one, that breached.
    """

    signal: str
    feature: str
    metric: str
    value: float
    threshold: float
    since: datetime


@dataclass(frozen=True)
class MonitorResult:
    """What a monitor found.

    Attributes:
        verdict: fine; breach; or not judged, where no signal had enough data.
        breaches: those of signals with `alert_enabled`, which alone decide.
        notes: what a person should know besides.
        evidence: monitor.json.
        report: report.html.
    """

    verdict: str
    breaches: tuple[Breach, ...]
    notes: tuple[str, ...]
    evidence: Path
    report: Path

    @property
    def signals(self) -> tuple[str, ...]:
        """Names of the signals that breached."""
        return tuple(dict.fromkeys(breach.signal for breach in self.breaches))

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features that breached."""
        return tuple(dict.fromkeys(b.feature for b in self.breaches if b.feature))


@dataclass(frozen=True)
class _Champion:
    """The model in service here: its folder, and the table it was trained from."""

    version: str
    model: Path
    prepared: Path
    importance: Path


@dataclass
class _Sources:
    """Where windows are looked up, and what came up on the way."""

    root: Path
    monitor: Monitor
    at: datetime
    collected: Path
    reference: Path | None
    champion: _Champion | None
    contract: Mapping[str, Any]
    notes: list[str] = field(default_factory=list)
    listed: dict[tuple[str, datetime, datetime], list[str]] = field(default_factory=dict)


def run_monitor(
    root: Path,
    spec_path: Path,
    *,
    at: datetime,
    collected: Path | None = None,
    reference: Path | None = None,
    output: Path | None = None,
) -> MonitorResult:
    """Compute every signal of a monitor's file on collected data, judge it, and write the result.

    Args:
        root: the project.
        spec_path: the schedule's YAML.
        at: when the monitor runs; windows end then, and no later ground truth is known.
        collected: collected data; default: `.collected` of the project.
        reference: what the model was trained on, a table or a folder of prepared parts; default:
            what the champion's version was registered with, without one the data asset's file.
        output: folder of monitor.json and report.html; default: `.monitor/<time>` of the project.
            Earlier results beside it give the trend.

    Raises:
        UsageError: the file has problems, it does not fit the contract, or data is damaged.
    """
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    project = load_project(root)
    monitor = load_monitor(spec_path)
    with tempfile.TemporaryDirectory(prefix="monitor-") as temporary:
        place = Path(temporary)
        champion = _champion(root, project, place)
        sources = _Sources(
            root=root,
            monitor=monitor,
            at=at,
            collected=collected or root / COLLECTED,
            reference=reference,
            champion=champion,
            contract=_contract(root, champion),
        )
        plan, skipped = _plan(sources)
        write_json(place / "plan.json", plan)
        measured = _measured(root, place, plan, champion)
    folder = output or root / RESULTS / at.strftime("%Y%m%dT%H%M%SZ")
    past = _past(folder, monitor, at)
    signals = {
        name: _judged(
            name, signal, plan["signals"].get(name), measured.get(name), skipped.get(name)
        )
        for name, signal in monitor.signals.items()
    }
    _add_trends(signals, past, at)
    return _written(folder, project, sources, signals)


def follow_contract(root: Path, spec_path: Path) -> list[str]:
    """Write the contract's target, task and features into a monitor's file; returns what changed.

    Only these words change; thresholds, windows and comments stay. Times and free text are left
    out of the features: they are new in every window.
    """
    import re

    contract = _contract(root, None)
    columns: Mapping[str, Mapping[str, Any]] = contract["columns"]
    watched = [n for n in _features(contract) if columns[n]["type"] not in ("datetime", "text")]
    whole = [n for n in watched if columns[n]["type"] == "integer"]
    target = contract["target"]
    task = "regression" if target["kind"] == "regression" else "classification"
    override = ", ".join(f"{_quoted(name)}: numerical" for name in whole)
    text = before = spec_path.read_text(encoding="utf-8")
    for pattern, new in (
        (r"(\bml_task: *)\w+", task),
        (r"(\b(?:target_column|actual): *)(?:\"[^\"\n]*\"|[^,}\s]+)", _quoted(target["column"])),
        (r"(\bfeatures: *)\[[^\]]*\]", f"[{', '.join(map(_quoted, watched))}]"),
        (r"(\bfeature_type_override: *)\{[^}]*\}", f"{{{override}}}"),
    ):
        text = re.sub(pattern, lambda match, new=new: match.group(1) + new, text)  # type: ignore[misc]
    if text != before:
        write_text(spec_path, text)
    monitor = load_monitor(spec_path)
    lines = zip(before.splitlines(), text.splitlines(), strict=False)
    changed = [
        f"{spec_path}:{i}: {new.strip()}" for i, (old, new) in enumerate(lines, 1) if old != new
    ]
    for name, signal in monitor.signals.items():
        kinds = (
            signal.metric_thresholds.thresholds() if isinstance(signal, ModelPerformance) else {}
        )
        if kinds and task not in kinds:
            changed.append(
                f"{spec_path}:{monitor.lines[name]}: {name} has thresholds for {', '.join(kinds)} "
                f"only; docs/monitoring.md shows those for {task}"
            )
    return changed


def export_reference(root: Path) -> Path:
    """Write data/reference, the champion's table as an MLTable, for `az ml data create`.

    Raises:
        UsageError: there is no champion.
    """
    import shutil

    with tempfile.TemporaryDirectory(prefix="monitor-") as temporary:
        champion = _champion(root, load_project(root), Path(temporary))
        if champion is None:
            raise UsageError(
                "there is no champion whose table could be the reference; train one first"
            )
        folder = root / "data" / "reference"
        folder.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".reference-", dir=folder.parent) as made:
            link_tree(champion.prepared, Path(made) / "new")
            lines = [
                "$schema: https://azuremlschemas.azureedge.net/latest/MLTable.schema.json",
                "type: mltable",
                "paths:",
                *(f"  - file: ./{part}.parquet" for part in PARTS),
                "transformations:",
                "  - read_parquet",
            ]
            write_text(Path(made) / "new" / "MLTable", "\n".join(lines) + "\n")
            if folder.exists():
                shutil.move(folder, Path(made) / "old")
            os.replace(Path(made) / "new", folder)
    return folder


def _quoted(name: str) -> str:
    plain = (
        name.isascii()
        and name.isidentifier()
        and name.lower() not in ("y", "n", "yes", "no", "on", "off", "true", "false", "null")
    )
    return name if plain else json.dumps(name, ensure_ascii=False)


def _champion(root: Path, project: Project, place: Path) -> _Champion | None:
    """The champion and what was registered with it; from afar it is copied to `place`."""
    wanted = ("model", "prepared", "evidence")
    found = locate(project.model, tracking_uri(root), None, wanted, place)
    if found is None:
        return None
    paths = found.paths
    importance = paths["evidence"] / "importance.json"
    return _Champion(found.number, paths["model"], paths["prepared"], importance)


def _contract(root: Path, champion: _Champion | None) -> Mapping[str, Any]:
    """The contract of the model that serves, else the project's; `mlops contract` checks it."""
    paths = [root / "conf" / "contract.yml"]
    if champion is not None:
        paths.insert(0, champion.model / "contract.yml")
    path = next((path for path in paths if path.is_file()), paths[-1])
    try:
        content = read_yaml(path, "`mlops contract` writes one")
        wanted = {"columns": content["columns"], "target": content["target"]}
        assert {"column", "kind"} <= wanted["target"].keys()  # noqa: S101 (told below)
        assert all("type" in rule for rule in wanted["columns"].values())  # noqa: S101 (told below)
    except (KeyError, TypeError, AttributeError, AssertionError) as error:
        raise UsageError(
            f"{path} is no contract ({error!r}); run the pipeline's check first"
        ) from None
    return wanted


def _features(contract: Mapping[str, Any]) -> list[str]:
    target = contract["target"]["column"]
    return [
        str(name)
        for name, rule in contract["columns"].items()
        if rule.get("role", "feature") == "feature" and name != target
    ]


def _plan(sources: _Sources) -> tuple[dict[str, Any], dict[str, str]]:
    """What is to be measured, and which signals cannot be, with the reason.

    Raises:
        MonitorError: the file names columns that the contract does not have.
    """
    contract, monitor = sources.contract, sources.monitor
    regression = contract["target"]["kind"] == "regression"
    types = {name: contract["columns"][name]["type"] for name in _features(contract)}
    outputs = _outputs(contract)
    types |= dict.fromkeys(outputs, "number")
    types |= dict.fromkeys(
        ("prediction", contract["target"]["column"]), "number" if regression else "category"
    )
    _check_columns(sources, types)
    signals: dict[str, Any] = {}
    skipped: dict[str, str] = {}
    for name, signal in monitor.signals.items():
        planned = _planned(signal, sources, outputs)
        if isinstance(planned, str):
            skipped[name] = planned
        else:
            signals[name] = {"type": signal.type, **planned}
    return {"types": types, "signals": signals}, skipped


def _planned(signal: Signal, sources: _Sources, outputs: Sequence[str]) -> dict[str, Any] | str:
    """A signal of the plan, or why it cannot be measured."""
    contract = sources.contract
    if isinstance(signal, AttributionDrift):
        if sources.champion is None:
            return "there is no champion here whose attributions could be compared"
        given = [d for d in signal.production_data or [] if d.data_context != "model_outputs"]
        production = given[0] if given else None
        return {
            "production": _collected(sources, production, "model_inputs"),
            "reference": _reference(sources, signal.reference_data, production, "training"),
        }
    if isinstance(signal, ModelPerformance):
        kind = "regression" if contract["target"]["kind"] == "regression" else "classification"
        metrics = signal.metric_thresholds.thresholds().get(kind)
        if not metrics:
            return f"its file has no threshold for {kind}"
        window = _collected(sources, signal.production_data, "model_outputs")
        truth = sorted((sources.collected / "ground_truth").glob("[!.]*.parquet"))
        return {
            "production": window,
            "reference": {"files": list(map(str, truth)), "to": sources.at.isoformat()},
            "target": contract["target"]["column"],
            "kind": kind,
            "metrics": list(metrics),
        }
    context = "model_outputs" if isinstance(signal, PredictionDrift) else "model_inputs"
    planned: dict[str, Any] = {
        "production": _collected(sources, signal.production_data, context),
        "reference": _reference(sources, signal.reference_data, signal.production_data, context),
    }
    if isinstance(signal, PredictionDrift):
        planned |= {"features": ["prediction", *outputs], "override": {}}
    else:
        planned |= {
            "features": _watched(signal, sources),
            "override": dict(signal.feature_type_override),
        }
    by_kind = signal.metric_thresholds.thresholds()
    if isinstance(signal, DataQuality):
        planned["metrics"] = {kind: list(metrics) for kind, metrics in by_kind.items()}
    else:
        planned["metrics"] = {kind: next(iter(metrics)) for kind, metrics in by_kind.items()}
    return planned


def _outputs(contract: Mapping[str, Any]) -> list[str]:
    """Columns of the collected outputs beside the prediction."""
    target = contract["target"]
    if target["kind"] == "binary":
        return ["probability"]
    if target["kind"] == "multiclass":
        return [f"probability_{name}" for name in target.get("classes") or ()]
    return []


def _watched(signal: DataDrift | DataQuality, sources: _Sources) -> list[str]:
    """The features a signal asks for; without a word Azure ML's default."""
    known = _features(sources.contract)
    wanted = signal.features
    if isinstance(wanted, list):
        return wanted
    if (
        wanted is None
        and signal.reference_data
        and signal.reference_data.data_context == "training"
    ):
        wanted = TopFeatures(top_n_feature_importance=10)
    if not isinstance(wanted, TopFeatures):
        return known
    if sources.champion is None or not sources.champion.importance.is_file():
        return known
    ranked = read_json(sources.champion.importance)["details"]["features"]
    names = [str(row["name"]) for row in ranked if row["name"] in known]
    return names[: wanted.top_n_feature_importance]


def _check_columns(sources: _Sources, types: Mapping[str, str]) -> None:
    """Columns and the task must be the contract's, or Azure ML's run would fail."""
    monitor, contract = sources.monitor, sources.contract
    known, target = _features(contract), contract["target"]["column"]
    task = "regression" if contract["target"]["kind"] == "regression" else "classification"
    problems = []

    def problem(line: int, message: str) -> None:
        problems.append(Problem(monitor.file, line, message))

    if monitor.task != task:
        line = monitor.line("create_monitor", "monitoring_target", "ml_task")
        problem(line, f"ml_task: the contract's problem is {task}, found {monitor.task}")
    for name, signal in monitor.signals.items():
        where = ("create_monitor", "monitoring_signals", name)
        if isinstance(signal, (DataDrift, DataQuality)):
            listed = signal.features if isinstance(signal.features, list) else []
            line = monitor.line(*where, "features")
            for feature in listed:
                if feature not in known:
                    problem(
                        line,
                        f"{name}: the contract has no feature `{feature}`{did_you_mean(feature, known)}",
                    )
            for feature, kind in signal.feature_type_override.items():
                line = monitor.line(*where, "feature_type_override", feature)
                if feature not in known:
                    problem(
                        line,
                        f"{name}: the contract has no feature `{feature}`{did_you_mean(feature, known)}",
                    )
                elif kind == "numerical" and types[feature] not in ("number", "integer"):
                    problem(
                        line,
                        f"{name}: `{feature}` is {types[feature]} in the contract, not numerical",
                    )
        for data in _references(signal):
            for key in ("target_column", "actual"):
                said = data.data_column_names.get(key)
                if said is not None and said != target:
                    line = monitor.line(*where, "reference_data", "data_column_names", key)
                    line = line if line >= monitor.lines[name] else monitor.lines[name]
                    problem(
                        line, f"{name}: {key}: the contract's target is `{target}`, found `{said}`"
                    )
    if problems:
        error = MonitorError(problems)
        hint = "`mlops monitor --follow-contract` writes what the contract says into the file"
        raise UsageError(f"{error}\n{hint}")


def _references(signal: Signal) -> list[MonitorData]:
    return [signal.reference_data] if signal.reference_data is not None else []


def _collected(sources: _Sources, data: MonitorData | None, context: str) -> dict[str, Any]:
    """The window of production data of a signal."""
    start, end = sources.monitor.window(data, sources.at)
    return _collected_between(sources, (data.data_context if data else None) or context, start, end)


def _collected_between(
    sources: _Sources, context: str, start: datetime, end: datetime
) -> dict[str, Any]:
    monitor = sources.monitor
    base = sources.collected / monitor.endpoint / monitor.deployment / context
    key = (context, start, end)
    if key not in sources.listed:
        sources.listed[key] = list(collected_files(base, start, end))
    files = sources.listed[key]
    if not files:
        # A release here takes turns between two deployments; together they are what was in service.
        local = sorted((sources.collected / LOCAL_ENDPOINT).glob(f"*/{context}"))
        files = [file for folder in local for file in collected_files(folder, start, end)]
        sources.listed[key] = files
        others = [
            f"{path.parent.name}/{path.name}"
            for path in sorted(sources.collected.glob("*/*"))
            if (path / context).is_dir() and path != base.parent
            if next(collected_files(path / context, start, end), None)
        ]
        note = f"nothing was collected at {monitor.endpoint}/{monitor.deployment} in this window, but at {', '.join(others)}"
        if files:
            note = (
                f"nothing was collected at {monitor.endpoint}/{monitor.deployment}: taken from the "
                f"endpoint `{LOCAL_ENDPOINT}` on this machine, all its deployments"
            )
        if others and note not in sources.notes:
            sources.notes.append(note)
    return {"files": files, "from": start.isoformat(), "to": end.isoformat()}


def collected_files(base: Path, start: datetime, end: datetime) -> Iterator[str]:
    """Parquet files below `<yyyy>/<MM>/<dd>/<HH>/` of hours that a window touches, in order."""
    first, last = (time.astimezone(UTC).strftime("%Y/%m/%d/%H") for time in (start, end))

    def below(folder: str, prefix: str, depth: int) -> Iterator[str]:
        try:
            names = sorted(os.listdir(folder))  # noqa: PTH208 (there may be thousands)
        except (FileNotFoundError, NotADirectoryError):
            return
        for name in names:
            if depth == 4:
                if name.endswith(".parquet") and not name.startswith("."):
                    yield f"{folder}/{name}"
                continue
            path = f"{prefix}/{name}" if prefix else name
            if first[: len(path)] <= path <= last[: len(path)]:
                yield from below(f"{folder}/{name}", path, depth + 1)

    yield from below(str(base), "", 0)


def _reference(
    sources: _Sources, data: MonitorData | None, production: MonitorData | None, context: str
) -> dict[str, Any]:
    """The window of reference data of a signal: collected data, or the table the model is from."""
    given = (data.data_context if data else None) or context
    start, end = sources.monitor.reference_window(data, production, sources.at)
    if given in ("model_inputs", "model_outputs"):
        start = start or datetime(1970, 1, 1, tzinfo=UTC)
        return _collected_between(sources, given, start, end or sources.at)
    assert data is not None  # noqa: S101 (a context other than collected data was given)
    return {"files": [str(path) for path in _table(sources, data, given)]}


def _table(sources: _Sources, data: MonitorData, context: str) -> list[Path]:
    """Files of a table by its context; all parts of a split together are the training table."""
    parts = PARTS if context == "training" else (context,)
    folder = sources.reference or (sources.champion.prepared if sources.champion else None)
    if folder is not None and folder.is_file():
        return [folder]
    if folder is not None:
        files = [folder / f"{part}.parquet" for part in parts]
        missing = [str(file) for file in files if not file.is_file()]
        if missing:
            raise UsageError(
                f"the reference lacks {', '.join(missing)}; name a table or prepared data"
            )
        return files
    return [_asset_file(sources, data)]


def _asset_file(sources: _Sources, data: MonitorData) -> Path:
    """The file of a data asset; the training table where the asset itself was not made here."""
    folder = sources.root / "azureml" / "data"
    for wanted in (data.input_data.asset, "training"):
        path = local_path(folder, wanted) if wanted else None
        if path is not None and path.is_file():
            return path
    raise UsageError(
        f"{data.input_data.path} is not on this machine and there is no champion whose table could stand in: "
        "train one first (`make demo`), or give the table with --reference"
    )


def _measured(
    root: Path, place: Path, plan: Mapping[str, Any], champion: _Champion | None
) -> dict[str, Any]:
    """Run the package's commands side by side; what they measured, by signal."""
    types = {signal["type"] for signal in plan["signals"].values()}
    commands: dict[str, list[str]] = {}
    if types - {"feature_attribution_drift"}:
        commands["measured"] = ["modelyard.monitoring.measure"]
    if "feature_attribution_drift" in types and champion is not None:
        commands["attributed"] = [
            "modelyard.monitoring.attribution",
            "--model",
            str(champion.model),
        ]
    running = {
        kind: subprocess.Popen(  # noqa: S603 (our own modules)
            [
                sys.executable,
                "-m",
                *words,
                "--plan",
                str(place / "plan.json"),
                "--output",
                str(place),
            ],
            cwd=root,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for kind, words in commands.items()
    }
    found: dict[str, Any] = {}
    pages.compiled("monitor.html.j2")  # compiled while the others measure
    said = {kind: process.communicate()[0] for kind, process in running.items()}
    for kind, process in running.items():
        if process.returncode:
            raise UsageError(said[kind].strip().removeprefix("error: ") or f"{kind}: no result")
        found |= read_json(place / f"{kind}.json")["details"]["signals"]
    return found


def _judged(
    name: str,
    signal: Signal,
    planned: Mapping[str, Any] | None,
    measured: Mapping[str, Any] | None,
    skipped: str | None,
) -> dict[str, Any]:
    """A signal's measurements with thresholds and verdicts, as evidence holds them."""
    result: dict[str, Any] = {
        "type": signal.type,
        "alert": signal.alert_enabled,
        "windows": _windows(planned),
        "rows": (measured or {}).get("rows", {}),
        "absent": (measured or {}).get("absent", []),
        "measures": [],
        "verdict": UNJUDGED,
        "reason": skipped or (measured or {}).get("unmeasured"),
    }
    for extra in ("attributions", "sample"):
        if measured and extra in measured:
            result[extra] = measured[extra]
    for measure in (measured or {}).get("measures", []):
        threshold = _threshold(signal, measure, planned or {})
        result["measures"].append(_judge(measure, threshold))
    verdicts = {measure["verdict"] for measure in result["measures"]}
    if verdicts:
        result["verdict"] = BREACH if BREACH in verdicts else FINE if FINE in verdicts else UNJUDGED
    if result["verdict"] == UNJUDGED and not result["reason"]:
        reasons = [m["reason"] for m in result["measures"] if m["reason"]]
        result["reason"] = reasons[0] if reasons else "nothing to measure"
    return result


def _windows(planned: Mapping[str, Any] | None) -> dict[str, Any]:
    if planned is None:
        return {}
    return {
        side: {key: planned[side].get(key) for key in ("from", "to")}
        for side in ("production", "reference")
    }


def _threshold(signal: Signal, measure: Mapping[str, Any], planned: Mapping[str, Any]) -> float:
    if isinstance(signal, AttributionDrift):
        return signal.metric_thresholds.normalized_discounted_cumulative_gain
    kind = planned["kind"] if isinstance(signal, ModelPerformance) else measure["kind"]
    return signal.metric_thresholds.thresholds()[kind][measure["metric"]]


def _judge(measure: Mapping[str, Any], threshold: float) -> dict[str, Any]:
    """A measurement with its verdict.

    Data quality is judged against the reference's own rate plus the threshold. A distance that
    samples of these sizes would have without any drift says nothing, and is not judged.
    """
    value, metric = measure["value"], measure["metric"]
    limit = threshold + (measure.get("reference") or 0.0)
    chance = measure.get("chance")
    reason = None
    if value is None or (isinstance(value, float) and math.isnan(value)):
        verdict, reason = UNJUDGED, "it is not defined on these rows"
    elif chance is not None and metric not in WORSE_BELOW and chance >= threshold:
        verdict = UNJUDGED
        reason = f"too few rows: chance alone gives about {chance:.2g}"
    else:
        worse = value < limit if metric in WORSE_BELOW else value > limit
        verdict = BREACH if worse else FINE
    return {**measure, "threshold": threshold, "limit": limit, "verdict": verdict, "reason": reason}


def _past(folder: Path, monitor: Monitor, at: datetime) -> list[dict[str, Any]]:
    """Earlier results beside this one, of the same monitor and deployment, oldest first."""
    found = {}
    for file in folder.parent.glob("*/monitor.json") if folder.parent.is_dir() else ():
        with suppress(UsageError, KeyError, TypeError, ValueError):
            content = read_json(file)
            details = content["details"]
            same = (details["monitor"], details["endpoint"]) == (monitor.name, monitor.endpoint)
            when = datetime.fromisoformat(details["at"])
            if content["evidence"] == "monitor" and same and when < at:
                found[when] = details
    return [found[when] for when in sorted(found)][-MOST_PAST:]


def _add_trends(
    signals: Mapping[str, Any], past: Sequence[Mapping[str, Any]], at: datetime
) -> None:
    """Give every measurement its past values, and every breach the time since when it lasts."""
    earlier: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for details in past:
        for name, signal in details["signals"].items():
            for measure in signal["measures"]:
                point = {key: measure[key] for key in ("value", "limit", "verdict")}
                key = (name, measure["feature"], measure["metric"])
                earlier.setdefault(key, []).append({"at": details["at"], **point})
    for name, signal in signals.items():
        for measure in signal["measures"]:
            key = (name, measure["feature"], measure["metric"])
            trend = earlier.get(key, [])
            measure["trend"] = trend
            if measure["verdict"] == BREACH:
                since = at.isoformat()
                for point in reversed(trend):
                    if point["verdict"] != BREACH:
                        break
                    since = point["at"]
                measure["since"] = since


def _written(
    folder: Path, project: Project, sources: _Sources, signals: dict[str, Any]
) -> MonitorResult:
    """Judge the whole, and write report.html, then monitor.json: with it the result counts."""
    from modelyard.monitoring.monitor_report import render

    monitor = sources.monitor
    breaches = tuple(
        Breach(
            name,
            measure["feature"],
            measure["metric"],
            measure["value"],
            measure["limit"],
            datetime.fromisoformat(measure["since"]),
        )
        for name, signal in signals.items()
        if signal["alert"]
        for measure in signal["measures"]
        if measure["verdict"] == BREACH
    )
    judged = any(signal["verdict"] != UNJUDGED for signal in signals.values())
    verdict = BREACH if breaches else FINE if judged else UNJUDGED
    notes = [
        f"{name} was not judged: {signal['reason']}"
        for name, signal in signals.items()
        if signal["verdict"] == UNJUDGED
    ]
    for name, signal in signals.items():
        if signal["absent"]:
            columns = ", ".join(signal["absent"])
            notes.append(f"{name} leaves out {columns}: nothing of the kind was collected")
    notes = [*sources.notes, *notes]
    champion = sources.champion.version if sources.champion else None
    evidence = {
        "evidence": "monitor",
        "params": {"monitor": monitor.name, "at": sources.at.isoformat()},
        "metrics": {"breaches": len(breaches)},
        "series": {},
        "tags": {"verdict": verdict},
        "details": {
            "verdict": verdict,
            "monitor": monitor.name,
            "endpoint": monitor.endpoint,
            "deployment": monitor.deployment,
            "model": {"name": project.model, "version": champion},
            "at": sources.at.isoformat(),
            "file": monitor.file.name,
            "notes": notes,
            "signals": signals,
        },
    }
    report, file = folder / "report.html", folder / "monitor.json"
    write_text(report, render(evidence, title=project.title))
    write_json(file, evidence)
    return MonitorResult(verdict, breaches, tuple(notes), file, report)


def parse_time(text: str | None) -> datetime:
    """A time such as 2026-05-01 or 2026-05-01T06:00+02:00; without a zone UTC, without a time now.

    Raises:
        UsageError: it is none.
    """
    if text is None:
        return datetime.now(UTC).replace(microsecond=0)
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"--at expects a time such as 2026-05-01 or 2026-05-01T06:00, found {text!r}"
        ) from None
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)


def show(result: MonitorResult, console: Console, *, as_json: bool = False) -> None:
    """Print what a monitor found: as a table, or as JSON for a machine."""
    if as_json:
        breaches = [{**asdict(b), "since": b.since.isoformat()} for b in result.breaches]
        content = {
            "verdict": result.verdict,
            "breaches": breaches,
            "notes": result.notes,
            "evidence": str(result.evidence),
            "report": str(result.report),
        }
        print(json.dumps(content))
        return
    from rich.table import Table
    from rich.text import Text

    from modelyard.reports.wording import number

    if result.breaches:
        table = Table("signal", "feature", "metric", "found", "threshold", "since")
        for breach in result.breaches:
            table.add_row(
                *map(Text, (breach.signal, breach.feature, breach.metric)),
                Text(number(breach.value), "bold red"),
                number(breach.threshold),
                f"{breach.since:%Y-%m-%d}",
            )
        console.print(table)
    for note in result.notes:
        console.print(Text(f"note: {note}"), soft_wrap=True)
    said = {
        FINE: ("nothing moved beyond its threshold", "bold green"),
        BREACH: (f"breach of {', '.join(result.signals)}", "bold red"),
        UNJUDGED: ("not enough data to judge anything", "bold yellow"),
    }
    console.print(Text(*said[result.verdict]))
    with suppress(ValueError):
        console.print(
            f"report: {result.report.resolve().relative_to(Path.cwd())}",
            soft_wrap=True,
            highlight=False,
        )
        return
    console.print(f"report: {result.report}", soft_wrap=True, highlight=False)
