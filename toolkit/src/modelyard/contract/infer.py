"""Inference of a contract from a table."""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import pandas as pd

from modelyard.console import console, counted, listed, shown
from modelyard.console import table as printed
from modelyard.contract.advice import doubts, groups_in, messages_of, of_title, remarks
from modelyard.contract.conventions import Sign
from modelyard.contract.leakage import Suspicion, suspicions
from modelyard.contract.model import (
    Column,
    Contract,
    Kind,
    Rows,
    Split,
    TableRules,
    Target,
    contract_text,
)
from modelyard.contract.names import is_identifying, is_index, name_tokens, names_something
from modelyard.contract.profiles import Profile, read_profiles
from modelyard.contract.target import check_time, read_target, round_down
from modelyard.contract.yaml_lines import entry
from modelyard.data.table import Table, read_file
from modelyard.data.times import check_format, check_zone
from modelyard.errors import UsageError, shortened
from modelyard.files import read_text, relative, write_text
from modelyard.yaml_files import did_you_mean, read_yaml

FEW_NAMES = 50
REFUSED_CATEGORIES = 20
SEEN_OFTEN = 5
FEW_ROWS = 20  # below this, "all different" says nothing
SPARSE = 2  # running numbers may have so many times as many places as rows
PROSE = 5  # words from which a text is no name, though every row has its own
DIGEST_LINE = re.compile(r"^# Written by infer, digest ([0-9a-f]{16})\b.*$", re.MULTILINE)


@dataclass(frozen=True)
class Inference:
    """An inferred contract, with the profile of each column."""

    contract: Contract
    profiles: dict[str, Profile]
    rows: int
    messages: list[str]
    warnings: list[str]


def write_contract(
    data: Path,
    target: str,
    *,
    output: Path,
    data_asset: Path | None = None,
    time: str | None = None,
    group: str | None = None,
    sensitive: str = "",
    positive: str | None = None,
    kind: Kind | None = None,
    date_formats: Sequence[str] = (),
    not_missing: Sequence[str] = (),
    decimal: Sign | None = None,
    time_zone: str | None = None,
    force: bool = False,
) -> None:
    """Infer, write and show a contract, by the options of `mlops contract`.

    Raises:
        UsageError: for wrong column names, an unusable table, or a contract that a person edited.
    """
    if not force and is_edited(output):
        raise UsageError(
            f"{output} was edited since it was inferred: keep it, or replace it with --force."
        )
    if time_zone is not None:
        try:
            check_zone(time_zone)
        except ValueError as error:
            raise UsageError(f"--time-zone {time_zone}: {error}.") from None
    table = with_values(read_file(data), not_missing)
    names = names_in(sensitive, table.columns)
    inference = infer(
        table,
        target,
        time=time,
        group=group,
        sensitive=names,
        positive=positive,
        kind=kind,
        formats=formats_in(date_formats, table),
        decimal=decimal,
        zone=time_zone,
    )
    asset = asset_text(data_asset, data) if data_asset else None
    write_text(output, signed(contract_yaml(inference, data.name)))
    if data_asset is not None and asset is not None:
        write_text(data_asset, asset)
    show(inference, data.name, [output, *([data_asset] if data_asset else [])])


