"""Dates and times: ISO 8601, strptime's formats with months in several languages, seconds since 1970."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from modelyard.data.numbers import typeset

ISO_TIME = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?(Z|[+-][0-9]{2}(:?[0-9]{2})?)?)?$"
)
OFFSET = r"(Z|:[0-9.]+[+-][0-9]{2}(:?[0-9]{2})?)$"
NANOSECOND_LIMIT = 9_223_372_036  # seconds from 1970 that datetime64[ns] can hold
# What datetime64[ns] can hold.
EARLIEST, LATEST = datetime(1677, 9, 22), datetime(2262, 4, 10)
EPOCHS = {"epoch_s": 1, "epoch_ms": 1_000, "epoch_us": 10**6, "epoch_ns": 10**9}  # ticks per second
SHEET = "excel_days"  # local days, of which a spreadsheet counts 25,569 up to 1970-01-01
PARTS = {
    "Y": "[0-9]{4}",
    "y": "[0-9]{2}",
    "G": "[0-9]{4}",
    "q": "[1-4]",
    "u": "[1-7]",
    **dict.fromkeys("mdHIMSV", "[0-9]{1,2}"),
    "j": "[0-9]{3}",
    "f": "[0-9]{1,9}",
    **dict.fromkeys("bB", r"\pL+\.?"),
    **dict.fromkeys("aA", r"\pL+(?:-\pL+)?\.?"),
    "p": r"[AaPp]\.? ?[Mm]\.?",
    "z": "Z|UTC|GMT|[+-][0-9]{2}(?::?[0-9]{2})?",
}
# English, German, French, Spanish, Italian, Portuguese, Dutch; Danish, Norwegian, Swedish, Finnish; Polish, Czech,
# Russian, Ukrainian; Hungarian, Romanian, Catalan, Turkish, Greek, Indonesian. No name has two meanings here.
NAMES = """
january jan januar jän jänner janvier janv enero ene gennaio gen janeiro januari tammikuu tammikuuta stycznia styczeń sty ledna leden
 января январь янв січня січень január ianuarie ian gener ocak oca ιανουαρίου ιανουάριος
february feb februar febr février févr fév febrero febbraio fevereiro fev februari helmikuu helmikuuta lutego luty lut února únor
 февраля февраль фев лютого лютий február februarie febrer şubat şub φεβρουαρίου φεβρουάριος
march mar märz mär mrz mars marzo março maart mrt marts maaliskuu maaliskuuta marca marzec března březen
 марта март мар березня березень március martie març mart μαρτίου μάρτιος maret
april apr avril avr abril abr aprile huhtikuu huhtikuuta kwietnia kwiecień kwi dubna duben
 апреля апрель апр квітня квітень április aprilie nisan nis απριλίου απρίλιος
may mai mayo maggio mag maio mei maj toukokuu toukokuuta maja května květen
 мая май травня травень május maig mayıs μαΐου μάιος
june jun juni juin junio giugno giu junho kesäkuu kesäkuuta czerwca czerwiec cze června červen
 июня июнь июн червня червень június iunie juny haziran haz ιουνίου ιούνιος
july jul juli juillet juil julio luglio lug julho heinäkuu heinäkuuta lipca lipiec lip července červenec
 июля июль июл липня липень július iulie juliol temmuz tem ιουλίου ιούλιος
august aug août aou agosto ago ag augustus augusti elokuu elokuuta sierpnia sierpień sie srpna srpen
 августа август авг серпня серпень augusztus agost ağustos ağu αυγούστου αύγουστος agustus
september sept sep septembre septiembre settembre set setembro syyskuu syyskuuta września wrzesień wrz září
 сентября сентябрь сен сент вересня вересень szeptember septembrie setembre eylül eyl σεπτεμβρίου σεπτέμβριος
october oct oktober okt octobre octubre ottobre ott outubro out lokakuu lokakuuta października październik paź října říjen
 октября октябрь окт жовтня жовтень október octombrie ekim eki οκτωβρίου οκτώβριος
november nov novembre noviembre novembro marraskuu marraskuuta listopada listopad lis listopadu
 ноября ноябрь ноя нояб листопада листопад noiembrie kasım kas νοεμβρίου νοέμβριος
