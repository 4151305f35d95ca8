"""The gates: judging a challenger by its evidence and conf/gates.yml alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from modelyard.errors import UsageError
from modelyard.gates import Gates
from modelyard.models.reasons import (
    Reason,
    exceptions,
    fairness_reasons,
    footprint_reasons,
    number,
    signed,
)


@dataclass(frozen=True)
class Decision:
    """The verdict on a challenger.

    Attributes:
        stage: `registered` (judged when registered), `promoted` or `refused` (by `mlops promote`).
        notes: reasons for limits of single columns.
        decided: `by` and `at`, the person and the time of the promotion or refusal.
    """

    model: str
    version: str
    champion: str | None
    metric: str
    reasons: tuple[Reason, ...]
    stage: str = "registered"
    notes: tuple[str, ...] = ()
    decided: Mapping[str, str] | None = None

    @property
    def passed(self) -> bool:
        """Whether every gate has passed."""
        return all(reason.passed for reason in self.reasons)

    def evidence(self) -> dict[str, Any]:
        """The content of decision.json."""
        champion = None if self.champion is None else {"name": self.model, "version": self.champion}
        return {
            "evidence": "decision",
            "params": {},
            "metrics": {},
            "series": {},
            "tags": {
                "verdict": "promote" if self.passed else "refuse",
                "model_version": self.version,
            },
            "details": {
                "verdict": "promote" if self.passed else "refuse",
                "stage": self.stage,
                "model": {"name": self.model, "version": self.version},
                "champion": champion,
                "metric": self.metric,
                "reasons": [asdict(reason) for reason in self.reasons],
                "notes": list(self.notes),
                "decided": dict(self.decided) if self.decided else None,
            },
        }


def judge(
    gates: Gates,
    *,
    model: str,
    version: str,
    quality: Mapping[str, Any],
    evaluation: Mapping[str, Any],
    fairness: Mapping[str, Any] | None = None,
    footprint: Mapping[str, Any] | None = None,
    stage: str = "registered",
) -> Decision:
    """Compare the evidence with every gate for the kind of problem.

    Differences are signed so that positive means the challenger is better. Against the champion the
    lower end of the paired bootstrap interval counts: a challenger that may be worse by more than the
    margin is refused, even where it is better on average. Evidence of fairness and of the footprint
    is needed where conf/gates.yml has a section for it.

    Raises:
        UsageError: the evidence lacks a metric that the gates name.
    """
    details = evaluation["details"]
    kind = details["problem"]["kind"]
    gate = gates.promotion.get(kind)
    if gate is None:
        raise UsageError(f"conf/gates.yml has no promotion gate for `{kind}`; add one")
    scores = details["models"]["challenger"].get(gate.metric)
    if scores is None:
        known = ", ".join(sorted(details["models"]["challenger"]))
        raise UsageError(
            f"conf/gates.yml names the metric `{gate.metric}`; the evidence has: {known}"
        )
    higher = details["higher_is_better"][gate.metric]
    champion = details.get("champion") or {}
    reasons = [
        _data(quality),
        _floor(gate.metric, scores["value"], gate.floor, higher=higher),
        _baseline(gate.metric, details["comparisons"]["baseline"][gate.metric], gate.over_baseline),
    ]
    if champion.get("version"):
        against = (details["comparisons"].get("champion") or {}).get(gate.metric)
        reasons.append(_champion(gate.metric, champion, against, gate.below_champion))
    if former := champion.get("former"):
        reasons.append(_new_line(former))
    if gates.fairness is not None:
        reasons += fairness_reasons(gates.fairness, fairness)
    if gates.footprint is not None:
        reasons += footprint_reasons(gates.footprint, footprint)
    return Decision(
        model,
        version,
        champion.get("version"),
        gate.metric,
        tuple(reasons),
        stage,
        notes=tuple(exceptions(gates, fairness)),
    )


def _data(quality: Mapping[str, Any]) -> Reason:
    violations = quality["details"]["violations"]
    return Reason(
        gate="data follows the contract",
        expected="no violation",
        found=f"{len(violations)} violations" if violations else "no violation",
        passed=not violations,
        advice=""
        if not violations
        else "correct the data or the contract, then run the pipeline again",
    )


def _floor(metric: str, value: float | None, floor: float, *, higher: bool) -> Reason:
    passed = value is not None and (value >= floor if higher else value <= floor)
    return Reason(
        gate="good enough on its own",
        expected=f"{metric} {'≥' if higher else '≤'} {floor:g}",
        found=number(value),
        passed=passed,
        advice="" if passed else "better features or more data; the floor stands in conf/gates.yml",
    )


def _baseline(metric: str, difference: Mapping[str, Any], margin: float) -> Reason:
    value = difference["difference"]
    passed = value is not None and value > margin
    return Reason(
        gate="better than the baseline",
        expected=f"{metric} better by more than {margin:g}",
        found=_interval(difference),
        passed=passed,
        advice="" if passed else "a simple model does as well: use that, or find better features",
    )


def _champion(
    metric: str, champion: Mapping[str, Any], difference: Mapping[str, Any] | None, margin: float
) -> Reason:
    name = f"not worse than champion v{champion['version']}"
    expected = f"{metric} not worse by more than {margin:g}, with confidence"
    if difference is None or difference["low"] is None:
        return Reason(
            gate=name,
            expected=expected,
            found=champion.get("error") or "no comparison",
            passed=False,
            advice="the champion must be able to score the same rows; where it never will, `mlops retire` "
            "takes it out of the comparison",
        )
    passed = difference["low"] >= -margin
    advice = ""
    if not passed and difference["high"] < 0:
        advice = "the challenger is worse: keep the champion"
    elif not passed:
        advice = (
            "too uncertain: bring more held-out rows, or accept a wider margin in conf/gates.yml"
        )
    return Reason(name, expected, _interval(difference), passed, advice)


def _new_line(former: Mapping[str, str]) -> Reason:
    version = f"v{former['version']}"
    return Reason(
        gate="a new line of versions",
        expected="no champion for this target and these columns",
        found=f"champion {version} is of another line: {former['why']}",
        passed=True,
        advice=f"the two are not compared; a promotion retires {version}, which stays registered: "
        "whoever asks the model has to send the new columns from then on",
    )


def _interval(difference: Mapping[str, Any]) -> str:
    value, low, high = (difference[key] for key in ("difference", "low", "high"))
    if value is None:
        return "nothing"
    if low is None or high is None:
        return signed(value)
    return f"{signed(value)} [{signed(low)}, {signed(high)}]"