def infer(
    table: Table,
    target: str,
    *,
    time: str | None = None,
    group: str | None = None,
    sensitive: Sequence[str] = (),
    positive: str | None = None,
    kind: Kind | None = None,
    formats: Mapping[str, str] | None = None,
    decimal: Sign | None = None,
    zone: str | None = None,
) -> Inference:
    """Guess the contract that a table fulfils.

    Args:
        table: as read from a file.
        target: name of the column to predict.
        time: name of the column that orders rows in time.
        group: name of the column whose rows belong together.
        sensitive: names of columns whose groups are compared.
        positive: class to find in a binary problem, as text.
        kind: problem, where the values leave a choice.
        formats: of dates, by column, where they are not recognised.
        decimal: decimal sign of numbers that could be read in two ways.
        zone: of times without an offset.

    Raises:
        UsageError: when values can be read in two ways, a name is wrong or the table cannot teach a model.
    """
    named = (("target", target), ("time", time), ("group", group))
    for role, name in (*named, *(("sensitive", s) for s in sensitive)):
        if name is not None and name not in table.columns:
            near = f"{did_you_mean(name, table.columns)}{of_title(table.columns)}"
            raise UsageError(f'{table.path} has no {role} column "{name}"{near}')
    if target in (time, group, *sensitive):
        raise UsageError(
            f'the target "{target}" cannot be the time, the group or a sensitive column too.'
        )
    if time is not None and group is not None:
        raise UsageError("--time splits the rows by time, --group at random: give one of them.")
    if len(table.columns) < 2:
        raise UsageError(f'{table.path} has one column, "{target}": a model needs a feature.')
    profiles = read_profiles(table, target=target, formats=formats, decimal=decimal, zone=zone)
    goal, messages = read_target(profiles[target], table, kind, positive)
    if time is not None:
        check_time(profiles[time])
    frame = pd.DataFrame({name: profile.values for name, profile in profiles.items()}, copy=False)
    for profile in profiles.values():
        if profile.role == "feature":
            _guess_role(profile, table.rows)
    if group is not None:
        profiles[group].role, profiles[group].why = "identifier", None
        profiles[group].notes.append("its rows stand in one part of the split")
    for name, profile in profiles.items():
        if profile.role != "ignored":
            profile.notes += remarks(profile, table.columns[name])
    warnings = _judge_suspicions(profiles, goal, time)
    features = [name for name, profile in profiles.items() if profile.role == "feature"]
    if not features:
        # Better than nothing to learn from: texts of several words, each in one row.
        for name, profile in profiles.items():
            if profile.role == "identifier" and profile.type == "text" and _words_of(profile) > 1:
                profile.role, profile.notes = "feature", ["nothing else to learn from: its words"]
                features.append(name)
    if not features:
        raise UsageError(_nothing_to_learn_from(table, profiles, target))
    contract = _contract(profiles, goal, time, group, tuple(sensitive), table, frame)
    messages += messages_of(profiles, time, profiles[target], group)
    warnings += doubts(table.columns, profiles, profiles[target])
    warnings += groups_in(profiles) if time is None and group is None else []
    return Inference(contract, profiles, table.rows, messages, warnings)


def formats_in(given: Sequence[str], table: Table) -> dict[str, str]:
    """Split "COLUMN=FORMAT" into names and formats.

    Raises:
        UsageError: no column has the name, or the format is none.
    """
    found = {}
    for one in given:
        name, equals, format = one.rpartition("=")
        if not equals or name not in table.columns:
            hint = did_you_mean(name, table.columns) if equals else ""
            raise UsageError(
                f"--date-format {one}: expected COLUMN=FORMAT with a column of {table.path}{hint}."
            )
        try:
            found[name] = check_format(format)
        except ValueError as error:
            raise UsageError(f"--date-format {one}: {error}.") from None
    return found


def with_values(table: Table, given: Sequence[str]) -> Table:
    """Take words of columns for values, each given as COLUMN=WORD.

    Raises:
        UsageError: no column has the name, or its words do not have the word.
    """
    columns = dict(table.columns)
    for one in given:
        name, _, word = one.rpartition("=")
        gaps = columns[name].gaps if name in columns else []
        if word not in gaps:
            read = f"; {name} has {', '.join(gaps)}" if gaps else did_you_mean(name, columns)
            raise UsageError(
                f"--not-missing {one}: expected COLUMN=WORD, a word of a CSV that is read as missing{read}."
            )
        columns[name] = replace(columns[name], values=columns[name].values | {word})
    return replace(table, columns=columns)


def names_in(listed: str, columns: Any) -> list[str]:
    """Split "a,b" into names. A column whose name has a comma can be given alone."""
    if listed.strip() in columns:
        return [listed.strip()]
    return list(dict.fromkeys(name.strip() for name in listed.split(",") if name.strip()))


def _guess_role(profile: Profile, rows: int) -> None:
    if not profile.present:
        return profile.ignore("always missing")
    if profile.distinct == 1 and not profile.nulls.any():
        return profile.ignore(f"always {shown(profile.counts.index[0])}")
    reason = _identifies(profile, rows)
    if reason:
        profile.role = "identifier"
        profile.notes.append(f"identifier: {reason}")
    return None


def _identifies(profile: Profile, rows: int) -> str | None:
    """Return why a column looks like an identifier, or None."""
    if profile.type not in ("integer", "category", "text") or profile.present < FEW_ROWS:
        return None
    unique = profile.distinct == rows
    if profile.type == "integer":
        if unique:
            steps = np.diff(profile.values.to_numpy())
            span = int(profile.values.max()) - int(profile.values.min())
            is_year = {"year", "jahr"} & set(name_tokens(profile.name))
            if span == rows - 1 and not is_year:
                return "counts the rows"
            if is_index(profile.name):
                return "labels of the rows, each its own"
            if (steps > 0).all() and span < SPARSE * rows and not is_year:
                return "running numbers"
            if is_identifying(profile.name):
                return "every row has its own"
        if names_something(profile.name) and profile.distinct > FEW_NAMES:
            return "by its name, a number that names things"
        return None
    if profile.distinct > 0.95 * profile.present:
        return None if _words_of(profile) >= PROSE else "nearly every row has its own"
    if is_identifying(profile.name) and profile.distinct > FEW_NAMES:
        return "by its name"
    return None


