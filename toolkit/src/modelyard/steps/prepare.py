"""Pipeline step: clean a table, check it against the contract, and split it."""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from modelyard.console import console, shown, table
from modelyard.contract.model import Contract, load_contract
from modelyard.contract.reading import read_table
from modelyard.contract.validate import validate
from modelyard.data.cells import ARROW
from modelyard.data.folds import Codes, belonging, divide
from modelyard.data.parts import FOLDS_FILE, PARTS
from modelyard.data.table import Table, as_table, read_file
from modelyard.errors import UsageError, first_line, guarded
from modelyard.evidence import write_evidence
from modelyard.files import digest, replacing
from modelyard.own_code import load_attribute
from modelyard.steps.command import add_paths

FEWEST = {"train": 10, "validation": 3, "test": 3}
FOLDS = 5
MOST_FOLDS = 12
TIME_FOLDS = 6  # after the oldest rows
OLDEST = 0.4  # share of the rows that no fold by time is judged on


def main(argv: list[str] | None = None) -> int:
    """Write train, validation and test.parquet, quality.json and data.json."""
    parser = argparse.ArgumentParser(prog="prepare", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="CSV or Parquet file")
    add_paths(parser, "contract")
    parser.add_argument("--cleaning", help="the project's module with `clean`: package.cleaning")
    parser.add_argument("--prepared", type=Path, required=True, help="folder for the three parts")
    parser.add_argument("--evidence", type=Path, required=True, help="folder to write evidence to")
    given = parser.parse_args(argv)
    return guarded(prepare, **vars(given))


def prepare(
    data: Path, contract: Path, prepared: Path, evidence: Path, cleaning: str | None = None
) -> None:
    """Write train, validation and test.parquet, quality.json and data.json.

    Args:
        data: the table, CSV or Parquet.
        contract: conf/contract.yml, which the rows follow once they are clean.
        prepared: folder for the three parts.
        evidence: folder for quality.json and data.json.
        cleaning: the project's module with `clean(rows, contract)`, if any; see `cleaned`.

    Raises:
        UsageError: the table cannot be read, or is too small to split.
        CheckFailed: the rows break a rule of the contract.
    """
    rules = load_contract(contract)
    given, without = (read_file(data), 0) if cleaning is None else cleaned(data, rules, cleaning)
    content = validate(given, contract, evidence)
    rows, same, dropped = usable_rows(content, rules)
    if cleaning is not None:
        dropped = {"cleaning": without, **dropped}
    _write(data, rows, same, content, dropped, rules, prepared, evidence)


def cleaned(data: Path, contract: Contract, module: str) -> tuple[Table, int]:
    """Let the project clean a table before it is checked.

    Its `clean(rows, contract)` takes the contract's columns with their types (see `read_table`) and
    returns them with fewer rows or other values; columns of the file that the contract does not read are
    left out before. Rows that are scored later are not cleaned: what a request may hold belongs into
    `add_features`.

    Returns:
        The clean table, and how many rows it lacks.

    Raises:
        UsageError: the table cannot be read, or `clean` fails or returns something else than rows.
    """
    rows = read_table(data, contract)
    clean, before = load_attribute(module, "clean"), len(rows)
    try:
        result = clean(rows.copy(), contract)
    except Exception as error:
        raise UsageError(
            f"{module}.clean fails: {type(error).__name__}: {first_line(error)}"
        ) from error
    if not isinstance(result, pd.DataFrame) or len(result) > before:
        found = f"{len(result):,} rows" if isinstance(result, pd.DataFrame) else repr(result)[:80]
        raise UsageError(
            f"{module}.clean: expected a data frame of at most {before:,} rows, found {found}"
        )
    print(f"{module}.clean left out {before - len(result):,} of {before:,} rows")
    return as_table(result.reset_index(drop=True), data), before - len(result)


