"""Numbers as people write them: separators, currency, per cent, units, parentheses for negatives."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

DECIMAL = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
CLOCK = (
    r"^(?P<sign>-?)(?:(?P<days>[0-9]{1,4}) days?,? )?(?P<whole>[0-9]{1,4}):(?P<minutes>[0-5][0-9])"
    r"(?::(?P<seconds>[0-5][0-9](?:\.[0-9]+)?))?(?: ?(?P<half>[AaPp])\.?[Mm]\.?)?(?: ?Uhr| ?h)?$"
)
# Soft hyphen, joiners, marks of the direction of writing, byte order mark.
HIDDEN = "[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]"
# No-break and thin blanks, minus sign, hyphens and apostrophe of typesetters, as a keyboard has them.
TYPESET = (
    (HIDDEN, ""),
    ("[\u00a0\u2007\u2009\u202f\u3000]", " "),
    ("[\u2010-\u2013\u2212]", "-"),
    ("[\u2019\u00b4]", "'"),
)
# Arabic, Persian, Devanagari, Bengali, Gurmukhi, Gujarati, Tamil, Telugu, Kannada, Malayalam, Thai, Lao, Burmese, Khmer.
ZEROS = "\u0660\u06f0\u0966\u09e6\u0a66\u0ae6\u0be6\u0c66\u0ce6\u0d66\u0e50\u0ed0\u1040\u17e0"
# Digits of other scripts, signs of full width, and Arabic's of numbers.
OTHER_DIGITS = (
    f"[\uff01-\uff5e\uffe5\u066a-\u066c{''.join(f'{z}-{chr(ord(z) + 9)}' for z in ZEROS)}]"
)
TO_ASCII = {
    **{0xFF01 + at: chr(0x21 + at) for at in range(0x5E)},
    **{ord(zero) + n: str(n) for zero in ZEROS for n in range(10)},
    **{0xFFE5: "\u00a5", 0x66A: "%", 0x66B: ".", 0x66C: ","},
}
# 1.200,- 50.\u2013 and 500/- are whole amounts.
NO_CENTS = "([0-9])[.,/](?:--?|[\u2013\u2014])( |$)"
SPACED_SIGN = r"^([+-]) +"
# Of what these two mend; mostly, there is none.
ODD_SIGNS = (",-", ".-", "/-", ".\u2014", ",\u2014", "- ", "+ ")


def _power_of_ten(factor: int) -> int:
    if not re.fullmatch("10*", str(factor)):
        raise ValueError("expected a power of ten, such as 1000")
    return factor


Factor = Annotated[int, AfterValidator(_power_of_ten)]
Unit = Annotated[str, Field(min_length=1, pattern=r"^[^0-9\s](.*\S)?$")]


class Written(BaseModel):
    """How the cells of a column write numbers, or yes and no.

    Attributes:
        decimal: the decimal sign.
        thousands: what groups digits: a point, a comma, a blank or an apostrophe.
        unit: what stands before or after a number and does not change it: €, USD, %, kg; several where
            they mean the same: day, days.
        scale: what stands after a number and multiplies it, by a power of ten: {K: 1000}.
        negative: how a negative number is written, beside a minus in front of it.
        yes: the word for true, in any case.
        no: the word for false.
        clock: hours and minutes, perhaps seconds, with colons between them; 14:30 and 2:30 PM are 14.5. Likewise
            minutes and seconds.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    decimal: Literal[".", ","] = "."
    thousands: Literal[".", ",", " ", "'"] | None = None
    unit: Unit | tuple[Unit, ...] | None = None
    scale: dict[str, Factor] | None = Field(default=None, min_length=1)
    negative: Literal["parentheses", "trailing minus"] | None = None
    yes: str | None = Field(default=None, min_length=1)
    no: str | None = Field(default=None, min_length=1)
    clock: bool = False

    @model_validator(mode="after")
    def _agrees(self) -> Written:
        if self.decimal == self.thousands:
            raise ValueError("decimal and thousands must be different signs")
        if (self.yes is None) != (self.no is None) or (self.yes and self.yes == self.no):
            raise ValueError("yes and no must be two words")
        if self.clock and self.model_dump(exclude_defaults=True) != {"clock": True}:
            raise ValueError("clock has nothing beside it")
        return self

    @property
    def units(self) -> tuple[str, ...]:
        """The units; none where there is none."""
        return (self.unit,) if isinstance(self.unit, str) else self.unit or ()

    @property
    def words(self) -> dict[str, bool]:
        """The words for true and false, in lower case."""
        return {self.yes.lower(): True, self.no.lower(): False} if self.yes and self.no else {}


def read_numbers(
    words: pa.Array, written: Written | None
) -> tuple[pa.Array, np.ndarray, np.ndarray]:
    """Read numbers; returns words as a program writes them, numbers, and which are numbers."""
    words = typeset(words)
    if written is not None and written.clock:
        words = hours_of(words)
    elif written is not None and not written.words:
        words = _normalised(words, written)
    words = pc.utf8_ltrim(words, "+")
    fits = np.asarray(pc.match_substring_regex(words, DECIMAL).fill_null(False), dtype=bool)
    numbers = cast_where(fits, words, pa.float64(), np.nan)
    return words, numbers, fits & np.isfinite(numbers)


def cast_where(chosen: np.ndarray, words: pa.Array, kind: pa.DataType, other: Any) -> np.ndarray:
    """Cast the chosen words to numbers; `other` in place of the rest."""
    return np.asarray(pc.if_else(pa.array(chosen), words, None).cast(kind).fill_null(other))


