"""A monitor's file and the contract: differences are refused with their line, or written into the file."""

from __future__ import annotations

import re

import pytest
from modelyard.errors import UsageError
from modelyard.monitoring.follow_contract import follow_contract

from tests.monitoring.monitored import CONTRACT, MONITOR, Monitored
from tests.project import ROOT


def test_columns_that_the_contract_does_not_have_are_told_with_their_line(
    project: Monitored,
) -> None:
    text = MONITOR.replace("[amount, shop]", "[amont, shop]").replace(
        "target_column: late", "target_column: delayed"
    )
    project.edit(text.replace("ml_task: classification", "ml_task: regression"))
    with pytest.raises(UsageError) as error:
        project.monitor()
    said = str(error.value)
    assert re.search(
        r"monitor\.yml:\d+: inputs: the contract has no feature `amont`; did you mean `amount`\?",
        said,
    )
    assert re.search(
        r"monitor\.yml:\d+: inputs: target_column: the contract's target is `late`, found `delayed`",
        said,
    )
    assert re.search(
        r"monitor\.yml:\d+: ml_task: the contract's problem is classification, found regression",
        said,
    )
    assert "mlops monitor --follow-contract" in said


def test_the_projects_own_file_follows_any_contract(project: Monitored) -> None:
    project.edit((ROOT / "azureml" / "monitoring" / "monitor.yml").read_text(encoding="utf-8"))
    changed = follow_contract(project.root, project.file)
    assert any("features: [amount, shop, items]" in line for line in changed)
    assert (
        any("target_column: late" in line for line in changed) or "late" in project.file.read_text()
    )
    assert follow_contract(project.root, project.file) == [
        line for line in changed if "has thresholds for" in line
    ]
    result = project.monitor()
    assert result.verdict == "not judged"  # nothing was collected at its endpoint
    assert any("no champion" in note for note in result.notes)


def test_names_that_yaml_would_misread_are_quoted(project: Monitored) -> None:
    contract = CONTRACT.replace("  shop:", '  "no":').replace("amount", '"per cent, paid"')
    (project.root / "conf" / "contract.yml").write_text(contract)
    follow_contract(project.root, project.file)
    assert 'features: ["per cent, paid", "no", items]' in project.file.read_text()
