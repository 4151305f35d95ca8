"""Request bodies: reading rows as values of the contract's types, and describing what is wrong.

Values are those that `data.cells` reads from a file: number float; integer int; boolean bool; category
and text str without surrounding blanks; datetime in UTC without a zone; None where missing.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from itertools import islice
from typing import Any, NoReturn

import numpy as np
import pandas as pd

from modelyard.contract.model import Contract
from modelyard.serving.values import Broken, checker

MOST_PROBLEMS = 20  # reported for one request
LONGEST_ID = 128
FORMS = 'a list of records, {"data": […]} or {"input_data": …}'


@dataclass(frozen=True)
class Limits:
    """Largest request that is read. About 4 MB hold a thousand rows of a wide table."""

    rows: int = 1_000
    bytes: int = 4_194_304


@dataclass(frozen=True)
class Problem:
    """One rule that a request breaks. Rows count from 1; rules have the names that `validate` gives them.

    Attributes:
        field: the column, or the part of the body.
        rule: json, form, size, rows, missing column, extra column, type, nulls, range, categories
            or correlation_ids.
        row: None where the rule applies to the request as a whole.
        message: expected and found value.
    """

    field: str | None
    rule: str
    row: int | None
    message: str


class BadRequest(Exception):
    """Raised for a request that cannot be answered, with its first problems, at most MOST_PROBLEMS."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = list(problems)
        super().__init__(self.problems[0].message)

    def content(self) -> dict[str, Any]:
        """Make the body of the answer."""
        first = self.problems[0]
        where = f"row {first.row}, " if first.row else ""
        where += f"{first.field}: " if first.field else ""
        more = len(self.problems) - 1
        return {
            "message": f"{where}{first.message}" + (f" (and {more} more)" if more else ""),
            "errors": [asdict(problem) for problem in self.problems],
        }


@dataclass(frozen=True)
class Rows:
    """Rows of a request: values in the order of the contract's features, and the client's own ids."""

    values: list[list[Any]]
    ids: list[str] | None = None