def _write(
    data: Path,
    rows: pd.DataFrame,
    same: Codes,
    content: pd.DataFrame,
    dropped: dict[str, int],
    contract: Contract,
    prepared: Path,
    evidence: Path,
) -> None:
    method, parts = split(rows, same, contract)
    order = np.concatenate([parts[name] for name in PARTS])
    write_folds(folds(rows, same, contract)[order], prepared)
    schema = arrow_schema(rows, contract)
    for name in PARTS:
        write_part(rows.iloc[parts[name]], schema, prepared / f"{name}.parquet")
    summaries = {str(name): summary(rows.iloc[parts[name]], contract) for name in PARTS}
    distinct = len(np.unique(same))
    in_groups = {"group": contract.group} if contract.group else {}
    identity = content_digest(content)
    write_evidence(
        evidence,
        "data",
        params={
            "split": method,
            "split_validation": contract.split.validation,
            "split_test": contract.split.test,
            "split_seed": contract.split.seed,
        },
        metrics={
            **{f"rows_{name}": summaries[name]["rows"] for name in PARTS},
            "rows_dropped": sum(dropped.values()),
        },
        tags={"dataset_digest": identity},
        details={
            "source": {"file": data.name, "sha256": digest(data)},
            "digest": identity,
            "dropped": dropped,
            "repeated": {"rows": len(rows) - distinct, "distinct": distinct},
            "split": {"method": method, **in_groups, **summaries},
        },
    )
    show(data, method, summaries, dropped, contract)
    if contract.group:
        print(f"the rows of each of the {distinct:,} {contract.group} stand in one part")
    elif distinct < len(rows):
        print(
            f"{len(rows) - distinct:,} rows repeat another in all columns but the target: all are kept, "
            f"and the copies of each of the {distinct:,} distinct rows stand in one part"
        )


def usable_rows(
    content: pd.DataFrame, contract: Contract
) -> tuple[pd.DataFrame, Codes, dict[str, int]]:
    """Select the usable rows and the prepared columns.

    Dropped: rows without target, without time where rows are split by it, and, if the contract says so,
    repetitions of an earlier row in every column, identifiers included.

    Returns:
        The rows; the number of the group of each, or of the distinct row, by all columns but the target, since a
        model that has seen a copy of a row knows what it became; the number of rows dropped by reason.
    """
    unknown = content[contract.target.column].isna()
    timeless = ~unknown & (content[contract.time].isna() if contract.time else False)
    repeated = ~unknown & ~timeless & (contract.table.repeated_rows == "drop")
    repeated &= content.duplicated() if repeated.any() else False
    usable = content.loc[~(unknown | timeless | repeated)]
    same = belonging(usable.drop(columns=contract.target.column), contract.group)
    rows = usable[contract.prepared].reset_index(drop=True)
    types = {"boolean": bool, "integer": np.int64}
    target = contract.target.column
    if contract.columns[target].type in types:  # no value is missing any more
        rows[target] = rows[target].astype(types[contract.columns[target].type])
    dropped = {
        "no_target": int(unknown.sum()),
        "no_time": int(timeless.sum()),
        "duplicates": int(repeated.sum()),
    }
    return rows, same, dropped


def split(rows: pd.DataFrame, same: Codes, contract: Contract) -> tuple[str, dict[str, np.ndarray]]:
    """Split rows; returns the method, and the positions of each part, ascending or by time.

    Args:
        rows: of the table.
        same: number of the distinct row of each; copies go to one part.
        contract: of the table.

    Raises:
        UsageError: when a part would be too small, or lack the classes to be judged on.
    """
    target = rows[contract.target.column]
    if contract.time is not None:
        method, parts = "time", by_time(rows[contract.time], contract)
    else:
        method = "random" if contract.kind == "regression" else "stratified"
        parts = at_random(_strata(rows, contract), same, contract)
        method = "group" if contract.group else method
    for name, positions in parts.items():
        if len(positions) < FEWEST[name]:
            distinct = len(np.unique(same))
            what = f"of different {contract.group}" if contract.group else "distinct ones"
            if contract.time is not None:
                distinct, what = rows[contract.time].nunique(), f"different {contract.time}"
            few = f"{distinct:,} {what} among " if distinct < len(rows) else ""
            raise UsageError(
                f"{few}{len(rows):,} usable rows are too few: {name} would get {len(positions)}, "
                f"at least {FEWEST[name]} needed. Bring more rows, or change the split."
            )
        if contract.kind == "regression":
            continue
        classes = set(target.iloc[positions])
        unseen = classes - set(target.iloc[parts["train"]])
        if unseen:
            raise UsageError(
                f"split by {method}, {name} has {target.name} = {shown(min(unseen))}, which train "
                "never shows: a model could not predict it. Leave such rows out, or join classes."
            )
        if len(classes) < 2:
            only = shown(min(classes))
            raise UsageError(
                f"split by {method}, every row of {name} has {target.name} = {only}: nothing to "
                "learn or judge there. Bring more rows of the other classes, or change split or "
                "time in the contract."
            )
    return method, parts


