"""Short text for numbers, shares, dates and any JSON value."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

MISSING = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
_LARGEST = 1e15
_T = TypeVar("_T")
# Unicode marks of direction reorder the text around them, in an editor too.
DIRECTION_MARKS = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_ISO = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)(?::\d\d(?:[.,]\d+)?)?(Z|[+-]\d\d:?\d\d)?")


def finite(value: Any) -> float | None:
    """Return a finite number as a float, anything else (a bool too) as None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        result = float(value)
    except OverflowError:
        return None
    return result if math.isfinite(result) else None


def number(value: Any, digits: int = 3) -> str:
    """Write a number with `digits` significant digits; whole numbers in full, with separators."""
    found = finite(value)
    if found is None:
        return MISSING
    if abs(found) >= _LARGEST or 0 < abs(found) < 1e-4:
        return _scientific(found, digits)
    if found == int(found):
        return fixed(found, 0)
    return fixed(found, _decimals(found, digits))


def fixed(value: float, decimals: int) -> str:
    """Write a number with exactly `decimals` decimals, thousands separators and a real minus."""
    written = f"{value:,.{decimals}f}"
    if not any(digit in "123456789" for digit in written):
        written = written.removeprefix("-")
    return written.replace("-", MINUS)


def signed(value: float, decimals: int) -> str:
    """Write a difference as `fixed` does, with a plus before a positive one."""
    written = fixed(value, decimals)
    above = value > 0 and any(digit in "123456789" for digit in written)
    return f"+{written}" if above else written


def precision(value: float, low: float | None, high: float | None, digits: int = 3) -> int:
    """Choose decimals: `digits` significant ones, more when the interval is narrower than that."""
    decimals = _decimals(value, digits)
    if low is not None and high is not None and 0 < high - low < math.inf:
        decimals = max(decimals, -math.floor(math.log10(high - low) - math.log10(2)))
    return min(max(decimals, 0), 6)


def estimate(
    value: float, low: float | None, high: float | None, *, digits: int = 3, sign: bool = False
) -> tuple[str, str]:
    """Write an estimate and its interval with the same decimals.

    Returns:
        The value, and `low to high` (empty when an end is missing).
    """
    ends = [end for end in (low, high) if end is not None]
    largest = max(abs(number) for number in (value, *ends))
    if largest >= _LARGEST or 0 < largest < 1e-4:
        return number(value), " to ".join(map(number, ends)) if len(ends) == 2 else ""
    decimals = precision(value, low, high, digits)
    written = signed if sign else fixed
    interval = " to ".join(written(end, decimals) for end in ends) if len(ends) == 2 else ""
    return written(value, decimals), interval


def span(low: float, high: float) -> str:
    """Write two ends with the same decimals."""
    return estimate(max(low, high, key=abs), low, high)[1]


def percent(share: Any) -> str:
    """Write a share between 0 and 1 as percent; only exact ones as 0% and 100%."""
    found = finite(share)
    if found is None:
        return MISSING
    if 0 < found < 0.0005:
        return "<0.1%"
    if 0.9995 < found < 1:
        return ">99.9%"
    return f"{fixed(found * 100, 0 if found in (0, 1) else 1)}%"


def date(value: Any) -> str:
    """Write an ISO date and time without seconds; without a zone, midnight is left out too."""
    if not isinstance(value, str):
        return text(value)
    match = _ISO.fullmatch(value.strip())
    if not match:
        return text(value)
    day, time, zone = match.groups()
    if time == "00:00" and not zone:
        return day
    return f"{day} {time}{' UTC' if zone in ('Z', '+00:00') else f' {zone}' if zone else ''}"


def text(value: Any, limit: int = 160) -> str:
    """Write any JSON value in one line of at most `limit` characters."""
    written = " ".join(_plain(value).split()) or MISSING
    return written if len(written) <= limit else written[: limit - 1].rstrip() + "…"


def plain(value: Any, limit: int = 160) -> str:
    """Write a value in one line without marks of direction."""
    return text(DIRECTION_MARKS.sub("", value) if isinstance(value, str) else value, limit)


def setting(value: Any, limit: int = 200) -> str:
    """Write a setting as it was given, without rounding or separators."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return text(str(value), limit)
    return text(value, limit)


def plural(count: float, one: str, many: str | None = None) -> str:
    """Write a count with its noun: `1 column`, `2 columns`."""
    return f"{number(count)} {one if count == 1 else many or one + 's'}"


def thinned(points: Sequence[_T], most: int) -> list[_T]:
    """Keep at most so many points, evenly spaced, with the first and the last."""
    if len(points) <= most:
        return list(points)
    return [points[round(at * (len(points) - 1) / (most - 1))] for at in range(most)]


def words(name: str) -> str:
    """Write a snake_case name as words."""
    spaced = text(str(name).replace("_", " "))
    return spaced[:1].upper() + spaced[1:]


def lowered(label: str) -> str:
    """Write a label as inside a sentence: an abbreviation keeps its capitals."""
    return label[:1].lower() + label[1:] if label[1:2].islower() else label


def _plain(value: Any) -> str:
    if value is None or value == "":
        return MISSING
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return number(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_plain(item)}" for key, item in value.items()) or MISSING
    if isinstance(value, (list, tuple)):
        return ", ".join(_plain(item) for item in value) or MISSING
    return str(value)


def _decimals(value: float, digits: int) -> int:
    if value == 0:
        return digits
    return min(max(digits - 1 - math.floor(math.log10(abs(value))), 0), 6)


def _scientific(value: float, digits: int) -> str:
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return f"{mantissa}e{int(exponent)}".replace("-", MINUS)