december dec dezember dez décembre déc diciembre dic dicembre dezembro joulukuu joulukuuta grudnia grudzień gru prosince prosinec
 декабря декабрь дек грудня грудень decembrie desembre aralık ara δεκεμβρίου δεκέμβριος desember des
"""
MONTHS = {
    name: month
    for month, names in enumerate(NAMES.strip().replace("\n ", " ").split("\n"), 1)
    for name in names.split()
}


def check_format(format: str) -> str:
    """Return the format.

    Raises:
        ValueError: it has a directive that is not known here, or gives no year and month.
    """
    if format in (*EPOCHS, SHEET):
        return format
    parts = re.findall("%(.)", format.replace("%%", ""))
    unknown = [part for part in parts if part not in PARTS]
    if unknown or format.replace("%%", "").endswith("%"):
        known = " ".join(f"%{part}" for part in PARTS)
        raise ValueError(
            f"%{unknown[0] if unknown else ''} is none of {known}, {', '.join((*EPOCHS, SHEET))}"
        )
    if len(set(parts)) < len(parts):
        raise ValueError("each directive may stand once")
    if ("G" in parts) != ("V" in parts) or ("V" in parts and {"Y", "y", "d", *"mbBq"} & set(parts)):
        raise ValueError(
            "%G, the year of a week, and %V, the week, belong together, without a month"
        )
    if "j" in parts and {"d", *"mbBq"} & set(parts):
        raise ValueError("%j, the day of a year, stands without month and day")
    is_month = {"Y", "y"} & set(parts) and {"m", "b", "B", "q", "j"} & set(parts)
    if not is_month and "V" not in parts:
        raise ValueError(
            "a year (%Y or %y) and a month (%m, %b or %B), quarter (%q) or day (%j) are needed"
        )
    if "u" in parts and "V" not in parts:
        raise ValueError("%u, the day of a week, belongs to %G and %V")
    if ("I" in parts) != ("p" in parts):
        raise ValueError("%I, an hour of twelve, and %p belong together")
    return format


def check_zone(zone: str) -> str:
    """Return the name of a time zone.

    Raises:
        ValueError: there is none of this name.
    """
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("expected a time zone, such as Europe/Berlin or UTC") from None
    return zone


def read_times(words: pa.Array, formats: Sequence[str], zone: str | None = None) -> np.ndarray:
    """Read dates and times (datetime64[ns], UTC; NaT where a word has none of the formats).

    Args:
        words: stripped.
        formats: of strptime, one of EPOCHS or SHEET; the first that fits a word counts. None: ISO 8601.
        zone: of the times without an offset, such as "Europe/Berlin"; None: UTC.
    """
    times = np.full(len(words), np.datetime64("NaT"), dtype="datetime64[ns]")
    words = typeset(words)
    for format in typeset(pa.array(formats, pa.string())).to_pylist() or (None,):
        open_ = np.isnat(times)
        if not open_.any():
            break
        chosen = pc.if_else(pa.array(open_), words, None)
        if format is None:
            found, local = _iso(chosen)
        elif format in EPOCHS:
            found, local = _since_1970(chosen, EPOCHS[format]), np.zeros(len(words), dtype=bool)
        elif format == SHEET:
            found = _of_spreadsheet(chosen)
            local = ~np.isnat(found)
        else:
            found, local = _formatted(chosen, format)
        if zone is not None and local.any():
            found[local] = _in_zone(found[local], zone)
        times = np.where(open_, found, times)
    return times


def looks_like(words: pa.Array, format: str, *, whole: bool = True) -> bool:
    """Whether one of the words has the parts of a format, or begins with them; cheaper than reading them."""
    pattern = _pattern(format) if whole else _pattern(format).removesuffix("$")
    return bool(pc.any(pc.match_substring_regex(words, pattern)).as_py())


def has_offset(words: pa.Array) -> np.ndarray:
    """Mark ISO 8601 times that say how far they are from UTC."""
    return np.asarray(pc.match_substring_regex(typeset(words), OFFSET).fill_null(False), dtype=bool)


def _iso(words: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    import pandas as pd

    words = pc.if_else(pc.match_substring_regex(words, ISO_TIME), words, None)
    texts = words.to_numpy(zero_copy_only=False)
    is_local = ~has_offset(words)
    found = np.full(len(texts), np.datetime64("NaT"), dtype="datetime64[ns]")
    # Apart, because pandas 2.3 gives a time without an offset the one of the time before it.
    for some in (is_local, ~is_local):
        if some.any():
            series = pd.Series(texts[some], dtype=object)
            times = pd.to_datetime(series, format="ISO8601", utc=True, errors="coerce")
            found[some] = times.dt.tz_localize(None).to_numpy(dtype="datetime64[ns]")
    return found, is_local & ~np.isnat(found)


def _since_1970(words: pa.Array, per_second: int) -> np.ndarray:
    """Read seconds or milliseconds since 1970; fractions to the microsecond."""
    number = pc.extract_regex(words, r"^(?P<whole>-?[0-8]?[0-9]{1,18})(?:\.(?P<rest>[0-9]*))?$")
    # Flattened, because a field of its own has "" where nothing fits.
    wholes, rests = number.flatten()
    whole = wholes.fill_null("0").cast(pa.int64()).to_numpy()
    text = pc.binary_join_element_wise("0.", rests.fill_null(""), "0", "")
    rest = text.cast(pa.float64()).to_numpy()
    fits = np.asarray(number.is_valid()) & (np.abs(whole) // per_second < NANOSECOND_LIMIT)
    sign = np.where(np.asarray(pc.starts_with(words, "-").fill_null(False)), -1, 1)
    tick = 10**9 // per_second
    micros = np.round(rest * tick / 1_000).astype(np.int64) * 1_000 * sign
    found = np.where(fits, whole, 0) * tick + micros
    return np.where(fits, found.view("datetime64[ns]"), np.datetime64("NaT"))


def _of_spreadsheet(words: pa.Array) -> np.ndarray:
    """Read days as a spreadsheet counts them; fractions to the millisecond."""
    numbers = pc.if_else(pc.match_substring_regex(words, r"^[0-9]{1,7}(\.[0-9]*)?$"), words, None)
    days = numbers.cast(pa.float64()).to_numpy(zero_copy_only=False)
    milliseconds = np.round((days - 25_569) * 86_400_000)
    fits = np.abs(milliseconds) < NANOSECOND_LIMIT * 1_000  # false of NaN
    times = (np.where(fits, milliseconds, 0).astype(np.int64) * 10**6).view("datetime64[ns]")
    return np.where(fits, times, np.datetime64("NaT"))


def _formatted(words: pa.Array, format: str) -> tuple[np.ndarray, np.ndarray]:
    """Read times of one format; with them, which have no offset."""
    if re.fullmatch("(%[YymdHMS])+", format):  # a gap beside it makes 20200705.0 of 20200705
        words = pc.replace_substring_regex(words, r"\.0+$", "")
    found = pc.extract_regex(words, _pattern(format))
    fits = np.asarray(found.is_valid())
    text = {field.name: found.field(field.name) for field in found.type}

    def number(name: str, other: int) -> np.ndarray:
        if name not in text:
            return np.full(len(words), other, dtype=np.int64)
        return np.asarray(pc.if_else(pa.array(fits), text[name], str(other)).cast(pa.int64()))

    year = number("Y", 0)
    if "y" in text:
        year = number("y", 0)
        year = year + np.where(year < 69, 2000, 1900)
    month = number("m", 1)
    for name in {"b", "B"} & set(text):
        names = pc.utf8_rtrim(pc.utf8_lower(text[name]), ".")
        place = pc.index_in(names, pa.array(MONTHS, names.type)).fill_null(-1).to_numpy()
        month = np.array([*MONTHS.values(), 0])[place]
    if "q" in text:
        month = number("q", 1) * 3 - 2
    day, hour = number("d", 1), number("H", 0)
    if "V" in text:
        year, month, day = _in_week(number("G", 1970), number("V", 1), number("u", 1))
    if "j" in text:
        days = _first(year) + number("j", 1) - 1
        year, month, day = _date(days, (days >= _first(year)) & (days < _first(year + 1)))
    fits &= (month >= 1) & (month <= 12) & (day >= 1) & (year >= 1)
    if "p" in text:
        twelve = number("I", 12)
        fits &= (twelve >= 1) & (twelve <= 12)
        after_noon = np.asarray(pc.match_substring_regex(text["p"], "^[Pp]").fill_null(False))
        hour = twelve % 12 + 12 * after_noon
    minute, second = number("M", 0), number("S", 0)
    fits &= (hour < 24) & (minute < 60) & (second < 60)
    months = np.where(fits, (year - 1970) * 12 + month - 1, 0)
    days = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64) + day - 1
    fits &= days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) == months
    seconds = days * 86_400 + hour * 3_600 + minute * 60 + second - _offset(text, fits)
    fits &= np.abs(seconds) < NANOSECOND_LIMIT
    nanoseconds = np.zeros(len(words), dtype=np.int64)
    if "f" in text:
        digits = pc.utf8_rpad(text["f"].fill_null("0"), 9, "0")
        nanoseconds = pc.if_else(pa.array(fits), digits, "0").cast(pa.int64()).to_numpy()
    times = (np.where(fits, seconds, 0) * 10**9 + nanoseconds).view("datetime64[ns]")
    return np.where(fits, times, np.datetime64("NaT")), fits & np.full(len(fits), "z" not in text)


def _in_week(
    year: np.ndarray, week: np.ndarray, weekday: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return year, month and day of a day of ISO weeks; month 0 where the year has no such week."""

    def monday(of: np.ndarray) -> np.ndarray:  # week 1 has the fourth of January
        fourth = _first(of) + 3
        return np.asarray(fourth - (fourth + 3) % 7)

    days = monday(year) + (week - 1) * 7
    fits = (week >= 1) & (days < monday(year + 1))
    return _date(days + weekday - 1, fits)


