"""Inference of the target: kind of problem, classes, positive class."""

from __future__ import annotations

import math
from typing import Any

from modelyard.console import listed, shown
from modelyard.contract.model import Kind, Scalar, Target
from modelyard.contract.profiles import Profile
from modelyard.data.cells import BOOLEANS
from modelyard.data.table import Table
from modelyard.errors import UsageError

MOST_CLASSES = 100


def read_target(
    profile: Profile, table: Table, kind: Kind | None, positive: str | None
) -> tuple[Target, list[str]]:
    """Infer the kind of problem, and give the target column the type that it needs."""
    name = profile.name
    if not profile.present:
        raise UsageError(f'the target "{name}" is missing in every row of {table.path}.')
    if profile.distinct == 1:
        raise UsageError(
            f'the target "{name}" is {shown(profile.counts.index[0])} in every row that has a value: '
            "there is nothing to learn."
            + "".join(f' "{gap}" is read as missing.' for gap in table.columns[name].gaps)
        )
    if profile.type == "datetime" or profile.role == "ignored":
        raise UsageError(
            f'the target "{name}" holds {profile.type} values: expected classes or a number.'
        )
    if profile.type == "number":
        _make_countable(profile, table)
    profile.role = "target"
    guessed = kind or _guess_kind(profile)
    if guessed == "regression":
        if profile.type not in ("number", "integer"):
            raise UsageError(
                f'the target "{name}" holds {profile.type} values: regression needs numbers.'
            )
        if positive is not None:
            raise UsageError(f'--positive needs a target of two classes; "{name}" holds numbers.')
        return Target(column=name, kind="regression"), [f"Target {name}: regression"]
    return _read_classes(profile, table, guessed, positive, is_guess=kind is None)


def _make_countable(profile: Profile, table: Table) -> None:
    """Read classes that are written as 1.0 and 2.0 as integers, and 0.5 and 1.5 as categories."""
    if profile.distinct > 20:
        return
    cells = table.columns[profile.name]
    if not profile.read_again(cells, type="integer") and profile.distinct == 2:
        profile.read_again(cells, type="category", written=None)


def _guess_kind(profile: Profile) -> Kind:
    if profile.distinct == 2:
        return "binary"
    if profile.type in ("category", "text"):
        return "multiclass"
    few = profile.type == "integer" and profile.distinct <= min(20, profile.present // 5)
    return "multiclass" if few else "regression"


def _read_classes(
    profile: Profile, table: Table, kind: Kind, positive: str | None, *, is_guess: bool
) -> tuple[Target, list[str]]:
    name, counts = profile.name, profile.counts
    if profile.type == "number":
        raise UsageError(
            f'the target "{name}" holds numbers with fractions: use --kind regression.'
        )
    if profile.type == "text" or profile.distinct > MOST_CLASSES:
        raise UsageError(
            f'the target "{name}" has {profile.distinct} different values in {profile.present} '
            "rows: too many for classes. Choose another target, or group its values."
            + "".join(f" ({note}.)" for note in profile.notes)
        )
    shares = counts / counts.sum()
    rarest = round_down(float(shares.min()) / 2)
    # Beside missing values integers are floats; the contract names classes by their own type.
    as_class = int if profile.type == "integer" else _scalar
    classes = sorted(as_class(value) for value in counts.index)
    if kind == "binary":
        if len(classes) != 2:
            raise UsageError(f'binary needs two classes; the target "{name}" has {len(classes)}.')
        chosen, reason = _positive(profile, classes, positive)
        share = shares[chosen]
        message = (
            f"Target {name}: binary, positive class {shown(chosen)} ({reason}), "
            f"{share:.1%} of {profile.present:,} rows"
        )
        goal = Target(column=name, kind=kind, positive=chosen, min_share=rarest)
        return goal, [message]
    if positive is not None:
        raise UsageError(f'--positive needs two classes; the target "{name}" has {len(classes)}.')
    names = listed(shares.items(), 8, write=lambda one: f"{shown(one[0])} {one[1]:.1%}")
    message = f"Target {name}: multiclass, {len(classes)} classes: {names}"
    if is_guess and profile.type == "integer":
        message += "; if these are amounts, use --kind regression"
    goal = Target(column=name, kind=kind, classes=tuple(classes), min_share=rarest)
    return goal, [message]


def _positive(profile: Profile, classes: list[Any], positive: str | None) -> tuple[Scalar, str]:
    if positive is not None:
        wanted = positive.strip().lower()
        for value in classes:
            same = str(value).lower() == wanted
            words = BOOLEANS | (profile.reading.written.words if profile.reading.written else {})
            if same or (profile.type == "boolean" and words.get(wanted) is value):
                return value, "as asked"
        found = " and ".join(shown(value) for value in classes)
        raise UsageError(f'--positive {positive}: the target "{profile.name}" has {found}.')
    for value in classes:
        if BOOLEANS.get(str(value).lower()) is True and len(classes) == 2:
            other = classes[1 - classes.index(value)]
            if BOOLEANS.get(str(other).lower()) is False:
                return value, "a guess: the one that says yes"
    rarest = min(reversed(classes), key=lambda value: profile.counts[value])
    return rarest, "a guess: the rarer one"


def check_time(profile: Profile) -> None:
    """Raise UsageError for a column that cannot order the rows."""
    if profile.type in ("category", "text", "boolean"):
        noted = f" Noted: {'; '.join(profile.notes)}." if profile.notes else ""
        if "dates written as" not in noted:
            noted += " If these are dates, --date-format COLUMN=FORMAT says how they are written."
        raise UsageError(
            f'the time column "{profile.name}" holds {profile.type} values, such as '
            f"{shown(profile.counts.index[0]) if profile.distinct else 'nothing'}: expected "
            f"datetimes or numbers.{noted}"
        )
    if profile.distinct < 3:
        raise UsageError(
            f'the time column "{profile.name}" has {profile.distinct} different values: '
            "too few to split train, validation and test by time."
        )


def round_down(value: float) -> float:
    """Round down to two significant digits."""
    if value <= 0:
        return 0.0
    places = 1 - math.floor(math.log10(value))
    return round(math.floor(value * 10.0**places) / 10.0**places, max(places, 0))


def _scalar(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value
