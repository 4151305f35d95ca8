"""Small prepared tables to train and judge on."""

from __future__ import annotations

import copy
import functools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from flight_delay.model import Settings
from flight_delay.train import fit
from modelyard.contract import model as contract
from modelyard.errors import guarded
from modelyard.evaluation import evaluate, fairness
from modelyard.evaluation import importance as explain
from modelyard.evaluation.held_out import HeldOut, held_out
from modelyard.evidence import read_evidence
from modelyard.serving import footprint
from modelyard.steps.assess import assess
from modelyard.steps.train import training_step

from tests.project import ROOT

FAST = ("--learning-rate", "0.2")  # a third of the iterations
GATES = ROOT / "conf" / "gates.yml"


class Bench:
    """A folder with a contract, a prepared table and a place for what the steps make of them."""

    def __init__(self, folder: Path, table: pd.DataFrame, rules: contract.Contract) -> None:
        self.folder, self.table = folder, table
        self.gates = folder / "gates.yml"
        self.metrics: str | None = None
        self.training: str | None = None
        self.settings: Any = Settings
        self.fit: Any = fit
        self.gates.write_bytes(GATES.read_bytes())
        (folder / "champion").mkdir()
        (folder / "champion" / "champion.json").write_text('{"name": "m", "version": null}')
        contract.save_contract(rules, folder / "contract.yml")
        # Written and read again: what the steps see.
        self.contract = contract.load_contract(folder / "contract.yml")
        ends = [int(len(table) * share) for share in (0, 0.6, 0.8, 1)]
        (folder / "prepared").mkdir()
        for name, start, end in zip(("train", "validation", "test"), ends, ends[1:], strict=False):
            table.iloc[start:end].to_parquet(self.part(name), index=False)

    def copy(self, into: Path) -> Bench:
        """Copy everything that was made so far to another folder."""
        shutil.copytree(self.folder, into, dirs_exist_ok=True)
        made = copy.copy(self)
        made.folder, made.gates = into, into / self.gates.name
        return made

    def part(self, name: str) -> Path:
        return self.folder / "prepared" / f"{name}.parquet"

    def test_rows(self) -> pd.DataFrame:
        return pd.read_parquet(self.part("test"))

    def train(self, *options: str, learner: str = "boosting", to: str = "") -> int:
        """Run the step `train`; with `learner="auto"`, as a project does: candidates are compared."""
        return training_step(
            self.settings,
            self.fit,
            [
                *self._paths("model", "baseline", suffix=to),
                "--gates",
                str(self.gates),
                *(("--learner", learner) if self.settings is Settings else ()),
                *FAST,
                *options,
            ],
        )

    def held_out(self, model: str = "model") -> HeldOut:
        return held_out(*self.inputs(model), self.metrics, self.training)

    def inputs(self, model: str = "model") -> list[Path]:
        """The paths that the step `assess` reads."""
        names = ("contract.yml", "gates.yml", "prepared", model, "baseline", "champion")
        return [self.folder / name for name in names]

    def assess(self) -> int:
        """Run the step `assess`, with few resamples and rounds."""
        text = self.gates.read_text(encoding="utf-8").replace("resamples: 500", "resamples: 50")
        self.gates.write_text(text, encoding="utf-8")
        place = self.folder
        return guarded(
            lambda: assess(self.held_out(), place / "model", place / "champion", place / "evidence")
        )

    def evaluate(self, model: str = "model") -> int:
        return guarded(lambda: evaluate.evaluate(self.held_out(model), self.folder / "evidence"))

    def fairness(self, model: str = "model") -> int:
        return guarded(lambda: fairness.fairness(self.held_out(model), self.folder / "evidence"))

    def footprint(self) -> int:
        def measure() -> None:
            held = self.held_out()
            with footprint.loading(held, self.folder / "model", self.folder / "champion") as probes:
                footprint.footprint(held, probes, self.folder / "evidence")

        return guarded(measure)

    def make_champion(self, version: str = "3", model: str | None = "model") -> None:
        """Make a model the champion; without one, a champion whose files are gone."""
        place = self.folder / "champion"
        (place / "champion.json").write_text(json.dumps({"name": "m", "version": version}))
        if model:
            shutil.copytree(self.folder / model, place / "model")

    def explain(self) -> int:
        return guarded(lambda: explain.explain(self.held_out(), self.folder / "evidence"))

    def evidence(self, kind: str) -> dict[str, Any]:
        return read_evidence(self.folder / "evidence", kind)

    def _paths(self, *names: str, suffix: str = "") -> list[str]:
        places = {name: name for name in ("prepared", "evidence")} | {
            name: f"{name}{suffix}" for name in names
        }
        places |= {"contract": "contract.yml"} | (
            {"gates": "gates.yml"} if "gates" in names else {}
        )
        return [
            part for name, at in places.items() for part in (f"--{name}", str(self.folder / at))
        ]


