"""A monitor's run: verdicts, ground truth that comes late, past results, kills, two at once."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from modelyard.errors import UsageError
from modelyard.monitoring import run as monitor_run
from modelyard.monitoring.run import MonitorResult
from modelyard.serving.collected_files import keep_contract

from tests.collected import write_collected, write_truth
from tests.command import Mlops
from tests.monitoring.monitored import AT, CONTRACT, MONITOR, Monitored
from tests.reports.test_report import Page


def details(result: MonitorResult) -> dict[str, Any]:
    return json.loads(result.evidence.read_text(encoding="utf-8"))["details"]


def test_the_same_distribution_is_fine_and_another_one_a_breach(project: Monitored) -> None:
    project.collect(project.rows(800, seed=4), end=AT - timedelta(days=10), prefix="before")
    project.collect(project.rows(800))
    result = project.monitor()
    assert (result.verdict, result.breaches, result.notes) == ("fine", (), ())
    moved = project.rows(800, shift=1.5).assign(shop="east")
    project.collect(moved)  # the same ids and hours: it takes the place of what was there
    result = project.monitor()
    assert result.verdict == "breach"
    assert result.signals == ("inputs", "quality", "outputs")
    assert {b.feature for b in result.breaches} == {"amount", "shop", "prediction", "probability"}
    found = {(b.signal, b.feature): b for b in result.breaches}
    assert found["quality", "shop"].metric == "out_of_bounds_rate"
    assert found["quality", "shop"].value == 1.0
    assert found["quality", "shop"].threshold == 0.01
    page = Page(result.report.read_text(encoding="utf-8"))
    assert "Breach: inputs, data quality and predictions" in page.text
    assert "east 0% before, 100% now" in page.text
    assert [attributes for tag, attributes in page.tags if "src" in attributes] == []


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("late", "lost", 'it predicts "lost", and the contract asks for "late"'),
        ("shop: {type: category}", "shop: {type: number}", "another type now: shop"),
        ("  shop: {type: category}\n", "", "it does not take shop"),
        ("  items:", "  size: {type: number}\n  items:", "the contract does not have: size"),
    ],
)
def test_rows_that_another_line_of_versions_answered_are_left_out_and_counted(
    project: Monitored, old: str, new: str, why: str
) -> None:
    contract = project.root / "former.yml"
    contract.write_text(CONTRACT.replace(old, new))
    project.collect(project.rows(800, seed=4), end=AT - timedelta(days=10), prefix="before")
    project.collect(project.rows(800))
    moved = project.rows(600, shift=1.5).assign(shop="east")
    project.collect(moved, prefix="former", right=0.0, contract=contract)
    result = project.monitor()
    assert (result.verdict, result.breaches) == ("fine", ())
    inputs, outputs = result.notes
    assert inputs.startswith("600 rows of model_inputs from 2026-05-21 to 2026-05-31 are left out")
    assert outputs.startswith("600 rows of model_outputs")
    assert why in inputs
    assert details(result)["signals"]["inputs"]["rows"]["production"] == 800


def test_rows_that_an_earlier_version_of_the_line_answered_are_judged(project: Monitored) -> None:
    contract = project.root / "former.yml"
    contract.write_text(f"# other bytes\n{CONTRACT}")
    project.collect(project.rows(800, shift=1.5), contract=contract)
    result = project.monitor()
    assert "inputs" in result.signals
    assert not [note for note in result.notes if "left out" in note]


def test_a_breach_does_not_go_on_from_another_line_of_versions(project: Monitored) -> None:
    project.collect(project.rows(800, shift=1.5))
    first = project.monitor(at=AT - timedelta(days=1))
    assert project.monitor().breaches[0].since == AT - timedelta(days=1)
    other = project.root / "former.yml"
    other.write_text(CONTRACT.replace("late", "lost"))
    content = json.loads(first.evidence.read_text(encoding="utf-8"))
    content["details"]["contract"] = keep_contract(project.root / ".collected", other)
    first.evidence.write_text(json.dumps(content), encoding="utf-8")
    assert project.monitor().breaches[0].since == AT


@pytest.mark.parametrize(
    ("old", "strict", "lax", "signal_name"),
    [
        (
            "jensen_shannon_distance: 0.2\n        categorical",
            "jensen_shannon_distance: 0.13\n        categorical",
            "jensen_shannon_distance: 0.9\n        categorical",
            "inputs",
        ),
        (
            "numerical: {null_value_rate: 0.05",
            "numerical: {null_value_rate: 0.01",
            "numerical: {null_value_rate: 0.9",
            "quality",
        ),
        (
            "normalized_wasserstein_distance: 0.5",
            "normalized_wasserstein_distance: 0.1",
            "normalized_wasserstein_distance: 9.0",
            "outputs",
        ),
        ("accuracy: 0.6", "accuracy: 0.95", "accuracy: 0.01", "truth"),
    ],
)
def test_each_threshold_too_strict_or_too_lax_flips_the_verdict(
    project: Monitored, old: str, strict: str, lax: str, signal_name: str
) -> None:
    project.collect(
        project.rows(800, seed=4), end=AT - timedelta(days=10), prefix="before", right=0.8
    )
    inputs = project.rows(800, shift=0.5)
    inputs.loc[:15, "amount"] = np.nan
    project.collect(inputs, right=0.8)
    verdicts = []
    for new in (strict, lax):
        assert old in MONITOR
        project.edit(MONITOR.replace(old, new, 1))
        verdicts.append(details(project.monitor())["signals"][signal_name]["verdict"])
    assert verdicts == ["breach", "fine"]


def test_without_data_nothing_is_judged_and_the_exit_code_is_0(
    project: Monitored, mlops: Mlops, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.root)
    done = mlops(*project.words())
    assert "note: inputs was not judged: the production window has 0 complete rows" in done.out
    assert "not everything could be judged: inputs, quality, outputs, truth" in done.out
    assert details_of(project)["verdict"] == "not judged"


def details_of(project: Monitored) -> dict[str, Any]:
    [file] = project.root.glob(".monitor/*/monitor.json")
    return json.loads(file.read_text(encoding="utf-8"))["details"]


def test_a_distance_that_chance_alone_gives_is_named_and_not_judged(project: Monitored) -> None:
    project.edit(
        MONITOR.replace("jensen_shannon_distance: 0.2", "jensen_shannon_distance: 0.05", 1)
    )
    project.collect(project.rows(800, seed=4), end=AT - timedelta(days=10), prefix="before")
    project.collect(project.rows(200))
    result = project.monitor()
    found = details(result)["signals"]["inputs"]
    verdicts = {m["feature"]: m["verdict"] for m in found["measures"]}
    assert verdicts == {"amount": "not judged", "shop": "fine"}
    assert all(m["noise"] > 0 for m in found["measures"])
    assert (result.verdict, result.breaches, result.unjudged) == ("not judged", (), ("inputs",))
    [note] = result.notes
    assert re.match(
        r"inputs was in part not judged: amount \(noise 0\.\d+, threshold 0.05\): too few", note
    )


def test_of_few_rows_only_a_shift_beyond_their_noise_is_a_breach(project: Monitored) -> None:
    project.edit(
        MONITOR.replace("jensen_shannon_distance: 0.2", "jensen_shannon_distance: 0.05", 1)
    )
    project.collect(project.rows(113, shift=1.5))
    result = project.monitor()
    [breach] = [b for b in result.breaches if b.signal == "inputs"]
    assert breach.feature == "amount"
    assert breach.value > breach.noise > breach.threshold


@pytest.mark.parametrize(
    ("count", "right", "verdict"),
    [(200, 0.55, "not judged"), (4_000, 0.55, "breach"), (200, 0.65, "not judged")],
)
def test_accuracy_is_judged_on_its_interval(
    project: Monitored, count: int, right: float, verdict: str
) -> None:
    project.collect(project.rows(count), right=right)
    result = project.monitor()
    found = details(result)["signals"]["truth"]
    assert found["verdict"] == verdict
    [measure] = found["measures"]
    low, high = measure["interval"]
    assert low < measure["value"] < high
    if verdict == "not judged":
        assert low < 0.6 < high
        said = (
            rf"truth was not judged: Accuracy \({low:.3g} to {high:.3g}, threshold 0.6\): too few"
        )
        assert [note for note in result.notes if re.match(said, note)]
        assert "truth" in result.unjudged


@pytest.mark.parametrize("count", [20, 400])
def test_a_feature_that_never_came_is_a_breach_of_every_signal_that_has_it(
    project: Monitored, count: int
) -> None:
    project.collect(project.rows(count).assign(shop=None))
    result = project.monitor()
    found = {(b.signal, b.feature): b for b in result.breaches}
    assert set(found) == {("inputs", "shop"), ("quality", "shop")}
    assert (found["inputs", "shop"].metric, found["inputs", "shop"].value) == (
        "null_value_rate",
        1.0,
    )
    verdicts = {
        m["feature"]: m["verdict"] for m in details(result)["signals"]["inputs"]["measures"]
    }
    assert verdicts["shop"] == "breach"
    assert verdicts.get("amount") == ("fine" if count == 400 else None)
    text = Page(result.report.read_text(encoding="utf-8")).text
    assert f"it never came: none of {count} rows has a value of it" in text
    assert "shop never came." in text
    assert f"inputs, shop: it never came: none of {count} rows has a value of it" in result.notes


def test_a_breach_is_exit_code_1_and_listed_in_the_json(
    project: Monitored, mlops: Mlops, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.root)
    project.collect(project.rows(400, shift=2.0))
    done = mlops(*project.words("--json"), code=1)
    content = json.loads(done.out)
    assert content["verdict"] == "breach"
    assert {b["feature"] for b in content["breaches"]} >= {"amount"}
    assert Path(content["report"]).is_file()
    wrong = mlops(*project.words("--at", "next tuesday"), code=2)
    assert "--at expects a time such as" in wrong.err


def test_truth_counts_once_it_is_known(project: Monitored) -> None:
    project.collect(project.rows(400), right=0.3, known_after=24 * 20)
    early = details(project.monitor())["signals"]["truth"]
    assert early["verdict"] == "not judged"
    assert early["reason"] == "the truth of 0 of 400 predictions is known; at least 100 are needed"
    assert (
        details(project.monitor(AT + timedelta(days=15)))["signals"]["truth"]["rows"]["predictions"]
        == 0
    )
    project.collect(project.rows(400), right=0.3, known_after=2)
    late = project.monitor()
    assert "truth" in late.signals
    [breach] = [b for b in late.breaches if b.signal == "truth"]
    assert (breach.metric, breach.threshold) == ("accuracy", 0.6)
    assert breach.value == pytest.approx(0.3, abs=0.1)


def test_gaps_that_the_reference_has_as_well_are_no_breach(project: Monitored) -> None:
    known = pd.read_parquet(project.reference)
    known.loc[known.index % 10 == 0, "amount"] = np.nan
    known.to_parquet(project.reference, index=False)
    for rows, threshold, verdict in (
        (2_000, 0.05, "fine"),
        (2_000, 0.01, "breach"),
        (500, 0.01, "not judged"),  # 500 of these rows may have so many gaps by chance
    ):
        inputs = project.rows(rows)
        inputs.loc[inputs.index % 7 == 0, "amount"] = np.nan  # 14.3 %, 4.3 points more
        shutil.rmtree(project.root / ".collected", ignore_errors=True)
        project.collect(inputs)
        project.edit(MONITOR.replace("null_value_rate: 0.05", f"null_value_rate: {threshold}", 1))
        found = details(project.monitor())["signals"]["quality"]
        assert found["verdict"] == verdict
    [gaps] = [m for m in found["measures"] if m["verdict"] == "not judged"]
    assert (gaps["feature"], gaps["value"], gaps["reference"]) == ("amount", 0.144, 0.1)
    assert gaps["limit"] == pytest.approx(0.11)


def test_a_signal_without_alert_is_shown_and_decides_nothing(project: Monitored) -> None:
    quiet = MONITOR.replace("alert_enabled: true", "alert_enabled: false", 1)
    project.edit(quiet)
    project.collect(project.rows(400, shift=0.6))
    result = project.monitor()
    assert details(result)["signals"]["inputs"]["verdict"] == "breach"
    assert "inputs" not in result.signals


def test_a_breach_lasts_since_the_first_window_of_an_unbroken_series(project: Monitored) -> None:
    days = [AT + timedelta(days=10 * i) for i in range(4)]
    for i, (end, shift) in enumerate(zip(days, (0.0, 1.2, 1.3, 1.4), strict=True)):
        project.collect(project.rows(400, seed=10 + i, shift=shift), end=end, prefix=f"w{i}-")
        if i == 1:
            continue  # a window that was not monitored
        result = project.monitor(end)
    [amount] = [b for b in result.breaches if (b.signal, b.feature) == ("inputs", "amount")]
    assert amount.since == days[2]
    [measure] = [
        m for m in details(result)["signals"]["inputs"]["measures"] if m["feature"] == "amount"
    ]
    assert [point["verdict"] for point in measure["trend"]] == ["fine", "breach"]
    assert "has been beyond its threshold since 2026-06-20" in result.report.read_text(
        encoding="utf-8"
    )


def test_half_written_results_are_not_part_of_the_trend(project: Monitored) -> None:
    project.collect(project.rows(400))
    (project.root / ".monitor" / "20260501T000000Z").mkdir(parents=True)
    (project.root / ".monitor" / "20260501T000000Z" / "monitor.json").write_text(
        '{"evidence": "mon'
    )
    (project.root / ".monitor" / "20260502T000000Z").mkdir()
    (project.root / ".monitor" / "20260502T000000Z" / "report.html").write_text("<html>")
    result = project.monitor()
    assert all(not m["trend"] for s in details(result)["signals"].values() for m in s["measures"])


def test_an_interrupted_run_leaves_no_result_that_counts(
    project: Monitored, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.collect(project.rows(400))
    with monkeypatch.context() as patched:
        patched.setattr(monitor_run, "write_json", interrupted)
        with pytest.raises(KeyboardInterrupt):
            project.monitor()
    assert not list(project.root.glob(".monitor/*/monitor.json"))
    assert not list((project.root / ".monitor").rglob(".*"))
    assert project.monitor().verdict == "not judged"  # no predictions before to compare with


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_a_run_killed_at_any_moment_leaves_a_whole_result_or_none(project: Monitored) -> None:
    project.collect(project.rows(400))
    collected = {f: f.read_bytes() for f in (project.root / ".collected").rglob("*.parquet")}
    began = time.monotonic()
    command = [sys.executable, "-m", "modelyard", *project.words()]
    subprocess.run(command, cwd=project.root, capture_output=True, check=True)
    duration = time.monotonic() - began
    dice = random.Random(0)
    killed = 0
    while killed < 11:
        began = time.monotonic()
        process = subprocess.Popen(
            command, cwd=project.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            process.wait(dice.uniform(0, duration))
            duration = time.monotonic() - began  # the one before was slower
        except subprocess.TimeoutExpired:
            process.kill()
        killed += process.wait() != 0
        for file in (project.root / ".monitor").glob("*/monitor.json"):
            json.loads(file.read_text(encoding="utf-8"))
            assert file.with_name("report.html").read_text(encoding="utf-8").endswith("</html>\n")
    assert collected == {file: file.read_bytes() for file in collected}
    assert project.monitor().verdict == "not judged"  # no predictions before to compare with


def test_two_at_once_do_not_disturb_each_other(project: Monitored) -> None:
    project.collect(project.rows(400))
    command = [sys.executable, "-m", "modelyard", *project.words("--json")]
    running = [
        subprocess.Popen(command, cwd=project.root, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=120)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert said[0] == said[1]
    assert details_of(project)["verdict"] == "not judged"
    assert not list((project.root / ".monitor").rglob(".*"))


def test_rows_of_a_group_are_said_to_count_as_independent_where_they_do_not_name_it(
    project: Monitored,
) -> None:
    who = "columns:\n  who: {type: category, role: identifier}\n"
    contract = CONTRACT.replace("columns:\n", who) + "group: who\n"
    (project.root / "conf" / "contract.yml").write_text(contract)
    project.collect(project.rows(400))
    said = "inputs, quality, truth: rows of one who count as independent"
    assert said in " ".join(project.monitor().notes)
    for file in (project.reference, *project.root.glob(".collected/ground_truth/*.parquet")):
        rows = pd.read_parquet(file)
        rows.assign(who=[f"p{number // 50}" for number in range(len(rows))]).to_parquet(file)
    assert "independent" not in " ".join(project.monitor().notes)


def test_a_regression_is_judged_by_its_errors(project: Monitored) -> None:
    contract = CONTRACT.replace("kind: binary, positive: true", "kind: regression")
    (project.root / "conf" / "contract.yml").write_text(contract.replace("boolean", "number"))
    local = (
        "{production_data: {input_data: {path: a, type: uri_folder}, data_window: {lookback_window_size: P10D}},"
        " reference_data: {input_data: {path: b, type: mltable}, data_column_names: {actual: late}},"
        " alert_enabled: true, metric_thresholds: {regression: {rmse: 2.0, mae: 3.5}}}"
    )
    text = MONITOR.replace("trigger:", f'properties:\n  model_performance: "{local}"\ntrigger:', 1)
    project.edit(text.replace("ml_task: classification", "ml_task: regression"))
    inputs = project.rows(300)
    times = pd.Series(pd.Timestamp(AT) - pd.Timedelta(hours=30), index=inputs.index)
    folder, outputs = (
        project.root / ".collected",
        inputs[["amount"]].rename(columns={"amount": "prediction"}),
    )
    ids = write_collected(folder, inputs, outputs, times, endpoint="shop")
    write_truth(folder, ids, (inputs["amount"] + 3).rename("late"), times)
    result = project.monitor()
    [breach] = [b for b in result.breaches if b.signal == "model_performance"]
    assert (breach.metric, breach.value, breach.threshold) == ("rmse", pytest.approx(3), 2.0)
    assert any(
        "truth was not judged: its file has no threshold for regression" in n for n in result.notes
    )


def test_another_deployments_data_is_pointed_out(project: Monitored) -> None:
    project.collect(project.rows(400))
    (project.root / ".collected" / "shop" / "blue").rename(
        project.root / ".collected" / "shop" / "green"
    )
    notes = " ".join(project.monitor().notes)
    assert "nothing was collected at shop/blue in this window, but at shop/green" in notes


def test_the_trend_of_a_result_in_another_folder_comes_from_there(project: Monitored) -> None:
    for i in range(2):
        end = AT + timedelta(days=10 * i)
        project.collect(project.rows(300, seed=i), end=end, prefix=f"{i}-")
        result = project.monitor(end, output=project.root / "drill" / f"month{i}")
    assert result.evidence == project.root / "drill" / "month1" / "monitor.json"
    assert len(details(result)["signals"]["inputs"]["measures"][0]["trend"]) == 1
    assert not (project.root / ".monitor").exists()


def test_a_damaged_file_is_named(project: Monitored) -> None:
    project.collect(project.rows(300))
    file = next((project.root / ".collected").glob("shop/blue/model_inputs/**/*.parquet"))
    file.write_bytes(b"PAR1 nothing")
    with pytest.raises(UsageError, match=f"{file.name} is a damaged Parquet file"):
        project.monitor()
