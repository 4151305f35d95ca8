"""Compare two deployments by what really happened: `python -m <package>.ab --a blue --b green …`.

Predictions that were collected are joined with ground truth by correlation id. The verdict may be
asked for as often as one likes while rows come in: its interval is a confidence sequence, valid at all
looks together, so that looking often does not turn chance into a decision.
"""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from numpy.typing import NDArray

from modelyard.console import console, shown, table
from modelyard.contract.model import Contract, load_contract
from modelyard.data.parts import target_of
from modelyard.errors import UsageError, guarded
from modelyard.evaluation.held_out import deciding_metric
from modelyard.evaluation.metrics import HIGHER_IS_BETTER, Floats, bootstrap, interval, measure
from modelyard.evidence import write_evidence
from modelyard.gates import load_gates
from modelyard.modelling.predicting import Prediction

ID, COLLECTED_AT, KNOWN_AT = "correlationid", "collected_at", "known_at"
POWER = 0.8
FEWEST = 100  # rows of each side; the interval is an asymptotic one
FEWEST_OF_A_CLASS = 20
TIGHTEST = (
    10_000  # rows at which the interval is as narrow as it can be; set beforehand, for all looks
)
PAIRED_SHARE = 0.5  # of the smaller side must be answered by both
SECOND = {"binary": "accuracy", "multiclass": "accuracy", "regression": "mae"}

Choice = Literal["A", "B", "wait", "stop"]


@dataclass(frozen=True)
class Side:
    """A deployment's collected answers, in a stretch of time.

    Attributes:
        since: first moment; None: from the beginning. `until`: first moment after; None: no end.
    """

    deployment: str
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class Joined:
    """Answers whose truth is known.

    Attributes:
        ids: correlation ids (rows,).
        collected: answers there are, known truth or not.
    """

    ids: NDArray[Any]
    truth: NDArray[Any]
    prediction: Prediction
    collected: int

    def at(self, rows: NDArray[Any]) -> Joined:
        """Some of the rows (indices)."""
        return Joined(self.ids[rows], self.truth[rows], self.prediction.at(rows), self.collected)


@dataclass(frozen=True)
class Verdict:
    """What the difference so far allows to do.

    Attributes:
        low: end of the interval that is valid at all looks together; `high`: the other.
        needed: rows for which a difference of `minimal` is found with a probability of POWER.
        more: rows to wait for; 0 where there is a decision.
    """

    choice: Choice
    low: float
    high: float
    needed: int | None
    more: int
    reason: str


def main(argv: list[str] | None = None) -> int:
    """Command line of the report."""
    parser = argparse.ArgumentParser(prog="ab", description="Compare two deployments.")
    parser.add_argument("--contract", type=Path, required=True, help="conf/contract.yml")
    parser.add_argument("--gates", type=Path, required=True, help="conf/gates.yml")
    parser.add_argument("--collected", type=Path, required=True, help=".collected")
    parser.add_argument("--endpoint", default="local", help="whose deployments these are")
    for name in ("a", "b"):
        parser.add_argument(
            f"--{name}",
            action="append",
            required=True,
            help="DEPLOYMENT or DEPLOYMENT@SINCE/UNTIL (ISO 8601; either may be empty); repeatable",
        )
        parser.add_argument(f"--name-{name}", help="what to call it")
    parser.add_argument(
        "--minimal-difference",
        type=float,
        help="what is worth a decision; default: below_champion of the gates",
    )
    parser.add_argument("--evidence", type=Path, required=True, help="folder for ab.json")
    return guarded(compare, **vars(parser.parse_args(argv)))