def example(written: Written) -> str:
    """Write 1234.5 in this way."""
    if written.clock:
        return "14:30"
    number = f"1{written.thousands or ''}234{written.decimal}5{next(iter(written.scale or ()), '')}"
    for unit in written.units[:1]:
        is_sign = len(unit) == 1 and not unit.isalpha() and unit != "%"
        number = f"{unit}{number}" if is_sign else f"{number} {unit}"
    return number


def typeset(words: pa.Array) -> pa.Array:
    """Write blanks, minus signs, apostrophes and digits as a keyboard has them, 12,- as 12 and - 5 as -5."""
    if not pc.all(pc.string_is_ascii(words), min_count=0).as_py():
        for pattern, plain in TYPESET:
            words = pc.replace_substring_regex(words, pattern, plain)
        if pc.any(pc.match_substring_regex(words, OTHER_DIGITS)).as_py():
            plain_words = [w if w is None else w.translate(TO_ASCII) for w in words.to_pylist()]
            words = pa.array(plain_words, words.type)
        words = pc.utf8_trim_whitespace(words)
    if any(pc.any(pc.match_substring(words, sign)).as_py() for sign in ODD_SIGNS):
        words = pc.replace_substring_regex(words, NO_CENTS, r"\1\2")
        words = pc.replace_substring_regex(words, SPACED_SIGN, r"\1")
    return words


def hours_of(words: pa.Array) -> pa.Array:
    """Rewrite 14:30 and 2:30 PM as 14.5; null where impossible."""
    found = pc.extract_regex(words, CLOCK)
    text = dict(zip((field.name for field in found.type), found.flatten(), strict=True))
    part = {
        name: pc.if_else(pc.equal(text[name], ""), "0", text[name]).cast(pa.float64())
        for name in ("days", "whole", "minutes", "seconds")
    }
    half, whole = pc.utf8_lower(text["half"]), part["whole"]
    is_of_twelve = pc.and_(pc.greater(whole, 0.0), pc.less_equal(whole, 12.0))
    half_day = pc.if_else(pc.equal(whole, 12.0), 0.0, whole)  # 12:30 AM is half past midnight
    half_day = pc.add(half_day, pc.if_else(pc.equal(half, "p"), 12.0, 0.0))
    whole = pc.if_else(pc.equal(half, ""), whole, pc.if_else(is_of_twelve, half_day, None))
    sixtieths = pc.add(part["minutes"], pc.divide(part["seconds"], 60.0))
    whole = pc.add(pc.multiply(part["days"], 24.0), whole)
    hours = pc.add(whole, pc.divide(sixtieths, 60.0)).cast(pa.string())
    return pc.binary_join_element_wise(text["sign"], hours, "").cast(words.type)


def _normalised(words: pa.Array, written: Written) -> pa.Array:
    """Rewrite numbers with a minus in front, a decimal point and nothing else; null where impossible."""
    found = pc.extract_regex(words, _pattern(written))
    part = dict(zip((field.name for field in found.type), found.flatten(), strict=True))
    number = part["number"]
    if written.thousands:
        number = pc.replace_substring(number, written.thousands, "")
    number = pc.replace_substring(number, written.decimal, ".")
    minus = [pc.equal(part[name], "-") for name in ("sign", "after", "trailing")]
    minus.append(pc.equal(part["open"], "("))
    signs = sum(
        pc.not_equal(part[name], "").cast(pa.int8()).fill_null(0).to_numpy()
        for name in ("sign", "after", "trailing", "open")
    )
    closed = pc.equal(pc.not_equal(part["open"], ""), pc.not_equal(part["close"], ""))
    valid = pc.and_(closed, pa.array(np.asarray(signs) <= 1))
    is_negative = pc.or_(pc.or_(minus[0], minus[1]), pc.or_(minus[2], minus[3]))
    power = pc.if_else(pc.is_valid(number), pa.scalar("", words.type), None)
    for sign, factor in (written.scale or {}).items():
        exponent = pa.scalar(f"e{len(str(factor)) - 1}", words.type)
        power = pc.if_else(pc.equal(part["scale"], sign), exponent, power)
    front = pc.if_else(is_negative, pa.scalar("-", words.type), pa.scalar("", words.type))
    joined = pc.binary_join_element_wise(front, number, power, pa.scalar("", words.type))
    return pc.if_else(valid, joined, pa.scalar(None, words.type))


def _pattern(written: Written) -> str:
    point = re.escape(written.decimal)
    digits = "[0-9]+"
    if written.thousands:
        group = re.escape(written.thousands)
        digits = f"(?:[0-9]{{1,3}}(?:{group}[0-9]{{2,3}})*{group}[0-9]{{3}}|[0-9]+)"
    exponent = "" if written.scale else "(?:[eE][+-]?[0-9]+)?"
    number = f"(?P<number>(?:{digits}(?:{point}[0-9]*)?|{point}[0-9]+){exponent})"
    # The longest first: "days" is no "day" with an s.
    units = "|".join(map(re.escape, sorted(written.units, key=len, reverse=True)))
    unit = f"(?:{units})?" if units else ""
    scale = "|".join(map(re.escape, sorted(written.scale or (), key=len, reverse=True)))
    opening, closing = (r"\(?", r"\)?") if written.negative == "parentheses" else ("", "")
    trailing = "-?" if written.negative == "trailing minus" else ""
    return (
        rf"^{unit}\s*(?P<open>{opening})\s*(?P<sign>[+-]?)\s*{unit}\s*(?P<after>[+-]?)\s*{number}"
        rf"\s*(?P<scale>(?:{scale})?)\s*{unit}\s*(?P<trailing>{trailing})(?P<close>{closing})"
        rf"\s*{unit}$"
    )
