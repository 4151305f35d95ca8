"""The recordings in docs/recordings are what the commands print today; `make recordings` writes them anew."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.command import Mlops
from tests.editing import git
from tests.project import TEMPLATE, part_of_sample

RECORDINGS = TEMPLATE / "docs" / "recordings"
# In this order, in one project.
COMMANDS = {
    "contract": "mlops contract --data customers.csv --target bought --sensitive region",
    "run": "mlops run azureml/pipelines/train.yml",
    "promote": "mlops promote",
    "models": "mlops models",
    "explain": "mlops explain --data customers.csv --row 2",
    "tour": "mlops tour data-scientist",
}
# Digits that differ from run to run, or from machine to machine, become #.
VOLATILE = (
    r"(?<=completed in )[\d.]+(?= s)",
    r"\d{8}-\d{6}-[0-9a-f]{4}(?=/)",  # of a run
    r"(?<=│ )[\d.]+(?= (?:ms|s|MB) )",  # found of a footprint; what is expected begins with ≤
    r"(?<=customers\.csv )[0-9a-f]{8}\b",  # of the table
    r"(?<=│ )[0-9a-f]{10}(?= │)",  # of the commit
)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project named shop, committed, with a small table."""
    root = part_of_sample(
        tmp_path_factory.mktemp("recordings") / "shop",
        "azureml conf requirements src pyproject.toml",
    )
    for file in (root / "conf" / "project.yml", *(root / "azureml").rglob("*.yml")):
        file.write_text(file.read_text("utf-8").replace("flight-delay", "shop"), "utf-8")
    random, rows = np.random.default_rng(0), 1500
    visits, price = random.integers(1, 60, rows), random.uniform(1, 9, rows).round(2)
    plan = random.choice(["basic", "plus"], rows)
    chance = 1 / (1 + np.exp(4 - visits / price / 3 - 2 * (plan == "plus")))
    columns = {
        "customer_id": np.arange(1, rows + 1),
        "visits": visits,
        "price": np.where(np.arange(rows) % 9 == 0, np.nan, price),
        "plan": plan,
        "region": random.choice(["north", "south"], rows),
        "bought": np.where(random.uniform(size=rows) < chance, "yes", "no"),
    }
    pd.DataFrame(columns).to_csv(root / "customers.csv", index=False)
    for words in ("init -q", "add .", "commit -qm x"):
        git(root, *words.split())
    return root


def record(mlops: Mlops, command: str) -> str:
    """Run a command; returns it and what it printed, without what differs each time."""
    done = mlops(*command.split()[1:])
    text = f"$ {command}\n{done.out}"
    for pattern in VOLATILE:
        text = re.sub(pattern, lambda found: re.sub(r"[0-9a-f]", "#", found[0]), text)
    text = re.sub(r"(?m)^(▶ \w+: )\d+ s$", r"\1running", text)  # where a machine is slow
    return "\n".join(line.rstrip() for line in text.splitlines()).rstrip() + "\n"


def parts(text: str) -> Iterator[str | float]:
    """Words and fractions, however wide the columns are."""
    text = re.sub(r"#[#.]*", "#", re.sub(r"[\s━─]+", " ", text))
    for part in re.split(r"([+-]?\d+\.\d+)", text):
        yield float(part) if re.fullmatch(r"[+-]?\d+\.\d+", part) else part


def test_the_recordings_are_what_the_commands_print(
    project: Path, mlops: Mlops, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    monkeypatch.chdir(project)
    made = {name: record(mlops, command) for name, command in COMMANDS.items()}
    if os.environ.get("MODELYARD_RECORD"):
        RECORDINGS.mkdir(exist_ok=True)
        for name, text in made.items():
            (RECORDINGS / f"{name}.txt").write_text(text, encoding="utf-8")
    assert {file.stem for file in RECORDINGS.glob("*")} == set(made)
    for name, text in made.items():
        kept = (RECORDINGS / f"{name}.txt").read_text(encoding="utf-8")
        for now, before in zip(parts(text), parts(kept), strict=True):
            # Processors differ in a figure's last digits.
            is_number = isinstance(now, float) and isinstance(before, float)
            same = now == pytest.approx(before, rel=0.02, abs=0.02) if is_number else now == before
            assert same, f"{name}: {before!r} is now {now!r}: make recordings"
