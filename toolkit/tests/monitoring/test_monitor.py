"""`mlops monitor`: verdicts, windows, truth that comes late, past results, kills and neighbours."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelyard.errors import UsageError
from modelyard.monitoring.monitor import (
    MonitorResult,
    collected_files,
    follow_contract,
    run_monitor,
)

from tests.collected import write_collected, write_truth
from tests.test_monitor_file import MONITOR, PROJECT
from tests.test_report import Page

AT = datetime(2026, 5, 31, tzinfo=UTC)
CONTRACT = """\
version: 1
target: {column: late, kind: binary, positive: true}
columns:
  amount: {type: number}
  shop: {type: category}
  items: {type: integer}
  when: {type: datetime}
  late: {type: boolean, role: target}
"""


class World:
    """A project with a monitor, a reference table, and collected data that tests add to."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.spec = root / "azureml" / "monitoring" / "monitor.yml"
        self.edit(MONITOR)
        (root / "conf").mkdir()
        # The package's name is the project's own: its commands are run.
        (root / "conf" / "project.yml").write_bytes((PROJECT / "conf" / "project.yml").read_bytes())
        (root / "conf" / "contract.yml").write_text(CONTRACT)
        self.reference = root / "reference.parquet"
        rows = self.rows(4_000, seed=1)
        rows.assign(late=rows["amount"] > 0).to_parquet(self.reference, index=False)

    def edit(self, text: str) -> None:
        self.spec.parent.mkdir(parents=True, exist_ok=True)
        self.spec.write_text(text, encoding="utf-8")

    def rows(self, count: int, seed: int = 2, shift: float = 0.0) -> pd.DataFrame:
        random = np.random.default_rng(seed)
        return pd.DataFrame(
            {
                "amount": random.normal(shift, 1, count),
                "shop": random.choice(["north", "south", "west"], count),
                "items": random.integers(1, 9, count),
                "when": pd.Timestamp("2026-01-01"),
            }
        )

    def collect(
        self,
        inputs: pd.DataFrame,
        end: datetime = AT,
        days: int = 10,
        prefix: str = "",
        right: float = 1.0,
        known_after: float = 1.0,
    ) -> None:
        """Rows spread evenly over the days before `end`; the truth is known some hours later."""
        random = np.random.default_rng(3)
        # All of a day in one hour, so that there are few files.
        noons = pd.date_range(end - timedelta(days=days - 0.5), end, freq="D")
        times = pd.Series(noons[np.arange(len(inputs)) * len(noons) // len(inputs)])
        label = inputs["amount"] > 0
        chance = 1 / (1 + np.exp(-inputs["amount"]))
        outputs = pd.DataFrame({"prediction": label, "probability": chance})
        ids = [f"{prefix}{i}" for i in range(len(inputs))]
        folder = self.root / ".collected"
        write_collected(folder, inputs, outputs, times, endpoint="shop", ids=ids)
        truth = label ^ (random.random(len(inputs)) >= right)
        known = times + pd.Timedelta(hours=known_after)
        write_truth(folder, ids, truth.rename("late"), known, name=f"truth{prefix}{end:%Y%m%d}")

    def watch(self, at: datetime = AT, **options: Any) -> MonitorResult:
        return run_monitor(self.root, self.spec, at=at, reference=self.reference, **options)

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.words(*words), cwd=self.root, capture_output=True, text=True, check=False
        )

    def words(self, *words: str) -> list[str]:
        made = ["monitor", "--at", AT.isoformat(), "--reference", str(self.reference), *words]
        return [sys.executable, "-m", "mlops", *made]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    return World(tmp_path)


def details(result: MonitorResult) -> dict[str, Any]:
    return json.loads(result.evidence.read_text(encoding="utf-8"))["details"]


def test_the_same_world_is_fine_and_another_one_a_breach(world: World) -> None:
    world.collect(world.rows(800, seed=4), end=AT - timedelta(days=10), prefix="before")
    world.collect(world.rows(800))
    result = world.watch()
    assert (result.verdict, result.breaches, result.notes) == ("fine", (), ())
    moved = world.rows(800, shift=1.5).assign(shop="east")
    world.collect(moved)  # the same ids and hours: it takes the place of what was there
    result = world.watch()
    assert result.verdict == "breach"
    assert result.signals == ("inputs", "quality", "outputs")
    assert result.features == ("amount", "shop", "prediction", "probability")
    found = {(b.signal, b.feature): b for b in result.breaches}
    assert found["quality", "shop"].metric == "out_of_bounds_rate"
    assert found["quality", "shop"].value == 1.0
    assert found["quality", "shop"].threshold == 0.01
    page = Page(result.report.read_text(encoding="utf-8"))
    assert "Breach: inputs, data quality and predictions" in page.text
    assert "east 0% before, 100% now" in page.text
    assert [attributes for tag, attributes in page.tags if "src" in attributes] == []


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
    world: World, old: str, strict: str, lax: str, signal_name: str
) -> None:
    world.collect(world.rows(800, seed=4), end=AT - timedelta(days=10), prefix="before", right=0.8)
    inputs = world.rows(800, shift=0.5)
    inputs.loc[:15, "amount"] = np.nan
    world.collect(inputs, right=0.8)
    verdicts = []
    for new in (strict, lax):
        assert old in MONITOR
        world.edit(MONITOR.replace(old, new, 1))
        verdicts.append(details(world.watch())["signals"][signal_name]["verdict"])
    assert verdicts == ["breach", "fine"]


