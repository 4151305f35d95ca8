"""What the steps of a tour leave behind, and the answers that it holds."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from modelyard.contract.model import load_contract
from modelyard.evidence import Evidence
from modelyard.files import has_file, read_json
from modelyard.relocation import opened
from modelyard.tour.copying import PLANTED
from modelyard.tracking import local_store

REPORT = Path("register") / "page" / "report.html"


def report(copy: Path, count: int = 1) -> Path | None:
    """Find the report of the newest run that wrote one, where there are `count` of them."""
    found = _newest_first(copy.glob(f".runs/*/{REPORT}"))
    return found[0] if len(found) >= count else None


def refused_table(copy: Path) -> Path | None:
    """Find quality evidence with a violation of the contract."""
    files = _newest_first(copy.glob(".runs/*/prepare/evidence/quality.json"))
    return next(
        (file for file in files if read_json(file, Evidence)["details"]["violations"]), None
    )


def ignored_leak(copy: Path) -> Path | None:
    """Find the contract, where it ignores the planted column and says why."""
    file = copy / "conf" / "contract.yml"
    columns = load_contract(file).columns.items()
    ignored = [name for name, one in columns if one.role == "ignored" and one.why]
    return file if any(PLANTED in name for name in ignored) else None


def own_feature(copy: Path) -> Path | None:
    """Find training evidence with a feature that the contract does not name."""
    known = set(load_contract(copy / "conf" / "contract.yml").columns)
    for file in _newest_first(copy.glob(".runs/*/train/evidence/training.json")):
        names = {one["name"] for one in read_json(file, Evidence)["details"]["features"]}
        if (names - known) and (file.parents[2] / REPORT).is_file():
            return file
    return None


def decided(copy: Path, stage: str, versions: int = 1) -> Path | None:
    """Find a decision of a stage, where so many versions got one."""
    pattern = ".mlflow/artifacts/*/*/artifacts/decision/*/decision.json"
    return _of_stage(copy.glob(pattern), stage, versions)


def releases(copy: Path, stage: str, versions: int = 1) -> Path | None:
    """Find a release to the local endpoint that ended in a stage, of so many versions."""
    return _of_stage(copy.glob(".endpoints/*/releases/*/release.json"), stage, versions)


def _of_stage(files: Iterable[Path], stage: str, versions: int) -> Path | None:
    found = {}
    for file in files:
        details = read_json(file, Evidence)["details"]
        if details["stage"] == stage:
            found[details["model"]["version"]] = file
    return _newest_first(found.values())[0] if len(found) >= versions else None


def rolled_back(copy: Path) -> Path | None:
    """Find the store, where a version was champion and is none since a rollback."""
    store = local_store(copy)
    if not has_file(store):
        return None
    asked = (
        "SELECT count(*) FROM model_version_tags WHERE key = 'decision' AND value = 'rolled back'"
    )
    with opened(store) as database:
        try:
            (count,) = database.execute(asked).fetchone()
        except sqlite3.Error:
            return None  # the first run is still making its tables
    return store if count else None


def any_file(copy: Path, pattern: str) -> Path | None:
    """Find the newest file of a pattern that is not empty."""
    return next((one for one in _newest_first(copy.glob(pattern)) if one.stat().st_size), None)


def refused_files(copy: Path) -> Path | None:
    """Find findings of `mlops check`, in SARIF, with an error among them."""
    file = copy / "check.sarif"
    if not has_file(file):
        return None
    results = [one for run in read_json(file)["runs"] for one in run["results"]]
    return file if any(one.get("level", "error") == "error" for one in results) else None


def most_important(copy: Path) -> set[str]:
    """Return the column that matters most to the newest model."""
    found = _evidence(copy, "assess", "importance")
    features = found["features"] if found else []
    return {max(features, key=lambda one: one["importance"] or 0.0)["name"]} if features else set()


def most_missing(copy: Path) -> set[str]:
    """Return the columns with the most missing values."""
    found = _evidence(copy, "prepare", "quality")
    return _highest({one["name"]: one["nulls"] for one in found["columns"]} if found else {})


def group_apart(copy: Path) -> set[str]:
    """Return the two groups of the first sensitive column that are furthest apart."""
    found = _evidence(copy, "assess", "fairness")
    kind = load_contract(copy / "conf" / "contract.yml").kind
    metric = {"binary": "selection_rate", "multiclass": "accuracy", "regression": "mae"}[kind]
    for column in found["columns"] if found else ():
        if one := column["disparities"].get(metric):
            return {str(one["highest"]), str(one["lowest"])}
    return set()


def drifted(copy: Path) -> set[str]:
    """Return the columns whose drift is the largest multiple of its threshold."""
    file = any_file(copy, ".monitor/*/monitor.json")
    signals = read_json(file, Evidence)["details"]["signals"].values() if file else ()
    return _highest(
        {
            one["feature"]: one["value"] / one["threshold"]
            for signal in signals
            if signal["type"] == "data_drift"
            for one in signal["measures"]
            if one["value"] is not None and one["reason"] is None and one["threshold"]
        }
    )


def _highest(figures: dict[str, float]) -> set[str]:
    return {name for name, one in figures.items() if one == max(figures.values())}


def _evidence(copy: Path, step: str, kind: str) -> dict[str, Any] | None:
    """Read evidence of the newest run that wrote a report."""
    page = report(copy)
    file = page.parents[2] / step / "evidence" / f"{kind}.json" if page else None
    details: dict[str, Any] | None = (
        read_json(file, Evidence)["details"] if file and has_file(file) else None
    )
    return details


def _newest_first(files: Iterable[Path]) -> list[Path]:
    return sorted(files, key=lambda one: one.stat().st_mtime, reverse=True)