def by_time(times: pd.Series, contract: Contract) -> dict[str, np.ndarray]:
    """Split by time: the oldest rows to train, the newest to test; equal times stay together.

    Of three different times or more, no part is left empty; of fewer, all rows are in train.
    """
    order = np.argsort(times.to_numpy(), kind="stable")
    ordered = times.to_numpy()[order]
    changes = _changes(ordered)
    first = last = count = len(ordered)
    if len(changes) > 1:
        last = _nearest(changes[1:], round(count * (1 - contract.split.test)))
        wanted = round(count * (1 - contract.split.test - contract.split.validation))
        first = _nearest(changes[changes < last], wanted)
    return {"train": order[:first], "validation": order[first:last], "test": order[last:]}


def _changes(ordered: np.ndarray) -> np.ndarray:
    """Return the positions at which another value begins."""
    return np.flatnonzero(ordered[1:] != ordered[:-1]) + 1


def _nearest(positions: np.ndarray, wanted: int) -> int:
    return int(positions[np.abs(positions - wanted).argmin()])


def at_random(strata: pd.Series, same: Codes, contract: Contract) -> dict[str, np.ndarray]:
    """Split each stratum by the same shares; one too small to divide stays in train."""
    codes = pd.factorize(strata, sort=True)[0].astype(np.int64)
    rows = np.bincount(codes)
    shares = (contract.split.validation, contract.split.test)
    held_out = np.array([np.round(rows * share) for share in shares])
    held_out[:, held_out.sum(axis=0) == rows] = 0
    wanted = np.vstack([rows - held_out.sum(axis=0), held_out]).astype(np.int64)
    part = divide(codes, same, wanted, np.random.default_rng(contract.split.seed))
    return {str(name): np.flatnonzero(part == number) for number, name in enumerate(PARTS)}


def folds(rows: pd.DataFrame, same: Codes, contract: Contract) -> Codes:
    """Divide all rows into folds for predictions out of fold (rows,); see `evaluation.out_of_fold`.

    Without time there are `FOLDS` of about as many rows and the same classes, each with all copies of its rows;
    of few distinct rows up to `MOST_FOLDS`, so that models learn from nearly all of them. By time, the first
    has the oldest rows, four times as many as each that follows.
    """
    if contract.time is not None:
        times = rows[contract.time].to_numpy()
        order = np.argsort(times, kind="stable")
        edges = np.array([0, *_changes(times[order]), len(rows)])
        fold = np.zeros(len(rows), dtype=np.int64)
        for number in range(TIME_FOLDS):
            start = round(len(rows) * (OLDEST + (1 - OLDEST) * number / TIME_FOLDS))
            fold[order[_nearest(edges, start) :]] = number + 1
        return np.unique(fold, return_inverse=True)[1]
    codes = pd.factorize(_strata(rows, contract), sort=True)[0].astype(np.int64)
    counts, distinct = np.bincount(codes), len(np.unique(same))
    number = FOLDS if distinct >= FOLDS * MOST_FOLDS else min(MOST_FOLDS, distinct)
    turn = (np.arange(number)[:, None] + np.arange(len(counts))) % number
    wanted = counts // number + (turn < counts % number)
    fold = divide(codes, same, wanted, np.random.default_rng(contract.split.seed))
    return np.unique(fold, return_inverse=True)[1]


