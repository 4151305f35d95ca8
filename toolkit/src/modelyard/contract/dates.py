"""Inference of how a column writes dates and times."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from modelyard.data.times import EPOCHS, looks_like, read_times

SAMPLE = 50
MOST_FORMATS = 4  # of one column
DATES = (
    *(
        "%m/%d/%Y",
        "%d/%m/%Y",
        "%d.%m.%Y",
        "%Y/%m/%d",
        "%Y.%m.%d",
        "%m-%d-%Y",
        "%d-%m-%Y",
        "%Y-%m-%d",
    ),
    *(
        "%d-%b-%Y",
        "%d %b %Y",
        "%d. %b %Y",
        "%d.%b.%Y",
        "%d/%b/%Y",
        "%b %d %Y",
        "%b %d, %Y",
        "%Y %b %d",
    ),
    *(
        "%Y-%b-%d",
        "%d de %B de %Y",
        "%a, %d %b %Y",
        "%a %d %b %Y",
        "%a, %d. %b %Y",
        "%a, %b %d, %Y",
    ),
    *(
        "%a %b %d %Y",
        "%d%b%Y",
        "%m/%d/%y",
        "%d/%m/%y",
        "%d.%m.%y",
        "%d-%b-%y",
        "%d %b %y",
        "%d-%m-%y",
    ),
)
CLOCKS = ("%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%I:%M %p", "%I:%M:%S %p", "%I:%M%p", "%I:%M:%S%p")
ZONED = ("%H:%M:%S %z", "%H:%M:%S%z", "%H:%M %z", "%H:%M%z")
MONTHS = (
    *(
        "%Y-%m",
        "%m/%Y",
        "%Y/%m",
        "%m.%Y",
        "%Y.%m",
        "%m-%Y",
        "%b %Y",
        "%b-%Y",
        "%b/%Y",
        "%b. %Y",
        "%b, %Y",
    ),
    *("%Y %b", "%Y-%b", "%b-%y", "%b %y", "%YM%m"),
    *("%YQ%q", "%Y Q%q", "%Y-Q%q", "%Y/Q%q", "Q%q %Y", "Q%q-%Y", "Q%q/%Y", "%qQ%Y", "%qQ%y"),
    *("%G-W%V", "%G W%V", "%GW%V"),
)
FORMATS = (
    *DATES,
    *MONTHS,
    *(f"{date}{gap}{clock}" for date in DATES for gap in (" ", ", ", "T") for clock in CLOCKS),
    *(f"{date} {clock}" for date in DATES for clock in ZONED),
    *("%a %b %d %H:%M:%S %Y", "%d/%b/%Y:%H:%M:%S %z", "%H:%M %d.%m.%Y", "%H:%M %d/%m/%Y"),
)
COMPACT = {6: "%Y%m", 8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
YEARS = (np.datetime64("1900-01-01"), np.datetime64("2100-12-31"))
FEW = {
    "%Y%m": 6,
    "%Y%m%d": 3,
    "epoch_s": 20,
    "epoch_ms": 5,
    **dict.fromkeys(("epoch_us", "epoch_ns"), math.inf),  # numbers of accounts are as long
}  # fewer different ones need a telling name
SECONDS = {True: (3e8, 4.1e9), False: (9.4e8, 2.2e9)}  # since 1970, with a telling name and without
TELLING = {
    "date",
    "time",
    "day",
    "month",
    "timestamp",
    "ts",
    "epoch",
    "unix",
    "at",
    "when",
    "created",
} | {
    *(
        "updated",
        "since",
        "opened",
        "closed",
        "datum",
        "zeit",
        "tag",
        "monat",
        "fecha",
        "jour",
        "mois",
    ),
    *(
        "period",
        "yearmonth",
        "ym",
        "ymd",
        "yyyymm",
        "yyyymmdd",
        "dt",
        "stamp",
        "ms",
        "datetime",
        "dob",
    ),
}
FAR_YEAR = r"\b(?:[3-9][0-9]{3}|2[3-9][0-9]{2}|22[7-9][0-9]|226[3-9]|0001)\b"
FAR_COMPACT = r"^[3-9][0-9]{3}([01][0-9][0-3][0-9](?:[0-9]{4,6})?)$"


def near(words: pa.Array) -> pa.Array:
    """Replace years that a datetime cannot hold, such as 9999, by one that it can."""
    return pc.replace_substring_regex(
        pc.replace_substring_regex(words, FAR_YEAR, "2000"), FAR_COMPACT, r"2000\1"
    )


def formats_of(words: pa.Array, *, day_first: bool, notes: list[str]) -> tuple[str, ...] | None:
    """Find formats that fit all distinct words: () for ISO 8601, None where these are no dates.

    Args:
        words: of which years beyond what a datetime can hold were replaced.
        day_first: which of 3/4/2013 and 4/3/2013 to prefer where both fit.
        notes: what the user should know is added here.
    """
    if not len(words) or not _could_be(words[0].as_py()):
        return None
    few = words[:SAMPLE]
    if _fits(few, ()).all() and _fits(words, ()).all():
        return ()
    covered = {format: fits for format in _candidates(few) if (fits := _fits(few, (format,))).any()}
    fitting = [f for f, fits in covered.items() if fits.all() and _fits(words, (f,)).all()]
    if fitting:
        fitting.sort(key=lambda format: ("%y" in format, _is_day_first(format) != day_first))
        if "%y" not in fitting[0] and len([f for f in fitting if "%y" not in f]) > 1:
            swapped = [f for f in fitting if "%y" not in f][1]
            notes.append(
                f"day and month could be swapped: read as {fitting[0]}, --date-format "
                f"COLUMN={swapped} reads them the other way"
            )
        elif "%y" in fitting[0] and len(fitting) > 1:
            notes.append(f"day, month and year could be swapped: read as {fitting[0]}")
        else:
            notes.append(f"dates written as {fitting[0]}")
        if "%y" in fitting[0]:
            notes.append("69 is the year 1969, 68 the year 2068")
        return (fitting[0],)
    return _several(words, day_first=day_first, notes=notes)


def _several(words: pa.Array, *, day_first: bool, notes: list[str]) -> tuple[str, ...] | None:
    """Find a few formats of which every word has one."""
    chosen: list[str] = []
    left = words
    while len(left) and len(chosen) < MOST_FORMATS:
        some = left[:SAMPLE]
        first = {f: int(_fits(some, (f,)).sum()) for f in _candidates(some) if "%y" not in f}
        if not any(first.values()):
            return None
        best = max(first, key=lambda f: (first[f], _is_day_first(f) == day_first))
        alike = [f for f in first if f != best and _swapped(f) == best and first[f] == first[best]]
        if alike and _fits(left, (best,)).sum() < _fits(left, (alike[0],)).sum():
            best = alike[0]
        chosen.append(best)
        left = left.filter(pa.array(~_fits(left, (best,))))
    if len(left):
        return None
    if any(_swapped(one) in chosen for one in chosen if one != _swapped(one)):
        notes.append("month first and day first are mixed: read as text, write all dates one way")
        return None
    notes.append(f"dates written in several ways, the first that fits counts: {', '.join(chosen)}")
    return tuple(chosen)


def compact_format(words: pa.Array, tokens: Sequence[str]) -> str | None:
    """Find out whether whole numbers are dates: 20200705, 202007, or seconds or milliseconds since 1970."""
    if not pc.all(pc.match_substring_regex(words[:SAMPLE], r"^[0-9]{6,19}(?:\.[0-9]+)?$")).as_py():
        return None
    words = near(pc.replace_substring_regex(words, r"\.0+$", ""))
    lengths = pc.unique(pc.utf8_length(words)).to_pylist()
    telling = bool(TELLING & set(tokens)) or any(
        "date" in token or "time" in token for token in tokens
    )
    format = COMPACT.get(lengths[0]) if len(lengths) == 1 else None
    if format and (len(words) >= FEW.get(format, 2) or telling):
        times = read_times(words, (format,))
        if not np.isnat(times).any() and times.min() >= YEARS[0] and times.max() <= YEARS[1]:
            return format
    if not pc.all(pc.match_substring_regex(words, r"^[0-9]{9,19}(?:\.[0-9]+)?$")).as_py():
        return None
    ticks = words.cast(pa.float64()).to_numpy()
    low, high = SECONDS[telling]
    for name, per_second in EPOCHS.items():
        inside = low * per_second <= ticks.min() and ticks.max() <= high * per_second
        if inside and (telling or len(words) >= FEW[name]):
            return name
    return None


def _could_be(word: str) -> bool:
    return len(word) <= 40 and sum(character.isdigit() for character in word) >= 3


def _candidates(words: pa.Array) -> list[str]:
    return [format for format in FORMATS if looks_like(words, format)]


def _fits(words: pa.Array, formats: Sequence[str]) -> np.ndarray:
    return ~np.isnat(read_times(words, formats))


def _is_day_first(format: str) -> bool:
    return "%d" in format and "%m" in format and format.index("%d") < format.index("%m")


def _swapped(format: str) -> str:
    return format.replace("%d", "%!").replace("%m", "%d").replace("%!", "%m")