def make_bench(
    folder: Path,
    table: pd.DataFrame,
    target: dict[str, Any],
    types: dict[str, str | dict[str, Any]],
    **more: Any,
) -> Bench:
    """Make a bench of a table: `make_bench(folder, table, target, types, time=…, sensitive=…)`."""
    columns = {
        name: {"type": rule} if isinstance(rule, str) else rule for name, rule in types.items()
    }
    rules = contract.Contract.model_validate({"target": target, "columns": columns, **more})
    return Bench(folder, table, rules)


@pytest.fixture
def bench(tmp_path: Path) -> Callable[..., Bench]:
    """See `make_bench`; in the test's folder."""
    return functools.partial(make_bench, tmp_path)


@pytest.fixture
def mixed() -> pd.DataFrame:
    """See `mixed_table`."""
    return mixed_table()


def mixed_table() -> pd.DataFrame:
    """600 rows with every type of column, missing values, and a target that depends on them."""
    random = np.random.default_rng(7)
    rows = 600
    table = pd.DataFrame(
        {
            "number": random.normal(size=rows),
            "whole": random.integers(0, 9, rows),
            "gaps": np.where(random.random(rows) < 0.2, np.nan, random.integers(0, 9, rows)),
            "flag": random.random(rows) < 0.5,
            "maybe": pd.Series(random.choice([True, False, None], rows), dtype=object),
            "group": random.choice(["a", "b", "c", None], rows),
            "name": [f"name {i}" for i in random.integers(0, 60, rows)],
            "when": pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(rows) * 7, "h"),
        }
    )
    score = table["number"] + (table["group"] == "a") + table["flag"] + table["when"].dt.hour / 12
    table["label"] = np.where(score + random.normal(size=rows) / 3 > 1.5, "yes", "no")
    table["value"] = score + random.normal(size=rows) / 3
    return table


MIXED = {
    "number": "number",
    "whole": {"type": "integer", "nulls": 0.0},
    "gaps": {"type": "integer", "nulls": 0.3},
    "flag": "boolean",
    "maybe": "boolean",
    "group": "category",
    "name": "text",
    "when": "datetime",
}


def make_mixed(folder: Path, table: pd.DataFrame) -> Bench:
    """Make a bench of the mixed table with two classes."""
    return make_bench(
        folder,
        table.drop(columns="value"),
        {"column": "label", "kind": "binary", "positive": "yes"},
        {**MIXED, "label": "category"},
        time="when",
        sensitive=["group"],
    )


@pytest.fixture
def mixed_bench(tmp_path: Path, mixed: pd.DataFrame) -> Bench:
    """See `make_mixed`."""
    return make_mixed(tmp_path, mixed)


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """The mixed bench, trained; tests change a copy of it."""
    made = make_mixed(tmp_path_factory.mktemp("trained"), mixed_table())
    assert made.train() == 0
    return made


@pytest.fixture
def trained_bench(trained_once: Bench, tmp_path: Path) -> Bench:
    """A copy of the mixed bench, trained."""
    return trained_once.copy(tmp_path)
