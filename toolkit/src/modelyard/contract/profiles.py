"""Profiles of columns: type, values and notes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from modelyard.contract import conventions, dates
from modelyard.contract.conventions import Numbers, Sign
from modelyard.contract.model import Role
from modelyard.contract.names import name_tokens, names_something
from modelyard.contract.stand_ins import far_dates, mark_stand_ins
from modelyard.data.cells import BOOLEANS, EXACT, Cells, Reading, Type, parse
from modelyard.data.numbers import Written
from modelyard.data.table import Table
from modelyard.data.times import EPOCHS, MONTHS, has_offset, read_times
from modelyard.errors import UsageError

MOST_CATEGORIES = 254  # what histogram gradient boosting takes as categories
# A year beside more, or digits and signs without letters: a date or an amount, in a way not known here.
# So are durations, degrees, fractions, fiscal years, days without a year and what stands behind "about".
_MONTH = "|".join(map(re.escape, sorted(MONTHS)))
YEARLESS = rf"(?i)^(?:[0-9]{{1,2}}(?:st|nd|rd|th)?\W*(?:{_MONTH})|(?:{_MONTH})\W*[0-9]{{1,2}}(?:st|nd|rd|th)?)\.?$"
_SPAN = (
    r"T?\s*[+-]?[0-9][0-9:.,]*\s*(?:y|w|d|h|m|s|(?:year|week|day|hour|hr|minute|min|second|sec)s?)"
)
PUZZLING = (
    r"(?:^|[^0-9])(?:19|20)[0-9]{2}(?:[^0-9]|$).*|^[^\pL]*[0-9][^\pL]*$|[0-9]\s*[°′½⅓⅔¼¾]|^[½⅓⅔¼¾]"
    r"|(?i)^(?:FY|ca|circa|approx|about|over|under|up to)\.?\W*[0-9]"
    rf"|{YEARLESS}"
    rf"|[0-9]\W?(?:{_MONTH})\W?[0-9]|[0-9]年"
    rf"|^-?P?{_SPAN}(?:,?{_SPAN}?)*$"
)
CODED = "^[0-9]+[eE][0-9]+$"  # programs write 1e+05 or 1.0E5
TOO_LONG = "more digits than a number can hold: a name, not an amount"
NO_DATE = r"[\p{Sc}%]|^[+~<>(]"
VERSIONS = {"version", "build"}
NAMED_ZONE = r":[0-9]{2} [A-Z]{2,5}$"
ENGLISH = (("true", "false"), ("yes", "no"), ("y", "n"), ("t", "f"), ("on", "off"))
# Yes and no, true and false in other languages; a pair of letters only where it says nothing else.
OTHER_LANGUAGES = (
    "ja/nein j/n wahr/falsch ja/nee waar/onwaar oui/non vrai/faux sí/no si/no "
    "verdadero/falso sì/no vero/falso sim/não sim/nao verdadeiro/falso ja/nej ja/nei "
    "sann/usann kyllä/ei tak/nie prawda/fałsz ano/ne áno/nie igen/nem da/nu da/ne "
    "evet/hayır да/нет так/ні ναι/όχι taip/ne jā/nē jah/ei já/nei ya/tidak có/không "
    "evet/hayir ναι/οχι 예/아니오 ใช่/ไม่ใช่ بله/خیر 是/否 はい/いいえ 예/아니요 نعم/لا כן/לא हाँ/नहीं"
)
BOOLEAN_PAIRS = (*ENGLISH, *(tuple(pair.split("/")) for pair in OTHER_LANGUAGES.split()))


@dataclass
class Profile:
    """A column with its inferred type and role."""

    name: str
    reading: Reading
    values: pd.Series
    nulls: np.ndarray
    role: Role = "feature"
    why: str | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def type(self) -> Type:
        """The column's type."""
        return self.reading.type

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

    def read_again(self, cells: Cells, **changed: Any) -> bool:
        """Read the column in another way, if all its values fit; returns whether they do."""
        reading = self.reading.model_copy(update=changed)
        parsed = parse(cells, reading)
        if parsed.wrong.any():
            return False
        self.reading, self.values, self.nulls = reading, parsed.values, parsed.nulls
        self.__dict__.pop("counts", None)
        return True


