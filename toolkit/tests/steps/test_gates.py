"""conf/gates.yml means the same to every step and command."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from modelyard.errors import guarded
from modelyard.releases.promote import promote
from modelyard.steps import assess, register

from tests.project import ROOT

PROMOTION = (
    "promotion: {binary: {metric: roc_auc, floor: 0}, multiclass: {metric: accuracy, floor: 0}}\n"
)


def run_assess(root: Path) -> int:
    rules = {name: root / "conf" / f"{name}.yml" for name in ("contract", "gates")}
    folders = {name: root / name for name in ("prepared", "model", "baseline", "champion")}
    return guarded(assess.held_out, **rules, **folders)


def run_register(root: Path) -> int:
    names = ("contract", "project", "model", "baseline", "prepared", "decision", "page")
    words = ["--model-name", "m", "--gates", str(root / "conf" / "gates.yml")]
    for name in (*names, "prepare-evidence", "train-evidence", "assess-evidence"):
        words += [f"--{name}", str(root / name)]
    return register.main(words)


def run_promote(root: Path) -> int:
    return guarded(promote, root)


@pytest.mark.parametrize("run", [run_assess, run_register, run_promote])
def test_what_one_command_refuses_all_refuse_with_the_same_words(tmp_path, capsys, run):
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    gates = tmp_path / "conf" / "gates.yml"
    gates.write_text(f"evaluation: {{resamples: 20}}\n{PROMOTION}")
    assert run(tmp_path) == 2
    assert capsys.readouterr().err == (
        f"error: {gates}:1: evaluation.resamples: input should be greater than or equal to 50, "
        "found 20\n"
    )


def test_a_number_is_read_by_the_rules_of_yaml_1_2(trained_bench):
    trained_bench.gates.write_text(f"evaluation: {{resamples: 50, seed: 0o10}}\n{PROMOTION}")
    assert trained_bench.evaluate() == trained_bench.explain() == trained_bench.fairness() == 0
    for kind in ("evaluation", "importance", "fairness"):
        assert trained_bench.evidence(kind)["params"]["seed"] == 8
