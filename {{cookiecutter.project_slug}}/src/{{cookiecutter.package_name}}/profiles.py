"""How a column of an unknown table reads: its type, and what a person should know about it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
import pyarrow as pa

from .contract import Role
from .table import Parsed, Table, Type, is_text_column, parse, words

MOST_CATEGORIES = 254  # what histogram gradient boosting takes as categories
BOOLEAN_PAIRS = (
    {"true", "false"},
    {"yes", "no"},
    {"y", "n"},
    {"t", "f"},
    {"on", "off"},
)
DATE_FORMATS = ("%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%Y/%m/%d", "%d-%m-%Y", "%d-%b-%Y", "%d %b %Y")
TIME_FORMATS = ("", " %H:%M", " %H:%M:%S")


@dataclass
class Profile:
    """One column as it was read, and what was concluded about it."""

    name: str
    type: Type
    values: pd.Series
    nulls: np.ndarray
    format: str | None = None
    role: Role = "feature"
    why: str | None = None
    notes: list[str] = field(default_factory=list)

    @cached_property
    def counts(self) -> pd.Series:
        """Rows of each distinct value, most frequent first."""
        return self.values.value_counts(dropna=True)

    @property
    def distinct(self) -> int:
        """Number of different values, missing ones not counted."""
        return len(self.counts)

    @property
    def present(self) -> int:
        """Number of rows that have a value."""
        return int(len(self.nulls) - self.nulls.sum())

    def ignore(self, why: str) -> None:
        """Leave the column out of the model, and say why."""
        self.role, self.why = "ignored", why


def read_profile(name: str, column: pa.ChunkedArray, table: Table) -> Profile:
    """Read a column as the narrowest type that all its values fit."""
    notes: list[str] = []
    if pa.types.is_nested(column.type):
        parsed = parse(column, "text", table)
        profile = Profile(name, "text", parsed.values, parsed.nulls)
        profile.ignore(f"nested values ({column.type}) are not features")
        return profile
    text = is_text_column(column)
    kind, format = (
        _type_of_words(words(column, table), table, notes)
        if text
        else (_type_of_values(column), None)
    )
    parsed = parse(column, kind, table, format=format)
    if parsed.wrong.any():  # values outside what the type can hold, such as the year 9999
        notes.append(f"some values are no {kind}: read as text")
        kind, format = "text", None
        parsed = parse(column, kind, table)
    profile = Profile(name, kind, parsed.values, parsed.nulls, format, notes=notes)
    return _refined(profile, column, table, written_whole=not _is_float(column, text, table))


def _is_float(column: pa.ChunkedArray, text: bool, table: Table) -> bool:
    if text:
        return any("." in word for word in words(column, table)[:100])
    return bool(pa.types.is_floating(column.type))


def _refined(
    profile: Profile, column: pa.ChunkedArray, table: Table, *, written_whole: bool
) -> Profile:
    """Tell boolean from integer, and category from text, by what values there are."""
    if profile.type in ("number", "integer"):
        if profile.distinct == 2 and set(profile.counts.index) == {0, 1}:
            return _reread(profile, "boolean", column, table)
        # A whole number beside a missing value is often stored as a float: 12.0.
        if profile.type == "number" and (written_whole or profile.nulls.any()):
            whole = parse(column, "integer", table)
            if profile.distinct and not whole.wrong.any():
                return _reread(profile, "integer", column, table, whole)
    if profile.type in ("category", "text"):
        few = profile.distinct <= max(10, profile.present // 2)
        profile.type = "category" if profile.distinct <= MOST_CATEGORIES and few else "text"
    return profile


def _reread(
    profile: Profile,
    kind: Type,
    column: pa.ChunkedArray,
    table: Table,
    parsed: Parsed | None = None,
) -> Profile:
    parsed = parsed or parse(column, kind, table)
    return Profile(profile.name, kind, parsed.values, parsed.nulls, notes=profile.notes)


def _type_of_values(column: pa.ChunkedArray) -> Type:
    kind = column.type
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_integer(kind):
        return "integer"
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "number"
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return "datetime"
    return "text"


def _type_of_words(found: np.ndarray, table: Table, notes: list[str]) -> tuple[Type, str | None]:
    """Type of a text column, and the format if it holds datetimes.

    Args:
        found: distinct values (object array of str).
        table: tells how numbers are written.
        notes: what the user should know is added here.
    """
    if not len(found):
        return "text", None
    if len(found) <= 6 and any({w.lower() for w in found} <= pair for pair in BOOLEAN_PAIRS):
        return "boolean", None
    sample = pd.unique(found[:: max(1, len(found) // 200)])
    share = _share_of_numbers(sample, table)
    if share == 1:
        share = _share_of_numbers(found, table)
    if share == 1:
        if any(re.match(r"[+-]?0[0-9]", word) for word in found):
            notes.append("digits with leading zeros: a name, not an amount")
            return "text", None
        if any(re.fullmatch(r"[0-9]{19,}", word) for word in found):
            notes.append("more digits than a number can hold: a name, not an amount")
            return "text", None
        return "number", None
    if share > 0.5:
        odd = next(w for w in found if not _share_of_numbers(np.array([w], dtype=object), table))
        notes.append(f"mostly numbers, but also {odd!r}: read as text, clean it if that is wrong")
        return "text", None
    format = _datetime_format(sample, found, table, notes)
    return ("text", None) if format is None else ("datetime", format or None)


def _share_of_numbers(found: np.ndarray, table: Table) -> float:
    column = pa.chunked_array([pa.array(found, pa.string())])
    return float(1 - parse(column, "number", table).wrong.mean())


def _datetime_format(
    sample: np.ndarray, found: np.ndarray, table: Table, notes: list[str]
) -> str | None:
    """strptime format that fits every value, "" for ISO 8601, None for no datetimes."""

    def fits(texts: np.ndarray, format: str | None) -> bool:
        column = pa.chunked_array([pa.array(texts, pa.string())])
        return not parse(column, "datetime", table, format=format).wrong.any()

    if not any(character.isdigit() for character in sample[0]):
        return None
    if fits(sample, None):
        return "" if fits(found, None) else None
    every = [date + time for date in DATE_FORMATS for time in TIME_FORMATS]
    fitting = [format for format in every if fits(sample, format) and fits(found, format)]
    if len(fitting) > 1:
        notes.append(f"day and month could be swapped: read as {fitting[0]}, set format if wrong")
    return fitting[0] if fitting else None
