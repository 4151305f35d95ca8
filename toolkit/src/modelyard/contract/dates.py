"""Inference of how a column writes dates and times."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from modelyard.data.numbers import typeset
from modelyard.data.times import EPOCHS, SHEET, looks_like, read_times

SAMPLE = 50
MOST_FORMATS = 4  # of one column


def _split(listed: str) -> list[str]:
    return listed.split("|")


# Each also behind the name of a weekday.
DATES = _split(
    "%m/%d/%Y|%d/%m/%Y|%d.%m.%Y|%Y/%m/%d|%Y.%m.%d|%m-%d-%Y|%d-%m-%Y|%Y-%m-%d|%d-%b-%Y|%d %b %Y|"
    "%d. %b %Y|%d.%b.%Y|%d/%b/%Y|%b %d %Y|%b %d, %Y|%Y %b %d|%Y-%b-%d|%d de %B de %Y|%d%b%Y|"
    "%m/%d/%y|%d/%m/%y|%d.%m.%y|%d-%b-%y|%d %b %y|%d-%m-%y|%m-%d-%y|%y-%m-%d|%y/%m/%d|%y.%m.%d|"
    "%Y年%m月%d日|%Y년 %m월 %d일|%d. %m. %Y|%Y. %m. %d.|%Y. %b %d.|%b-%d-%Y|%d %b, %Y|%d %b %Y г.|"
    "%d de %B del %Y"
)
WEEKDAY = r"^\pL+(?:-\pL+)?\.?,? \S+ ?\S*[0-9]"  # cheaper than the formats with one
WEEKDAYS = [f"%a{gap}{date}" for gap in (", ", " ") for date in DATES if "%d" in date]
CLOCKS = _split(
    "%H:%M|%H:%M:%S|%H:%M:%S.%f|%H:%M:%S,%f|%H|%Hh%M|%H:%M Uhr|%I:%M %p|%I:%M:%S %p|"
    "%I:%M:%S.%f %p|%I:%M%p|%I:%M:%S%p|%I %p|%H.%M|%H.%M.%S|%I.%M.%S.%f %p"
)
GAPS = (" ", ", ", "T", " - ", " um ", " at ")  # between a date and a clock
ZONED = _split("%H:%M:%S %z|%H:%M:%S%z|%H:%M %z|%H:%M%z")
MONTHS = _split(
    "%Y-%m|%m/%Y|%Y/%m|%m.%Y|%Y.%m|%m-%Y|%b %Y|%b-%Y|%b/%Y|%b. %Y|%b, %Y|%Y %b|%Y-%b|%b-%y|%b %y|"
    "%YM%m|%b%Y|%Y年%m月|%Y년 %m월|%YQ%q|%Y Q%q|%Y-Q%q|%Y/Q%q|Q%q %Y|Q%q-%Y|Q%q/%Y|%qQ%Y|%qQ%y|%Y:Q%q|"
    "Q%q'%Y|Q%q%Y|Q%q'%y|Q%q %y|%qQ %Y|%q. Quartal %Y|T%q %Y|%Y-T%q|%YT%q|%G-W%V|%G W%V|%GW%V|%G-W%V-%u|"
    "W%V %G|W%V/%G|W%V-%G|KW%V %G|KW%V/%G|KW %V/%G|KW %V %G|%G KW%V|%G-KW%V|Q%q/%y|Q%q-%y|CW%V/%G|"
    "CW%V %G|Week %V, %G|Week %V %G|Quarter %q %Y|%Y_Q%q|%yQ%q|%Y T%q|%Y-M%m|%b de %Y"
)
OTHERS = _split(
    "%Y%m%dT%H%M%S|%Y%m%dT%H%M%S%z|%Y%m%dT%H%M|%Y-%m-%dT%H:%M:%S,%f|%a %b %d %H:%M:%S %Y|"
    "%a %b %d %H:%M:%S %z %Y|%d/%b/%Y:%H:%M:%S %z|%H:%M %d.%m.%Y|%H:%M %d/%m/%Y|"
    "%H:%M:%S %d.%m.%Y|%H:%M:%S %d/%m/%Y"
)
COMPACT = {6: ("%Y%m",), 8: ("%Y%m%d",), 12: ("%Y%m%d%H%M",), 14: ("%Y%m%d%H%M%S",)}
# Only with a telling name: other numbers look so, too.
TOLD = {6: ("%y%m%d", "%G%V"), 7: ("%Y%j",), 8: ("%d%m%Y", "%m%d%Y"), 10: ("%Y%m%d%H",)}
NO_TIME = ("0", "0.0", "-1", "-1.0", "000000", "00000000", "99999999")  # beside compact dates
WEEKS = {"week", "woche", "kw", "yearweek"}
MOST_YEARS = 20  # of months without a day: Jan 03, Feb 17 and Mar 31 are days without a year
YEARS = (np.datetime64("1900-01-01"), np.datetime64("2100-12-31"))
MANY = 20  # different whole numbers, from which it is no accident that all are dates
FEW = {
    "%Y%m": 6,
    "%Y%m%d": 3,
    "epoch_s": MANY,
    "epoch_ms": 5,
    **dict.fromkeys(("epoch_us", "epoch_ns"), math.inf),  # numbers of accounts are as long
}  # fewer different ones need a telling name
# Since 1970, with a telling name and without.
SECONDS = {True: (3e8, 4.1e9), False: (9.4e8, 1.95e9)}
TELLING = frozenset(
    _split(
        "at|closed|created|data|date|datetime|dato|datum|day|dob|dt|epoch|fecha|jour|julian|"
        "kw|mois|monat|month|ms|ns|opened|period|since|stamp|tag|tarih|time|timestamp|ts|unix|"
        "unixtime|updated|us|week|when|woche|yearmonth|yearweek|ym|ymd|yyyymm|yyyymmdd|zeit"
    )
)
DATED = {"date", "datum", "fecha", "datetime", "timestamp", "dob"}
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
    words = typeset(words)
    if not len(words) or not _could_be(words[0].as_py()):
        return None
    few = words[:SAMPLE]
    if _fits(few, ()).all() and _fits(words, ()).all():
        return ()
    covered = {format: fits for format in _candidates(few) if (fits := _fits(few, (format,))).any()}
    times = {f: read_times(words, (f,)) for f, fits in covered.items() if fits.all()}
    years = {f: _years(found) for f, found in times.items() if not np.isnat(found).any()}
    # Of an order of day, month and year that is not clear, the one with the fewest years is likely.
    fitting = sorted(
        (f for f, n in years.items() if n <= MOST_YEARS or "%d" in f or "%y" not in f),
        key=lambda f: ("%y" in f, years[f] if "%y" in f else 0, _is_day_first(f) != day_first),
    )
    if fitting and fitting[0] in ("%Y-%m", "%Y/%m") and _are_seasons(words):
        notes.append(
            f"{words[0]} may be a month, or a year and the next: read as text, "
            f"--date-format COLUMN={fitting[0]} reads months"
        )
        return None
    if fitting:
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
            last = int(np.argmax(times[fitting[0]]))
            day = np.datetime_as_string(times[fitting[0]][last], "D")
            notes.append(f"69 is the year 1969, 68 the year 2068: {words[last]} is {day}")
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
            if len(left) < len(words) / 2:
                notes.append(
                    f"mostly dates written as {chosen[0]}, but also {left[0].as_py()!r}: read as text, "
                    "clean it if that is wrong"
                )
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
    telling = bool(TELLING & set(tokens)) or _named(tokens, "date", "time")
    length = lengths[0] if len(lengths) == 1 else 0

    def fits(format: str) -> bool:
        if not telling and len(words) < FEW.get(format, 2):
            return False
        times = read_times(words, (format,))
        return bool(
            not np.isnat(times).any() and times.min() >= YEARS[0] and times.max() <= YEARS[1]
        )

    of_weeks = bool(WEEKS & set(tokens))
    told = [f for f in TOLD.get(length, ()) if telling and ("%V" in f) == of_weeks and fits(f)]
    usual = [f for f in COMPACT.get(length, ()) if fits(f) and not (of_weeks and told)]
    if usual or len(told) == 1:
        return (usual or told)[0]
    if not pc.all(pc.match_substring_regex(words, r"^[0-9]{9,19}(?:\.[0-9]+)?$")).as_py():
        return None
    ticks = words.cast(pa.float64()).to_numpy()
    low, high = SECONDS[telling]
    for name, per_second in EPOCHS.items():
        inside = low * per_second <= ticks.min() and ticks.max() <= high * per_second
        if inside and (telling or len(words) >= FEW[name]):
            return name
    return None


def perhaps(words: pa.Array, tokens: Sequence[str]) -> str | None:
    """Return what to say of whole numbers that may be dates, though neither they nor a name say so."""
    found: list[str] = []
    if pc.all(pc.match_substring_regex(words, r"^[2-5][0-9]{4}(?:\.[0-9]+)?$")).as_py():
        found = [SHEET] if TELLING & set(tokens) or _named(tokens, "date") else []
    elif pc.all(pc.match_substring_regex(words, "^[0-9]{6,19}$")).as_py():
        lengths = pc.unique(pc.utf8_length(words)).to_pylist()
        told = (*TOLD.get(lengths[0], ()), *EPOCHS) if len(lengths) == 1 else EPOCHS
        found = [f for f in told if _are_recent(read_times(words, (f,)))]
    if len(found) != 1 or (found != [SHEET] and len(words) < MANY):
        is_called = DATED & set(tokens)
        return (
            "numbers, though called dates: if they are, write them as dates" if is_called else None
        )
    times = read_times(words, found)
    first, last = (np.datetime_as_string(time, "D") for time in (times.min(), times.max()))
    return f"if these are dates, {first} to {last}: --date-format COLUMN={found[0]}"


def _are_recent(times: np.ndarray) -> bool:
    """Whether all are between 1995 and 2040."""
    years = times.astype("datetime64[Y]").astype(np.int64)
    return bool(not np.isnat(times).any() and years.min() >= 25 and years.max() < 70)


def _named(tokens: Sequence[str], *parts: str) -> bool:
    return any(part in token for token in tokens for part in parts)


def _years(times: np.ndarray) -> int:
    """Return the number of years from the first to the last time."""
    return int(np.ptp(times.astype("datetime64[Y]").astype(np.int64))) + 1


def _could_be(word: str) -> bool:
    return len(word) <= 40 and sum(character.isdigit() for character in word) >= 2


def _candidates(words: pa.Array) -> list[str]:
    """Find formats of which one of the words has the parts."""
    named = pc.any(pc.match_substring_regex(words, WEEKDAY)).as_py()
    dates = [d for d in (*DATES, *(WEEKDAYS if named else ())) if looks_like(words, d, whole=False)]
    gaps = [gap for gap in GAPS if pc.any(pc.match_substring(words, gap)).as_py()]
    formats = (
        *dates,
        *MONTHS,
        *(f"{date}{gap}{clock}" for date in dates for gap in gaps for clock in CLOCKS),
        *(f"{date} {clock}" for date in dates for clock in ZONED),
        *OTHERS,
    )
    return [format for format in formats if looks_like(words, format)]


def _fits(words: pa.Array, formats: Sequence[str]) -> np.ndarray:
    return ~np.isnat(read_times(words, formats))


def _are_seasons(words: pa.Array) -> bool:
    return len(words) > 1 and all(int(w[2:4]) + 1 == int(w[5:]) for w in words.to_pylist())


def _is_day_first(format: str) -> bool:
    return "%d" in format and "%m" in format and format.index("%d") < format.index("%m")


def _swapped(format: str) -> str:
    return format.replace("%d", "%!").replace("%m", "%d").replace("%!", "%m")
