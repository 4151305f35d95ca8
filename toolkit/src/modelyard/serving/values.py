"""Values of a request: a JSON value as the value that `data.cells` reads from a file."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from modelyard.console import shown
from modelyard.contract.model import Column
from modelyard.data.cells import EXACT, described, parse_word
from modelyard.data.times import EARLIEST, ISO_TIME, LATEST

LONGEST_WORD = 200  # of a number or a time that is written as text
LONGEST_CACHE = 4_096  # different words of a column

Check = Callable[[Any], Any]


class Broken(ValueError):
    """Raised for a value that breaks a rule of its column."""

    def __init__(self, rule: str, expected: str) -> None:
        self.rule = rule
        super().__init__(expected)


def checker(rule: Column) -> Check:
    """Make a function that converts a JSON value to the column's value, or raises Broken.

    A missing value is refused where the contract has `nulls: 0.0`; any other share of missing values
    cannot be checked on one row. Unlike in a CSV file, a string is no number, JSON has numbers; but
    where the contract says how a column is written, what it says is read here too.
    """
    makers = {
        "number": _number,
        "integer": _integer,
        "boolean": _boolean,
        "category": _word,
        "text": _word,
        "datetime": _datetime,
    }
    check = makers[rule.type](rule)
    if rule.written or rule.missing:
        check = _as_written(rule, check)
    if rule.nulls == 0:
        expected = described(rule)

        def required(value: Any) -> Any:
            found = None if value is None else check(value)
            if found is None:
                raise Broken("nulls", expected)
            return found

        return required
    return lambda value: None if value is None else check(value)


def _as_written(rule: Column, check: Check) -> Check:
    """Read words as the contract says that a column is written; what stands for missing is None."""
    plain = rule.model_copy(update={"written": None})

    @lru_cache(LONGEST_CACHE)
    def parsed(word: str) -> tuple[Any, bool]:
        value, fits = parse_word(word, rule)
        return (value.item() if isinstance(value, np.generic) else value), fits

    @lru_cache(LONGEST_CACHE)
    def is_missing(value: float) -> bool:
        return parse_word(repr(value), plain)[0] is None

    def checked(value: Any) -> Any:
        if value.__class__ is str:
            word = value.strip()
            found, fits = parsed(word) if len(word) <= LONGEST_WORD else (None, False)
            if found is None and fits:
                return None
            if rule.written is not None:
                if not fits:
                    raise Broken("type", described(rule))
                return check(found)
        elif rule.missing and value.__class__ in (int, float) and is_missing(value):
            return None
        return check(value)

    return checked


def _number(rule: Column) -> Check:
    low, high, limits = _limits(rule)

    def check(value: Any) -> float:
        if value.__class__ is not float:
            if value.__class__ is not int:
                raise Broken("type", described(rule))
            try:
                value = float(value)
            except OverflowError:
                raise Broken("type", "a finite number") from None
        if not low <= value <= high:
            finite = math.isfinite(value)
            raise Broken("range", limits) if finite else Broken("type", "a finite number")
        number: float = value
        return number

    return check


def _integer(rule: Column) -> Check:
    low, high, limits = _limits(rule)

    def check(value: Any) -> int:
        if value.__class__ is float and abs(value) <= EXACT and value.is_integer():
            value = int(value)
        if value.__class__ is not int or not -(2**63) <= value < 2**63:
            raise Broken("type", described(rule))
        if not low <= value <= high:
            raise Broken("range", limits)
        return value

    return check


def _limits(rule: Column) -> tuple[float, float, str]:
    """Smallest and largest finite number, and a text with both."""
    largest = 1.7976931348623157e308
    low = -largest if rule.min is None else rule.min
    high = largest if rule.max is None else rule.max
    return low, high, _range(rule)  # type: ignore[return-value]


def _range(rule: Column) -> str:
    if rule.min is None or rule.max is None:
        side = "at most" if rule.min is None else "at least"
        return f"{side} {_limit(rule.max if rule.min is None else rule.min)}"
    return f"{_limit(rule.min)} to {_limit(rule.max)}"


def _limit(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else shown(value)


def _boolean(rule: Column) -> Check:
    def check(value: Any) -> bool:
        if value.__class__ is not bool:
            raise Broken("type", described(rule))
        return value

    return check


def _word(rule: Column) -> Check:
    known = frozenset(rule.categories or ()) if rule.unseen == "refuse" else frozenset()
    listed = ", ".join((rule.categories or ())[:8])
    more = f", … ({len(known)})" if len(known) > 8 else ""
    expected = f"one of {listed}{more}"

    def check(value: Any) -> str | None:
        word = value.strip() if value.__class__ is str else _as_word(value)
        if known:
            if word in known:
                return word
            if word:
                raise Broken("categories", expected)
        if not word:
            return None
        if not word.isascii() and not _is_text(word):
            raise Broken("type", "text of whole characters")
        return word

    return check


def _as_word(value: Any) -> str:
    """Convert a number or a boolean to the word that reading it from a file gives."""
    if value.__class__ is bool:
        return "true" if value else "false"
    if value.__class__ is float and math.isfinite(value):
        return str(int(value)) if value.is_integer() and abs(value) <= EXACT else str(value)
    if value.__class__ is int and abs(value) < 2**64:
        return str(value)
    raise Broken("type", "text")


def _is_text(word: str) -> bool:
    """Whether UTF-8 can encode it: JSON can escape half of a surrogate pair."""
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def _datetime(rule: Column) -> Check:
    expected = "a datetime (ISO 8601" + "".join(f", or {one}" for one in rule.formats) + ")"
    low = EARLIEST if rule.min is None else rule.min
    high = LATEST if rule.max is None else rule.max
    iso = re.compile(ISO_TIME)
    reads_words = rule.zone is not None or rule.format is not None

    @lru_cache(LONGEST_CACHE)
    def parsed(word: str) -> datetime | None:
        for one in (rule.model_copy(update={"format": None}), rule):
            found, fits = parse_word(word, one)
            if fits:
                return None if found is None else pd.Timestamp(found).to_pydatetime(warn=False)
        raise Broken("type", expected)

    def read(word: str) -> datetime | None:
        if reads_words or not word or not word.isascii():
            return parsed(word)
        try:  # in less than a microsecond
            time = datetime.fromisoformat(word) if iso.match(word) else None
            if time is not None and time.tzinfo is not None:
                time = time.astimezone(UTC).replace(tzinfo=None)
        except (ValueError, OverflowError):
            time = None
        if time is None:
            raise Broken("type", expected)
        if not EARLIEST <= time < LATEST:
            raise Broken("type", f"a datetime from {EARLIEST:%Y-%m-%d} to {LATEST:%Y-%m-%d}")
        return time

    def check(value: Any) -> datetime | None:
        if rule.format and value.__class__ is int:
            value = str(value)  # 20200705, and seconds since 1970
        if value.__class__ is not str or len(value) > LONGEST_WORD:
            raise Broken("type", expected)
        time = read(value.strip())
        if time is not None and not low <= time <= high:  # type: ignore[operator]
            raise Broken("range", _range(rule))
        return time

    return check
