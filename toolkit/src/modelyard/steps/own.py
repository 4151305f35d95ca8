"""Steps of a project's own: the command line and the evidence around one function."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from modelyard.contract.model import load_contract
from modelyard.data.parts import read_part
from modelyard.errors import guarded
from modelyard.evidence import write_evidence
from modelyard.steps.command import add_paths

Measure = Callable[..., Mapping[str, float | None]]


def step(
    name: str, measure: Measure, *, inputs: Sequence[str] = (), argv: list[str] | None = None
) -> int:
    """Run a step that measures something of the prepared data, and write its evidence.

    Its options are `--contract`, `--prepared` and `--evidence`, and one for each further input.

    Args:
        name: of the step; the evidence is `<name>.json`, and MLflow's metrics are `<name>.<metric>`.
        measure: takes the contract and a mapping from "train", "validation" and "test" to their rows
            (rows, columns), and each further input as a keyword argument, a path. Returns metrics by
            name.
        inputs: names of further inputs of the component that are files or folders.
        argv: words of the command line; default: this process's.

    Returns:
        The exit code: 0, 1 where `measure` raises CheckFailed, 2 where input cannot be used.
    """
    parser = argparse.ArgumentParser(prog=name, description=measure.__doc__)
    add_paths(parser, "contract", "prepared")
    for one in inputs:
        parser.add_argument(f"--{one.replace('_', '-')}", type=Path, required=True)
    parser.add_argument("--evidence", type=Path, required=True, help=f"folder for {name}.json")
    return guarded(_run, name, measure, **vars(parser.parse_args(argv)))


def _run(
    name: str, measure: Measure, contract: Path, prepared: Path, evidence: Path, **inputs: Path
) -> None:
    rules = load_contract(contract)
    parts: dict[str, pd.DataFrame] = {
        "train": read_part(prepared, "train", rules),
        "validation": read_part(prepared, "validation", rules),
        "test": read_part(prepared, "test", rules),
    }
    metrics = measure(rules, parts, **inputs)
    for metric, value in metrics.items():
        print(f"{metric}: {'none' if value is None else f'{value:.6g}'}")
    write_evidence(evidence, name, metrics=metrics)