def read_profiles(
    table: Table,
    *,
    target: str,
    formats: Mapping[str, str] | None = None,
    decimal: Sign | None = None,
    zone: str | None = None,
) -> dict[str, Profile]:
    """Read each column as the narrowest type that all its values fit.

    Args:
        table: as read from a file.
        target: column whose values are no stand-ins for missing ones, however they look.
        formats: of dates, by column; other columns are looked at.
        decimal: the decimal sign of numbers that could be read in two ways.
        zone: of times without an offset.

    Raises:
        UsageError: numbers or times could be read in two ways, or a format does not fit.
    """
    formats = formats or {}
    numbers: dict[str, Numbers] = {}
    notes: dict[str, list[str]] = {name: [] for name in table.columns}
    for name, cells in table.columns.items():
        if cells.is_text and len(cells.words) and name not in formats:
            found = conventions.numbers_in(cells.words)
            if isinstance(found, str):
                notes[name].append(found)
            elif found is not None:
                told: list[str] = []
                if (
                    found.written.clock
                    or not _names(name, cells.words, told)
                    or _compact(name, cells)
                ):
                    numbers[name] = found
                else:
                    notes[name] += told
                    if not names_something(name) and (
                        said := dates.perhaps(cells.words, name_tokens(name))
                    ):
                        notes[name].append(said)
        if infinite := cells.infinite:
            notes[name].append(f"{infinite:,} infinite values count as missing")
    votes = conventions.decide(numbers, decimal, next(iter(table.columns.values())).delimiter)
    return {
        name: _profile(
            name,
            cells,
            numbers.get(name),
            notes[name],
            given=formats.get(name),
            zone=zone,
            day_first=votes[","] > votes["."],
            is_target=name == target,
        )
        for name, cells in table.columns.items()
    }