def _nothing_to_learn_from(table: Table, profiles: Mapping[str, Profile], target: str) -> str:
    def reason(profile: Profile) -> str:
        return f"{profile.name}: {profile.why or ', '.join(profile.notes) or profile.role}"

    others = [profile for name, profile in profiles.items() if name != target]
    reasons = listed(others, separator="; ", write=reason)
    return f"{table.path} has no column that a model could learn from ({reasons})."


def _words_of(profile: Profile) -> float:
    """Return how many words a text has, in the middle."""
    return float(profile.values.dropna().str.split().str.len().median())


def _judge_suspicions(profiles: dict[str, Profile], goal: Target, time: str | None) -> list[str]:
    """Warn of columns that may leak the target, and ignore copies of it."""
    target = profiles[goal.column]
    candidates = {n: p.values for n, p in profiles.items() if p.role == "feature" and n != time}
    found = suspicions(candidates, target.values, is_number=goal.kind == "regression")
    tokens = set(name_tokens(goal.column))
    for name in candidates:
        if tokens and tokens <= set(name_tokens(name)) and name not in found:
            found[name] = Suspicion(f'its name contains the target\'s, "{goal.column}"')
    warnings = []
    for name, suspicion in found.items():
        if suspicion.is_copy:
            profiles[name].ignore(f"copy of the target {goal.column}: {suspicion.reason}")
            warnings.append(f'"{name}" is ignored: {suspicion.reason}.')
            continue
        profiles[name].notes.append(f"LEAKAGE? {suspicion.reason}")
        warnings.append(
            f'"{name}" may leak the target: {suspicion.reason}. Is it known before the outcome? '
            "If not, give it the role ignored, with why."
        )
    return warnings


def _contract(
    profiles: dict[str, Profile],
    goal: Target,
    time: str | None,
    group: str | None,
    sensitive: tuple[str, ...],
    table: Table,
    frame: pd.DataFrame,
) -> Contract:
    needed = {time, group, *sensitive}
    read = [n for n, p in profiles.items() if p.role != "ignored" or n in needed]
    repeats = float(frame[read].duplicated().mean())
    return Contract(
        table=TableRules(
            rows=Rows(min=max(1, int(round_down(table.rows / 2)))),
            duplicates=max(0.01, _allowed(repeats)),
        ),
        target=goal,
        time=time,
        group=group,
        sensitive=sensitive,
        split=Split(),
        columns={name: _rule(profile, goal) for name, profile in profiles.items()},
    )


def _rule(profile: Profile, goal: Target) -> Column:
    rule = Column(**profile.reading.model_dump(), role=profile.role, why=profile.why)
    if profile.role == "ignored":
        return rule
    rule = rule.model_copy(update={"nulls": _allowed(float(profile.nulls.mean()))})
    if profile.role == "identifier":
        return rule
    if profile.role == "target" and goal.kind != "regression" and profile.type == "integer":
        exact = {"min": int(profile.values.min()), "max": int(profile.values.max())}
        return rule.model_copy(update=exact)
    if profile.type in ("number", "integer") and profile.present:
        low, high = limits(profile.values, is_whole=profile.type == "integer")
        return rule.model_copy(update={"min": low, "max": high})
    stable = profile.distinct <= REFUSED_CATEGORIES and profile.counts.min() >= SEEN_OFTEN
    if profile.type == "category" and (stable or profile.role == "target"):
        return rule.model_copy(update={"categories": tuple(sorted(profile.counts.index))})
    return rule


def _allowed(share: float) -> float:
    """Return a limit above the share that was found; 0 stays 0."""
    return 0.0 if share == 0 else min(1.0, math.ceil((share * 1.2 + 0.01) * 100) / 100)