def test_without_data_nothing_is_judged_and_the_exit_code_is_0(world: World) -> None:
    done = world.command()
    assert done.returncode == 0, done.stderr
    assert "note: inputs was not judged: the production window has 0 complete rows" in done.stdout
    assert "not enough data to judge anything" in done.stdout
    assert details_of(world)["verdict"] == "not judged"


def details_of(world: World) -> dict[str, Any]:
    [file] = world.root.glob(".monitor/*/monitor.json")
    return json.loads(file.read_text(encoding="utf-8"))["details"]


def test_a_distance_that_chance_alone_gives_is_not_judged(world: World) -> None:
    world.edit(MONITOR.replace("jensen_shannon_distance: 0.2", "jensen_shannon_distance: 0.01"))
    world.collect(world.rows(200))
    signal_ = details(world.watch())["signals"]["inputs"]
    assert signal_["verdict"] == "not judged"
    assert "too few rows: chance alone gives about" in signal_["reason"]


def test_the_command_says_breach_by_its_exit_code_and_as_json(world: World) -> None:
    world.collect(world.rows(400, shift=2.0))
    done = world.command("--json")
    assert done.returncode == 1, done.stderr
    content = json.loads(done.stdout)
    assert content["verdict"] == "breach"
    assert {b["feature"] for b in content["breaches"]} >= {"amount"}
    assert Path(content["report"]).is_file()
    wrong = world.command("--at", "next tuesday")
    assert wrong.returncode == 2
    assert "--at expects a time such as" in wrong.stderr


def test_truth_counts_once_it_is_known(world: World) -> None:
    world.collect(world.rows(400), right=0.3, known_after=24 * 20)
    early = details(world.watch())["signals"]["truth"]
    assert early["verdict"] == "not judged"
    assert early["reason"] == "the truth of 0 of 400 predictions is known; at least 100 are needed"
    assert (
        details(world.watch(AT + timedelta(days=15)))["signals"]["truth"]["rows"]["predictions"]
        == 0
    )
    world.collect(world.rows(400), right=0.3, known_after=2)
    late = world.watch()
    assert "truth" in late.signals
    [breach] = [b for b in late.breaches if b.signal == "truth"]
    assert (breach.metric, breach.threshold) == ("accuracy", 0.6)
    assert breach.value == pytest.approx(0.3, abs=0.1)


def test_gaps_that_the_reference_has_as_well_are_no_breach(world: World) -> None:
    known = pd.read_parquet(world.reference)
    known.loc[known.index % 10 == 0, "amount"] = np.nan
    known.to_parquet(world.reference, index=False)
    inputs = world.rows(500)
    inputs.loc[inputs.index % 8 == 0, "amount"] = np.nan  # 12.6 %, 2.6 points more
    world.collect(inputs)
    for threshold, verdict in ((0.05, "fine"), (0.01, "breach")):
        world.edit(MONITOR.replace("null_value_rate: 0.05", f"null_value_rate: {threshold}", 1))
        found = details(world.watch())["signals"]["quality"]
        assert found["verdict"] == verdict
    [gaps] = [m for m in found["measures"] if m["verdict"] == "breach"]
    assert (gaps["feature"], gaps["value"], gaps["reference"]) == ("amount", 0.126, 0.1)
    assert gaps["limit"] == pytest.approx(0.11)


