"""Validation of a table against the contract."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaError, SchemaErrors

from modelyard.console import console, counted, shown
from modelyard.console import table as printed
from modelyard.contract.model import Column, Contract, load_contract
from modelyard.data.cells import Parsed, described, parse
from modelyard.data.table import Table
from modelyard.errors import CheckFailed, shortened
from modelyard.evidence import write_evidence
from modelyard.yaml_files import did_you_mean

EXAMPLES = 5
TOP = 10


@dataclass(frozen=True)
class Violation:
    """A broken rule. Rows count from 1, the first after a header."""

    column: str | None
    rule: str
    expected: str
    found: str
    rows: int | None = None
    share: float | None = None
    examples: tuple[str, ...] = ()
    first_rows: tuple[int, ...] = ()


def validate(table: Table, contract_path: Path, evidence: Path) -> pd.DataFrame:
    """Check every rule, write quality.json, and print broken rules.

    Returns:
        The contract's columns, as `read_table` gives them.

    Raises:
        UsageError: the contract cannot be read.
        CheckFailed: a rule does not hold; the evidence is written all the same.
    """
    contract, data = load_contract(contract_path), table.path
    columns = read_leniently(table, contract)
    violations = check(table, contract, columns)
    write_evidence(
        evidence,
        "quality",
        params={"data": data.name},
        metrics={"rows": table.rows, "columns": len(table.columns), "violations": len(violations)},
        tags={"quality": "refused" if violations else "passed"},
        details={
            "rows": table.rows,
            "columns": [
                describe(name, contract.columns[name], parsed) for name, parsed in columns.items()
            ],
            "violations": [asdict(violation) for violation in violations],
        },
    )
    if not violations:
        print(f"{data.name}: {table.rows:,} rows keep every rule of {contract_path}.")
        return pd.DataFrame({name: parsed.values for name, parsed in columns.items()}, copy=False)
    show(violations, data)
    raise CheckFailed(
        f"{data.name} breaks {counted(len(violations), 'rule')} of {contract_path}: correct the "
        "table or, where the new values are right, the contract."
    )


def read_leniently(table: Table, contract: Contract) -> dict[str, Parsed]:
    """Read the contract's columns that exist; a value of another type is null, and marked."""
    return {
        name: parse(table.columns[name], rule)
        for name, rule in contract.columns.items()
        if name in contract.read and name in table.columns
    }


def check(table: Table, contract: Contract, columns: dict[str, Parsed]) -> list[Violation]:
    """Find all violations: of the table, then of its columns in the contract's order."""
    frame = pd.DataFrame({name: parsed.values for name, parsed in columns.items()}, copy=False)
    violations = list(_type_violations(table, contract, columns))
    extra = [name for name in table.columns if name not in contract.columns]
    placeholders = pd.DataFrame(None, index=frame.index, columns=extra, dtype=object)
    try:
        schema(contract).validate(pd.concat([frame, placeholders], axis=1), lazy=True)
    except SchemaErrors as errors:
        for error in errors.schema_errors:
            violation = _violation(error, table, contract, columns, frame)
            if violation is not None:
                violations.append(violation)
    order = {name: position for position, name in enumerate([None, *contract.columns, *extra])}
    return sorted(violations, key=lambda violation: order[violation.column])


def schema(contract: Contract) -> pa.DataFrameSchema:
    """Make a pandera schema of the contract, for columns as `read_table` gives them.

    A column's checks are named nulls, range and categories; the table's rows, duplicates,
    classes and balance.
    """
    columns = {
        name: pa.Column(
            checks=_column_checks(rule), nullable=True, required=name in contract.read, name=name
        )
        for name, rule in contract.columns.items()
    }
    return pa.DataFrameSchema(columns, checks=_table_checks(contract), strict=True)


def _column_checks(rule: Column) -> list[pa.Check]:
    checks = []
    if rule.nulls is not None:
        limit = rule.nulls
        checks.append(pa.Check(lambda s: s.isna().mean() <= limit, name="nulls", ignore_na=False))
    if rule.min is not None or rule.max is not None:
        low = -np.inf if rule.min is None and rule.type != "datetime" else rule.min
        high = np.inf if rule.max is None and rule.type != "datetime" else rule.max
        checks.append(pa.Check(lambda s: _within(s, low, high), name="range"))
    if rule.categories is not None and rule.unseen == "refuse":
        known = set(rule.categories)
        checks.append(pa.Check(lambda s: s.isin(known), name="categories"))
    return checks


