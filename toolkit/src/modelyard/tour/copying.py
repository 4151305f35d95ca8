"""The copy of a project that a tour happens in, with a table, a store and a git repository of its own."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from modelyard.contract.leakage import suspicions
from modelyard.contract.model import Contract, load_contract
from modelyard.contract.reading import read_table
from modelyard.contract.take_sample import CONTRACT, TABLE, take_sample
from modelyard.data.table import read_file
from modelyard.drills.project_copy import copy_project
from modelyard.errors import UsageError
from modelyard.files import read_json, read_text, write_json, write_text
from modelyard.git import asked
from modelyard.pipelines.data_assets import local_path
from modelyard.releases.endpoints import open_local
from modelyard.tour import STATE

HOME = ".tour"
ROWS = 400_000  # the whole sample; more rows would hold up a first report for long
# What commands leave in the copy: a run that names its commit is not dirty because of it.
LEFT = (
    STATE,
    "data",
    "scored",
    "check.sarif",
    ".runs",
    ".mlflow",
    ".monitor",
    ".collected",
    ".endpoints",
    ".environments",
)
PLANTED = "review_grade"  # in the name of the planted column
GRADES = 3  # of each class
# Of the planted column, in its standard deviations: nearly the target, and no copy of it.
NOISE = 0.02


@dataclass(frozen=True)
class Tour:
    """A tour that was begun.

    Attributes:
        folder: the copy of the project.
        role: who is on tour.
        started: when, in ISO 8601.
        done: by step, what it left behind and when that was seen.
        answers: by step.
    """

    folder: Path
    role: str
    started: str
    done: dict[str, dict[str, str]]
    answers: dict[str, str]

    def save(self) -> None:
        """Write the state into the copy."""
        content = {"role": self.role, "started": self.started}
        write_json(self.folder / STATE, content | {"done": self.done, "answers": self.answers})


def find(root: Path, role: str | None) -> Tour | None:
    """Find a tour: the one around the working folder, the role's, else the one begun last."""
    if (root / STATE).is_file():
        return _load(root)
    begun = [_load(file.parent) for file in sorted((root / HOME).glob(f"*/{STATE}"))]
    begun = [one for one in begun if role in (None, one.role)]
    return max(begun, key=lambda one: one.started, default=None)


def _load(folder: Path) -> Tour:
    content: dict[str, Any] = read_json(folder / STATE)
    return Tour(folder, *(content[key] for key in ("role", "started", "done", "answers")))


def begin(root: Path, role: str, data: Path | None = None) -> Tour:
    """Copy a project for a tour; an earlier copy of the role's is deleted.

    The copy is ignored by git, knows no environment on Azure, and has no store yet.

    Args:
        root: the project, which is only read.
        role: who is on tour.
        data: the table; default: that of azureml/data/training.yml.

    Raises:
        UsageError: the table is not on this machine, or the endpoint of the earlier copy runs.
    """
    folder = root / HOME / role
    table = _table(root, data)
    if (folder / ".endpoints").is_dir() and open_local(folder).is_running:
        raise UsageError(f"the endpoint of {folder} runs: mlops endpoint stop, there")
    copy_project(root, folder)
    write_text(root / HOME / ".gitignore", "*\n")
    write_text(folder / ".gitignore", "".join(f"/{one}\n" for one in LEFT))
    project = folder / "conf" / "project.yml"
    text = read_text(project)
    text = re.sub(r"^environments:.*\n(?:(?:[ #].*)?\n)*", "environments: {}\n", text, flags=re.M)
    write_text(project, text)
    target = load_contract(root / "conf" / "contract.yml").target.column
    if table is None:
        from modelyard.sample import write

        table = folder / "data" / "flights.parquet"
        write(root, target, table)
    _take_rows(table, folder)
    # Of the tour's own, so that a run there names no commit and no change of the team's.
    for words in (("init", "--quiet"), ("add", "--all")):
        asked(folder, *words)
    author = ("-c", "user.name=tour", "-c", "user.email=tour@localhost")
    asked(folder, *author, "commit", "--quiet", "--no-verify", "--message", "As the tour found it")
    tour = Tour(folder, role, datetime.now(UTC).isoformat(timespec="seconds"), {}, {})
    tour.save()
    return tour


def _table(root: Path, given: Path | None) -> Path | None:
    """Return the table; None where it is the sample, which is not written yet.

    Raises:
        UsageError: it is not on this machine.
    """
    from modelyard.sample import TARGETS

    table = given or local_path(root / "azureml" / "data", "training")
    if table is not None and table.is_file():
        return table
    target = load_contract(root / "conf" / "contract.yml").target.column
    if given is None and table == root / "data" / "flights.parquet" and target in TARGETS:
        return None
    raise UsageError(
        f"{table or 'the table of azureml/data/training.yml'} is not on this machine; name one that "
        "follows the contract: mlops tour ROLE --data TABLE"
    )


def _take_rows(table: Path, folder: Path) -> None:
    """Write a part of a table with its contract, and once more with a column that knows the outcome."""
    rows = folder / "data" / "rows"
    take_sample(table, folder / "conf" / "contract.yml", ROWS, rows)
    ending = ".csv" if next(iter(read_file(table).columns.values())).delimiter else ".parquet"
    own = (rows / TABLE).replace(folder / "data" / f"table{ending}")
    shutil.move(rows / CONTRACT, folder / "conf" / "contract.yml")
    shutil.rmtree(rows)
    if (folder / "data" / "flights.parquet").is_file():
        (folder / "data" / "flights.parquet").unlink()
    asset = folder / "azureml" / "data" / "training.yml"
    text = read_text(asset)
    write_text(asset, re.sub(r"^path:.*$", f"path: ../../data/{own.name}", text, flags=re.M))
    contract = load_contract(folder / "conf" / "contract.yml")
    plant(read_table(own, contract), contract).to_parquet(
        folder / "data" / "planted.parquet", index=False
    )


def plant(rows: pd.DataFrame, contract: Contract) -> pd.DataFrame:
    """Add a column that is known only after the outcome, and that the inference of a contract warns of.

    It is no copy, which would be ignored without asking: of a number nearly the value, of a class one of several
    grades. Where the values alone are not suspicious, such as of a number with a few huge ones, its name is.
    """
    random = np.random.default_rng(0)
    target = rows[contract.target.column]
    is_number = contract.kind == "regression"
    if is_number:
        answer = target.to_numpy(float, na_value=np.nan)
        values: pd.Series[Any] = pd.Series(
            answer + random.normal(0.0, NOISE * np.nanstd(answer), len(answer))
        )
    else:
        grades = pd.factorize(target)[0] * GRADES + random.integers(0, GRADES, len(target))
        values = pd.Series([f"G{grade}" for grade in grades], dtype=object)
        values[target.isna().to_numpy()] = None
    name = PLANTED
    if not suspicions({name: values}, target, is_number=is_number):
        name = f"{contract.target.column}_{name}"
    while name in rows:
        name += "_2"
    rows.insert(len(rows.columns) // 2, name, values)
    return rows


def program() -> str:
    """Return what to type for `mlops`: the word where it is this environment's, else its path."""
    beside = Path(sys.executable).with_name("mlops")
    found = shutil.which("mlops")
    if found and Path(found).resolve() == beside.resolve():
        return "mlops"
    if not beside.exists():
        return "mlops"
    return f'"{beside}"' if os.name == "nt" else shlex.quote(str(beside))
