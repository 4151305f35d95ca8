"""What a user should know of a table before its contract is written."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from functools import reduce

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from modelyard.console import counted, listed
from modelyard.contract.conventions import Numbers, numbers_in, stand_ins
from modelyard.contract.names import name_tokens, names_somebody, names_something
from modelyard.contract.profiles import Profile
from modelyard.data.cells import Cells
from modelyard.data.numbers import HIDDEN

VALUE = re.compile(r"[+-]?[0-9]*[.,][0-9]+|[+-][0-9]+|[0-9]{4}-[0-9]{2}-[0-9]{2}.*")
SPOILT = "[\x00-\x08\ufffd]|Ã[\u0080-\u00bf]|â€"  # UTF-8 that was read as Windows-1252, NUL
TOTAL = r"(?i)^(?:(?:grand|sub)[- ]?)?(?:totals?|summe|gesamt|insgesamt|totale|итого|всего|合計|总计)\W*$"
CUT = r"^[1-9](?:\.[0-9]{1,5})?E\+(?:09|1[0-9])$"
MONTH = r"^(?:19|20)[0-9]{2}\.(?:0[1-9]|1[0-2])$"
CLOCK = {"time", "clock", "hhmm", "uhrzeit", "hora", "heure"}
LONG = 11  # digits of a whole number, from which it is more likely to name something
PARTS = 3  # of a sum, at least
FAR = 1e4  # times what nine of ten values span
FEWEST = 10  # persons or things, below which they are categories


def remarks(profile: Profile, cells: Cells) -> list[str]:
    """Say what a column may mean beside what it is read as."""
    said, kind = [], profile.type
    if kind == "category" and (alike := _alike(profile.counts.index)):
        said.append(
            f"{' and '.join(map(repr, alike))} differ in case, blanks or marks only: read as two"
        )
    is_word = kind in ("category", "text", "boolean")  # "none" of a number may be 0
    if gaps := [gap for gap in cells.gaps if is_word or gap in ("none", "None")]:
        said.append(
            f'{", ".join(gaps)} read as missing: if a value, --not-missing "{profile.name}={gaps[0]}"'
        )
    if kind == "category" and profile.role == "feature":
        said += [
            f'"{word}" is a category: if it stands for missing, list it under missing'
            for word in stand_ins(sorted({*profile.counts.index} - {*profile.reading.not_missing}))
            if not re.fullmatch("[A-Z]{2}", word)  # ND and NV are states
        ]
    if kind in ("category", "text") and cells.is_text and len(bad := _like(cells, SPOILT)):
        said.append(f"{bad[0].as_py()!r} was spoilt on its way here: write the file as UTF-8 again")
    if (
        kind == "integer"
        and profile.role == "feature"
        and (names_something(profile.name) or _are_long(profile.values))
    ):
        said.append("names, not amounts? If so, `type: category`, or `role: identifier`")
    if kind in ("integer", "number") and cells.is_text and len(cut := _like(cells, CUT)):
        said.append(f"{cut[0]} was cut by a spreadsheet: if digits are lost, write them all")
    if kind in ("integer", "number") and profile.distinct >= FEWEST:
        values = profile.values.dropna()
        if CLOCK & set(name_tokens(profile.name)):
            hundreds = values * (1 if kind == "integer" else 100)
            is_day = hundreds.between(0, 2400).all() and hundreds.max() > 1000
            if is_day and (hundreds.round() % 100 < 60).all():
                shown = f"{profile.counts.index[0]:g}"
                said.append(f"if {shown} is a time of day, write it with a colon: 14:30")
        elif cells.is_text and len(_like(cells, MONTH)) == len(cells.words):
            said.append(f"if {cells.words[0]} is a month: --date-format COLUMN=%Y.%m")
    return said


def _like(cells: Cells, pattern: str) -> pa.Array:
    return cells.words.filter(pc.match_substring_regex(cells.words, pattern))


def _are_long(values: pd.Series) -> bool:
    low, high = (len(str(int(value))) for value in (values.min(), values.max()))
    return low == high >= LONG


def _alike(words: Iterable[str]) -> list[str]:
    """Return two words that differ in case, blanks or the composition of letters only; else none."""
    seen: dict[str, str] = {}
    for word in words:
        plain = unicodedata.normalize("NFKC", re.sub(HIDDEN, "", word)).casefold()
        if (other := seen.setdefault(" ".join(plain.split()), word)) != word:
            return [other, word]
    return []


def _odd_rows(columns: Mapping[str, Cells], profiles: Mapping[str, Profile]) -> list[str]:
    """Warn of a row of units below the header, and of totals."""
    said = []
    mostly = [
        n for n, p in profiles.items() if any(x.startswith("mostly numbers") for x in p.notes)
    ]
    for row, what in ((0, "units or a second header"), (-1, "a total or a remark")):
        odd = []
        for name in mostly:
            words, cell = columns[name].words, str(columns[name].array[row].as_py()).strip()
            rest = words.filter(pc.not_equal(words, cell))
            is_alone = profiles[name].counts.get(cell) == 1 and len(rest) < len(words)
            if is_alone and not cell[0].isdigit() and isinstance(numbers_in(rest), Numbers):
                odd.append(f'"{name}" ({cell})')
        if odd:
            place = "first" if row == 0 else "last"
            said.append(
                f"the {place} row has a word where {listed(odd)} has numbers else: if it holds {what}, delete it."
            )
    numbers = {n: p.values for n, p in profiles.items() if p.type in ("integer", "number")}
    sums = [f'"{name}"' for name, values in numbers.items() if _ends_in_its_sum(values)]
    if sums:
        said.append(f"the last row holds the sum of all others in {listed(sums)}: delete it.")
    for name, cells in columns.items():
        is_text = cells.is_text and profiles[name].type in ("category", "text")
        if is_text and len(totals := _like(cells, TOTAL)):
            said.append(
                f'"{name}" has {totals[0].as_py()!r}: a total beside its parts counts them twice; delete its rows.'
            )
    return said


def _ends_in_its_sum(values: pd.Series) -> bool:
    others = values[:-1]
    return bool(
        (others > 0).sum() >= PARTS and np.isclose(others.sum(), values.iloc[-1], rtol=1e-9)
    )


def doubts(
    columns: Mapping[str, Cells], profiles: Mapping[str, Profile], target: Profile
) -> list[str]:
    """Warn of names that look like values, of columns without a name, of totals, and of classes that may be none."""
    said = _odd_rows(columns, profiles)
    if target.type != "number" and (gaps := columns[target.name].gaps):
        said.append(
            f"{', '.join(gaps)} in {target.name} is read as missing, and its rows are left out: if it is a class, "
            f'--not-missing "{target.name}={gaps[0]}" says so.'
        )
    if target.type in ("number", "integer"):
        low, middle, high = target.values.quantile([0.05, 0.5, 0.95])
        away = (target.values - middle).abs()
        if away.max() > FAR * (high - low) > 0:
            said.append(
                f"{target.name} is {target.values[away.idxmax()]:g} in row {away.idxmax() + 1:,}, far from all "
                "others: if that is a mistake, mend it, since it outweighs them."
            )
    if target.type == "category" and (alike := _alike(target.counts.index)):
        said.append(f"the classes {' and '.join(map(repr, alike))} differ in case or blanks only.")
    values = [name for name in columns if VALUE.fullmatch(name)]
    repeated = [n for n, c in columns.items() if c.is_text and pc.any(pc.equal(c.words, n)).as_py()]
    values = values or (repeated if len(repeated) > max(1, len(columns) / 2) else [])
    again = reduce(pc.and_, (pc.equal(columns[n].array, n) for n in repeated)) if repeated else None
    if len(repeated) == len(columns) and pc.any(again).as_py():
        row = pc.index(again, True).as_py() + 1
        said.append(f"row {row:,} holds the header again: delete it, and others like it.")
    elif values:
        said.append(
            f"the first line is taken for the names of the columns, and {listed(values)} looks like a value: "
            "if the file has no header, write one above its first row."
        )
    spoilt = [name for name in columns if re.search(SPOILT, name)]
    if spoilt:
        said.append(
            f"the name {listed(spoilt)} was spoilt on its way here: write the file as UTF-8 again."
        )
    nameless = [name for at, name in enumerate(columns, 1) if name == f"column_{at}"]
    if nameless:
        called = f"a column without a name is called by its place: {listed(nameless)}"
        said.append(f"{called}{of_title(columns)}.")
    if target.type in ("category", "text"):
        for name in stand_ins(sorted({*target.counts.index} - {*target.reading.not_missing})):
            said.append(
                f'the class "{name}" has {counted(target.counts[name], "row")}: if it stands for a missing value, write '
                f'`missing: ["{name}"]` for {target.name} in the contract, and leave it out of the classes.'
            )
    return said


def of_title(columns: Collection[str]) -> str:
    """Say what to do where most columns have no name, as below a title; nothing elsewhere."""
    nameless = sum(name == f"column_{at}" for at, name in enumerate(columns, 1))
    return (
        "; if the first line is a title, delete it: the names come first"
        if nameless > len(columns) / 2
        else ""
    )


def groups_in(profiles: dict[str, Profile]) -> list[str]:
    """Warn of a column that names persons or things, each with several rows."""
    for name, profile in profiles.items():
        often = profile.present / max(profile.distinct, 1)
        if profile.role not in ("feature", "identifier") or not names_somebody(name):
            continue
        if (
            profile.type in ("integer", "category", "text")
            and often >= 2
            and profile.distinct >= FEWEST
        ):
            return [
                f'each of the {profile.distinct:,} "{name}" has {often:.1f} rows: at random, a model is judged on '
                f'those that it was trained on. --group "{name}" keeps the rows of each in one part of the split, '
                "and out of the features."
            ]
    return []


def messages_of(
    profiles: dict[str, Profile], time: str | None, target: Profile, group: str | None
) -> list[str]:
    """Say which rows will be left out, and by which columns they could be split by time."""
    said = []
    if target.nulls.any():
        said.append(f"Left out: {counted(int(target.nulls.sum()), 'row')} without {target.name}.")
    times = [p.name for p in profiles.values() if p.type == "datetime" and p.role == "feature"]
    if time is None and group is None and times:
        names = f'--time "{times[0]}" would split them by time' + (
            f" ({listed(times)} hold times)" if len(times) > 1 else ""
        )
        said.append(f"No time column: rows are split at random; {names}.")
    if time is not None and profiles[time].nulls.any():
        said.append(f"Left out: {counted(int(profiles[time].nulls.sum()), 'row')} without {time}.")
    return said
