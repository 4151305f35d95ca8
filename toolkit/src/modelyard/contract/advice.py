"""What a user should know of a table before its contract is written."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pyarrow.compute as pc

from modelyard.console import counted, listed
from modelyard.contract.conventions import STAND_INS
from modelyard.contract.names import names_somebody
from modelyard.contract.profiles import Profile
from modelyard.data.cells import Cells

VALUE = re.compile(r"[+-]?[0-9]*[.,][0-9]+|[+-][0-9]+|[0-9]{4}-[0-9]{2}-[0-9]{2}.*")
FEWEST = 10  # persons or things, below which they are categories


def doubts(columns: Mapping[str, Cells], target: Profile) -> list[str]:
    """Warn of names that look like values, of columns without a name, and of a class that stands for missing."""
    said = []
    values = [name for name in columns if VALUE.fullmatch(name)]
    repeated = [n for n, c in columns.items() if c.is_text and pc.any(pc.equal(c.words, n)).as_py()]
    values = values or (repeated if len(repeated) > max(1, len(columns) / 2) else [])
    if values:
        said.append(
            f"the first line is taken for the names of the columns, and {listed(values)} looks like a value: "
            "if the file has no header, write one above its first row."
        )
    nameless = [name for at, name in enumerate(columns, 1) if name == f"column_{at}"]
    if nameless:
        said.append(f"a column without a name is called by its place: {listed(nameless)}.")
    if target.type in ("category", "text"):
        for name in sorted(STAND_INS & set(target.counts.index)):
            said.append(
                f'the class "{name}" has {counted(target.counts[name], "row")}: if it stands for a missing value, write '
                f'`missing: ["{name}"]` for {target.name} in the contract, and leave it out of the classes.'
            )
    return said


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
        names = f"--time {times[0]} would split them by time" + (
            f" ({listed(times)} hold times)" if len(times) > 1 else ""
        )
        said.append(f"No time column: rows are split at random; {names}.")
    if time is not None and profiles[time].nulls.any():
        said.append(f"Left out: {counted(int(profiles[time].nulls.sum()), 'row')} without {time}.")
    return said
