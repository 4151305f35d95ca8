"""Values that stand for a missing one: -999, 9999-12-31, 1900-01-01."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from modelyard.console import counted
from modelyard.contract.dates import near
from modelyard.data.cells import Cells, Reading, parse, parse_words
from modelyard.data.times import EARLIEST, LATEST, read_times

if TYPE_CHECKING:
    from modelyard.contract.profiles import Profile

MOST_FAR = 5  # different dates beyond what a datetime can hold
NUMBERS = [
    sign * (10**digits - 1) for digits in range(2, 10) for sign in (-1, 1) if sign * digits != 2
]
NUMBERS += [-98, -997, -998, -9998, -8888, 8888, -88888, 88888]
NUMBERS += [-99.9, -999.9, -9999.9, 999.9, 9999.9, -999.25, 32767, -32768, 2**31 - 1, -(2**31)]
HUGE = 1e20
CODES = (-1, -7, -8, -9, -66, -77, -88, 7, 8, 9, 66, 77, 88, 98, 99)  # of surveys; also amounts
DATES: tuple[str, ...] = (
    "1900-01-01",
    "1970-01-01",
    "1899-12-30",
    "1899-12-31",
    "1800-01-01",
    "1753-01-01",
    "1901-01-01",
)
DATES += ("2099-12-31", "2199-12-31", "2100-01-01", "2099-01-01", "2261-12-31", "2262-04-11")
MANY = 20  # different values, of which a 0 can stand apart
OFTEN = 5  # times as often as the next value


def far_dates(cells: Cells, reading: Reading, notes: list[str]) -> Reading:
    """Take dates beyond what a datetime can hold for missing ones, where they are few and dates."""
    parsed = parse(cells, reading)
    if not parsed.wrong.any():
        return reading
    rows = np.flatnonzero(parsed.wrong)
    found = {cells.at(int(row)).strip() for row in rows[:10_000]}
    if len(found) > 1 and (parsed.wrong | parsed.nulls).all():
        return reading  # a calendar of its own
    if len(found) > MOST_FAR or (len(rows) > 10_000 and len(found) > 1):
        return reading
    if cells.is_text:
        words = pa.array(sorted(found))
        if (
            not parse_words(near(words), reading)[1].all()
            or pc.any(pc.equal(near(words), words)).as_py()
        ):
            return reading
    notes.append(
        f"{', '.join(sorted(found))} in {counted(len(rows), 'row')}: a datetime ends at {LATEST:%Y-%m-%d} and begins at "
        f"{EARLIEST:%Y-%m-%d}; read as missing"
    )
    return reading.model_copy(update={"missing": (*reading.missing, *sorted(found))})


def mark_stand_ins(name: str, profile: Profile, cells: Cells, *, is_target: bool) -> None:
    """Take a far-off value of the usual kind for a missing one, or note one that is very frequent."""
    values = profile.values.dropna()
    if profile.type == "datetime":
        usual = values.isin(read_times(pa.array(DATES), (), profile.reading.zone))
        numbers = values.astype("int64")
    else:
        usual = values.isin(NUMBERS) | _is_filled(values)
        numbers = values
        _ask_about_code(profile, values)
    if not usual.any() or usual.all():
        return
    others = numbers[~usual]
    low, high = others.min(), others.max()
    far, frequent = [], []
    counts = values[usual].value_counts()
    for value, count in zip(counts.index.tolist(), counts.tolist(), strict=True):
        place = value.value if profile.type == "datetime" else value
        room = max(float(high) - float(low), 1.0)
        # 999 beside 1200 is an amount: nines are chosen above, or with a minus below, what there is.
        below = float(low) - float(place) > room and (place < 0 or profile.type == "datetime")
        beyond = below or float(place) - float(high) > room
        if beyond or (place < 0 <= low and profile.type != "datetime"):
            far.append((value, count))
        elif count >= OFTEN and count >= OFTEN * int(others.value_counts().iloc[0]):
            frequent.append((value, count))
    for value, count in frequent:
        profile.notes.append(
            f"{_shown(value)} in {counted(count, 'row')}: does it stand for missing?"
        )
    if not far:
        return
    told = ", ".join(f"{_shown(value)} in {counted(count, 'row')}" for value, count in far)
    if is_target:
        profile.notes.append(f"{told}: if it stands for missing, list it under missing")
        return
    words = [_shown(value) for value, _ in far]
    if profile.type == "datetime" and cells.is_text:
        values_of, _ = parse_words(cells.words, profile.reading)
        chosen = np.isin(values_of, np.array([value for value, _ in far], dtype="datetime64[ns]"))
        words = cells.words.filter(pa.array(chosen)).to_pylist()
    profile.read_again(cells, missing=(*profile.reading.missing, *words))
    profile.notes.append(f"{told}, far from all others: read as missing")


def _is_filled(values: pd.Series) -> pd.Series:
    """Mark the one number, such as 1e30 or -3.4e38, that is beyond all others by far: what programs fill gaps with."""
    huge = values.abs() >= HUGE
    others = values[~huge]
    return huge & (values[huge].nunique() == 1 and others.abs().max() < HUGE / 1000)


def _ask_about_code(profile: Profile, values: pd.Series) -> None:
    """Ask whether a number apart from all others, such as -1, 99 or a 0 below them, stands for missing."""
    distinct = np.unique(values)
    if len(distinct) < 3:
        return
    codes: list[float] = []
    if profile.type == "integer":
        for code, others in ((distinct[0], distinct[1:]), (distinct[-1], distinct[:-1])):
            is_first = code == distinct[0]
            apart = code < 0 <= others[0] if is_first else code - others[-1] > np.ptp(others)
            codes += [code] if code in CODES and apart else []
    # A blood pressure of 0: farther from the lowest than the lower half are from each other.
    if distinct[0] == 0 and len(distinct) > MANY:
        steps = np.diff(distinct[1 : len(distinct) // 2])
        codes += [0] if distinct[1] >= 3 * steps.max() else []
    for code in codes:
        count = int((values == code).sum())
        profile.notes.append(
            f"{_shown(code)} in {counted(count, 'row')}, apart from all others: if it stands for missing, list it under missing"
        )


def _shown(value: object) -> str:
    if hasattr(value, "isoformat"):
        return str(value.isoformat()).removesuffix("T00:00:00")
    return f"{value:.15g}" if isinstance(value, float) else str(value)