def compare(
    contract: Path,
    gates: Path,
    collected: Path,
    endpoint: str,
    a: list[str],
    b: list[str],
    name_a: str | None,
    name_b: str | None,
    minimal_difference: float | None,
    evidence: Path,
) -> None:
    """Write ab.json and print it.

    Raises:
        UsageError: there is nothing to compare, or no difference to look for.
    """
    rules = load_contract(contract)
    limits = load_gates(gates)
    metric = deciding_metric(limits, rules, gates)
    minimal = minimal_difference
    if minimal is None:
        minimal = limits.promotion_of(rules.kind).below_champion
    if not minimal > 0:
        raise UsageError(
            "which difference is worth a decision? Name one above 0 with --minimal-difference, or set "
            f"promotion.{rules.kind}.below_champion in {gates}."
        )
    truth = read_truth(collected / "ground_truth", rules)
    sides = {
        label: join([read_side(word) for word in words], collected / endpoint, truth, rules)
        for label, words in (("A", a), ("B", b))
    }
    names = {"A": name_a or a[0].partition("@")[0], "B": name_b or b[0].partition("@")[0]}
    paired, sides = pair(sides)
    alpha = 1 - limits.evaluation.confidence
    metrics = list(dict.fromkeys((metric, SECOND[rules.kind])))
    compared = {
        metric: differ(
            rules, sides, metric, paired, limits.evaluation.resamples, limits.evaluation.seed
        )
        for metric in metrics
    }
    enough = enough_rows(rules, sides)
    found = compared[metric]
    rows = _total(sides, paired)
    verdict = decide(found.value, found.error, rows, minimal, alpha, enough=enough)
    details = {
        "verdict": verdict.choice,
        "reason": verdict.reason,
        "metric": metric,
        "paired": paired,
        "minimal_difference": minimal,
        "confidence": limits.evaluation.confidence,
        "power": POWER,
        "rows_needed": verdict.needed,
        "rows_needed_at_one_look": fixed_sample(found.error, rows, minimal, alpha),
        "rows_more": verdict.more,
        "endpoint": endpoint,
        "sides": {
            label: {
                "name": names[label],
                "from": words,
                "collected": sides[label].collected,
                "rows": len(sides[label].ids),
                "metrics": {metric: compared[metric].sides[label] for metric in metrics},
            }
            for label, words in (("A", a), ("B", b))
        },
        "differences": {
            metric: _told(compared[metric], rows, alpha, limits.evaluation.confidence)
            for metric in metrics
        },
    }
    write_evidence(
        evidence,
        "ab",
        params={"minimal_difference": minimal, "metric": metric, "tightest": TIGHTEST},
        metrics={"difference": found.value, "low": verdict.low, "high": verdict.high, "rows": rows},
        tags={"verdict": verdict.choice},
        details=details,
    )
    show(details)


@dataclass(frozen=True)
class Difference:
    """How much better B is than A; positive is better, whatever the metric's direction.

    Attributes:
        error: standard error, by the bootstrap.
        drawn: the difference on the rows as they are, then on every resample.
        sides: value of A and of B.
    """

    value: float
    error: float
    drawn: Floats
    sides: dict[str, float]


def read_side(word: str) -> Side:
    """DEPLOYMENT or DEPLOYMENT@SINCE/UNTIL.

    Raises:
        UsageError: it is neither.
    """
    deployment, at, stretch = word.partition("@")
    since, slash, until = stretch.partition("/")
    if not deployment or (at and not slash):
        raise UsageError(f"expected DEPLOYMENT or DEPLOYMENT@SINCE/UNTIL, found {word!r}.")
    return Side(deployment, _moment(since, word), _moment(until, word))


def read_truth(folder: Path, contract: Contract) -> pd.DataFrame:
    """What really happened: correlation id and target; the latest word on an id counts.

    Raises:
        UsageError: there is none.
    """
    target = contract.target.column
    files = sorted(str(file) for file in folder.glob("*.parquet"))
    if not files:
        raise UsageError(f"{folder} holds no ground truth: nothing can be compared yet.")
    content = _read(files, [ID, target, KNOWN_AT]).to_pandas()
    content = content.dropna(subset=[ID, target]).sort_values(KNOWN_AT, kind="stable")
    known: pd.DataFrame = content.drop_duplicates(ID, keep="last")[[ID, target]]
    return known