def _within(values: pd.Series, low: Any, high: Any) -> pd.Series:
    fits = pd.Series(True, index=values.index)
    if low is not None:
        fits &= values >= low
    if high is not None:
        fits &= values <= high
    return fits


def _table_checks(contract: Contract) -> list[pa.Check]:
    rows, duplicates = contract.table.rows, contract.table.duplicates
    checks = [
        pa.Check(lambda f: rows.min <= len(f) <= (rows.max or len(f)), name="rows"),
        pa.Check(lambda f: _repeats(f, contract).mean() <= duplicates, name="duplicates"),
    ]
    if contract.kind != "regression":
        checks.append(pa.Check(lambda f: not _class_complaint(f, contract), name="classes"))
    return checks


def _repeats(frame: pd.DataFrame, contract: Contract) -> np.ndarray:
    """Mark rows that repeat an earlier one in all columns that the contract reads."""
    known = [name for name in contract.read if name in frame.columns]
    return frame[known].duplicated().to_numpy()


def class_shares(frame: pd.DataFrame, contract: Contract) -> dict[Any, float]:
    """Compute the share of each class among rows with a target; expected classes first, 0 if absent."""
    name, goal = contract.target.column, contract.target
    shares = frame[name].value_counts(normalize=True, dropna=True)
    categories = contract.columns[name].categories or ()
    booleans = (True, False) if contract.columns[name].type == "boolean" else ()
    expected = [*(goal.classes or (goal.positive,)), *categories, *booleans]
    return {
        value: float(shares.get(value, 0.0)) for value in dict.fromkeys([*expected, *shares.index])
    }


def _class_complaint(frame: pd.DataFrame, contract: Contract) -> tuple[str, str] | None:
    """Return what was expected of the classes and what was found, or None."""
    if contract.target.column not in frame.columns:
        return None  # reported as a missing column
    goal = contract.target
    shares = class_shares(frame, contract)
    unknown = [value for value in shares if goal.classes and value not in goal.classes]
    if unknown:
        listed = ", ".join(shortened(shown(value)) for value in goal.classes or ())
        return f"classes {listed}", ", ".join(
            shortened(shown(value)) for value in unknown[:EXAMPLES]
        )
    if goal.kind == "binary" and len(shares) != 2:
        listed = ", ".join(shortened(shown(value)) for value in list(shares)[:EXAMPLES])
        return "two classes", f"{len(shares)}: {listed}"
    rarest = min(shares, key=lambda value: shares[value])
    if shares[rarest] < goal.min_share or shares[rarest] == 0:
        expected = f"each class in at least {goal.min_share:.1%} of rows"
        return expected, f"{shortened(shown(rarest))} in {shares[rarest]:.2%}"
    return None


def _type_violations(
    table: Table, contract: Contract, columns: dict[str, Parsed]
) -> Iterable[Violation]:
    for name, parsed in columns.items():
        if parsed.wrong.any():
            rows = np.flatnonzero(parsed.wrong)
            raw = (table.columns[name].at(int(row)) for row in rows[:200])
            yield _row_violation(
                name, "type", described(contract.columns[name]), "something else", parsed.wrong, raw
            )


def _violation(
    error: SchemaError,
    table: Table,
    contract: Contract,
    columns: dict[str, Parsed],
    frame: pd.DataFrame,
) -> Violation | None:
    """Turn a pandera error into a violation; None where it repeats a wrong type."""
    reason = error.reason_code.name if error.reason_code else ""
    if reason == "COLUMN_NOT_IN_DATAFRAME":
        name = str(error.failure_cases)
        return Violation(
            name,
            "missing column",
            "a column of this name",
            f"none{did_you_mean(name, table.columns)}",
        )
    if reason == "COLUMN_NOT_IN_SCHEMA":
        name = str(error.failure_cases)
        return Violation(name, "extra column", "only columns of the contract", "a new column")
    rule = str(error.check.name)
    if rule in ("rows", "duplicates", "classes"):
        return _table_violation(rule, contract, frame)
    name = str(error.schema.name)
    parsed, column = columns[name], contract.columns[name]
    if rule == "nulls":
        share = float(parsed.nulls.mean())
        if column.nulls is None or share <= column.nulls:
            return None
        return _row_violation(
            name,
            "nulls",
            f"at most {column.nulls:.1%} missing" if column.nulls else "none missing",
            f"{share:.1%}",
            parsed.nulls,
        )
    broken = np.zeros(len(frame), dtype=bool)
    output = error.check_output
    broken[output.index.to_numpy()] = ~output.to_numpy(dtype=bool)
    values = parsed.values[broken]
    if rule == "range":
        expected = _range(column.min, column.max)
        found = _range(values.min(), values.max())
    else:
        expected = _listed(column.categories or ())
        found = counted(values.nunique(), "other value")
    return _row_violation(name, rule, expected, found, broken, (shown(v) for v in values.head(200)))


