"""A/B test of two versions: their collected predictions, compared by ground truth."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from modelyard.console import console, table
from modelyard.contract.model import Contract, load_contract
from modelyard.errors import UsageError
from modelyard.evaluation.bootstrap import bootstrap, interval
from modelyard.evaluation.held_out import deciding_metric
from modelyard.evaluation.metrics import directions, load_metrics, measure
from modelyard.evaluation.own_metrics import Metric
from modelyard.evidence import read_evidence, write_evidence
from modelyard.files import has_file, read_json
from modelyard.gates import Evaluation, load_gates
from modelyard.modelling.predicting import Floats
from modelyard.own_code import own_module
from modelyard.project import endpoint_folder
from modelyard.releases.collected_answers import Joined, join, pair, read_side, read_truth
from modelyard.releases.endpoint import Event
from modelyard.releases.sequential_test import (
    FEWEST,
    POWER,
    TIGHTEST,
    decide,
    fixed_sample,
    half_width,
    planning_error,
)
from modelyard.reports.wording import finite

FEWEST_OF_A_CLASS = 20
BY_CLASS = {"balanced_accuracy", "macro_f1", "roc_auc_ovr"}  # of several classes, all alike
SECOND = {"binary": "accuracy", "multiclass": "accuracy", "regression": "mae"}


@dataclass(frozen=True)
class Difference:
    """The difference of a metric between B and A; positive if B is better, for any metric.

    Attributes:
        error: standard error, by bootstrap.
        drawn: the difference on the rows as they are, then on each resample.
        sides: the metric of A and of B.
    """

    value: float
    error: float
    drawn: Floats
    sides: dict[str, float]


def ab_report(
    root: Path,
    a: str,
    b: str,
    *,
    endpoint: str = "local",
    minimal_difference: float | None = None,
    collected: Path | None = None,
    periods_of: Callable[[str], list[str]] | None = None,
) -> dict[str, Any]:
    """Compare two versions or deployments; write ab.json, and return its details.

    Args:
        root: the project.
        a: a version (`3` or `v3`), DEPLOYMENT, or DEPLOYMENT@SINCE/UNTIL (ISO 8601; either may be empty).
        b: likewise.
        endpoint: of both.
        minimal_difference: smallest difference that matters; default: `below_champion` of the gates.
        collected: collected rows and ground truth; default: `.collected` of the project.
        periods_of: gives the periods in which deployments served a version; default: of this machine.

    Raises:
        UsageError: a version was never deployed there, there is nothing to compare, or the smallest
            difference is not above 0.
    """
    rules = load_contract(root / "conf" / "contract.yml")
    gates_file = root / "conf" / "gates.yml"
    gates = load_gates(gates_file)
    own = load_metrics(own_module(root, "metrics"), rules.kind)
    metric = deciding_metric(gates, rules, gates_file, own)
    minimal = minimal_difference
    if minimal is None:
        minimal = gates.promotion_of(rules.kind).below_champion
    if not minimal > 0:
        raise UsageError(
            f"expected a smallest difference above 0, found {minimal:g}; give --minimal-difference, or "
            f"set promotion.{rules.kind}.below_champion in {gates_file}"
        )
    find = periods_of or functools.partial(deployed, root, endpoint)
    periods = {"A": _periods(find, a), "B": _periods(find, b)}
    collected = collected or root / ".collected"
    truth = read_truth(collected / "ground_truth", rules)
    paired, sides = pair(
        {
            label: join([read_side(word) for word in words], collected / endpoint, truth, rules)
            for label, words in periods.items()
        }
    )
    confidence = gates.evaluation.confidence
    alpha = 1 - confidence
    metrics = list(dict.fromkeys((metric, SECOND[rules.kind])))
    compared = {name: differ(rules, sides, name, paired, gates.evaluation, own) for name in metrics}
    found = compared[metric]
    rows = len(sides["A"].ids) if paired else sum(len(side.ids) for side in sides.values())
    lacking = {name: rows_lacking(rules, sides, rows, name) for name in metrics}
    verdict = decide(found.value, found.error, rows, minimal, alpha, lacking=lacking[metric])
    names = {"A": _name(a), "B": _name(b)}
    details = {
        "verdict": verdict.choice,
        "reason": verdict.reason,
        "metric": metric,
        "paired": paired,
        "minimal_difference": minimal,
        "confidence": confidence,
        "power": POWER,
        "rows_needed": verdict.needed,
        "rows_needed_at_one_look": fixed_sample(
            planning_error(found.error, rows), rows, minimal, alpha
        )
        if rows
        else None,
        "rows_at_the_latest": verdict.latest,
        "rows_more": verdict.more,
        "rows_lacking": lacking[metric],
        "group": rules.group,
        "grouped": rules.group in truth,
        "endpoint": endpoint,
        "sides": {
            label: {
                "name": names[label],
                "from": words,
                "collected": sides[label].collected,
                "rows": len(sides[label].ids),
                "metrics": {name: compared[name].sides[label] for name in metrics},
            }
            for label, words in periods.items()
        },
        "differences": {
            name: _intervals(compared[name], 0 if lacking[name] else rows, alpha, confidence)
            for name in metrics
        },
    }
    folder = endpoint_folder(root, endpoint) / "ab"
    write_evidence(
        folder,
        "ab",
        params={"minimal_difference": minimal, "metric": metric, "tightest": TIGHTEST},
        metrics={"difference": found.value, "low": verdict.low, "high": verdict.high, "rows": rows},
        tags={"verdict": verdict.choice},
        details=details,
    )
    written: dict[str, Any] = read_evidence(folder, "ab")["details"]
    return written


def deployed(root: Path, endpoint: str, version: str) -> list[str]:
    """List the periods in which a deployment served a version, as DEPLOYMENT@SINCE/UNTIL.

    Raises:
        UsageError: the version was never deployed.
    """
    file = endpoint_folder(root, endpoint) / "history.json"
    history = read_json(file, list[Event]) if has_file(file) else []
    periods, known = [], set()
    for number, event in enumerate(history):
        known.add(event["version"])
        if (event["event"], event["version"]) != ("deployed", version):
            continue
        name = event["deployment"]
        later = (one["at"] for one in history[number + 1 :] if one["deployment"] == name)
        periods.append(f"{name}@{event['at']}/{next(later, '')}")
    if not periods:
        were = ", ".join(f"v{one}" for one in sorted(known, key=int)) or "none"
        raise UsageError(
            f"v{version} was never deployed to `{endpoint}`; versions that were: {were}"
        )
    return periods


def _periods(find: Callable[[str], list[str]], given: str) -> list[str]:
    number = _version(given)
    return find(number) if number else [given]


def _name(given: str) -> str:
    number = _version(given)
    return f"v{number}" if number else given


def _version(given: str) -> str | None:
    found = re.fullmatch(r"v?(\d+)", given)
    return found[1] if found else None


def differ(
    contract: Contract,
    sides: dict[str, Joined],
    metric: str,
    paired: bool,
    settings: Evaluation,
    own: Mapping[str, Metric] | None = None,
) -> Difference:
    """Compare a metric: on the same resamples of rows if paired, else on independent ones."""

    def drawn(labels: list[str], seed: int) -> dict[str, Floats]:
        measures = {
            label: measure(
                contract.kind, sides[label].truth, sides[label].prediction, only=metric, own=own
            )
            for label in labels
        }
        side = sides[labels[0]]
        found = bootstrap(
            measures,
            len(side.ids),
            resamples=settings.resamples,
            seed=seed,
            together=side.together,
        )
        return {label: found[label][metric] for label in labels}

    if not all(len(side.ids) for side in sides.values()):
        nothing = dict.fromkeys(sides, math.nan)
        return Difference(math.nan, math.nan, np.full(2, np.nan), nothing)
    seed = settings.seed
    found = drawn(["A", "B"], seed) if paired else {**drawn(["A"], seed), **drawn(["B"], seed + 1)}
    gain = found["B"] - found["A"]
    gain = gain if directions(contract.kind, own)[metric] else -gain
    kept = gain[1:][~np.isnan(gain[1:])]
    error = float(kept.std(ddof=1)) if len(kept) > 1 else math.nan
    if error == 0 and contract.kind != "regression" and not _answer_alike(sides, paired):
        # Without any error on these rows; as if one row of either side had another answer.
        error = math.sqrt(2) / min(_fewest(contract, side, metric) for side in sides.values())
    ends = {label: float(values[0]) for label, values in found.items()}
    return Difference(float(gain[0]), error, gain, ends)


def rows_lacking(contract: Contract, sides: dict[str, Joined], rows: int, metric: str) -> int:
    """Estimate how many rows have to come before the interval of a metric is valid; 0: none.

    Each side needs FEWEST rows, and FEWEST_OF_A_CLASS of each class that the metric counts apart, all
    rows of a group counted as one. Sides and classes keep their shares.
    """
    growth = 1.0
    for side in sides.values():
        if not len(side.ids):
            return 2 * FEWEST
        growth = max(growth, FEWEST / len(np.unique(side.together)))
        if contract.kind == "binary" or metric in BY_CLASS:
            growth = max(growth, FEWEST_OF_A_CLASS / _rarest(contract, side))
    return math.ceil(rows * growth) - rows


def _rarest(contract: Contract, side: Joined) -> int:
    """Count the groups with the rarest class, at least 1; a class of several that never happens is left out."""
    classes = (False, True) if contract.kind == "binary" else np.unique(side.truth)
    return max(min(len(np.unique(side.together[side.truth == one])) for one in classes), 1)


def _fewest(contract: Contract, side: Joined, metric: str) -> int:
    return len(np.unique(side.together)) if metric == "accuracy" else _rarest(contract, side)


def _answer_alike(sides: dict[str, Joined], paired: bool) -> bool:
    a, b = sides["A"].prediction, sides["B"].prediction
    return paired and np.array_equal(a.score, b.score) and np.array_equal(a.label, b.label)


def show(details: dict[str, Any]) -> None:
    """Print both sides, their difference, and the decision."""
    a, b = details["sides"]["A"], details["sides"]["B"]
    lines = []
    for metric, found in details["differences"].items():
        lines.append(
            (
                f"{metric} *" if metric == details["metric"] else metric,
                _number(a["metrics"][metric]),
                _number(b["metrics"][metric]),
                _signed(found["difference"]),
                f"{_signed(found['low'])} – {_signed(found['high'])}"
                if finite(found["low"]) is not None
                else "none yet",
            )
        )
    rows = (
        f"{a['rows']:,} and {b['rows']:,} rows" if not details["paired"] else f"{a['rows']:,} rows"
    )
    how = "answered by both" if details["paired"] else "answered by one of them"
    headings = (
        "metric",
        f"A {a['name']}",
        f"B {b['name']}",
        "B better by",
        "interval, always valid",
    )
    out = console()
    out.print(table(f"{rows}, {how} (* decides)", headings, lines, right=headings[1:]))
    waiting = [f"{side['collected']:,} of {side['name']}" for side in (a, b)]
    print(f"answers collected: {', '.join(waiting)}; the others have no ground truth yet")
    if details["group"]:
        print(
            f"rows of one {details['group']} count together"
            if details["grouped"]
            else f"rows of one {details['group']} count as independent, so the interval may be too "
            f"narrow: add {details['group']} to the ground truth"
        )
    if details["rows_needed"] is not None:
        print(
            f"a difference of {details['minimal_difference']:g} is found with {details['power']:.0%} "
            f"probability in {_rounded(details['rows_needed'])} rows "
            f"({_rounded(details['rows_needed_at_one_look'])} if checked only once); the test ends after "
            f"{_rounded(details['rows_at_the_latest'])} at the latest"
        )
    decision = {
        "A": f"decide for A, {a['name']}",
        "B": f"decide for B, {b['name']}",
        "wait": f"wait for {_more(details)} more rows",
        "stop": "stop: keep the simpler one",
    }[details["verdict"]]
    print(f"{decision} ({details['reason']})")


def _more(details: dict[str, Any]) -> str:
    more = details["rows_more"]
    if details["rows_lacking"]:
        return f"at least {_rounded(more)}"
    rows = [side["rows"] for side in details["sides"].values()]
    after = (rows[0] if details["paired"] else sum(rows)) + more
    return f"{'about' if after == details['rows_needed'] else 'up to'} {_rounded(more)}"


def _rounded(rows: int) -> str:
    """Write an estimate with two digits, rounded up."""
    step = 10 ** max(len(str(rows)) - 2, 0)
    return f"{-(-rows // step) * step:,}"


def _intervals(found: Difference, rows: int, alpha: float, confidence: float) -> dict[str, Any]:
    half = half_width(found.error, rows, alpha) if rows and math.isfinite(found.error) else math.nan
    once = interval(found.drawn, confidence)
    return {
        "difference": found.value,
        "standard_error": found.error,
        "low": found.value - half,
        "high": found.value + half,
        "at_one_look": {"low": once.low, "high": once.high},
    }


def _number(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.4f}"


def _signed(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:+.4f}"
