"""Facts about a run that several sections of the report and the model card need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from modelyard.reports.kinds import KINDS
from modelyard.reports.labels import METRICS
from modelyard.reports.reading import Rows, as_mapping, mapping, records, tidy
from modelyard.reports.wording import estimate, finite, lowered, number, percent, plural, text

Section = dict[str, Any]

MODELS = ("challenger", "champion", "baseline")
SPLITS = ("train", "validation", "test")


class Estimate(NamedTuple):
    """A figure and its interval; an end that is not known is None."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Facts:
    """Evidence of a run, with the values that several sections need.

    Attributes:
        quality: details of quality.json; likewise the other kinds of evidence.
        envelopes: whole evidence files by kind, with parameters, metrics, tags and series.
        kind: of problem: binary, multiclass, regression; empty if not known.
        target: name of the target; empty if not known.
        positive: label of the positive class; empty if there is none.
        primary: name of the metric that decides; empty if not known.
        champion: label of the champion.
        interval: label of an interval, with the confidence if it is known.
    """

    quality: dict[str, Any]
    data: dict[str, Any]
    training: dict[str, Any]
    evaluation: dict[str, Any]
    fairness: dict[str, Any]
    footprint: dict[str, Any]
    importance: dict[str, Any]
    decision: dict[str, Any]
    envelopes: dict[str, dict[str, Any]]
    kind: str
    target: str
    positive: str
    primary: str
    champion: str
    interval: str

    @property
    def violations(self) -> Rows:
        """Violated rules of the data contract."""
        return records(self.quality.get("violations"))

    def higher_is_better(self, metric: str) -> bool:
        """Tell whether more of a metric is better."""
        stated = mapping(self.evaluation, "higher_is_better").get(metric)
        if isinstance(stated, bool):
            return stated
        return METRICS[metric].higher_is_better if metric in METRICS else True

    def model_label(self, model: str) -> str:
        """Return the label of challenger, champion or baseline."""
        return self.champion if model == "champion" else model.capitalize()

    def models(self) -> dict[str, dict[str, Estimate]]:
        """Return the metrics of each model that has any, in the order of `MODELS`."""
        given = mapping(self.evaluation, "models")
        found = {model: as_estimates(given.get(model)) for model in MODELS}
        if not found["challenger"]:
            found["challenger"] = as_estimates(mapping(self.envelopes["evaluation"], "metrics"))
        return {model: metrics for model, metrics in found.items() if metrics}

    @property
    def is_out_of_fold(self) -> bool:
        """Whether challenger and baseline are judged on predictions out of fold."""
        return mapping(self.evaluation, "judged_on").get("method") == "out-of-fold"

    def judged_rows(self) -> str:
        """Return how many rows the models are judged on, and how; empty if it is not known."""
        rows = finite(self.evaluation.get("rows"))
        if not rows:
            return ""
        if self.is_out_of_fold:
            return f"{plural(rows, 'row')}, each predicted out of fold"
        return plural(rows, "held-out row")

    def result(self) -> Estimate | None:
        """Return the challenger's value of the primary metric."""
        return self.models().get("challenger", {}).get(self.primary)

    def differences(self, model: str) -> dict[str, Estimate]:
        """Return how much better than `model` the challenger is, by metric."""
        return as_estimates(mapping(self.evaluation, "comparisons").get(model), "difference")

    def primary_differences(self) -> list[tuple[str, Estimate]]:
        """Return how much better the challenger is by the primary metric, by the other's name."""
        rival = lowered(self.champion)
        if self.is_out_of_fold:
            rows = plural(finite(mapping(self.evaluation, "judged_on").get("held_out")) or 0, "row")
            rival += f" on the {rows} held out"
        names = {"baseline": "the baseline", "champion": rival}
        found = [(name, self.differences(model).get(self.primary)) for model, name in names.items()]
        return [(name, difference) for name, difference in found if difference is not None]

    def ranked_features(self) -> list[tuple[str, Estimate]]:
        """Return the columns with their importance, the most important first."""
        features = [
            (text(feature.get("name"), 80), found)
            for feature in records(self.importance.get("features"))
            if (found := as_estimate(feature, "importance")) is not None
        ]
        return sorted(features, key=lambda feature: (-feature[1].value, feature[0]))

    def target_mean(self, value: Any) -> str:
        """Write a mean of the target: a share for a class, else a number."""
        return number(value) if self.kind == "regression" else percent(value)


def gather(evidence: Mapping[str, Mapping[str, Any] | None]) -> Facts:
    """Collect the facts about a run from its evidence by kind, of which any part may be missing."""
    envelopes = {kind: as_mapping(tidy(content)) for kind, content in evidence.items()}
    details = {
        kind: mapping(envelopes.get(kind, {}), "details") for kind in KINDS if kind != "sweep"
    }
    evaluation, decision = details["evaluation"], details["decision"]
    problem = mapping(evaluation, "problem")
    columns = records(details["quality"].get("columns"))
    targets = [column.get("name") for column in columns if column.get("role") == "target"]
    target = problem.get("target") or next(iter(targets), None)
    version = (mapping(evaluation, "champion") | mapping(decision, "champion")).get("version")
    confidence = finite(mapping(envelopes.get("evaluation", {}), "params").get("confidence"))
    return Facts(
        **details,
        envelopes={kind: envelopes.get(kind, {}) for kind in details},
        kind=str(problem.get("kind") or ""),
        target=text(target, 80) if target is not None else "",
        positive=text(problem["positive"], 60) if problem.get("positive") is not None else "",
        primary=str(evaluation.get("primary") or decision.get("metric") or ""),
        champion=f"Champion {text(version, 30)}" if version is not None else "Champion",
        interval=f"{number(confidence * 100)}% interval" if confidence else "interval",
    )


def as_estimates(given: Any, key: str = "value") -> dict[str, Estimate]:
    """Read figures by name; see `as_estimate`."""
    found = {name: as_estimate(value, key) for name, value in as_mapping(given).items()}
    return {name: value for name, value in found.items() if value is not None}


def as_estimate(given: Any, key: str = "value") -> Estimate | None:
    """Read a figure written as a number or as {key, low, high}; None if there is no number."""
    parts = given if isinstance(given, dict) else {key: given}
    value = finite(parts.get(key))
    if value is None:
        return None
    return Estimate(value, finite(parts.get("low")), finite(parts.get("high")))


def outcome(difference: Estimate) -> tuple[str, str]:
    """Return the word and the tone for a difference: clear only if its interval excludes zero."""
    low = difference.value if difference.low is None else difference.low
    high = difference.value if difference.high is None else difference.high
    if low > 0:
        return "better", "good"
    return ("worse", "bad") if high < 0 else ("no clear difference", "calm")


def signed_estimate(difference: Estimate) -> tuple[str, str]:
    """Write a difference and its interval, with a sign."""
    return estimate(*difference, digits=2, sign=True)
