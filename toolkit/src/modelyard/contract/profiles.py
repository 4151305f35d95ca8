"""Profiles of columns: type, values and notes."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from modelyard.contract.model import Role
from modelyard.data.cells import Cells, Type, parse, parse_words

MOST_CATEGORIES = 254  # what histogram gradient boosting takes as categories
SAMPLE = 200
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
    """A column with its inferred type and role."""

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
        """Number of rows of each distinct value, most frequent first."""
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
        """Give the column the role "ignored", with the reason."""
        self.role, self.why = "ignored", why


def read_profile(name: str, cells: Cells) -> Profile:
    """Read a column as the narrowest type that all its values fit."""
    notes: list[str] = []
    if pa.types.is_nested(cells.array.type):
        parsed = parse(cells, "text")
        profile = Profile(name, "text", parsed.values, parsed.nulls)
        profile.ignore(f"nested values ({cells.array.type}) are not features")
        return profile
    kind, format = _type_of_words(cells, notes) if cells.is_text else _type_of_values(cells)
    parsed = parse(cells, kind, format=format)
    if parsed.wrong.any():  # values outside what the type can hold, such as the year 9999
        notes.append(f"some values are no {kind}: read as text")
        kind, format = "text", None
        parsed = parse(cells, kind)
    profile = Profile(name, kind, parsed.values, parsed.nulls, format, notes=notes)
    if kind in ("number", "integer"):
        return _refined_number(profile, cells)
    if kind == "text":
        few = profile.distinct <= max(10, profile.present // 2)
        profile.type = "category" if profile.distinct <= MOST_CATEGORIES and few else "text"
    return profile


def _refined_number(profile: Profile, cells: Cells) -> Profile:
    """Distinguish booleans and integers from numbers by their values."""
    # A whole number beside a missing value is often stored as a float: 12.0.
    could_be_whole = profile.distinct and (_written_whole(cells) or profile.nulls.any())
    kind: Type = "integer"
    if profile.distinct == 2 and set(profile.counts.index) == {0, 1}:
        kind = "boolean"
    elif profile.type == "integer" or not could_be_whole:
        return profile
    parsed = parse(cells, kind)
    if parsed.wrong.any():
        return profile
    return Profile(profile.name, kind, parsed.values, parsed.nulls, notes=profile.notes)


def _written_whole(cells: Cells) -> bool:
    if not cells.is_text:
        return not pa.types.is_floating(cells.array.type)
    decimal = ",.eE" if cells.delimiter == ";" else ".eE"
    return not any(sign in word for word in cells.words[:100].to_pylist() for sign in decimal)


def _type_of_values(cells: Cells) -> tuple[Type, None]:
    kind = cells.array.type
    if pa.types.is_boolean(kind):
        return "boolean", None
    if pa.types.is_integer(kind):
        return "integer", None
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "number", None
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return "datetime", None
    return "text", None


def _type_of_words(cells: Cells, notes: list[str]) -> tuple[Type, str | None]:
    """Infer the type of a text column, and the format of datetimes.

    Args:
        cells: the column.
        notes: what the user should know is added here.
    """
    words = cells.words
    if not len(words):
        return "text", None
    if len(words) <= 6 and any(
        {word.lower() for word in words.to_pylist()} <= pair for pair in BOOLEAN_PAIRS
    ):
        return "boolean", None
    sample = words.take(pa.array(np.arange(0, len(words), max(1, len(words) // SAMPLE))))
    fits = parse_words(sample, "number", cells.delimiter)[1]
    if fits.all():
        sample = words  # a first look is cheap, and mostly enough to say no
        fits = parse_words(words, "number", cells.delimiter)[1]
    if fits.all():
        return _number_or_name(words, notes)
    if fits.mean() > 0.5:
        odd = sample[int(np.argmin(fits))].as_py()
        notes.append(f"mostly numbers, but also {odd!r}: read as text, clean it if that is wrong")
        return "text", None
    format = _datetime_format(cells, notes)
    return ("text", None) if format is None else ("datetime", format or None)


def _number_or_name(words: pa.Array, notes: list[str]) -> tuple[Type, None]:
    if pc.any(pc.match_substring_regex(words, r"^[+-]?0[0-9]")).as_py():
        notes.append("digits with leading zeros: a name, not an amount")
        return "text", None
    if pc.any(pc.match_substring_regex(words, r"^[+-]?[0-9]{19,}$")).as_py():
        notes.append("more digits than a number can hold: a name, not an amount")
        return "text", None
    return "number", None


def _datetime_format(cells: Cells, notes: list[str]) -> str | None:
    """Return a strptime format that fits every word, "" for ISO 8601, None for no datetimes."""
    words = cells.words

    def fits(format: str | None) -> bool:
        few = (words[:SAMPLE], words)
        return all(
            bool(parse_words(part, "datetime", None, format=format)[1].all()) for part in few
        )

    if not any(character.isdigit() for character in words[0].as_py()):
        return None
    if fits(None):
        return ""
    every = [date + time for date in DATE_FORMATS for time in TIME_FORMATS]
    fitting = [format for format in every if fits(format)]
    if len(fitting) > 1:
        notes.append(f"day and month could be swapped: read as {fitting[0]}, set format if wrong")
    return fitting[0] if fitting else None