def _first(year: np.ndarray) -> np.ndarray:
    """Return the first of January, in days since 1970."""
    first = (year - 1970).astype("datetime64[Y]").astype("datetime64[D]")
    return np.asarray(first.astype(np.int64))


def _date(days: np.ndarray, fits: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return year, month and day of days since 1970; month 0 where they do not fit."""
    months = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    day = days - months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64) + 1
    return months // 12 + 1970, np.where(fits, months % 12 + 1, 0), day


def _offset(text: dict[str, pa.Array], fits: np.ndarray) -> np.ndarray:
    """Return seconds east of UTC."""
    if "z" not in text:
        return np.zeros(len(fits), dtype=np.int64)
    digits = pc.replace_substring_regex(text["z"], "[^0-9]", "")
    digits = pc.if_else(pc.equal(digits, ""), "0", digits).fill_null("0").cast(pa.int64())
    at = digits.to_numpy()
    at = np.where(at < 24, at * 100, at)  # +02 is +0200
    sign = np.where(np.asarray(pc.starts_with(text["z"], "-").fill_null(False)), -1, 1)
    return sign * (at // 100 * 3_600 + at % 100 * 60)


@lru_cache(4_096)
def _pattern(format: str) -> str:
    """Turn a format into a regular expression with a group for each directive."""
    pattern, tokens = "", re.findall(r"%.|\s+|[^%\s]", format)
    for place, token in enumerate(tokens):
        if token.isspace():
            pattern += r"\s+"
        elif not token.startswith("%") or token[1] == "%":
            pattern += re.escape(token[-1])
        else:
            around = [*tokens[max(0, place - 1) : place], *tokens[place + 1 : place + 2]]
            digits = PARTS[token[1]]
            if any(re.fullmatch("%[^%pzaAbB]", other) for other in around):  # 20200705
                digits = digits.replace("{1,2}", "{2}")
            pattern += f"(?P<{token[1]}>{digits})"
            if token == "%d" and {"%b", "%B"} & set(tokens):  # noqa: S105 (no password)
                pattern += "(?:st|nd|rd|th|er|º)?"
    return f"(?i)^{pattern}$"


def _in_zone(times: np.ndarray, zone: str) -> np.ndarray:
    """Convert a zone's wall-clock times to UTC: the earlier of an hour given twice, NaT where there is none."""
    import pandas as pd

    local = pd.DatetimeIndex(times)
    first = np.ones(len(local), dtype=bool)
    there = local.tz_localize(zone, ambiguous=first, nonexistent="NaT")
    return there.tz_convert(None).to_numpy(dtype="datetime64[ns]")
