"""Adds a step to a project: a module, a component, a node of the training pipeline, and a test."""

from __future__ import annotations

import keyword
import re
from pathlib import Path
from typing import Any

from modelyard.errors import UsageError
from modelyard.files import replacing
from modelyard.pipelines.reader import load_pipeline
from modelyard.project import load_project
from modelyard.reports.kinds import KINDS
from modelyard.yaml_files import LocatedMapping, parse

PIPELINE = Path("azureml") / "pipelines" / "train.yml"
READS = "prepared"  # the output of another step that a new step reads

MODULE = '''\
"""The step `{name}`: numbers about the prepared rows, for its evidence and for MLflow."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import pandas as pd
from modelyard.contract import Contract
from modelyard.steps import step


def measure(contract: Contract, parts: Mapping[str, pd.DataFrame]) -> dict[str, float]:
    """Count rows and columns.

    Args:
        contract: of the table.
        parts: prepared rows of "train", "validation" and "test" (rows, columns).

    Returns:
        Metrics by name.
    """
    rows = {{f"{{part}}_rows": float(len(table)) for part, table in parts.items()}}
    return rows | {{"features": float(len(contract.features))}}


if __name__ == "__main__":
    sys.exit(step("{name}", measure))
'''

COMPONENT = """\
$schema: https://azuremlschemas.azureedge.net/latest/commandComponent.schema.json
type: command
name: {name}
version: "1"
display_name: {name}
description: Numbers about the prepared rows.
inputs:
  contract:
    type: uri_file
    description: conf/contract.yml
  prepared:
    type: uri_folder
outputs:
  evidence:
    type: uri_folder
    description: {name}.json
code: ../../src
environment: azureml:train@latest
command: >-
  python -m {package}.{name}
  --contract ${{{{inputs.contract}}}}
  --prepared ${{{{inputs.prepared}}}}
  --evidence ${{{{outputs.evidence}}}}
"""

NODE = """\
{name}:
  type: command
  component: ../components/{name}.yml
  inputs:
    contract: {contract}
    prepared: {prepared}
"""

TEST = '''\
"""The step `{name}` measures what it says."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from modelyard.contract import load_contract

from {package}.{name} import measure

ROOT = Path(__file__).parents[1]


def test_rows_of_each_part_are_counted() -> None:
    contract = load_contract(ROOT / "conf" / "contract.yml")
    parts = {{"train": 3, "validation": 2, "test": 1}}
    tables = {{part: pd.DataFrame(index=range(rows)) for part, rows in parts.items()}}
    found = measure(contract, tables)
    assert {{part: found[f"{{part}}_rows"] for part in parts}} == parts
    assert found["features"] == len(contract.features)
'''


def add_step(root: Path, name: str) -> list[Path]:
    """Add a step that reads the prepared data and writes evidence.

    After a crash, the same call adds what is missing.

    Args:
        root: the project.
        name: of the step, its module and its component.

    Returns:
        The files that were written, the pipeline last.

    Raises:
        UsageError: the name cannot be used or is taken, or the pipeline cannot be changed. Nothing
            was written.
    """
    files = step_files(root, name)
    if not files:
        raise UsageError(f"`{name}` exists: {PIPELINE.as_posix()}; choose another name")
    for path, content in files.items():
        with replacing(path) as partial:
            partial.write_bytes(content)
    return list(files)


def step_files(root: Path, name: str) -> dict[Path, bytes]:
    """Return the files that a step is made of and the project has not yet, the pipeline last.

    Raises:
        UsageError: the name cannot be used or is taken, or the pipeline cannot be changed.
    """
    _check_name(name)
    package = load_project(root).package
    files = {
        root / "src" / package / f"{name}.py": MODULE.format(name=name),
        root / "azureml" / "components" / f"{name}.yml": COMPONENT.format(
            name=name, package=package
        ),
        root / "tests" / f"test_{name}.py": TEST.format(name=name, package=package),
    }
    pipeline = root / PIPELINE
    before = pipeline.read_bytes().decode()
    after = _with_node(root, before, name)
    taken = [
        path
        for path, text in files.items()
        if path.exists() and path.read_text(encoding="utf-8", errors="replace") != text
    ]
    if taken:
        where = ", ".join(path.relative_to(root).as_posix() for path in taken)
        raise UsageError(f"`{name}` exists: {where}; choose another name")
    missing = {path: text.encode() for path, text in files.items() if not path.exists()}
    return missing | ({} if after == before else {pipeline: after.encode()})


def _check_name(name: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise UsageError(
            f"a step's name is a Python identifier of lower-case letters, digits and underscores, "
            f"found {name!r}"
        )
    if name in KINDS:
        raise UsageError(f"`{name}` is evidence of another step; choose another name")


def _with_node(root: Path, text: str, name: str) -> str:
    """The pipeline's text with a node for the step at the end of `jobs`, all else as it was.

    A node of this name that is the very one is left as it is.
    """
    path = root / PIPELINE
    steps = load_pipeline(path, data_assets=root / "azureml" / "data", need_data=False).steps
    document = parse(text)
    jobs = document["jobs"]
    producer = next((s.name for s in steps if READS in s.component.outputs), None)
    contract = jobs[producer].get("inputs", {}).get("contract") if producer else None
    if contract is None:
        raise UsageError(
            f"{PIPELINE.as_posix()} has no step with an input `contract` and an output `{READS}`, "
            "which a new step reads"
        )
    reads = f"${{{{parent.jobs.{producer}.outputs.{READS}}}}}"
    node = NODE.format(name=name, contract=contract, prepared=reads)
    if name in jobs:
        if jobs[name] == parse(node)[name]:
            return text
        raise UsageError(
            f"{PIPELINE.as_posix()}:{jobs.line_of(name)} has a step `{name}`; choose another name"
        )
    result = _inserted(text, document, node)
    if parse(result) != document | {"jobs": jobs | parse(node)}:
        raise UsageError(
            f"{PIPELINE.as_posix()}:{document.line_of('jobs')}: write `jobs` as a block, one step "
            "below the other, so that a step can be added"
        )
    return result


def _inserted(text: str, document: LocatedMapping, node: str) -> str:
    """Insert a node below the last line of the block `jobs`, indented as the others are."""
    lines = text.splitlines(keepends=True)
    jobs: Any = document["jobs"]
    first = lines[min(map(jobs.line_of, jobs)) - 1]
    indent = first[: len(first) - len(first.lstrip())]
    after = [line for line in document.lines.values() if line > document.line_of("jobs")]
    end = min(after) - 1 if after else len(lines)
    while not lines[end - 1].startswith(indent or " ") or not lines[end - 1].strip():
        end -= 1  # comments and blank lines that stand before the next key
    newline = "\r\n" if "\r\n" in text else "\n"
    if not lines[end - 1].endswith("\n"):
        lines[end - 1] += newline
    added = [f"{indent}{line}{newline}" for line in node.splitlines()]
    return "".join([*lines[:end], *added, *lines[end:]])