def limits(values: pd.Series, *, is_whole: bool) -> tuple[float, float]:
    """Return the smallest and largest value to expect: a tenth of the range beyond the values found.

    Rounded outwards; amounts that were never negative (or never positive) stay so.
    """
    smallest, largest = values.min().item(), values.max().item()
    low, high = float(smallest), float(largest)
    pad = (high - low or abs(high) or 1) / 10
    if 1e-300 < pad < 1e300 and max(-low, high) < 1e300:
        digits = -math.floor(math.log10(pad))
        step = 10.0**-digits
        low = round(math.floor((low - pad) / step) * step, digits)
        high = round(math.ceil((high + pad) / step) * step, digits)
    low, high = min(low, smallest), max(high, largest)  # large integers round as floats
    low = max(low, 0.0) if smallest >= 0 else low
    high = min(high, 0.0) if largest <= 0 else high
    return (math.floor(low), math.ceil(high)) if is_whole else (low, high)


def contract_yaml(inference: Inference, source: str) -> str:
    """Write the contract as YAML, with a comment on each guess."""
    heading = [
        "What the pipeline expects of its table. Every step follows this file.",
        f"Inferred from {source} ({inference.rows:,} rows): read it, and correct what was guessed.",
        *inference.messages,
    ]
    notes = {name: "; ".join(p.notes) for name, p in inference.profiles.items() if p.notes}
    return contract_text(inference.contract, heading=heading, notes=notes)


def signed(text: str) -> str:
    """Append a digest of the text, by which a later call finds out whether it was edited."""
    mark = f"# Written by infer, digest {_digest(text)}: once edited, only --force replaces it."
    return f"{text}{mark}\n"


def is_edited(path: Path) -> bool:
    """Return whether a file exists that was written or changed by hand."""
    if not path.exists():
        return False
    text = path.read_text(encoding="utf-8", errors="replace")
    written = DIGEST_LINE.search(text)
    return written is None or written.group(1) != _digest(DIGEST_LINE.sub("", text))


def _digest(text: str) -> str:
    return hashlib.sha256(text.rstrip().encode()).hexdigest()[:16]


def asset_text(path: Path, data: Path) -> str:
    """Return the YAML of an Azure ML data asset for the table; an existing file keeps its other fields."""
    relative = os.path.relpath(data.resolve(), path.resolve().parent)
    where = PurePath(relative).as_posix()
    if path.exists():
        text, content = read_text(path), read_yaml(path)
        if isinstance(content, dict) and re.search(r"^path:.*$", text, re.MULTILINE):
            line = _path_line(where)
            return re.sub(r"^path:.*$", lambda _: line, text, count=1, flags=re.MULTILINE)
        raise UsageError(
            f"{path} is no data asset: expected a key path. Delete it to have it made."
        )
    return "\n".join(
        (
            "$schema: https://azuremlschemas.azureedge.net/latest/data.schema.json",
            "name: training",
            "type: uri_file",
            "description: The table to train on, as conf/contract.yml describes it.",
            _path_line(where),
            "",
        )
    )


def _path_line(where: str) -> str:
    return f"path: {where}" if re.fullmatch(r"[\w./-]+", where) else entry("path", where, indent=0)


def show(inference: Inference, table: str, written: Sequence[Path]) -> None:
    """Print the guesses as a table, and what to do next."""
    out = console()
    rows = []
    for name, profile in inference.profiles.items():
        rule = inference.contract.columns[name]
        missing = float(profile.nulls.mean())
        rows.append(
            (
                name,
                profile.type,
                profile.role,
                f"{missing:.1%}" if missing else "",
                f"{profile.distinct:,}",
                _range(profile, rule),
                "; ".join([*([profile.why] if profile.why else []), *profile.notes]),
            )
        )
    title = f"{table}: {counted(inference.rows, 'row')}, {counted(len(rows), 'column')}"
    headings = ("column", "type", "role", "missing", "distinct", "values", "notes")
    out.print(printed(title, headings, rows, right=("missing", "distinct")))
    for message in inference.messages:
        out.print(message, style="bold" if message.startswith("Target") else None)
    for warning in inference.warnings:
        out.print(f"warning: {warning}", style="yellow")
    names = " and ".join(str(relative(path)) for path in written)
    out.print(f"Wrote {names}. Read the contract: it is a guess until you have.")


def _range(profile: Profile, rule: Column) -> str:
    if not profile.present:
        return ""
    if profile.type in ("number", "integer"):
        return f"{shown(profile.values.min())} to {shown(profile.values.max())}"
    if profile.type == "datetime":
        low, high = profile.values.min(), profile.values.max()
        return f"{low:%Y-%m-%d} to {high:%Y-%m-%d}"
    listed = ", ".join(shortened(shown(value), 20) for value in profile.counts.index[:4])
    return listed + (", …" if profile.distinct > 4 else "")