class Reader:
    """Reads requests according to a contract. It has no state of a request, so threads may share it."""

    def __init__(self, contract: Contract, limits: Limits) -> None:
        self.contract = contract
        self.limits = limits
        self._checks = [(name, checker(contract.columns[name])) for name in contract.features]
        self._decode = json.JSONDecoder(parse_constant=_refuse_constant).decode

    def read(self, body: bytes | None) -> Rows:
        """Read the rows of a body; None stands for a body that was too long to read.

        Raises:
            BadRequest: with field, rule and row of each problem.
        """
        if body is None or len(body) > self.limits.bytes:
            _refuse("size", f"expected at most {self.limits.bytes:,} bytes")
        content = self._parse(body)
        ids = None
        if isinstance(content, dict):
            ids, content = self._unwrap(content)
        values = self._columns(content) if isinstance(content, dict) else self._records(content)
        return Rows(values, None if ids is None else _checked_ids(ids, len(values)))

    def _parse(self, body: bytes) -> Any:
        try:
            return self._decode(body.decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            _refuse("json", f"expected UTF-8, found another byte at {error.start}")
        except RecursionError:
            _refuse("json", "expected lists and objects at most a few levels deep")
        except json.JSONDecodeError as error:
            _refuse("json", f"expected JSON: {error}")
        except ValueError:
            _refuse("json", "expected numbers of fewer than 4,000 digits")

    def _unwrap(self, content: dict[str, Any]) -> tuple[Any, Any]:
        """Split a body that is an object into the client's ids and the rows."""
        found = [key for key in ("input_data", "data") if key in content]
        if len(found) != 1:
            _refuse("form", f"expected {FORMS}, found an object{_keys(content)}")
        for key in content:
            if key not in (*found, "correlation_ids"):
                _refuse("form", "expected no key but data, input_data and correlation_ids", key)
        if found == ["data"] and isinstance(content["data"], dict):
            _refuse("form", "expected a list of records", "data")
        return content.get("correlation_ids"), content[found[0]]

    def _records(self, content: Any) -> list[list[Any]]:
        """Read a list of records."""
        if not isinstance(content, list):
            _refuse("form", f"expected {FORMS}, found {_found(content)}")
        self._check_count(len(content))
        rows, checks, width = [], self._checks, len(self._checks)
        for record in content:
            try:
                rows.append([check(record[name]) for name, check in checks])
                if len(record) == width or not self._extra(record):
                    continue
            except (Broken, KeyError, TypeError, IndexError):
                pass
            self._report(content)
        return rows

    def _columns(self, content: dict[str, Any]) -> list[list[Any]]:
        """Read rows with shared column names: the "split" form of pandas, or a list per column."""
        is_split = set(content) <= {"columns", "index", "data"} and "columns" in content
        if is_split and set(self.contract.features) <= set(content):  # columns that are called so
            data = content.get("data")
            is_split = isinstance(data, list) and all(isinstance(row, list) for row in data)
        if is_split:
            names, data = content["columns"], content.get("data")
            if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                _refuse("form", "expected a list of column names", "columns")
            if not isinstance(data, list):
                _refuse("form", "expected a list of rows", "data")
            index = content.get("index")
            if index is not None and (not isinstance(index, list) or len(index) != len(data)):
                _refuse("form", "expected as many entries as there are rows", "index")
        else:
            names, data = list(content), _transposed(content)
        self._check_count(len(data))
        self._check_names(names)
        places = {name: place for place, name in enumerate(names)}
        checks = [(places[name], check) for name, check in self._checks]
        width = len(names)
        rows = []
        for number, row in enumerate(data, 1):
            if row.__class__ is not list or len(row) != width:
                message = f"expected a list of {width} values, found {_found(row)}"
                raise BadRequest([Problem("data", "form", number, message)])
            try:
                rows.append([check(row[place]) for place, check in checks])
            except Broken:
                self._report([dict(zip(names, one, strict=False)) for one in data[:number]])
        return rows

    def _check_count(self, rows: int) -> None:
        if not 1 <= rows <= self.limits.rows:
            _refuse("rows", f"expected 1 to {self.limits.rows:,} rows, found {rows:,}")

    def _check_names(self, names: Sequence[str]) -> None:
        problems = list(islice(self._name_problems(names, None), MOST_PROBLEMS))
        if not problems and len(set(names)) < len(names):
            problems = [Problem("columns", "form", None, "expected each column once")]
        if problems:
            raise BadRequest(problems)

    def _name_problems(self, names: Collection[str], row: int | None) -> Iterator[Problem]:
        extra = self._extra(names)
        missing = [name for name, _ in self._checks if name not in names]
        for name in extra:
            like = _like(name, missing)
            message = f"expected only columns of the contract{like}"
            yield Problem(name[:LONGEST_ID], "extra column", row, message)
        for name in missing:
            message = f"expected this column{_like(name, extra)}"
            yield Problem(name, "missing column", row, message)

    def _extra(self, names: Iterable[str]) -> list[str]:
        return [name for name in names if name not in self.contract.columns]

    def _report(self, records: Iterable[Any]) -> NoReturn:
        """Raise the problems of these records. Slower than reading, so done only when there are some."""
        found = (
            one for row, record in enumerate(records, 1) for one in self._problems(record, row)
        )
        raise BadRequest(list(islice(found, MOST_PROBLEMS)))

    def _problems(self, record: Any, row: int) -> Iterator[Problem]:
        if not isinstance(record, dict):
            yield Problem(None, "form", row, f"expected a record, found {_found(record)}")
            return
        yield from self._name_problems(record, row)
        for name, check in self._checks:
            try:
                if name in record:
                    check(record[name])
            except Broken as broken:
                message = f"expected {broken}, found {_found(record[name])}"
                yield Problem(name, broken.rule, row, message)


def frame(rows: Sequence[Sequence[Any]], contract: Contract) -> pd.DataFrame:
    """Make a data frame of rows, their values in the contract's order, with the dtypes of `contract.read_table`."""
    columns = {}
    for name, values in zip(contract.features, zip(*rows, strict=True), strict=True):
        kind = contract.columns[name].type
        has_gaps = None in values
        dtype: Any = {
            "number": np.float64,
            "integer": np.float64 if has_gaps else np.int64,
            "boolean": object if has_gaps else bool,
            "datetime": "datetime64[ns]",
        }.get(kind, object)
        columns[name] = np.array(values, dtype=dtype)
    return pd.DataFrame(columns, copy=False)


def _checked_ids(ids: Any, rows: int) -> list[str]:
    if not isinstance(ids, list) or len(ids) != rows:
        _refuse("correlation_ids", f"expected one id for each of {rows:,} rows", "correlation_ids")
    for row, one in enumerate(ids, 1):
        if not isinstance(one, str) or not 1 <= len(one) <= LONGEST_ID or not one.isprintable():
            message = f"expected 1 to {LONGEST_ID} printable characters, found {_found(one)}"
            raise BadRequest([Problem("correlation_ids", "correlation_ids", row, message)])
    if len(set(ids)) < rows:
        _refuse("correlation_ids", "expected ids that differ", "correlation_ids")
    return ids


def _transposed(content: dict[str, Any]) -> list[list[Any]]:
    """Turn a list per column into rows."""
    lengths = set()
    for name, values in content.items():
        if not isinstance(values, list):
            message = f"expected columns and data, or a list of values, found {_found(values)}"
            _refuse("form", message, name)
        lengths.add(len(values))
    if len(lengths) != 1:
        _refuse("form", "expected columns of the same length")
    return [list(row) for row in zip(*content.values(), strict=True)]


def _like(name: str, names: Iterable[str]) -> str:
    """Suggest the closest name, within bounds on length and count so that no client can make it slow."""
    near = get_close_matches(name[:40], [one for one in islice(names, 100) if len(one) <= 40], n=1)
    return f"; is it {json.dumps(near[0], ensure_ascii=False)}?" if near else ""


def _refuse(rule: str, message: str, field: str | None = None) -> NoReturn:
    raise BadRequest([Problem(field, rule, None, message)])


def _refuse_constant(name: str) -> NoReturn:
    _refuse("json", f"expected JSON, found {name}; a missing value is null")


def _keys(content: dict[str, Any]) -> str:
    return " with " + ", ".join(key[:40] for key in list(content)[:6]) if content else ""


def _found(value: Any) -> str:
    """Describe any value briefly, for a message."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, str):
        return json.dumps(value if len(value) <= 60 else value[:60] + "…", ensure_ascii=False)
    if isinstance(value, int):
        return str(value) if abs(value) < 10**60 else "a number of many digits"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, list):
        return f"a list of {len(value):,}"
    return "an object"