def _profile(
    name: str,
    cells: Cells,
    numbers: Numbers | None,
    notes: list[str],
    *,
    given: str | None,
    zone: str | None,
    day_first: bool,
    is_target: bool,
) -> Profile:
    kind = cells.array.type
    if pa.types.is_nested(kind):
        profile = _read(name, cells, Reading(type="text"), notes)
        profile.ignore(f"nested values ({kind}) are not features")
        return profile
    if given is not None:
        reading = Reading(type="datetime", format=given)
    elif cells.values:
        reading = Reading(type="text", not_missing=tuple(sorted(cells.values)))
    elif cells.is_text:
        reading = _of_words(name, cells, numbers, notes, day_first=day_first)
    else:
        reading = Reading(type=_type_of_values(kind))
        notes += ["a duration, in seconds"] if pa.types.is_duration(kind) else []
    if (
        not is_target
        and given is None
        and not cells.is_text
        and reading.type in ("integer", "number")
    ):
        reading = _compact(name, cells, notes) or reading
    if reading.type == "datetime":
        reading = _with_zone(name, cells, reading, zone, notes)
        notes += _at_the_change(cells, reading) if reading.zone else []
        reading = far_dates(cells, reading, notes)
    profile = _read(name, cells, reading, notes)
    if given is not None and profile.reading.type != "datetime":
        raise UsageError(f'column "{name}" is not written as {given}: {notes[-1]}.')
    if profile.type in ("number", "integer"):
        _refine_number(profile, cells)
        if not is_target and _loses_digits(profile, cells):
            profile.read_again(cells, type="text", written=None)
            profile.notes.append(TOO_LONG)
    if profile.type in ("number", "integer", "datetime"):
        mark_stand_ins(profile.name, profile, cells, is_target=is_target)
    if profile.type == "text":
        few = profile.distinct <= max(10, profile.present // 2)
        if profile.distinct <= MOST_CATEGORIES and few:
            profile.read_again(cells, type="category")
    return profile


def _read(name: str, cells: Cells, reading: Reading, notes: list[str]) -> Profile:
    parsed = parse(cells, reading)
    if parsed.wrong.any():
        found = cells.at(int(np.argmax(parsed.wrong)))
        notes.append(f"mostly {reading.type} values, but also {found!r}: read as text")
        reading = Reading(type="text")
        parsed = parse(cells, reading)
    return Profile(name, reading, parsed.values, parsed.nulls, notes=notes)


def _of_words(
    name: str, cells: Cells, numbers: Numbers | None, notes: list[str], *, day_first: bool
) -> Reading:
    """Infer how a text column is read; what the user should know is added to the notes."""
    words = cells.words
    if not len(words):
        return Reading(type="text")
    if len(words) <= 6:
        found = {word.lower() for word in words.to_pylist()}
        for pair in BOOLEAN_PAIRS:
            if found <= set(pair):
                written = None if pair in ENGLISH else Written(yes=pair[0], no=pair[1])
                notes += [] if written is None else [f"{pair[0]} is true, {pair[1]} false"]
                return Reading(type="boolean", written=written)
        # Letters alone, such as t and n, are more often names of something else.
        if found <= set(BOOLEANS) and any(word.isalpha() and len(word) > 1 for word in found):
            true, false = (
                [w for w in sorted(found) if BOOLEANS[w] is is_so] for is_so in (True, False)
            )
            if true and false:
                notes[:] = [f"{', '.join(true)} are true, {', '.join(false)} false"]
                return Reading(type="boolean")
    if numbers is not None:
        if numbers.written == Written() and not numbers.missing:
            compact = _compact(name, cells, notes)
            if compact:
                return compact
        notes += numbers.notes
        written = None if numbers.written == Written() else numbers.written
        return Reading(type="number", written=written, missing=numbers.missing)
    is_stand_in = pc.match_substring_regex(words, conventions.STAND_IN)
    present = words.filter(is_stand_in).to_pylist()
    others = words.filter(pc.invert(is_stand_in))
    said: list[str] = []
    formats = dates.formats_of(dates.near(others), day_first=day_first, notes=said)
    if formats is None:
        notes += said
        known = np.asarray(pc.match_substring_regex(words, PUZZLING), dtype=bool)
        if not notes and known.all():
            notes.append(_puzzled(words))
        elif not notes and known.mean() > 0.5:
            one, other = (words[int(np.argmax(where))].as_py() for where in (known, ~known))
            notes.append(f"mostly written like {one!r}, but also {other!r}: read as text")
        return Reading(type="text")
    notes[:] = said  # not why they are no numbers
    if present:
        notes.append(f"{', '.join(present)} beside dates: read as missing")
    return Reading(
        type="datetime",
        format=formats[0] if len(formats) == 1 else formats or None,
        missing=tuple(sorted(present)),
    )


def _puzzled(words: pa.Array) -> str:
    """Say what may be meant by dates or amounts that are not understood."""
    if pc.all(pc.match_substring_regex(words, NAMED_ZONE)).as_py():
        zone = words[0].as_py().rpartition(" ")[2]
        return (
            f'read as text: if {words[0]} is a time, --date-format "COLUMN=… %H:%M {zone}" with '
            "the letters as they stand, and --time-zone, read it"
        )
    if pc.all(pc.match_substring_regex(words, YEARLESS)).as_py():
        return (
            f"days without a year, as {words[0]}: read as text; with the year they would be dates"
        )
    odd = words.filter(pc.match_substring_regex(words, NO_DATE))
    if len(odd):
        return f"read as text: if {odd[0]} is an amount, write plain numbers"
    return (
        f"read as text: if {words[0]} is a date, --date-format says how it is written; "
        "if an amount, write plain numbers"
    )


def _compact(name: str, cells: Cells, notes: list[str] | None = None) -> Reading | None:
    """Find out whether whole numbers are dates; None where they are not."""
    if cells.is_text:
        words = cells.words
    elif pa.types.is_integer(cells.array.type) or pa.types.is_floating(cells.array.type):
        words = cells.digits.words
    else:
        return None
    is_none = pc.is_in(words, pa.array(dates.NO_TIME, words.type))
    missing = words.filter(is_none).to_pylist()
    words = words.filter(pc.invert(is_none)) if missing else words
    if not len(words) or names_something(name):
        return None
    format = dates.compact_format(words, name_tokens(name))
    if format is None:
        said = dates.perhaps(words, name_tokens(name))
        if notes is not None and said:
            notes.append(said)
        return None
    if notes is not None:
        notes.append(f"dates written as {format}")
        notes += [f"{', '.join(missing)} beside dates: read as missing"] if missing else []
    return Reading(type="datetime", format=format, missing=tuple(sorted(missing)))


def _with_zone(
    name: str, cells: Cells, reading: Reading, zone: str | None, notes: list[str]
) -> Reading:
    """Set the zone of times without an offset; refuse them beside times with one."""
    if not cells.is_text or reading.format is not None:
        if zone and reading.format and not any("%z" in f or f in EPOCHS for f in reading.formats):
            return reading.model_copy(update={"zone": zone})
        if zone and not cells.is_text and getattr(cells.array.type, "tz", None) is None:
            notes.append(
                "times of a Parquet file without a zone are UTC: --time-zone changes those of text only"
            )
        return reading
    offset = has_offset(cells.words)
    if offset.all():
        return reading
    if offset.any() and zone is None:
        far, near = (cells.words[int(np.argmax(where))].as_py() for where in (offset, ~offset))
        raise UsageError(
            f'column "{name}" has times with an offset from UTC, such as {far}, and without, such as '
            f"{near}: say in which zone those are, --time-zone UTC or another, such as Europe/Berlin."
        )
    return reading.model_copy(update={"zone": zone})


def _at_the_change(cells: Cells, reading: Reading) -> list[str]:
    """Say which times a zone has twice or never, where its clocks change."""
    words = (cells if cells.is_text else cells.digits).words
    words = words.filter(pa.array(~has_offset(words)))
    local = pd.DatetimeIndex(read_times(words, reading.formats)).dropna()
    either = [
        local.tz_localize(reading.zone, ambiguous=np.full(len(local), is_dst), nonexistent="NaT")
        for is_dst in (True, False)
    ]
    twice, never = local[either[0].notna() & (either[0] != either[1])], local[either[0].isna()]
    said = [f"{twice[0]} is twice in {reading.zone}: the earlier is taken"] if len(twice) else []
    if len(never):
        said.append(f"{never[0]} is never in {reading.zone}: correct it, or name another zone")
    return said


def _refine_number(profile: Profile, cells: Cells) -> None:
    """Distinguish booleans and integers from numbers by their values."""
    # A whole number beside a missing value is often stored as a float: 12.0.
    could_be_whole = profile.distinct and (_written_whole(profile, cells) or profile.nulls.any())
    if (
        profile.distinct == 2
        and set(profile.counts.index) == {0, 1}
        and not profile.reading.written
    ):
        profile.read_again(cells, type="boolean")
    elif profile.type == "number" and could_be_whole:
        profile.read_again(cells, type="integer")


def _loses_digits(profile: Profile, cells: Cells) -> bool:
    """Whether neighbouring whole numbers become one: beyond what a float tells apart, and read as floats."""
    is_float = profile.values.dtype.kind == "f" and profile.present
    is_float = is_float and not getattr(cells.array.type, "scale", 0)
    return bool(is_float and profile.values.abs().max() >= EXACT and _written_whole(profile, cells))


def _written_whole(profile: Profile, cells: Cells) -> bool:
    if not cells.is_text:
        return not pa.types.is_floating(cells.array.type)
    written = profile.reading.written or Written()
    signs = (written.decimal, *(() if written.unit else "eE"))
    return not any(sign in word for word in cells.words[:100].to_pylist() for sign in signs)


def _type_of_values(kind: pa.DataType) -> Type:
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_integer(kind):
        return "integer"
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind) or pa.types.is_duration(kind):
        return "number"
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return "datetime"
    return "text"


def _names(name: str, words: pa.Array, notes: list[str]) -> bool:
    """Whether these numbers are names, as digits with leading zeros are."""
    if pc.any(pc.match_substring_regex(words, r"^[+-]?0[0-9]")).as_py():
        notes.append("digits with leading zeros: a name, not an amount")
    elif pc.all(pc.match_substring_regex(words, r"^\+[0-9]{8,15}$")).as_py():
        notes.append("digits behind a plus, as of telephones: a name, not an amount")
    elif pc.any(pc.match_substring_regex(words, r"^[+-]?[0-9]{19,}$")).as_py():
        notes.append(TOO_LONG)
    elif len(codes := words.filter(pc.match_substring_regex(words, CODED))):
        if names_something(name) or pc.any(pc.match_substring_regex(codes, "[eE]0[0-9]")).as_py():
            notes.append(f"{codes[0]} looks like a name, not an amount")
    elif VERSIONS & set(name_tokens(name)[-1:]) and pc.any(pc.match_substring(words, ".")).as_py():
        notes.append("versions: 1.10 is no 1.1")
    return bool(notes)
