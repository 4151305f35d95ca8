"""Target leakage: copies of the target, and features that predict it nearly alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

ROWS_LOOKED_AT = 50_000
FEWEST_ROWS = 40
BINS = 64
NEARLY_ALL = 0.95  # share of errors (or of variance) that one feature alone removes
NEARLY_PERFECT = 0.995  # area under the ROC curve of one number
CHANCE = 1e-6
MUCH = 0.5  # share of the target's variance that a column explains alone
FAR_ABOVE = 5.0  # times what the best of the other columns explains
FEWEST_OTHERS = 3
MOST_TOGETHER = 3  # more good columns than that are a good table, not a leak
EXACT = 1e-6  # share of the target's variance that a sum leaves
SLIGHT = 1e-3  # weight, in standard deviations of the target, of a column that is no part of a sum
CAUTION = 5.0  # rows' worth of belief in the mean, so that rare values explain nothing by chance


@dataclass(frozen=True)
class Suspicion:
    """The reason why a column may leak the target; `is_copy` where it is a copy."""

    reason: str
    is_copy: bool = False


def suspicions(
    features: Mapping[str, pd.Series], target: pd.Series, *, is_number: bool
) -> dict[str, Suspicion]:
    """Find features that may leak the target, each alone, in at most 50,000 evenly spaced rows.

    Args:
        features: canonical columns by name.
        target: canonical, same rows.
        is_number: a regression target; else the target holds classes.

    Returns:
        Only the features that look suspicious.
    """
    rows = np.flatnonzero(target.notna().to_numpy())
    rows = rows[:: max(1, len(rows) // ROWS_LOOKED_AT)]
    if len(rows) < FEWEST_ROWS:
        return {}
    goal = target.iloc[rows]
    answer = goal.to_numpy(float) if is_number else pd.factorize(goal)[0]
    found = {}
    explained = {}
    for name, feature in features.items():
        values = feature.iloc[rows]
        suspicion = _suspicion(values, answer, goal, is_number=is_number)
        if suspicion:
            found[name] = suspicion
        else:
            explained[name] = _explained(_bins(values), answer, is_number=is_number)
    if is_number:
        clean = {n: f.iloc[rows] for n, f in features.items() if n not in found}
        found |= _adding_up(clean, answer)
    return found | {n: s for n, s in _standing_out(explained).items() if n not in found}


def _adding_up(features: Mapping[str, pd.Series], answer: np.ndarray) -> dict[str, Suspicion]:
    """Find numbers that add up to the target, such as the parts of a sum.

    The weights are fitted on every other row and hold on the rest, which no measurement does.
    """
    parts = {
        name: values.to_numpy("float64")
        for name, values in features.items()
        if values.dtype.kind in "iuf" and not values.isna().any() and values.nunique() > 1
    }
    if len(parts) < 2 or len(answer) < FEWEST_ROWS + 4 * len(parts):
        return {}
    columns = np.column_stack(list(parts.values()))
    with np.errstate(all="ignore"):
        columns = (columns - columns.mean(axis=0)) / columns.std(axis=0)
        goal = (answer - answer.mean()) / answer.std()
    if not (np.isfinite(columns).all() and np.isfinite(goal).all()):
        return {}
    weights = np.linalg.lstsq(columns[::2], goal[::2], rcond=None)[0]
    offset = float((goal[::2] - columns[::2] @ weights).mean())
    left = goal[1::2] - columns[1::2] @ weights - offset
    if float((left**2).mean()) > EXACT:
        return {}
    names = [name for name, weight in zip(parts, weights, strict=True) if abs(weight) > SLIGHT]
    return {
        name: Suspicion(
            "the target is a sum of this and " + ", ".join(f'"{n}"' for n in names if n != name)
        )
        for name in names
    }


def _standing_out(explained: Mapping[str, float]) -> dict[str, Suspicion]:
    """Find columns that explain much alone where no other explains more than a fifth of that.

    What is known before the outcome comes in several columns that each say something. A column far
    above all the rest often was written down together with the outcome: the delay of a departure,
    where the target is the delay of the arrival. Columns are not added up, since many hold the same.
    """
    strong = [name for name, share in explained.items() if share >= MUCH]
    others = {name: share for name, share in explained.items() if name not in strong}
    if len(others) < FEWEST_OTHERS or not 1 <= len(strong) <= MOST_TOGETHER:
        return {}
    best = max(others, key=lambda name: others[name])
    if min(explained[name] for name in strong) < FAR_ABOVE * others[best]:
        return {}
    return {
        name: Suspicion(
            f"alone it explains {explained[name]:.0%} of the target's variance, the best of the "
            f'other columns, "{best}", {max(0.0, others[best]):.0%}'
        )
        for name in strong
    }


def _explained(bins: np.ndarray, answer: np.ndarray, *, is_number: bool) -> float:
    """Compute the share of variance (of each class's indicator) explained in rows not trained on."""
    seen, known, new, truth = _halves(bins, answer)
    counts = np.bincount(seen, minlength=int(bins.max()) + 1)
    left = total = 0.0
    for part in (None,) if is_number else range(int(answer.max()) + 1):
        given, held_out = (known, truth) if part is None else (known == part, truth == part)
        mean = float(given.mean())
        sums = np.bincount(seen, weights=given, minlength=len(counts))
        means = (sums + CAUTION * mean) / (counts + CAUTION)
        left += float(((held_out - means[new]) ** 2).sum())
        total += float(((held_out - mean) ** 2).sum())
    return 1 - left / total if total else 0.0


def _suspicion(
    values: pd.Series, answer: np.ndarray, goal: pd.Series, *, is_number: bool
) -> Suspicion | None:
    bins = _bins(values)
    if is_number:
        if _is_linear(values, answer):
            return Suspicion("the target is this number, shifted or scaled", is_copy=True)
        explained = _variance_explained(bins, answer)
        if explained >= NEARLY_ALL:
            return Suspicion(f"alone it explains {explained:.1%} of the target's variance")
        return None
    if _is_renamed(values, answer):
        return Suspicion("each of its values stands for one class", is_copy=True)
    removed = _errors_removed(bins, answer)
    if removed >= NEARLY_ALL:
        return Suspicion(
            f"alone it avoids {removed:.1%} of the errors of guessing the commonest class"
        )
    ranking = _ranking(values, answer)
    if ranking >= NEARLY_PERFECT:
        return Suspicion(f"alone it ranks the classes almost perfectly (AUC {ranking:.3f})")
    return _missing_pattern(values.isna().to_numpy(), answer, goal)


def _bins(values: pd.Series) -> np.ndarray:
    """Bin values (rows,): quantiles of numbers, codes of other values, 0 for missing ones."""
    if values.dtype.kind not in "iufM":
        return pd.factorize(values)[0] + 1
    numbers = values.to_numpy("float64") if values.dtype.kind != "M" else _seconds(values)
    known = numbers[~np.isnan(numbers)]
    if not len(known):
        return np.zeros(len(numbers), dtype=np.int64)
    count = min(BINS, max(2, len(known) // 10))
    edges = np.unique(np.quantile(known, np.linspace(0, 1, count + 1)[1:-1]))
    return np.where(np.isnan(numbers), 0, 1 + np.searchsorted(edges, numbers, side="left"))


def _seconds(values: pd.Series) -> np.ndarray:
    seconds = values.astype("int64").to_numpy() / 1e9
    return np.where(values.isna(), np.nan, seconds)


def _halves(bins: np.ndarray, answer: np.ndarray) -> tuple[np.ndarray, ...]:
    """Fit on every other row, measure on the rest, so that many distinct values cannot overfit."""
    return bins[::2], answer[::2], bins[1::2], answer[1::2]


def _errors_removed(bins: np.ndarray, answer: np.ndarray) -> float:
    seen, known, new, truth = _halves(bins, answer)
    classes = int(answer.max()) + 1
    common = int(np.bincount(known, minlength=classes).argmax())
    counts = np.zeros((int(bins.max()) + 1, classes), dtype=np.int64)
    np.add.at(counts, (seen, known), 1)
    guess = np.where(counts.any(axis=1), counts.argmax(axis=1), common)
    blind = float((truth != common).mean())
    return 1 - float((guess[new] != truth).mean()) / blind if blind else 0.0


def _ranking(values: pd.Series, answer: np.ndarray) -> float:
    """Compute the area under the ROC curve of a number, in its better direction; 0 where undefined."""
    known = values.notna().to_numpy()
    if values.dtype.kind not in "iufM" or known.mean() < 0.5 or answer.max() != 1:
        return 0.0
    positive = answer[known] == 1
    ones, zeros = int(positive.sum()), int((~positive).sum())
    if not ones or not zeros:
        return 0.0
    ranks = values[known].rank().to_numpy()
    area = float(ranks[positive].sum() - ones * (ones + 1) / 2) / (ones * zeros)
    return max(area, 1 - area)


def _variance_explained(bins: np.ndarray, answer: np.ndarray) -> float:
    seen, known, new, truth = _halves(bins, answer)
    size = int(bins.max()) + 1
    counts = np.bincount(seen, minlength=size)
    sums = np.bincount(seen, weights=known, minlength=size)
    means = np.where(counts > 0, sums / np.maximum(counts, 1), known.mean())
    total = float(((truth - known.mean()) ** 2).sum())
    return 1 - float(((truth - means[new]) ** 2).sum()) / total if total else 0.0


def _is_renamed(values: pd.Series, answer: np.ndarray) -> bool:
    """Return whether values and classes map to each other one to one."""
    if values.isna().any() or values.dtype.kind == "M":
        return False
    codes = pd.factorize(values)[0]
    classes = int(answer.max()) + 1
    if codes.max() + 1 != classes:
        return False
    return len(np.unique(codes.astype(np.int64) * classes + answer)) == classes


def _is_linear(values: pd.Series, answer: np.ndarray) -> bool:
    if values.dtype.kind not in "iuf" or values.isna().any():
        return False
    numbers = values.to_numpy("float64")
    with np.errstate(all="ignore"):
        slope, offset = np.polynomial.polynomial.polyfit(numbers, answer, 1)[::-1]
        error = np.abs(slope * numbers + offset - answer).max()
        return bool(error <= 1e-9 * np.ptp(answer))


def _missing_pattern(missing: np.ndarray, answer: np.ndarray, goal: pd.Series) -> Suspicion | None:
    """Return whether the rarer of missing and filled rows are all of one class, beyond chance."""
    if not missing.any() or missing.all():
        return None
    few = missing if missing.mean() <= 0.5 else ~missing
    classes = np.unique(answer[few])
    if len(classes) > 1:
        return None
    share = float((answer == classes[0]).mean())
    if share ** int(few.sum()) > CHANCE:
        return None
    state = "missing" if few is missing else "filled"
    value = goal.iloc[int(np.argmax(answer == classes[0]))]
    return Suspicion(f"it is {state} only where the target is {value}")