def join(sides: list[Side], endpoint: Path, truth: pd.DataFrame, contract: Contract) -> Joined:
    """A side's answers with what really happened; the first answer to an id counts.

    Raises:
        UsageError: nothing was collected.
    """
    outputs = pd.concat([read_outputs(side, endpoint, contract) for side in sides])
    outputs = outputs.drop_duplicates(ID)
    rows = outputs.merge(truth, on=ID, how="inner")
    if contract.kind != "regression" and contract.target.classes:
        rows = rows[rows[contract.target.column].isin(contract.target.classes)]
    if contract.kind == "regression":
        score = rows["prediction"].to_numpy(dtype=np.float64)
        prediction = Prediction(score, score)
    elif contract.kind == "binary":
        score = rows["probability"].to_numpy(dtype=np.float64)
        label = (rows["prediction"] == contract.target.positive).to_numpy(dtype=bool)
        prediction = Prediction(score, label)
    else:
        classes = list(contract.target.classes or ())
        columns = [f"probability_{shown(value)}" for value in classes]
        index = {value: i for i, value in enumerate(classes)}
        predicted = rows["prediction"].map(index).fillna(-1).to_numpy(dtype=np.int64)
        prediction = Prediction(rows[columns].to_numpy(dtype=np.float64), predicted)
    return Joined(rows[ID].to_numpy(), target_of(rows, contract), prediction, len(outputs))


def read_outputs(side: Side, endpoint: Path, contract: Contract) -> pd.DataFrame:
    """What a deployment answered: id, prediction and probabilities.

    Raises:
        UsageError: nothing was collected of it.
    """
    folder = endpoint / side.deployment / "model_outputs"
    files = sorted(str(file) for file in folder.rglob("[!.]*.parquet"))
    if not files:
        known = sorted(path.name for path in endpoint.glob("*") if path.is_dir())
        raise UsageError(
            f"{folder} holds nothing: deployments with collected data are {', '.join(known) or 'none'}."
        )
    columns = [ID, COLLECTED_AT, "prediction"]
    if contract.kind == "binary":
        columns.append("probability")
    elif contract.kind == "multiclass":
        columns += [f"probability_{shown(value)}" for value in contract.target.classes or ()]
    kept: Any = None
    for moment, compared in ((side.since, pc.greater_equal), (side.until, pc.less)):
        if moment is not None:
            rule = compared(pc.field(COLLECTED_AT), pa.scalar(moment, pa.timestamp("us", "UTC")))
            kept = rule if kept is None else kept & rule
    content = _read(files, columns, kept)
    found: pd.DataFrame = content.to_pandas().drop(columns=COLLECTED_AT)
    return found


def pair(sides: dict[str, Joined]) -> tuple[bool, dict[str, Joined]]:
    """Whether most rows were answered by both (mirrored traffic); then only those are compared."""
    a, b = sides["A"], sides["B"]
    in_a, in_b = np.intersect1d(a.ids, b.ids, return_indices=True)[1:]
    if not len(in_a) or len(in_a) < PAIRED_SHARE * min(len(a.ids), len(b.ids)):
        return False, sides
    return True, {"A": a.at(in_a), "B": b.at(in_b)}


