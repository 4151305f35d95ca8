"""The gates: judging a challenger by its evidence and conf/gates.yml alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from modelyard.errors import UsageError
from modelyard.gates import Evaluation, Gates
from modelyard.models.reasons import (
    MORE_ROWS,
    Reason,
    at_least,
    exceptions,
    fairness_reasons,
    figure_text,
    footprint_reasons,
    number,
    signed,
)

UNDEFINED = "not defined on these rows"


@dataclass(frozen=True)
class Decision:
    """The verdict on a challenger.

    Attributes:
        open_gates: what follows from gates that could not be judged.
        stage: `registered` (judged when registered), or by `mlops promote`: `promoted`, `refused`, or
            `open`, where somebody has to accept the open gates.
        notes: reasons for limits of single columns.
        accepted_by: who accepted the open gates.
        decided: `by` and `at`, the person and the time of the promotion or refusal.
    """

    model: str
    version: str
    champion: str | None
    metric: str
    reasons: tuple[Reason, ...]
    open_gates: Literal["refuse", "ask"] = "refuse"
    stage: str = "registered"
    notes: tuple[str, ...] = ()
    accepted_by: str | None = None
    decided: Mapping[str, str] | None = None

    @property
    def passed(self) -> bool:
        """Whether every gate has passed."""
        return self.verdict == "promote"

    @property
    def verdict(self) -> Literal["promote", "open", "refuse"]:
        """Refuse if a gate has failed, open if one could not be judged, else promote."""
        outcomes = {reason.passed for reason in self.reasons}
        return "refuse" if False in outcomes else "open" if None in outcomes else "promote"

    @property
    def is_asked(self) -> bool:
        """Whether somebody may accept what is open."""
        return self.verdict == "open" and self.open_gates == "ask"

    @property
    def promotable(self) -> bool:
        """Whether every gate has passed, or what is open may be accepted and was."""
        return self.passed or (self.is_asked and self.accepted_by is not None)

    def evidence(self) -> dict[str, Any]:
        """The content of decision.json."""
        champion = None if self.champion is None else {"name": self.model, "version": self.champion}
        return {
            "evidence": "decision",
            "params": {},
            "metrics": {},
            "series": {},
            "tags": {"verdict": self.verdict, "model_version": self.version},
            "details": {
                "verdict": self.verdict,
                "open": [reason.gate for reason in self.reasons if reason.passed is None],
                "open_gates": self.open_gates,
                "accepted_by": self.accepted_by,
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
) -> Decision:
    """Compare the evidence with every gate for the kind of problem.

    The interval of a figure decides: a gate passes where all of it is within the limit, fails where all
    of it is beyond, and is open in between. Differences are signed so that positive means the challenger
    is better. Evidence of fairness and of the footprint is needed where conf/gates.yml has a section for
    it.

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
        _rows(details["judged_on"], gates.evaluation),
        _floor(gate.metric, scores, gate.floor, higher=higher),
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
    is_sensitive = bool(fairness and fairness["details"].get("columns"))
    return Decision(
        model,
        version,
        champion.get("version"),
        gate.metric,
        tuple(reasons),
        gates.open_gates or ("refuse" if is_sensitive else "ask"),
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


def _rows(judged_on: Mapping[str, Any], limits: Evaluation) -> Reason:
    """Ask for enough rows, and of every class, for the other gates to mean anything."""
    rows, classes = judged_on["rows"], judged_on.get("classes") or {}
    expected = f"≥ {limits.rows:,} rows"
    found = f"{rows:,} {judged_on['method']} rows"
    few = rows < limits.rows
    if classes:
        rarest = min(classes, key=lambda name: classes[name])
        expected += f", ≥ {limits.class_rows:,} of each class"
        found += f", {classes[rarest]:,} of {rarest}"
        few = few or classes[rarest] < limits.class_rows
    if judged_on.get("error"):
        found += f"; not out of fold: {judged_on['error']}"
    advice = f"{MORE_ROWS}; how many are enough stands in conf/gates.yml, evaluation"
    return Reason("enough rows to judge", expected, found, None if few else True, few * advice)


def _floor(metric: str, figure: Mapping[str, Any], floor: float, *, higher: bool) -> Reason:
    passed = at_least(figure, floor) if higher else at_least(_negative(figure), -floor)
    advice = {
        True: "",
        False: "better features or more data; the floor stands in conf/gates.yml",
        None: MORE_ROWS,
    }[passed]
    return Reason(
        gate="good enough on its own",
        expected=f"{metric} {'≥' if higher else '≤'} {floor:g}",
        found=figure_text(figure, number, UNDEFINED),
        passed=passed,
        advice=advice,
    )


def _baseline(metric: str, difference: Mapping[str, Any], margin: float) -> Reason:
    passed = at_least(difference, margin, strictly=True)
    advice = {
        True: "",
        False: "a simple model does as well: use that, or find better features",
        None: "no clear difference from a simple model: bring more rows, or use that",
    }[passed]
    return Reason(
        gate=f"{'better' if margin >= 0 else 'not clearly worse'} than the baseline",
        expected=f"{metric} better by more than {margin:g}, with confidence",
        found=figure_text(difference, signed, UNDEFINED),
        passed=passed,
        advice=advice,
    )


def _champion(
    metric: str, champion: Mapping[str, Any], difference: Mapping[str, Any] | None, margin: float
) -> Reason:
    name = f"not worse than champion v{champion['version']}"
    if margin:
        name += f" by more than {margin:g}"
    expected = f"{metric} not worse by more than {margin:g}, with confidence"
    if difference is None:
        return Reason(
            gate=name,
            expected=expected,
            found=champion.get("error") or "no comparison",
            passed=False,
            advice="the champion must be able to score the same rows; where it never will, `mlops retire` "
            "takes it out of the comparison",
        )
    passed = at_least(difference, -margin)
    if passed is None and difference["high"] is not None and difference["high"] < 0:
        passed = False
    advice = {
        True: "",
        False: "the challenger is worse: keep the champion",
        None: f"{MORE_ROWS}, or accept a wider margin in conf/gates.yml",
    }[passed]
    return Reason(name, expected, figure_text(difference, signed, UNDEFINED), passed, advice)


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


def _negative(figure: Mapping[str, Any]) -> dict[str, float | None]:
    """Turn a figure of which less is better into one of which more is."""
    value, low, high = figure["value"], figure["low"], figure["high"]
    ends = {"value": value, "low": high, "high": low}
    return {key: None if end is None else -end for key, end in ends.items()}