def test_a_signal_without_alert_is_shown_and_decides_nothing(world: World) -> None:
    quiet = MONITOR.replace("alert_enabled: true", "alert_enabled: false", 1)
    world.edit(quiet)
    world.collect(world.rows(400, shift=0.6))
    result = world.watch()
    assert details(result)["signals"]["inputs"]["verdict"] == "breach"
    assert "inputs" not in result.signals


def test_a_breach_knows_since_when_it_lasts(world: World) -> None:
    days = [AT + timedelta(days=10 * i) for i in range(4)]
    for i, (end, shift) in enumerate(zip(days, (0.0, 1.2, 1.3, 1.4), strict=True)):
        world.collect(world.rows(400, seed=10 + i, shift=shift), end=end, prefix=f"w{i}-")
        if i == 1:
            continue  # a window that nobody looked at
        result = world.watch(end)
    [amount] = [b for b in result.breaches if (b.signal, b.feature) == ("inputs", "amount")]
    assert amount.since == days[2]
    [measure] = [
        m for m in details(result)["signals"]["inputs"]["measures"] if m["feature"] == "amount"
    ]
    assert [point["verdict"] for point in measure["trend"]] == ["fine", "breach"]
    assert "has been beyond its threshold since 2026-06-20" in result.report.read_text(
        encoding="utf-8"
    )


