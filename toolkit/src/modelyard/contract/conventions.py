"""Conventions of a column of text: how its numbers are written, and which decimal sign its file uses."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from modelyard.data.numbers import (
    CLOCK,
    NO_CENTS,
    OTHER_DIGITS,
    Written,
    hours_of,
    typeset,
)
from modelyard.errors import UsageError

Sign = Literal[".", ","]
SAMPLE = 200
MOST_UNITS = 5
# ISO 4217, and RMB.
CODES = frozenset(
    re.findall(
        "...",
        "AEDAFNALLAMDAOAARSAUDAZNBAMBBDBDTBGNBHDBIFBMDBNDBOBBRLBSDBTNBWPBYNBZDCADCDFCHFCLPCNYCOPCRC"
        "CUPCVECZKDJFDKKDOPDZDEGPERNETBEURFJDFKPGBPGELGHSGIPGMDGNFGTQGYDHKDHNLHTGHUFIDRILSINRIQDIRR"
        "ISKJMDJODJPYKESKGSKHRKMFKPWKRWKWDKYDKZTLAKLBPLKRLRDLSLLYDMADMDLMGAMKDMMKMNTMOPMRUMURMVRMWK"
        "MXNMYRMZNNADNGNNIONOKNPRNZDOMRPABPENPGKPHPPKRPLNPYGQARRMBRONRSDRUBRWFSARSBDSCRSDGSEKSGDSHP"
        "SLESOSSRDSSPSTNSVCSYPSZLTHBTJSTMTTNDTOPTRYTTDTWDTZSUAHUGXUSDUYUUZSVESVNDVUVWSTXAFXCDXOFXPF"
        "YERZARZMW",
    )
)
NAMED = "|".join(
    ("kr", "Kr", "zł", "Kč", "Ft", "Fr", "Rs", "R", "Rp", "RM", "TL", "лв", *sorted(CODES))
)
CURRENCY = rf"(?:[A-Z]{{0,3}}\p{{Sc}}|%|S/|(?:{NAMED})\.?)"
SCALES = {
    **dict.fromkeys(("k", "K", "tsd", "Tsd", "Tsd."), 10**3),
    **dict.fromkeys(("m", "M", "mn", "Mn", "mm", "MM", "mio", "Mio", "Mio."), 10**6),
    **dict.fromkeys(("b", "B", "bn", "Bn", "mrd", "Mrd", "Mrd."), 10**9),
    **dict.fromkeys(("t", "T", "tn", "Tn"), 10**12),
    **{"thousand": 10**3, "million": 10**6, "Million": 10**6, "Millionen": 10**6, "billion": 10**9},
    **{
        "Milliarde": 10**9,
        "Milliarden": 10**9,
        "trillion": 10**12,
        "万": 10**4,
        "億": 10**8,
        "亿": 10**8,
    },
    **{"lakh": 10**5, "lakhs": 10**5, "crore": 10**7, "crores": 10**7},
}
CORE = r"[0-9](?:[0-9.,' ]*[0-9])?\.?,?|[.,][0-9]+"
NUMBER = (
    rf"^(?P<lead>(?:{CURRENCY})?)\s*(?P<open>\(?)\s*[+-]?\s*(?P<before>(?:{CURRENCY})?)\s*[+-]?\s*(?P<core>{CORE})"
    r"(?P<exponent>(?:[eE][+-]?[0-9]+)?)\s*(?P<after>(?:[\pL°µ%‰\p{Sc}][\pL0-9/.²³·%\p{Sc}]*"
    r"(?: \p{Sc}| [\pL]{1,8}\.?)?)?)\s*(?P<minus>-?)(?P<close>\)?)\s*(?P<last>(?:\p{Sc}|%)?)$"
)
# A point or comma before exactly three digits, after one to three: a decimal sign or thousands.
EITHER = r"^[1-9][0-9]{0,2}[.,][0-9]{3}$"
UNGROUPED = r"^[0-9]{4,}$"  # no thousands, where there could be
PLAIN = r"^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$"
# Words that stand for a missing value beside numbers and dates, in brackets or not: signs, what spreadsheets show of
# an error, and words.
STAND_IN = (
    r"(?i)^[(\[<]?(?:[-–—.:…?*#_/']+|#.*[!?]|#?n/?[avdk]|#?n\. ?[advc]\.?|nan|null|none|nil|nr|nc|s/d|tbd|missing(?: data)?"
    r"|unknown|undefined|blank|empty|not (?:available|applicable|known|recorded|reported)|no (?:data|value)|nodata"
    r"|k\. ?a\.?|(?:keine|ohne) angabe|unbekannt|fehlt|leer|inconnue?|non (?:renseigné|disponible)|sans objet"
    r"|desconocid[oa]|sin datos?|no disponible|desconhecid[oa]|sconosciut[oa]|onbekend|okänd|ukjent|ukendt|brak(?: danych)?"
    r"|0000-00-00(?: 00:00:00)?|00/00/0000|00\.00\.0000)[)\]>]?$"
)


@dataclass
class Numbers:
    """How a column writes its numbers, as far as the column itself says.

    Attributes:
        written: without the decimal sign where the column leaves it open.
        open: an example such as 1.678, which may be 1.678 or 1678; None where the column is clear.
        votes: number of different words that can only have a decimal point or a decimal comma.
        missing: words beside the numbers that stand for a missing value.
        notes: what the user should know.
    """

    written: Written
    open: str | None = None
    votes: Mapping[Sign, int] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)


def numbers_in(words: pa.Array) -> Numbers | str | None:
    """Find out how distinct words are written as numbers; a reason, or None, where they are none."""
    plain = typeset(words)
    some = plain.take(pa.array(np.arange(0, len(words), max(1, len(words) // SAMPLE))))

    def mostly(pattern: str) -> bool:  # a first look is cheap, and mostly enough to say no
        return bool(pc.mean(pc.match_substring_regex(some, pattern).cast(pa.int8())).as_py() > 0.5)

    is_plain = pc.all(pc.match_substring_regex(plain, PLAIN)).as_py()
    if not is_plain and mostly(CLOCK):
        missing = _missing_beside(words, np.asarray(hours_of(plain).is_valid()))
        if not isinstance(missing, tuple):
            return missing
        notes = ["hours and minutes: 14:30 is read as 14.5", *_said_missing(missing)]
        return Numbers(Written(clock=True), missing=missing, notes=notes)
    if not is_plain and not mostly(NUMBER):
        return None
    notes = []
    changed = words.filter(pc.match_substring_regex(words, f"{OTHER_DIGITS}|{NO_CENTS}"))
    if len(changed):
        notes.append(f"{changed[0]} is read as {typeset(changed[:1])[0]}")
    bare = words.filter(pc.match_substring_regex(words, "^[0-9]+[eE][0-9]{1,2}$"))
    notes += [f"{bare[0]} is read as {float(bare[0].as_py()):,.15g}"] if len(bare) else []
    if is_plain:  # as programs write numbers: only the thousands may be in doubt
        as_usual = _as_programs_do(pc.utf8_ltrim(plain, "+-"))
        as_usual.notes += notes
        return as_usual
    found = pc.extract_regex(plain, NUMBER)
    fits = np.asarray(found.is_valid())
    missing = _missing_beside(words, fits)
    if not isinstance(missing, tuple):
        return missing
    found = found.filter(pa.array(fits))
    part = {field.name: found.field(field.name) for field in found.type}
    notes += _said_missing(missing)
    decorated = _decoration(part, notes)
    if not isinstance(decorated, Written):
        return decorated
    cores = part["core"]
    scientific = pc.not_equal(part["exponent"], "")
    if pc.any(scientific).as_py():  # 1,234e3: one sign, and it is the decimal sign
        cores = pc.if_else(scientific, pc.binary_join_element_wise(cores, "0", ""), cores)
    numbers = _separators(cores, decorated, notes)
    if isinstance(numbers, Numbers):
        numbers.missing = missing
    return numbers


def _missing_beside(words: pa.Array, fits: np.ndarray) -> tuple[str, ...] | str | None:
    """Find the words beside numbers that stand for missing ones; a reason, or None, where others are there."""
    if fits.all():
        return ()
    odd = words.filter(pa.array(~fits)).to_pylist() if fits.mean() > 0.5 else []
    if not odd or len(odd) > 5 or stand_ins(odd) != odd:
        hint = f"mostly numbers, but also {odd[0]!r}: read as text, clean it if that is wrong"
        return hint if odd else None
    return tuple(sorted(odd))


def stand_ins(words: Iterable[str]) -> list[str]:
    """List the words that mostly stand for a missing value."""
    return [word for word in words if re.search(STAND_IN, word)]


def _said_missing(missing: tuple[str, ...]) -> list[str]:
    return [f"{', '.join(missing)} beside numbers: read as missing"] if missing else []


def decide(
    columns: Mapping[str, Numbers], decimal: Sign | None, delimiter: str | None
) -> dict[Sign, int]:
    """Decide how columns write numbers that could have a decimal sign or thousands.

    What other columns of the file show decides, else the option; a comma between fields leaves the
    comma in numbers to thousands.

    Returns:
        The votes for each decimal sign of all columns.

    Raises:
        UsageError: nothing decides.
    """
    signs: tuple[Sign, Sign] = (".", ",")
    seen = {sign: sum(c.votes.get(sign, 0) for c in columns.values()) for sign in signs}
    shown = [sign for sign in signs if seen[sign]]
    undecided = {}
    for name, column in columns.items():
        sign = column.written.decimal
        if column.votes.get(sign) and len(shown) == 2 and seen[sign] == column.votes[sign]:
            other = "point" if sign == "," else "comma"
            column.notes.append(f"other columns have a decimal {other}")
        if column.open is None:
            continue
        sign = "," if "," in column.open else "."
        chosen: str | None = decimal or (shown[0] if len(shown) == 1 else None)
        why = "as --decimal says" if decimal else "as the rest of the file has it"
        if chosen is None and not shown and sign == "," == delimiter:
            chosen, why = ".", "since commas delimit the fields"
        if chosen is None:
            undecided[name] = column.open
            continue
        update = {"decimal": chosen} | ({} if sign == chosen else {"thousands": sign})
        column.written = column.written.model_copy(update=update)
        value = column.open.replace(sign, "." if sign == chosen else "")
        column.notes.append(f"{column.open} is read as {value}, {why}")
        column.open = None
    if undecided:
        name, example = next(iter(undecided.items()))
        sign = "," if "," in example else "."
        fraction, whole = example.replace(sign, "."), example.replace(sign, "")
        others = f" (and in {len(undecided) - 1} more columns)" if len(undecided) > 1 else ""
        raise UsageError(
            f'column "{name}": {example} may be {fraction} or {whole}{others}, and nothing in the table '
            f'decides. Say which: --decimal "{sign}" reads {fraction}, --decimal '
            f'"{"." if sign == "," else ","}" reads {whole}.'
        )
    return seen


def _decoration(part: Mapping[str, pa.Array], notes: list[str]) -> Written | str | None:
    """Find unit, scale and the sign of negative numbers; a reason, or None, where they do not agree."""
    opened, closed = (np.asarray(pc.not_equal(part[name], "")) for name in ("open", "close"))
    minus = np.asarray(pc.not_equal(part["minus"], ""))
    if (opened != closed).any() or (opened.any() and minus.any()):
        return None
    if minus.all():
        return "every value ends in a minus, as 50- for 50 and more does: read as text"
    negative = "parentheses" if opened.any() else "trailing minus" if minus.any() else None
    count = len(opened)
    exponents = pc.any(pc.not_equal(part["exponent"], "")).as_py()
    places = {n: _counts(part[n]) for n in ("lead", "before", "after", "last")}
    after = places["after"]
    scale: dict[str, int] = {}
    if after and not exponents:
        bare = {word.split(" ")[0] for word in after}
        suffixes = {re.sub(r"[^\w.]+$", "", word) for word in after}
        differ = len(suffixes) > 1 and "mm" not in suffixes
        if suffixes <= set(SCALES) and (bare - {"m", "mm", "t", "b"} or differ):
            scale = {word: SCALES[word] for word in sorted(suffixes)}
            if any(re.match("[tT] ?€", word) for word in after):  # 12 T€, beside 1,2 M€
                scale |= dict.fromkeys(suffixes & {"t", "T"}, 1000)
            rest = {re.sub(r"^[\w.]*", "", word).strip() for word in after}
            after = dict.fromkeys(filter(None, rest), count)
    units = {**places["lead"], **places["before"], **after, **places["last"]}
    same = _plurals(units)
    if len(units) > 1 and not same:
        several = ", ".join(sorted(units)[:4])
        if len(units) > MOST_UNITS:
            return None  # 12a and 7b are names
        return (
            f"numbers with several words ({several}): read as text; if these are units, bring one"
        )
    unit = next(iter(same or units), None)
    if unit is not None:
        lacking = count - sum(
            n for place in places.values() for u, n in place.items() if u in units
        )
        is_sign = re.search(r"[^\w\s/.]", unit) or unit in CODES
        if unit == "R" and not pc.any(pc.match_substring_regex(part["core"], "...")).as_py():
            return None  # R1 and R2 are names, R 100 is an amount
        if unit.upper() in ("CR", "DR") and lacking:
            return f"some numbers with {unit}, perhaps of the other sign: read as text"
        if unit == "%" and lacking:
            return "some numbers with % and some without: read as text, write all the same way"
        if not is_sign and lacking > count / 2:
            return f"mostly numbers, but some with {unit}: read as text, clean it if that is wrong"
        if scale:
            lacking = 0
        notes.append(
            "in %: 12% is read as 12"
            if unit == "%"
            else f"in {' or '.join(same or (unit,))}"
            + (f", which {lacking:,} of the values do not say" if lacking else "")
        )
    if scale:
        notes.append(", ".join(f"1{word} is {factor:,}" for word, factor in scale.items()))
    if negative:
        notes.append(f"negative numbers have {'a ' if minus.any() else ''}{negative}")
    return Written(unit=same or unit, scale=scale or None, negative=negative)  # type: ignore[arg-type]


def _plurals(units: Mapping[str, int]) -> tuple[str, ...]:
    """Return the units if they are one and its plurals, such as day and days; else none."""
    stem, *others = sorted(units, key=len) or [""]
    ends = (
        {"s", "es"} if len(stem) == 2 else {"s", "es", "e", "n", "en"} if len(stem) > 2 else set()
    )
    return (stem, *others) if others and {o.removeprefix(stem) for o in others} <= ends else ()


def _as_programs_do(words: pa.Array) -> Numbers:
    """Look at numbers that have at most a decimal point: is it one?"""
    dotted = words.filter(pc.match_substring(words, "."))
    either = pc.sum(pc.match_substring_regex(dotted, EITHER)).as_py() or 0
    clear = len(dotted) - either + (pc.sum(pc.match_substring_regex(words, UNGROUPED)).as_py() or 0)
    if either and not clear:
        doubtful = dotted.filter(pc.match_substring_regex(dotted, EITHER))
        return Numbers(Written(), doubtful[0].as_py())
    return Numbers(Written(), votes={".": clear} if len(dotted) else {})


def _separators(cores: pa.Array, written: Written, notes: list[str]) -> Numbers | str | None:
    """Find decimal sign and thousands."""
    marked = cores.filter(pc.match_substring_regex(cores, r"[.,' ]"))
    either = pc.match_substring_regex(marked, EITHER)
    shapes = pc.replace_substring_regex(marked.filter(pc.invert(either)), "[0-9]", "9")
    decimals: Counter[Any] = Counter()
    groups: Counter[Any] = Counter()
    for shape, count in _counts(shapes).items():
        decimal, thousands = _signs(shape)
        if thousands == "":
            return None  # 1.2.3 and the like
        decimals[decimal or ""] += count
        groups[thousands or ""] += count
    decimals.pop("", None)
    groups.pop("", None)
    mixed = "numbers with several decimal signs or thousands: read as text, write all the same way"
    if len(decimals) > 1 or len(groups) > 1 or set(decimals) & set(groups):
        return mixed
    decimal, thousands = next(iter(decimals), None), next(iter(groups), None)
    votes = decimals[decimal] if decimal else 0
    if thousands in (".", ","):
        votes += groups[thousands]
        decimal = "," if thousands == "." else "."
    doubtful = marked.filter(either)
    signs = {sign for sign in ".," if pc.any(pc.match_substring(doubtful, sign)).as_py()}
    if signs and decimal is None:
        if len(signs) > 1:
            return mixed
        ungrouped = pc.any(pc.match_substring_regex(cores, UNGROUPED)).as_py()
        if thousands is None and (signs == {","} or not ungrouped):  # 1,234 beside 1500 is no proof
            return Numbers(written, doubtful[0].as_py(), notes=notes)
        decimal = signs.pop()
    for sign in signs - {decimal}:
        if thousands not in (None, sign):
            return mixed
        thousands = sign
    if thousands:
        sign = {".": "points", ",": "commas", " ": "blanks", "'": "apostrophes"}[thousands]
        notes.append(f"digits are grouped by {sign}")
    if decimal == ",":
        notes.append("with a decimal comma")
    update = {"decimal": decimal or ".", "thousands": thousands}
    return Numbers(
        written.model_copy(update=update),
        votes={decimal: votes} if decimal else {},  # type: ignore[dict-item]
        notes=notes,
    )


def _signs(word: str) -> tuple[str | None, str | None]:
    """Return decimal sign and thousands of a word that leaves no choice; "" as thousands: no number."""
    marks = re.findall(r"[.,' ]", word)
    decimal = None
    if marks[-1] in ".," and marks.count(marks[-1]) == 1:
        decimal = marks.pop()
        word = word[: word.rindex(decimal)]
    if not marks:
        return decimal, None
    grouped = re.fullmatch(
        r"[0-9]{1,3}(?:M[0-9]{2,3})*M[0-9]{3}".replace("M", re.escape(marks[0])), word
    )
    return decimal, marks[0] if len(set(marks)) == 1 and grouped else ""


def _counts(words: pa.Array) -> dict[str, int]:
    found = pc.value_counts(words)
    return {item["values"]: item["counts"] for item in found.to_pylist() if item["values"]}