def _table_violation(rule: str, contract: Contract, frame: pd.DataFrame) -> Violation:
    if rule == "rows":
        rows = contract.table.rows
        expected = f"at least {rows.min:,}" if len(frame) < rows.min else f"at most {rows.max:,}"
        return Violation(None, "rows", expected, f"{len(frame):,}")
    if rule == "duplicates":
        repeats = _repeats(frame, contract)
        expected = f"at most {contract.table.duplicates:.1%} repeated"
        return _row_violation(None, rule, expected, f"{repeats.mean():.1%}", repeats)
    expected, found = _class_complaint(frame, contract) or ("", "")
    return Violation(contract.target.column, "classes", expected, found)


def _row_violation(
    column: str | None,
    rule: str,
    expected: str,
    found: str,
    broken: np.ndarray,
    examples: Iterable[str] = (),
) -> Violation:
    return Violation(
        column,
        rule,
        expected,
        found,
        rows=int(broken.sum()),
        share=float(broken.mean()),
        examples=tuple(shortened(one) for one in list(dict.fromkeys(examples))[:EXAMPLES]),
        first_rows=tuple(int(row) + 1 for row in np.flatnonzero(broken)[:EXAMPLES]),
    )


def describe(name: str, rule: Column, parsed: Parsed) -> dict[str, Any]:
    """Summarise a column: share missing, distinct values, range, most frequent values."""
    values = parsed.values
    counts = values.value_counts(dropna=True)
    ordered = rule.type in ("number", "integer", "datetime") and len(counts) > 0
    measured = rule.type in ("number", "integer") and len(counts) > 0
    listed = rule.type in ("boolean", "category", "text")
    return {
        "name": name,
        "type": rule.type,
        "role": rule.role,
        "nulls": float(parsed.nulls.mean()),
        "distinct": len(counts),
        "min": values.min() if ordered else None,
        "max": values.max() if ordered else None,
        "mean": float(values.mean()) if measured else None,
        "top": [[shown(value), count / len(values)] for value, count in _top(counts)]
        if listed
        else [],
    }


def _top(counts: pd.Series) -> list[tuple[Any, int]]:
    """Return the most frequent values; ties in the order of the values."""
    if len(counts) > TOP:
        counts = counts[counts >= counts.iloc[TOP - 1]]
    return sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))[:TOP]


def show(violations: list[Violation], data: Path) -> None:
    """Print a table of violations."""
    rows = [
        (
            violation.column or "(table)",
            violation.rule,
            violation.expected,
            violation.found,
            "" if violation.rows is None else f"{violation.rows:,} ({_percent(violation.share)})",
            ", ".join(f"{row:,}" for row in violation.first_rows),
            ", ".join(example[:30] for example in violation.examples),
        )
        for violation in violations
    ]
    headings = ("column", "rule", "expected", "found", "rows", "first rows", "examples")
    title = f"{data.name}: {counted(len(violations), 'rule')} broken"
    console().print(printed(title, headings, rows))


def _range(low: Any, high: Any) -> str:
    if low is None:
        return f"at most {shown(high)}"
    if high is None:
        return f"at least {shown(low)}"
    return shown(low) if low == high else f"{shown(low)} to {shown(high)}"


def _listed(values: Iterable[str]) -> str:
    values = list(values)
    return "one of " + ", ".join(values[:8]) + (f", … ({len(values)})" if len(values) > 8 else "")


def _percent(share: float | None) -> str:
    return "<0.1%" if share is not None and 0 < share < 0.0005 else f"{share:.1%}"
