"""Shapley values: the contribution of each column to the prediction of a row.

They are estimated by sampling (Shapley 1953; Štrumbelj and Kononenko 2014, Knowl. Inf. Syst. 41:647):
in a random order of the columns, the values of a training row are replaced one by one by those of the
explained row, and each column is given the change that it makes. Each order is taken forwards and
backwards, which lowers the error (Mitchell et al. 2022, JMLR 23:43). The changes of an order add up to
the prediction of the explained row less that of the training row, so contributions and base add up to
the prediction exactly; the error is that of their division among the columns. Values are replaced
regardless of the other columns (Janzing et al. 2020, AISTATS): the contributions describe the model,
not causes of the outcome.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from modelyard.console import console, shown, table
from modelyard.contract.model import Contract, load_contract
from modelyard.contract.reading import missing_columns
from modelyard.data.cells import described, parse
from modelyard.data.parts import read_part
from modelyard.data.table import read_file
from modelyard.errors import UsageError
from modelyard.evaluation.what_if import (
    Change,
    changed,
    in_words,
    predicted_class,
    read_changes,
)
from modelyard.evidence import plain
from modelyard.modelling.predicting import Floats, predict, threads_for
from modelyard.modelling.saving import CONTRACT_FILE, load_model

BACKGROUND_ROWS = 200
FEWEST_ROWS = 20
SCORED_ROWS = 100_000  # for one row: wide tables are explained with fewer rows of training data
WALKED_CELLS = 20_000_000  # held at a time, rows x columns
MOST_EXPLAINED = 100
SHOWN = 15
ERRORS = 1.96  # of a mean, for an interval of 95%


@dataclass(frozen=True)
class Explanation:
    """Contributions to a prediction: `base` and `contributions` add up to `prediction`.

    Attributes:
        prediction: binary, probability of the positive class; multiclass, of the predicted class;
            regression, the value.
        about: what the prediction is of, in words.
        base: mean prediction of the training rows that were compared with.
        contributions: of each column (columns,), in the order of the contract's features.
        errors: half the 95% interval of each contribution (columns,).
    """

    prediction: float
    about: str
    base: float
    contributions: Floats
    errors: Floats


def explain_rows(
    model: Path,
    prepared: Path,
    data: Path,
    number: int | None = None,
    as_json: bool = False,
    what_if: Sequence[str] = (),
) -> None:
    """Explain rows of a file, and print tables or JSON.

    Args:
        model: the model's folder.
        prepared: folder with the rows it was trained on.
        data: rows, CSV or Parquet.
        number: of one row, from 1; default: all, at most 100.
        as_json: print JSON.
        what_if: other values, as COLUMN=VALUE: rows are explained as they are, and with these.

    Raises:
        UsageError: when the rows, the model or the training data do not fit the model's contract.
    """
    contract = model_contract(model)
    changes = read_changes(what_if, contract, prepared)
    rows = read_features(data, contract)
    chosen = _chosen(rows, number, data)
    background = read_part(prepared, "train", contract)[contract.features]
    loaded = load_model(model)
    for change in changes:
        if change.warning:
            print(f"warning: {change.warning}", file=sys.stderr)
    found = []
    for position in chosen:
        row = rows.iloc[[position]]
        explanation = explained(loaded, row, background, contract)
        one = {"row": position + 1, **_as_json(explanation, row, contract)}
        if changes:
            other = changed(row, changes)
            supposed = explained(loaded, other, background, contract, followed=row)
            classes = [
                predicted_class(predict(loaded, r, contract), contract) for r in (row, other)
            ]
            one["what_if"] = {
                "changes": [_change_as_json(change, row) for change in changes],
                "predicted": dict(zip(("before", "after"), classes, strict=True)),
                "difference": supposed.prediction - explanation.prediction,
                **_as_json(supposed, other, contract),
            }
        if as_json:
            found.append(one)
        elif changes:
            show_both(explanation, supposed, row, changes, position + 1, contract)
            if classes[0] is not None:
                stays = "stays" if classes[0] == classes[1] else f"changes from {classes[0]} to"
                print(f"the predicted class {stays} {classes[1]}")
        else:
            show(explanation, row, position + 1, contract)
    if as_json:
        print(json.dumps(plain({"explanations": found}), ensure_ascii=False))


def model_contract(folder: Path) -> Contract:
    """Read the contract that a model was trained on.

    Raises:
        UsageError: when the folder holds none.
    """
    if not (folder / CONTRACT_FILE).is_file():
        raise UsageError(f"{folder} holds no {CONTRACT_FILE}: train the model again.")
    return load_contract(folder / CONTRACT_FILE)


def read_features(path: Path, contract: Contract) -> pd.DataFrame:
    """Read the contract's features; a target or other columns may be missing.

    Raises:
        UsageError: when the file is no table, a column is missing, or a value has another type.
    """
    found = read_file(path)
    missing = [name for name in contract.features if name not in found.columns]
    if missing:
        raise UsageError(missing_columns(found.path, missing, found.columns))
    columns = {}
    for name in contract.features:
        rule = contract.columns[name]
        parsed = parse(found.columns[name], rule)
        if parsed.wrong.any():
            at = int(np.argmax(parsed.wrong))
            raise UsageError(
                f'{path}, column "{name}", row {at + 1}: expected {described(rule)}, found '
                f"{found.columns[name].at(at)!r}."
            )
        columns[name] = parsed.values
    return pd.DataFrame(columns)


def explained(
    model: Any,
    row: pd.DataFrame,
    background: pd.DataFrame,
    contract: Contract,
    seed: int = 0,
    followed: pd.DataFrame | None = None,
) -> Explanation:
    """Estimate the contribution of each column to the prediction of one row.

    Args:
        model: as loaded.
        row: a data frame of one row with the contract's features.
        background: rows the model was trained on, with the same columns.
        contract: of the model.
        seed: of the rows and orders that are drawn; the same seed gives the same figures.
        followed: a row whose predicted class the probability is of, where there are several; None: this row.
    """
    of = row if followed is None else followed
    names = contract.features
    random = np.random.default_rng(seed)
    affordable = SCORED_ROWS // (2 * (len(names) + 1))
    drawn = min(len(background), BACKGROUND_ROWS, max(FEWEST_ROWS, affordable))
    others = background.iloc[np.sort(random.choice(len(background), drawn, replace=False))]
    orders = np.stack([random.permutation(len(names)) for _ in range(drawn)])
    # place[w, j]: the step at which order w replaces column j, from 1; the second half goes backwards.
    place = np.argsort(orders, axis=1) + 1
    place = np.concatenate([place, len(names) + 1 - place])
    steps = np.arange(len(names) + 1)
    start = np.tile(np.arange(drawn), 2)
    known = pd.concat([others[names], row[names]], ignore_index=True)
    path = np.empty((2 * drawn, len(steps)))
    at_once = max(1, WALKED_CELLS // (len(steps) * len(names)))
    with threads_for(path.size):
        for walks in (slice(at, at + at_once) for at in range(0, len(path), at_once)):
            replaced = place[walks, :, None] <= steps
            walked = pd.DataFrame(
                {
                    name: known[name].array.take(
                        np.where(replaced[:, j], drawn, start[walks, None]).ravel()
                    )
                    for j, name in enumerate(names)
                }
            )
            score, about = _of_interest(predict(model, walked, contract), of, model, contract)
            path[walks] = score.reshape(-1, len(steps))
    change = np.take_along_axis(np.diff(path, axis=1), place - 1, axis=1)
    pairs = (change[:drawn] + change[drawn:]) / 2
    spread = pairs.std(axis=0, ddof=1) if drawn > 1 else np.full(len(names), np.nan)
    return Explanation(
        prediction=float(path[0, -1]),
        about=about,
        base=float(path[:drawn, 0].mean()),
        contributions=pairs.mean(axis=0),
        errors=ERRORS * spread / np.sqrt(drawn),
    )


def show(explanation: Explanation, row: pd.DataFrame, number: int, contract: Contract) -> None:
    """Print the columns that matter most for a row."""
    order = np.argsort(-np.abs(explanation.contributions), kind="stable")
    lines = [
        (
            contract.features[j],
            _value(row, contract.features[j]),
            f"{explanation.contributions[j]:+z.4f}",
            f"± {explanation.errors[j]:.4f}",
        )
        for j in order[:SHOWN]
    ]
    if len(order) > SHOWN:
        rest = explanation.contributions[order[SHOWN:]].sum()
        lines.append((f"{len(order) - SHOWN} more columns", "", f"{rest:+z.4f}", ""))
    title = (
        f"row {number}: {explanation.about} {explanation.prediction:.4f}, in training rows on "
        f"average {explanation.base:.4f}; the difference comes from"
    )
    headings = ("column", "value", "contribution", "[95%]")
    print(title)
    console().print(table("", headings, lines, right=headings[2:]))


def show_both(
    before: Explanation,
    after: Explanation,
    row: pd.DataFrame,
    changes: Sequence[Change],
    number: int,
    contract: Contract,
) -> None:
    """Print a row's prediction and contributions as it is and with other values, what changes most first."""
    moved = after.contributions - before.contributions
    size = np.maximum(np.abs(before.contributions), np.abs(after.contributions))
    order = np.lexsort((-size, -np.abs(moved)))
    words = {change.column: change.written for change in changes}

    def cells(j: int) -> tuple[str, ...]:
        name = contract.features[j]
        value = _value(row, name) + (f" → {words[name]}" if name in words else "")
        both = (f"{e.contributions[j]:+z.4f} ± {e.errors[j]:.4f}" for e in (before, after))
        return (name, value, *both, f"{moved[j]:+z.4f}")

    lines = [cells(j) for j in order[:SHOWN]]
    if len(order) > SHOWN:
        rest = order[SHOWN:]
        sums = (
            f"{e[rest].sum():+z.4f}" for e in (before.contributions, after.contributions, moved)
        )
        lines.append((f"{len(rest)} more columns", "", *sums))
    print(
        f"row {number}: {before.about} {before.prediction:.4f}; with "
        f"{', '.join(f'{name} = {word}' for name, word in words.items())} it is {after.prediction:.4f} "
        f"({after.prediction - before.prediction:+z.4f}); in training rows on average {before.base:.4f}"
    )
    headings = ("column", "value", "contribution", "what if", "change")
    console().print(table("", headings, lines, right=headings[2:]))


