"""A monitor's file: what is right, and that everything wrong is told with its line."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelyard.errors import UsageError
from modelyard.monitoring.monitor_file import load_monitor
from modelyard.monitoring.schedule import duration

from tests.monitoring.monitored import MONITOR
from tests.project import ROOT

OWN = ROOT / "azureml" / "monitoring" / "monitor.yml"


def problems(tmp_path: Path, text: str) -> list[str]:
    """Line and message of every problem."""
    path = tmp_path / "monitor.yml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as error:
        load_monitor(path)
    lines = str(error.value).splitlines()
    return [line.partition(f"{path}:")[2] for line in lines if f"{path}:" in line]


def line_of(text: str) -> int:
    return MONITOR[: MONITOR.index(text)].count("\n") + 1


def test_the_projects_own_monitor_has_every_kind_of_signal() -> None:
    monitor = load_monitor(OWN)
    assert {signal.type for signal in monitor.signals.values()} == {
        "data_drift",
        "data_quality",
        "prediction_drift",
        "feature_attribution_drift",
        "model_performance",
    }
    assert all(signal.alert_enabled for signal in monitor.signals.values())


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("name: watch", "nam: watch", "nam: no such field; did you mean `name`?"),
        ("frequency: week", "frequency: fortnight", "be 'minute', 'hour', 'day'"),
        ("interval: 1", "interval: -1", "greater than or equal to 1, found -1"),
        ('runtime_version: "3.4"', "runtime_version: 3.4", "'3.4' or '3.5', found 3.4"),
        ('runtime_version: "3.4"', 'runtime_version: "2.1"', "'3.4' or '3.5', found '2.1'"),
        ("standard_e4s_v3", "Standard_DS3_v2", "instance_type: string should match pattern"),
        ("azureml:shop:blue", "shop/blue", "endpoint_deployment_id: string should match pattern"),
        ("type: data_drift", "type: drift", "expected one of 'data_drift', 'data_quality'"),
        (
            "          jensen_shannon_distance: 0.2\n        categorical",
            "          jensen_shanon_distance: 0.2\n        categorical",
            "no such field; did you mean `jensen_shannon_distance`?",
        ),
        (
            "          jensen_shannon_distance: 0.2\n        categorical",
            "          pearsons_chi_squared_test: 0.2\n        categorical",
            "pearsons_chi_squared_test: no such field",
        ),
        (
            "          jensen_shannon_distance: 0.2\n        categorical",
            "          jensen_shannon_distance: 1.2\n        categorical",
            "less than or equal to 1, found 1.2",
        ),
        (
            "          jensen_shannon_distance: 0.2\n        categorical",
            "          jensen_shannon_distance: 0\n        categorical",
            "azure-ai-ml drops a threshold of 0",
        ),
        (
            "          jensen_shannon_distance: 0.2\n        categorical",
            "          jensen_shannon_distance: '0.2'\n        categorical",
            "valid number, found '0.2'",
        ),
        (
            "null_value_rate: 0.05, data",
            "null_value_rate: 5, data",
            "less than or equal to 1, found 5",
        ),
        (
            "normalized_wasserstein_distance: 0.5",
            "normalized_wasserstein_distance: -1",
            "greater than or equal to 0",
        ),
        ("accuracy: 0.6", "f1: 0.6", "f1: no such field"),
        (
            "alert_enabled: true\n      metric_thresholds:\n        classification",
            "alert_enabled: 'yes'\n      metric_thresholds:\n        classification",
            "valid boolean",
        ),
        ("emails: [team@example.com]", "emails: []", "emails: list should have at least 1 item"),
        ("features: [amount, shop]", "features: {top_n: 3}", "top_n"),
        ("features: all_features", "features: every_feature", "features"),
        ("data_context: ground_truth", "data_context: truth", "'ground_truth', found 'truth'"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in MONITOR
    found = problems(tmp_path, MONITOR.replace(old, new, 1))
    line = line_of(old)
    matching = [problem for problem in found if said in problem]
    assert matching, found
    lines = {int(re.match(r"\d+", problem)[0]) for problem in matching}  # type: ignore[index]
    assert lines <= set(range(line - 2, line + 3)), (lines, line)


def test_two_metrics_of_a_kind_are_refused_because_azure_gets_one(tmp_path: Path) -> None:
    two = MONITOR.replace(
        "          jensen_shannon_distance: 0.2\n        categorical",
        "          jensen_shannon_distance: 0.2\n          population_stability_index: 0.1\n        categorical",
    )
    [found] = problems(tmp_path, two)
    assert "found jensen_shannon_distance, population_stability_index" in found
    assert "a signal of its own" in found


def test_everything_wrong_is_told_at_once(tmp_path: Path) -> None:
    text = MONITOR.replace("interval: 1", "interval: 0").replace("accuracy: 0.6", "accuracy: 7")
    assert len(problems(tmp_path, text)) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected a schedule (a mapping), found NoneType"),
        ("- 1\n", "expected a schedule (a mapping), found list"),
        ("a: [\n", "not valid YAML"),
        ("a: 1\na: 2\n", "is given twice"),
    ],
)
def test_what_is_no_schedule_is_refused(tmp_path: Path, text: str, said: str) -> None:
    [found] = problems(tmp_path, text)
    assert said in found


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"gone\.yml does not exist"):
        load_monitor(tmp_path / "gone.yml")


def test_a_regressions_thresholds_stand_in_the_properties(tmp_path: Path) -> None:
    """azure-ai-ml 1.35 refuses them in a signal."""
    local = "{production_data: {input_data: {path: a, type: uri_folder}}, reference_data: {input_data: {path: b, type: mltable}}, metric_thresholds: {regression: {rmse: 3.0}}}"
    path = tmp_path / "monitor.yml"
    path.write_text(
        MONITOR.replace("trigger:", f'properties:\n  model_performance: "{local}"\ntrigger:', 1)
    )
    signal = load_monitor(path).signals["model_performance"]
    assert signal.metric_thresholds.thresholds() == {"regression": {"rmse": 3.0}}  # type: ignore[union-attr]
    [found] = problems(tmp_path, path.read_text().replace("rmse", "rsme"))
    assert found.startswith("4: properties.model_performance.")
    assert "rsme: no such field; did you mean `rmse`?" in found


@pytest.mark.parametrize(
    ("text", "days"), [("P7D", 7), ("P2W", 14), ("PT36H", 1.5), ("P1DT12H", 1.5), ("PT90M", 0.0625)]
)
def test_durations(text: str, days: float) -> None:
    assert duration(text) == timedelta(days=days)


@given(st.text(alphabet="PTDWHMY0123456789.", max_size=6))
def test_what_is_no_duration_is_refused(text: str) -> None:
    if re.fullmatch(r"P(?=[\dT])(\d+W)?(\d+D)?(T(?=\d)(\d+H)?(\d+M)?)?", text):
        assert duration(text) >= timedelta()
    else:
        with pytest.raises(ValueError, match="expected a duration"):
            duration(text)


def test_windows_end_before_the_run_by_their_offset(tmp_path: Path) -> None:
    path = tmp_path / "monitor.yml"
    path.write_text(MONITOR)
    monitor = load_monitor(path)
    signal = monitor.signals["outputs"]
    at = datetime(2026, 5, 31, 15, 15, tzinfo=UTC)
    production = signal.production_data
    assert monitor.window(production, at) == (at - timedelta(days=10), at)  # type: ignore[arg-type]
    assert monitor.reference_window(signal.reference_data, production, at) == (  # type: ignore[arg-type]
        at - timedelta(days=20),
        at - timedelta(days=10),
    )
    # Azure ML's defaults: the schedule's period, and twice that before.
    assert monitor.window(None, at) == (at - timedelta(days=7), at)
    assert monitor.reference_window(None, None, at) == (
        at - timedelta(days=21),
        at - timedelta(days=7),
    )