def test_what_is_half_written_beside_a_result_is_not_used(world: World) -> None:
    world.collect(world.rows(400))
    (world.root / ".monitor" / "20260501T000000Z").mkdir(parents=True)
    (world.root / ".monitor" / "20260501T000000Z" / "monitor.json").write_text('{"evidence": "mon')
    (world.root / ".monitor" / "20260502T000000Z").mkdir()
    (world.root / ".monitor" / "20260502T000000Z" / "report.html").write_text("<html>")
    result = world.watch()
    assert all(not m["trend"] for s in details(result)["signals"].values() for m in s["measures"])


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_a_monitor_killed_at_any_moment_leaves_a_whole_result_or_none(world: World) -> None:
    world.collect(world.rows(400))
    collected = {file: file.read_bytes() for file in (world.root / ".collected").rglob("*.parquet")}
    began = time.monotonic()
    subprocess.run(world.words(), cwd=world.root, capture_output=True, check=True)
    lasts = time.monotonic() - began
    dice = random.Random(0)
    killed = 0
    for _ in range(20):
        process = subprocess.Popen(
            world.words(), cwd=world.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            process.wait(dice.uniform(0, lasts))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        killed += process.wait() != 0
        for file in (world.root / ".monitor").glob("*/monitor.json"):
            json.loads(file.read_text(encoding="utf-8"))
            assert file.with_name("report.html").read_text(encoding="utf-8").endswith("</html>\n")
    assert killed > 10
    assert collected == {file: file.read_bytes() for file in collected}
    assert world.watch().verdict == "fine"


def test_two_at_once_do_not_disturb_each_other(world: World) -> None:
    world.collect(world.rows(400))
    running = [
        subprocess.Popen(world.words("--json"), cwd=world.root, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=120)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert said[0] == said[1]
    assert details_of(world)["verdict"] == "fine"
    assert not list((world.root / ".monitor").rglob(".*"))


def test_a_regression_is_judged_by_its_errors(world: World) -> None:
    contract = CONTRACT.replace("kind: binary, positive: true", "kind: regression")
    (world.root / "conf" / "contract.yml").write_text(contract.replace("boolean", "number"))
    local = (
        "{production_data: {input_data: {path: a, type: uri_folder}, data_window: {lookback_window_size: P10D}},"
        " reference_data: {input_data: {path: b, type: mltable}, data_column_names: {actual: late}},"
        " alert_enabled: true, metric_thresholds: {regression: {rmse: 2.0, mae: 3.5}}}"
    )
    text = MONITOR.replace("trigger:", f'properties:\n  model_performance: "{local}"\ntrigger:', 1)
    world.edit(text.replace("ml_task: classification", "ml_task: regression"))
    inputs = world.rows(300)
    times = pd.Series(pd.Timestamp(AT) - pd.Timedelta(hours=30), index=inputs.index)
    folder, outputs = (
        world.root / ".collected",
        inputs[["amount"]].rename(columns={"amount": "prediction"}),
    )
    ids = write_collected(folder, inputs, outputs, times, endpoint="shop")
    write_truth(folder, ids, (inputs["amount"] + 3).rename("late"), times)
    result = world.watch()
    [breach] = [b for b in result.breaches if b.signal == "model_performance"]
    assert (breach.metric, breach.value, breach.threshold) == ("rmse", pytest.approx(3), 2.0)
    assert any(
        "truth was not judged: its file has no threshold for regression" in n for n in result.notes
    )


def test_columns_that_the_contract_does_not_have_are_told_with_their_line(world: World) -> None:
    text = MONITOR.replace("[amount, shop]", "[amont, shop]").replace(
        "target_column: late", "target_column: delayed"
    )
    world.edit(text.replace("ml_task: classification", "ml_task: regression"))
    with pytest.raises(UsageError) as error:
        world.watch()
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


def test_the_projects_own_file_follows_any_contract(world: World) -> None:
    world.edit((PROJECT / "azureml" / "monitoring" / "monitor.yml").read_text(encoding="utf-8"))
    changed = follow_contract(world.root, world.spec)
    assert any("features: [amount, shop, items]" in line for line in changed)
    assert (
        any("target_column: late" in line for line in changed) or "late" in world.spec.read_text()
    )
    assert follow_contract(world.root, world.spec) == [
        line for line in changed if "has thresholds for" in line
    ]
    result = world.watch()
    assert result.verdict == "not judged"  # nothing was collected at its endpoint
    assert any("no champion" in note for note in result.notes)


def test_names_that_yaml_would_misread_are_quoted(world: World) -> None:
    contract = CONTRACT.replace("  shop:", '  "no":').replace("amount", '"per cent, paid"')
    (world.root / "conf" / "contract.yml").write_text(contract)
    follow_contract(world.root, world.spec)
    assert 'features: ["per cent, paid", "no", items]' in world.spec.read_text()


def test_another_deployments_data_is_pointed_out(world: World) -> None:
    world.collect(world.rows(400))
    (world.root / ".collected" / "shop" / "blue").rename(
        world.root / ".collected" / "shop" / "green"
    )
    notes = " ".join(world.watch().notes)
    assert "nothing was collected at shop/blue in this window, but at shop/green" in notes


def test_a_result_goes_where_it_is_wanted_and_finds_its_past_there(world: World) -> None:
    for i in range(2):
        end = AT + timedelta(days=10 * i)
        world.collect(world.rows(300, seed=i), end=end, prefix=f"{i}-")
        result = world.watch(end, output=world.root / "drill" / f"month{i}")
    assert result.evidence == world.root / "drill" / "month1" / "monitor.json"
    assert len(details(result)["signals"]["inputs"]["measures"][0]["trend"]) == 1
    assert not (world.root / ".monitor").exists()


def test_damaged_data_is_named(world: World) -> None:
    world.collect(world.rows(300))
    file = next((world.root / ".collected").glob("shop/blue/model_inputs/**/*.parquet"))
    file.write_bytes(b"PAR1 nothing")
    with pytest.raises(UsageError, match=f"{file.name} is a damaged Parquet file"):
        world.watch()


hours = st.datetimes(datetime(2026, 1, 30), datetime(2026, 3, 2)).map(
    lambda t: t.replace(tzinfo=UTC)
)


@given(st.sets(hours, max_size=6), hours, st.timedeltas(timedelta(minutes=1), timedelta(days=20)))
def test_only_hours_that_the_window_touches_are_read(
    tmp_path_factory: pytest.TempPathFactory,
    stamps: set[datetime],
    start: datetime,
    size: timedelta,
) -> None:
    base = tmp_path_factory.mktemp("c")
    for stamp in stamps:
        folder = base / f"{stamp:%Y/%m/%d/%H}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "a.parquet").touch()
        (folder / ".b.parquet").touch()
    end = start + size
    found = {Path(p).relative_to(base).parent.as_posix() for p in collected_files(base, start, end)}
    first, last = f"{start:%Y/%m/%d/%H}", f"{end:%Y/%m/%d/%H}"
    assert found == {f"{s:%Y/%m/%d/%H}" for s in stamps if first <= f"{s:%Y/%m/%d/%H}" <= last}