def _chosen(rows: pd.DataFrame, number: int | None, path: Path) -> list[int]:
    if rows.empty:
        raise UsageError(f"{path} has no rows.")
    if number is None:
        if len(rows) > MOST_EXPLAINED:
            raise UsageError(
                f"{path} has {len(rows):,} rows, at most {MOST_EXPLAINED} are explained at once: "
                "name one with --row."
            )
        return list(range(len(rows)))
    if not 1 <= number <= len(rows):
        raise UsageError(f"--row: expected a number from 1 to {len(rows)}, found {number}.")
    return [number - 1]


def _of_interest(
    prediction: Any, row: pd.DataFrame, model: Any, contract: Contract
) -> tuple[Floats, str]:
    target = contract.target
    if contract.kind == "regression":
        return prediction.score, f"{target.column} is"
    if contract.kind == "binary":
        return prediction.score, f"chance of {target.column} = {shown(target.positive)} is"
    best = int(predict(model, row, contract).score[0].argmax())
    name = shown((target.classes or ())[best])
    return prediction.score[:, best], f"chance of {target.column} = {name} is"


def _as_json(explanation: Explanation, row: pd.DataFrame, contract: Contract) -> dict[str, Any]:
    return {
        "about": explanation.about.removesuffix(" is"),
        "prediction": explanation.prediction,
        "base": explanation.base,
        "contributions": [
            {
                "column": name,
                "value": None if pd.isna(row[name].iloc[0]) else row[name].iloc[0],
                "contribution": explanation.contributions[j],
                "error": explanation.errors[j],
            }
            for j, name in enumerate(contract.features)
        ],
    }


def _change_as_json(change: Change, row: pd.DataFrame) -> dict[str, Any]:
    before, after = row[change.column].iloc[0], change.values.iloc[0]
    return {
        "column": change.column,
        "from": None if pd.isna(before) else before,
        "to": None if pd.isna(after) else after,
        "warning": change.warning or None,
    }


def _value(row: pd.DataFrame, name: str) -> str:
    return in_words(row[name].iloc[0])