def _strata(rows: pd.DataFrame, contract: Contract) -> pd.Series:
    """The target's classes, which every part has alike; numbers are one stratum."""
    return (
        rows[contract.target.column] if contract.kind != "regression" else pd.Series(0, rows.index)
    )


def write_folds(fold: Codes, prepared: Path) -> None:
    """Write the fold of each row of train, validation and test, in this order."""
    with replacing(prepared / FOLDS_FILE) as partial:
        pq.write_table(pa.table({"fold": fold.astype(np.int8)}), partial)


def arrow_schema(rows: pd.DataFrame, contract: Contract) -> pa.Schema:
    """Make the schema of the three files: the same in each, wherever values are missing."""
    fields = []
    for name in rows.columns:
        has_gaps = rows[name].dtype.kind == "f"
        fields.append((name, pa.float64() if has_gaps else ARROW[contract.columns[name].type]))
    return pa.schema(fields)


def write_part(rows: pd.DataFrame, schema: pa.Schema, path: Path) -> None:
    """Write Parquet, whole or not at all; the same rows give the same bytes."""
    content = pa.Table.from_pandas(rows, schema=schema, preserve_index=False)
    with replacing(path) as partial:
        pq.write_table(content.replace_schema_metadata(None), partial)


def summary(rows: pd.DataFrame, contract: Contract) -> dict[str, Any]:
    """Summarise rows, time span, and the target's mean or the share of each class."""
    target = rows[contract.target.column]
    result: dict[str, Any] = {"rows": len(rows)}
    if contract.time is not None:
        result |= {"from": rows[contract.time].min(), "to": rows[contract.time].max()}
    if contract.kind == "regression":
        return result | {"target_mean": float(target.mean())}
    shares = target.value_counts(normalize=True).sort_index()
    return result | {"class_shares": {shown(value): float(n) for value, n in shares.items()}}


def content_digest(content: pd.DataFrame) -> str:
    """Compute a digest of names and values in their order, the same for CSV and Parquet (32 hex)."""
    total = hashlib.sha256("\0".join(content.columns).encode())
    for name in content.columns:
        values = content[name]
        if values.dtype == object:  # text, or booleans with gaps
            codes, distinct = pd.factorize(values)
            words = "\0".join(shown(value) for value in distinct)
            total.update(words.encode("utf-8", errors="surrogatepass"))
            total.update(codes.astype("<i8").tobytes())
        else:
            total.update(values.to_numpy().tobytes())
    return total.hexdigest()[:32]


def show(
    data: Path,
    method: str,
    summaries: dict[str, dict[str, Any]],
    dropped: dict[str, int],
    contract: Contract,
) -> None:
    """Print the three parts, and the number of rows left out."""
    total = sum(part["rows"] for part in summaries.values())
    rows = [
        (
            name,
            f"{part['rows']:,}",
            f"{part['rows'] / total:.1%}",
            *([shown(part["from"]), shown(part["to"])] if contract.time else []),
            _target_text(part, contract),
        )
        for name, part in summaries.items()
    ]
    times = ("from", "to") if contract.time else ()
    headings = ("part", "rows", "share", *times, contract.target.column)
    out = console()
    out.print(table(f"{data.name}: split by {method}", headings, rows, right=("rows", "share")))
    why = {
        "cleaning": "by cleaning",
        "no_target": "no target",
        "no_time": "no time",
        "duplicates": "repeated",
    }
    left_out = [f"{count:,} {why[name]}" for name, count in dropped.items() if count]
    if left_out:
        out.print("left out: " + ", ".join(left_out))


def _target_text(part: dict[str, Any], contract: Contract) -> str:
    if contract.kind == "regression":
        return f"mean {part['target_mean']:.4g}"
    shares = part["class_shares"]
    if contract.kind == "binary":
        positive = shown(contract.target.positive)
        return f"{positive} {shares.get(positive, 0):.1%}"
    return ", ".join(f"{name} {share:.1%}" for name, share in list(shares.items())[:6])


if __name__ == "__main__":
    sys.exit(main())
