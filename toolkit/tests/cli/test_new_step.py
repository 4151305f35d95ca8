"""`mlops new step` adds a step that runs, and changes nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from modelyard.contract.model import load_contract
from modelyard.errors import UsageError
from modelyard.imports import check_imports
from modelyard.pipelines.new_step import PIPELINE, add_step
from modelyard.pipelines.reader import load_pipeline
from modelyard.project import load_project
from modelyard.testing import small_table

from tests.project import ROOT, part_of_sample


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The part of the sample project that a new step is written into."""
    return part_of_sample(tmp_path, "azureml conf src")


def contents(root: Path) -> dict[str, bytes]:
    files = [p.relative_to(root) for p in root.rglob("*") if p.is_file()]
    return {str(p): (root / p).read_bytes() for p in files if p.parts[0] != ".runs"}


def test_a_step_is_a_module_a_component_a_node_and_a_test(project: Path) -> None:
    before = contents(project)
    package = load_project(project).package
    written = [path.relative_to(project).as_posix() for path in add_step(project, "profile")]
    assert written == [
        f"src/{package}/profile.py",
        "azureml/components/profile.yml",
        "tests/test_profile.py",
        PIPELINE.as_posix(),
    ]
    after = contents(project)
    assert {name for name in after if after[name] != before.get(name)} == set(written)
    old, new = before[str(PIPELINE)].decode(), after[str(PIPELINE)].decode()
    assert new.startswith(old) and new.count("\n") == old.count("\n") + 6
    steps = load_pipeline(project / PIPELINE, need_data=False).steps
    (step,) = [step for step in steps if step.name == "profile"]
    assert not check_imports(project)
    assert step.needs == {"prepare"} and step.component.module == f"{package}.profile"


def test_the_new_step_and_its_test_run(project: Path) -> None:
    add_step(project, "profile")
    contract = load_contract(project / "conf" / "contract.yml")
    prepared = project / "prepared"
    prepared.mkdir()
    table = small_table(contract, rows=60)[contract.prepared]
    for part, rows in zip(("train", "validation", "test"), np.split(table, [30, 50]), strict=True):
        rows.to_parquet(prepared / f"{part}.parquet", index=False)
    package = load_project(project).package
    command = [sys.executable, "-m", f"{package}.profile", "--contract", "conf/contract.yml"]
    command += ["--prepared", "prepared", "--evidence", "evidence"]
    env = os.environ | {"PYTHONPATH": str(project / "src")}
    subprocess.run(command, cwd=project, env=env, check=True)
    evidence = json.loads((project / "evidence" / "profile.json").read_text(encoding="utf-8"))
    assert evidence["evidence"] == "profile"
    assert [evidence["metrics"][f"{part}_rows"] for part in ("train", "validation", "test")] == [
        30,
        20,
        10,
    ]
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    subprocess.run([*tests, "tests/test_profile.py"], cwd=project, env=env, check=True)
    lint = [sys.executable, "-m", "ruff"]
    shutil.copy(ROOT / "pyproject.toml", project)
    for words in (["check"], ["format", "--check"]):
        files = ["tests", f"src/{package}/profile.py"]
        subprocess.run([*lint, *words, *files], cwd=project, check=True)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Profile", "a Python identifier of lower-case letters"),
        ("my-step", "a Python identifier of lower-case letters"),
        ("2nd", "a Python identifier of lower-case letters"),
        ("../up", "a Python identifier of lower-case letters"),
        ("import", "a Python identifier of lower-case letters"),
        ("", "a Python identifier of lower-case letters"),
        ("fairness", "evidence of another step"),
        ("train", r"train\.yml:\d+ has a step `train`"),
        ("features", r"`features` exists: src/\w+/features\.py"),
    ],
)
def test_a_name_that_cannot_be_used_is_refused_and_nothing_is_written(
    project: Path, name: str, message: str
) -> None:
    before = contents(project)
    with pytest.raises(UsageError, match=message):
        add_step(project, name)
    assert contents(project) == before


def test_a_step_is_added_once(project: Path) -> None:
    add_step(project, "profile")
    before = contents(project)
    with pytest.raises(UsageError, match="`profile` exists"):
        add_step(project, "profile")
    assert contents(project) == before


@pytest.mark.parametrize("missing", ["module", "pipeline"])
def test_what_a_crash_left_out_is_added_by_the_same_call(project: Path, missing: str) -> None:
    original = (project / PIPELINE).read_bytes()
    module = add_step(project, "profile")[0]
    whole = contents(project)
    if missing == "module":
        module.unlink()
    else:
        (project / PIPELINE).write_bytes(original)
    add_step(project, "profile")
    assert contents(project) == whole


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\n", "\r\n"),
        ("jobs:", "# before\njobs: # the steps"),
        ("experiment_name: training\n", ""),  # appended below instead
    ],
    ids=["windows", "comments", "jobs not last"],
)
def test_the_rest_of_the_pipelines_file_stays_as_it_is(project: Path, old: str, new: str) -> None:
    file = project / PIPELINE
    text = file.read_bytes().decode().replace(old, new)
    if not new:
        text += "\n# the experiment\nexperiment_name: training\n"
    file.write_bytes(text.encode())
    add_step(project, "profile")
    lines = file.read_bytes().decode().splitlines(keepends=True)
    start = next(i for i, line in enumerate(lines) if line.startswith("  profile:"))
    assert "".join(lines[:start] + lines[start + 6 :]) == text
    assert len({line.endswith("\r\n") for line in lines}) == 1
    assert "profile" in {s.name for s in load_pipeline(file, need_data=False).steps}


def test_steps_in_one_line_are_refused_with_what_to_do(project: Path) -> None:
    file = project / PIPELINE
    head, _, _ = file.read_text(encoding="utf-8").partition("jobs:")
    node = "component: ../components/prepare.yml, inputs: {data: '${{parent.inputs.data}}', contract: '${{parent.inputs.contract}}'}"
    file.write_text(f"{head}jobs: {{prepare: {{{node}}}}}\n", encoding="utf-8")
    before = contents(project)
    with pytest.raises(UsageError, match="write `jobs` as a block"):
        add_step(project, "profile")
    assert contents(project) == before
