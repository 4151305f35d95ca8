"""Planning of a monitor's run: windows, features and metrics of each signal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from modelyard.contract.model import Contract
from modelyard.data.cells import Reading
from modelyard.evidence import Evidence
from modelyard.files import has_file, read_json
from modelyard.monitoring.schedule import (
    AttributionDrift,
    DataDrift,
    DataQuality,
    ModelPerformance,
    MonitorData,
    PredictionDrift,
    Signal,
    TopFeatures,
)
from modelyard.monitoring.sources import Sources
from modelyard.monitoring.windows import Window
from modelyard.serving.collect import COLLECTED_AT, ID, KNOWN_AT, OWN_ID, output_names


@dataclass(frozen=True)
class Comparison:
    """Columns of two windows to be compared: for drift, or for data quality.

    Attributes:
        metrics: names by kind of feature.
        override: kinds of features; those of the others follow from the reference.
    """

    production: Window
    reference: Window
    features: Sequence[str]
    metrics: Mapping[str, Sequence[str]]
    override: Mapping[str, str]
    is_quality: bool = False


@dataclass(frozen=True)
class Performance:
    """Predictions to be compared with the ground truth.

    Attributes:
        reference: the ground truth; it ends when the monitor runs.
        kind: classification or regression.
    """

    production: Window
    reference: Window
    target: str
    kind: str
    metrics: Sequence[str]


@dataclass(frozen=True)
class Attribution:
    """Two windows whose attributions are to be compared."""

    production: Window
    reference: Window


Planned = Comparison | Performance | Attribution


@dataclass(frozen=True)
class Plan:
    """Everything that is to be measured.

    Attributes:
        types: of all columns.
        signals: by name.
        skipped: signals that cannot be measured, with the reason.
        readings: how columns are read that are not written as programs write them.
        group: name and type of the column whose rows belong together, if there is one.
    """

    types: Mapping[str, str]
    signals: Mapping[str, Planned]
    skipped: Mapping[str, str]
    readings: Mapping[str, Reading] = field(default_factory=dict)
    group: Mapping[str, str] = field(default_factory=dict)


def make_plan(sources: Sources) -> Plan:
    """Plan the signals of a monitor whose columns are those of the contract."""
    contract = sources.contract
    answer = "number" if contract.kind == "regression" else "category"
    types: dict[str, str] = {name: contract.columns[name].type for name in contract.features}
    types |= dict.fromkeys(output_names(contract), "number")
    types |= dict.fromkeys(("prediction", contract.target.column), answer)
    signals: dict[str, Planned] = {}
    skipped: dict[str, str] = {}
    for name, signal in sources.monitor.signals.items():
        planned = _planned(signal, sources)
        if isinstance(planned, str):
            skipped[name] = planned
        else:
            signals[name] = planned
    # A column of collected data that is called like the group is another one.
    own = {*output_names(contract), ID, COLLECTED_AT, OWN_ID, KNOWN_AT}
    group = {n: contract.columns[n].type for n in (contract.group,) if n and n not in own}
    read = [name for name in (*contract.features, *group) if contract.columns[name].is_special]
    return Plan(types, signals, skipped, {name: contract.columns[name] for name in read}, group)


def task_of(contract: Contract) -> str:
    """Return Azure ML's name for the contract's problem: regression or classification."""
    return "regression" if contract.kind == "regression" else "classification"


def _planned(signal: Signal, sources: Sources) -> Planned | str:
    """Plan a signal, or return why it cannot be measured."""
    contract = sources.contract
    if isinstance(signal, AttributionDrift):
        if sources.champion is None:
            return "there is no champion here whose attributions could be compared"
        given = [d for d in signal.production_data or [] if d.data_context != "model_outputs"]
        production = given[0] if given else None
        return Attribution(
            sources.production_window(production, "model_inputs"),
            sources.reference_window(signal.reference_data, production, "training"),
        )
    if isinstance(signal, ModelPerformance):
        kind = task_of(contract)
        metrics = signal.metric_thresholds.thresholds().get(kind)
        if not metrics:
            return f"its file has no threshold for {kind}"
        window = sources.production_window(signal.production_data, "model_outputs")
        return Performance(
            window,
            sources.ground_truth(contract.target.column),
            contract.target.column,
            kind,
            list(metrics),
        )
    metrics_by_kind = {k: list(m) for k, m in signal.metric_thresholds.thresholds().items()}
    if isinstance(signal, PredictionDrift):
        windows = _windows(sources, signal.production_data, signal.reference_data, "model_outputs")
        return Comparison(*windows, output_names(contract), metrics_by_kind, {})
    return Comparison(
        *_windows(sources, signal.production_data, signal.reference_data, "model_inputs"),
        _chosen_features(signal, sources),
        metrics_by_kind,
        dict(signal.feature_type_override),
        is_quality=isinstance(signal, DataQuality),
    )


def _windows(
    sources: Sources, production: MonitorData | None, reference: MonitorData | None, context: str
) -> tuple[Window, Window]:
    return (
        sources.production_window(production, context),
        sources.reference_window(reference, production, context),
    )


def _chosen_features(signal: DataDrift | DataQuality, sources: Sources) -> list[str]:
    """Names of the features of a signal; where it names none, Azure ML's default.

    That is the ten most important ones against a training table, all of them against other data.
    """
    wanted, contract = signal.features, sources.contract
    if isinstance(wanted, list):
        return wanted
    reference = signal.reference_data
    if wanted is None and reference is not None and reference.data_context == "training":
        wanted = TopFeatures(top_n_feature_importance=10)
    if not isinstance(wanted, TopFeatures) or sources.champion is None:
        return contract.features
    file = sources.champion.paths["evidence"] / "importance.json"
    if not has_file(file):
        return contract.features
    ranked = [str(row["name"]) for row in read_json(file, Evidence)["details"]["features"]]
    known = [name for name in ranked if name in contract.features]
    return known[: wanted.top_n_feature_importance]