def differ(
    contract: Contract,
    sides: dict[str, Joined],
    metric: str,
    paired: bool,
    resamples: int,
    seed: int,
) -> Difference:
    """How much better B is: on the same resamples of rows where paired, else on independent ones."""

    def drawn(labels: list[str], seed: int) -> dict[str, Floats]:
        measures = {
            label: measure(contract.kind, sides[label].truth, sides[label].prediction, only=metric)
            for label in labels
        }
        rows = len(sides[labels[0]].ids)
        found = bootstrap(measures, rows, resamples=resamples, seed=seed)
        return {label: found[label][metric] for label in labels}

    if not all(len(side.ids) for side in sides.values()):
        nothing = dict.fromkeys(sides, math.nan)
        return Difference(math.nan, math.nan, np.full(2, np.nan), nothing)
    found = drawn(["A", "B"], seed) if paired else {**drawn(["A"], seed), **drawn(["B"], seed + 1)}
    gain = found["B"] - found["A"]
    gain = gain if HIGHER_IS_BETTER[contract.kind][metric] else -gain
    kept = gain[1:][~np.isnan(gain[1:])]
    error = float(kept.std(ddof=1)) if len(kept) > 1 else math.nan
    ends = {label: float(values[0]) for label, values in found.items()}
    return Difference(float(gain[0]), error, gain, ends)


def decide(
    difference: float,
    error: float,
    rows: int,
    minimal: float,
    alpha: float,
    *,
    enough: bool = True,
) -> Verdict:
    """A for the old one, B for the new one, wait for more rows, or stop: neither is worth it.

    A decision falls when the interval excludes 0; one for nobody when it lies within ±`minimal`.

    Args:
        difference: how much better B is.
        error: its standard error.
        rows: both sides together, or pairs.
        minimal: the difference that is worth a decision.
        alpha: probability of ever deciding for one where there is no difference.
        enough: rows for an asymptotic interval.
    """
    if not enough or not math.isfinite(difference) or not math.isfinite(error):
        return Verdict(
            "wait", -math.inf, math.inf, None, 2 * FEWEST, "too few rows to say anything"
        )
    half = half_width(error, rows, alpha)
    low, high = difference - half, difference + half
    needed = sample_size(error, rows, minimal, alpha)
    if low > 0:
        return Verdict("B", low, high, needed, 0, "B is better: the interval is above 0")
    if high < 0:
        return Verdict("A", low, high, needed, 0, "A is better: the interval is below 0")
    if -minimal < low and high < minimal:
        return Verdict("stop", low, high, needed, 0, "no difference worth having")
    # As things stand it ends when the interval is narrow enough for the nearer of the two ends.
    as_it_stands = _rows_until(
        error, rows, alpha, lambda width, _: width < max(abs(difference), minimal - abs(difference))
    )
    more = max(min(needed, as_it_stands), rows + 1) - rows
    return Verdict("wait", low, high, needed, more, "the interval still allows either")


def half_width(error: float, rows: float, alpha: float) -> float:
    """Half the width of an asymptotic confidence sequence: valid at all looks together.

    Robbins' normal mixture with an estimated variance, equation 3 of Waudby-Smith, Arbour, Sinha,
    Kennedy & Ramdas 2024, Time-uniform central limit theory and asymptotic confidence sequences,
    Ann. Statist. 52:2613. The price of looking at will is an interval about 1.5 times as wide as
    that of a single look.

    Args:
        error: standard error of the estimate.
        rows: it is made from.
        alpha: probability of missing the truth at any look.
    """
    start = -2 * math.log(alpha)
    rho = (start + math.log(start + 1)) / TIGHTEST
    grown = rows * rho + 1
    spread = error * math.sqrt(rows)
    return spread * math.sqrt(2 * grown * math.log(math.sqrt(grown) / alpha) / rho) / rows


def sample_size(error: float, rows: int, minimal: float, alpha: float) -> int:
    """Rows with which a difference of `minimal` is decided, with a probability of POWER.

    The standard error shrinks with the root of the rows; the shares of the sides stay as they are.
    """
    shift = NormalDist().inv_cdf(POWER)
    return _rows_until(error, rows, alpha, lambda width, error: width + shift * error <= minimal)


