"""A monitor's file and the contract: differences are refused with their line, or written into the file."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from modelyard.contract.model import Column, Contract, Target, load_contract, save_contract
from modelyard.contract.yaml_edit import KEEP, replaced
from modelyard.errors import UsageError
from modelyard.monitoring.follow_contract import check_agreement, follow_contract
from modelyard.monitoring.monitor_file import load_monitor
from modelyard.yaml_files import parse

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


def test_the_champion_is_named_where_the_file_follows_the_next_contract(project: Monitored) -> None:
    own = project.root / "conf" / "contract.yml"
    contract = load_contract(own)
    goal = contract.target.model_copy(update={"column": "delayed"})
    with pytest.raises(UsageError, match="champion was trained under another contract"):
        check_agreement(
            load_monitor(project.file), contract.model_copy(update={"target": goal}), own
        )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "- a",
        "create_monitor: x",
        "create_monitor: {monitoring_signals: [1]}",
        "create_monitor: {monitoring_signals: {a: 1}}",
        "a: [1",
    ],
)
def test_what_is_no_monitor_is_refused_and_stays_as_it_is(project: Monitored, text: str) -> None:
    project.edit(text)
    with pytest.raises(UsageError, match=r"monitor\.yml"):
        follow_contract(project.root, project.file)
    assert project.file.read_text(encoding="utf-8") == text


def test_the_projects_own_file_follows_any_contract(project: Monitored) -> None:
    project.edit((ROOT / "azureml" / "monitoring" / "monitor.yml").read_text(encoding="utf-8"))
    changed, said = follow_contract(project.root, project.file)
    assert any("features: [amount, shop, items]" in line for line in changed)
    assert (
        any("target_column: late" in line for line in changed) or "late" in project.file.read_text()
    )
    assert follow_contract(project.root, project.file) == ([], said)
    result = project.monitor()
    assert result.verdict == "not judged"  # nothing was collected at its endpoint
    assert any("no champion" in note for note in result.notes)


def test_a_column_that_is_mostly_missing_is_left_to_data_quality(project: Monitored) -> None:
    path = project.root / "conf" / "contract.yml"
    contract = load_contract(path)
    columns = contract.columns | {
        "shop": contract.columns["shop"].model_copy(update={"nulls": 0.9})
    }
    save_contract(contract.model_copy(update={"columns": columns}), path)
    project.edit((ROOT / "azureml" / "monitoring" / "monitor.yml").read_text(encoding="utf-8"))
    _, said = follow_contract(project.root, project.file)
    assert "shop: mostly missing, so left out where drift is measured" in said
    signals = load_monitor(project.file).signals
    assert signals["data_drift"].features == ["amount", "items"]  # type: ignore[union-attr]
    assert "shop" in signals["data_quality"].features  # type: ignore[union-attr, operator]


def test_names_that_yaml_would_misread_are_quoted(project: Monitored) -> None:
    contract = CONTRACT.replace("  shop:", '  "no":').replace("amount", '"per cent, paid"')
    (project.root / "conf" / "contract.yml").write_text(contract)
    follow_contract(project.root, project.file)
    assert 'features: ["per cent, paid", "no", items]' in project.file.read_text()


NAMES = st.one_of(
    st.sampled_from(
        [
            "[",
            "]",
            "{",
            "}",
            '"',
            "'",
            "temp",
            "[C]",
            "self",
            "index",
            "class",
            "null",
            "1",
            "on",
            "-",
            "?",
            "*",
            "&a",
            "!b",
            "%",
            "@",
            "`",
            "|",
            ">",
            "~",
            "<<",
            "=",
            "\\",
            "é",
        ]
    ),
    st.sampled_from(
        ["a: b", "# no", "a,b", "features: [x]", "ml_task: y", "line\nbreak", "tab\there", "\u2028"]
    ),
    st.sampled_from(["x" * 300, "😀" * 300, "target_column", "a  b", "a\\: b"]),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40),
)


LOCAL = """\
properties:
  model_performance: >-
    {production_data: {input_data: {path: "azureml:x:1", type: uri_folder}, data_context: model_outputs},
    reference_data: {input_data: {path: "azureml:y:1", type: mltable}, data_context: ground_truth,
    data_column_names: {actual: delay, correlation_id: correlationid}}, metric_thresholds: {regression: {rmse: 60.0}}}
"""


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(names=st.lists(NAMES, min_size=3, max_size=6, unique=True), regression=st.booleans())
def test_columns_of_any_name_are_written_twice_and_read_again(
    project: Monitored, names: list[str], regression: bool
) -> None:
    target, *features = names
    rules = {name: Column(type=("integer", "category")[i % 2]) for i, name in enumerate(features)}
    goal = Target(column=target, kind="regression")
    if not regression:
        goal = Target(column=target, kind="binary", positive=1)
    columns = {**rules, target: Column(type="integer", role="target")}
    contract = Contract(target=goal, columns=columns)
    path = project.root / "conf" / "contract.yml"
    save_contract(contract, path)
    assert load_contract(path) == contract
    text = (ROOT / "azureml" / "monitoring" / "monitor.yml").read_text(encoding="utf-8")
    project.edit(LOCAL + text if regression else text)
    before = re.findall("#.*", project.file.read_text(encoding="utf-8"))
    for was in ("delay", target):
        _, said = follow_contract(project.root, project.file)
        hint = f"model_performance has rmse 60, errors of {was}: say what {target} may have"
        assert any(hint in line for line in said) == (regression and was != target)
        monitor = load_monitor(project.file)
        assert monitor.signals["data_drift"].features == features  # type: ignore[union-attr]
        assert list(monitor.signals["data_drift"].feature_type_override) == features[::2]  # type: ignore[union-attr]
        check_agreement(monitor, contract)
        if regression:
            truth = monitor.signals["model_performance"].reference_data
            assert truth is not None and truth.data_column_names["actual"] == target
        written = project.file.read_text(encoding="utf-8")
        assert [one for one in before if one in written] == before  # no comment is lost


def test_the_rest_of_a_file_stays_as_it_was() -> None:
    text = "# top\na: &x  [1, 2]   # why\nb:\n  - 1  # one\n  - 2\nc: *x\nd: >-\n  one\n  two\ne: {f: 1, g: 'x'}\n"
    new = {"b": [3], "d": "four", "f": {"k": "v"}}
    edited = replaced(text, lambda where, _: new.get(where[-1], KEEP))
    assert (
        edited
        == "# top\na: &x  [1, 2]   # why\nb: [3]\nc: *x\nd: >-\n  four\ne: {f: {k: v}, g: 'x'}\n"
    )
    both = replaced(text, lambda where, _: [9] if where[-1] in ("a", "c") else KEEP)
    assert parse(both)["a"] == parse(both)["c"] == [9]


def test_an_alias_that_would_change_too_is_refused() -> None:
    with pytest.raises(ValueError, match=":1: cannot be changed without changing more"):
        replaced("a: &x [1]\nb: *x\n", lambda where, _: [9] if where[-1] == "a" else KEEP)
