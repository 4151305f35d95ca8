"""k-anonymity of a table: the rows that share the values of its quasi-identifiers.

k is the size of the smallest group of rows that agree in every quasi-identifier, which are the columns that
somebody outside may know of a person (Sweeney 2002, International Journal of Uncertainty 10(5)). Where the
contract names a group, such as a person's number, its values are counted instead of rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from modelyard.contract.model import Contract
from modelyard.data.cells import Reading, parse
from modelyard.data.stream import BATCH_ROWS, open_stream
from modelyard.errors import UsageError
from modelyard.evidence import ANONYMITY, anonymity_folder, write_evidence
from modelyard.files import digest
from modelyard.gates import AnonymityGate

COUNTED = 5  # smaller groups are counted where conf/gates.yml names no least k
ROWS = "rows "  # no column is called so: readers strip names


@dataclass(frozen=True)
class Without:
    """What k and the rows in small groups are without a column."""

    column: str
    k: int
    rows_below: int


@dataclass(frozen=True)
class _Groups:
    """Rows of each group of equal quasi-identifiers, and how many of what k counts they are of."""

    rows: NDArray[np.int64]
    sizes: NDArray[np.int64]

    @property
    def k(self) -> int:
        """The size of the smallest."""
        return int(self.sizes.min())

    def below(self, least: int) -> int:
        """Return the rows in smaller groups."""
        return int(self.rows[self.sizes < least].sum())


@dataclass(frozen=True)
class Anonymity:
    """The k-anonymity of a table.

    Attributes:
        columns: the quasi-identifiers.
        of: what k counts: rows, or the values of the contract's group.
        k: of the smallest group.
        least: groups with fewer are small.
        rows_below: rows in small groups.
        without: by column, the one whose absence helps most first.
        passed: whether k is at least `least`; None where nothing was to be judged.
        why: of `passed`, in words.
    """

    table: str
    sha256: str
    columns: tuple[str, ...]
    of: str
    rows: int
    groups: int
    k: int
    least: int
    rows_below: int
    without: tuple[Without, ...]
    passed: bool | None
    why: str

    @property
    def share_below(self) -> float:
        """Share of the rows in small groups."""
        return self.rows_below / self.rows


def anonymity(
    data: Path, contract: Contract, gate: AnonymityGate | None, columns: Sequence[str] = ()
) -> Anonymity:
    """Measure the k-anonymity of a table; a missing value is a value like any other.

    Args:
        data: CSV or Parquet file, or a folder of Parquet files, as the masked replica is.
        contract: names what k counts, and sensitive columns, the quasi-identifiers unless others are named.
        gate: names quasi-identifiers and the least k.
        columns: quasi-identifiers instead of these.

    Raises:
        UsageError: nothing names quasi-identifiers, the table lacks one, or it has no rows.
    """
    named = (gate.columns if gate else ()) or contract.sensitive
    used = tuple(dict.fromkeys(columns or named))
    if not used:
        raise UsageError(
            "no column is named as a quasi-identifier: expected `--columns`, `anonymity.columns` in conf/gates.yml, or "
            "`sensitive` in conf/contract.yml, the columns that somebody outside may know of a person"
        )
    held = _held(data, contract, used)
    groups = _groups(held, used, contract.group)
    least = gate.least if gate else COUNTED
    without = []
    for name in used if len(used) > 1 else ():
        fewer = _groups(held, [one for one in used if one != name], contract.group)
        without.append(Without(name, fewer.k, fewer.below(least)))
    passed, why = _judged(groups.k, gate, missing=[one for one in named if one not in used])
    return Anonymity(
        table=data.name,
        sha256=digest(data),
        columns=used,
        of=contract.group or "rows",
        rows=int(groups.rows.sum()),
        groups=len(groups.rows),
        k=groups.k,
        least=least,
        rows_below=groups.below(least),
        without=tuple(sorted(without, key=lambda one: (one.rows_below, -one.k))),
        passed=passed,
        why=why,
    )


def keep(root: Path, found: Anonymity) -> Path:
    """Write `anonymity.json` into the project; returns its path."""
    return write_evidence(
        anonymity_folder(root),
        ANONYMITY,
        params={"least": found.least, "columns": ", ".join(found.columns)},
        metrics={
            name: getattr(found, name)
            for name in ("k", "rows", "groups", "rows_below", "share_below")
        },
        tags={"table": found.table},
        details=asdict(found),
    )


def _judged(k: int, gate: AnonymityGate | None, missing: list[str]) -> tuple[bool | None, str]:
    if gate is None:
        return None, "not judged: conf/gates.yml has no `anonymity`"
    if missing:
        return None, f"not judged: left out {', '.join(missing)}, which the project names as well"
    if k < gate.least:
        return False, f"k = {k:,} is below {gate.least:,} (conf/gates.yml, anonymity.least)"
    return True, f"k = {k:,} is at least {gate.least:,}"


def _held(data: Path, contract: Contract, columns: Sequence[str]) -> pd.DataFrame:
    """Count the rows of each combination of values, of the contract's group too.

    Combinations are merged whenever those of new chunks outnumber the known ones: memory grows with
    them, not with the rows.
    """
    keys = list(dict.fromkeys([*columns, *([contract.group] if contract.group else [])]))
    known, fresh, count = pd.DataFrame(columns=[*keys, ROWS]), list[pd.DataFrame](), 0
    for rows in _chunks(data, contract, keys):
        found = rows.groupby(keys, dropna=False, sort=False).size().reset_index(name=ROWS)
        fresh.append(found)
        count += len(found)
        if count > max(len(known), BATCH_ROWS):
            known, fresh, count = _merged([known, *fresh], keys), [], 0
    known = _merged([known, *fresh], keys)
    if known.empty:
        raise UsageError(f"{data} has no rows: name a table that has some.")
    return known


def _merged(parts: list[pd.DataFrame], keys: list[str]) -> pd.DataFrame:
    rows = pd.concat([one for one in parts if len(one)] or parts[:1], ignore_index=True)
    return rows.groupby(keys, dropna=False, sort=False)[ROWS].sum().reset_index()


def _chunks(data: Path, contract: Contract, keys: list[str]) -> Iterator[pd.DataFrame]:
    """Read the columns as text: whether 1 and 1.0 are the same, nobody outside asks."""
    files = sorted(data.rglob("*.parquet")) if data.is_dir() else [data]
    if not files:
        raise UsageError(
            f"{data} has no Parquet file: expected a table, or a folder with its parts."
        )
    for file in files:
        for chunk in open_stream(file, keys).chunks(lambda position: position + BATCH_ROWS):
            if chunk.refused:
                place, why = chunk.refused[0]
                raise UsageError(f"{file}, row {place + 1:,}: {why}")
            if chunk.columns:
                yield pd.DataFrame(
                    {
                        name: parse(cells, _as_text(contract, name)).values
                        for name, cells in chunk.columns.items()
                    }
                )


def _as_text(contract: Contract, name: str) -> Reading:
    rule = contract.columns.get(name)
    return Reading(
        type="category",
        missing=rule.missing if rule else (),
        not_missing=rule.not_missing if rule else (),
    )


def _groups(held: pd.DataFrame, columns: Sequence[str], of: str | None) -> _Groups:
    """Count the rows, and what k counts, of each group of equal columns."""
    keys = list(dict.fromkeys([*columns, *([of] if of else [])]))
    groups = _merged([held], keys).groupby(list(columns), dropna=False, sort=False)[ROWS]
    rows = np.asarray(groups.sum(), dtype=np.int64)
    return _Groups(rows, np.asarray(groups.size(), dtype=np.int64) if of else rows)