def fixed_sample(error: float, rows: int, minimal: float, alpha: float) -> int | None:
    """Rows for the same at a single look, planned beforehand (Fleiss 1981, ch. 3)."""
    if not math.isfinite(error):
        return None
    normal = NormalDist()
    reach = normal.inv_cdf(1 - alpha / 2) + normal.inv_cdf(POWER)
    return math.ceil(rows * (reach * error / minimal) ** 2)


def _rows_until(error: float, rows: int, alpha: float, is_enough: Any) -> int:
    """The fewest rows with which a condition on the half width and the error holds."""

    def holds(count: int) -> bool:
        then = error * math.sqrt(rows / count)
        return bool(is_enough(half_width(then, count, alpha), then))

    high = 1
    while not holds(high):
        high *= 2
        if high > 10**15:
            return high
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def enough_rows(contract: Contract, sides: dict[str, Joined]) -> bool:
    """Whether both sides have rows enough, of both classes where there are two."""
    for side in sides.values():
        if len(side.ids) < FEWEST:
            return False
        if contract.kind == "binary":
            positive = int(side.truth.sum())
            if min(positive, len(side.truth) - positive) < FEWEST_OF_A_CLASS:
                return False
    return True


def show(details: dict[str, Any]) -> None:
    """Print both sides, the difference, and what to do."""
    a, b = details["sides"]["A"], details["sides"]["B"]
    lines = []
    for metric, found in details["differences"].items():
        lines.append(
            (
                f"{metric} *" if metric == details["metric"] else metric,
                _number(a["metrics"][metric]),
                _number(b["metrics"][metric]),
                _signed(found["difference"]),
                f"{_signed(found['low'])} – {_signed(found['high'])}",
            )
        )
    rows = (
        f"{a['rows']:,} and {b['rows']:,} rows" if not details["paired"] else f"{a['rows']:,} rows"
    )
    how = "answered by both" if details["paired"] else "answered by one or the other"
    headings = ("metric", f"A {a['name']}", f"B {b['name']}", "B better by", "valid at every look")
    out = console()
    out.print(table(f"{rows}, {how} (* decides)", headings, lines, right=headings[1:]))
    waiting = [f"{side['collected']:,} of {side['name']}" for side in (a, b)]
    print(f"answers collected: {', '.join(waiting)}; the others' truth is not known yet")
    if details["rows_needed"] is not None:
        print(
            f"a difference of {details['minimal_difference']:g} is found with {details['power']:.0%} "
            f"probability in {details['rows_needed']:,} rows "
            f"({details['rows_needed_at_one_look']:,} if looked at once only)"
        )
    what = {
        "A": f"decide for A, {a['name']}",
        "B": f"decide for B, {b['name']}",
        "wait": f"wait for about {details['rows_more']:,} more rows",
        "stop": "stop: keep whichever is simpler to run",
    }[details["verdict"]]
    print(f"{what} ({details['reason']})")


def _told(found: Difference, rows: int, alpha: float, confidence: float) -> dict[str, Any]:
    half = half_width(found.error, rows, alpha) if rows and math.isfinite(found.error) else math.nan
    once = interval(found.drawn, confidence)
    return {
        "difference": found.value,
        "standard_error": found.error,
        "low": found.value - half,
        "high": found.value + half,
        "at_one_look": {"low": once.low, "high": once.high},
    }


def _total(sides: dict[str, Joined], paired: bool) -> int:
    return len(sides["A"].ids) if paired else sum(len(side.ids) for side in sides.values())


def _read(files: list[str], columns: list[str], kept: Any = None) -> pa.Table:
    try:
        return ds.dataset(files, format="parquet").to_table(columns=columns, filter=kept)
    except (pa.ArrowException, OSError, KeyError) as error:
        raise UsageError(f"{files[0]} and beside: {str(error).splitlines()[0]}") from None


def _moment(text: str, word: str) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{word}: expected times such as 2024-03-01T12:00, found {text!r}."
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _number(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.4f}"


def _signed(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:+.4f}"


if __name__ == "__main__":
    sys.exit(main())
