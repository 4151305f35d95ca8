"""A small project with a monitor, a reference table, and collected data that tests add to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from modelyard.monitoring.run import MonitorResult, run_monitor

from tests.collected import write_collected, write_truth

MONITOR = """\
$schema: https://azuremlschemas.azureedge.net/latest/monitorSchedule.schema.json
name: watch
trigger:
  type: recurrence
  frequency: week
  interval: 1
create_monitor:
  compute: {instance_type: standard_e4s_v3, runtime_version: "3.4"}
  monitoring_target:
    ml_task: classification
    endpoint_deployment_id: azureml:shop:blue
  monitoring_signals:
    inputs:
      type: data_drift
      production_data:
        input_data: {path: "azureml:shop-blue-model_inputs:1", type: uri_folder}
        data_context: model_inputs
        data_window: {lookback_window_size: P10D, lookback_window_offset: P0D}
      reference_data:
        input_data: {path: "azureml:reference@latest", type: mltable}
        data_context: training
        data_column_names: {target_column: late}
      features: [amount, shop]
      feature_type_override: {amount: numerical}
      alert_enabled: true
      metric_thresholds:
        numerical:
          jensen_shannon_distance: 0.2
        categorical:
          jensen_shannon_distance: 0.2
    quality:
      type: data_quality
      production_data:
        input_data: {path: "azureml:shop-blue-model_inputs:1", type: uri_folder}
        data_context: model_inputs
        data_window: {lookback_window_size: P10D, lookback_window_offset: P0D}
      reference_data:
        input_data: {path: "azureml:reference@latest", type: mltable}
        data_context: training
      features: all_features
      alert_enabled: true
      metric_thresholds:
        numerical: {null_value_rate: 0.05, data_type_error_rate: 0.0, out_of_bounds_rate: 0.01}
        categorical: {null_value_rate: 0.05, out_of_bounds_rate: 0.01}
    outputs:
      type: prediction_drift
      production_data:
        input_data: {path: "azureml:shop-blue-model_outputs:1", type: uri_folder}
        data_context: model_outputs
        data_window: {lookback_window_size: P10D, lookback_window_offset: P0D}
      reference_data:
        input_data: {path: "azureml:shop-blue-model_outputs:1", type: uri_folder}
        data_context: model_outputs
        data_window: {lookback_window_size: P10D, lookback_window_offset: P10D}
      alert_enabled: true
      metric_thresholds:
        numerical: {normalized_wasserstein_distance: 0.5}
        categorical: {jensen_shannon_distance: 0.2}
    truth:
      type: model_performance
      production_data:
        input_data: {path: "azureml:shop-blue-model_outputs:1", type: uri_folder}
        data_context: model_outputs
        data_window: {lookback_window_size: P10D, lookback_window_offset: P0D}
        data_column_names: {prediction: prediction, correlation_id: correlationid}
      reference_data:
        input_data: {path: "azureml:ground-truth@latest", type: mltable}
        data_context: ground_truth
        data_column_names: {actual: late, correlation_id: correlationid}
      alert_enabled: true
      metric_thresholds:
        classification: {accuracy: 0.6}
  alert_notification:
    emails: [team@example.com]
"""
AT = datetime(2026, 5, 31, tzinfo=UTC)
PROJECT = """\
title: Shop
name: shop
package: shop
owner: team@example.com
model: shop
"""
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


class Monitored:
    """A project with a monitor, a reference table, and collected data that tests add to."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.file = root / "azureml" / "monitoring" / "monitor.yml"
        self.edit(MONITOR)
        (root / "conf").mkdir()
        (root / "conf" / "project.yml").write_text(PROJECT)
        (root / "conf" / "contract.yml").write_text(CONTRACT)
        self.reference = root / "reference.parquet"
        rows = self.rows(4_000, seed=1)
        rows.assign(late=rows["amount"] > 0).to_parquet(self.reference, index=False)

    def edit(self, text: str) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text(text, encoding="utf-8")

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
        contract: Path | None = None,
    ) -> None:
        """Spread rows evenly over the days before `end`; the truth is known some hours later."""
        random = np.random.default_rng(3)
        # All of a day in one hour, so that there are few files.
        noons = pd.date_range(end - timedelta(days=days - 0.5), end, freq="D")
        times = pd.Series(noons[np.arange(len(inputs)) * len(noons) // len(inputs)])
        label = inputs["amount"] > 0
        chance = 1 / (1 + np.exp(-inputs["amount"]))
        outputs = pd.DataFrame({"prediction": label, "probability": chance})
        ids = [f"{prefix}{i}" for i in range(len(inputs))]
        folder = self.root / ".collected"
        write_collected(folder, inputs, outputs, times, endpoint="shop", ids=ids, contract=contract)
        truth = label ^ (random.random(len(inputs)) >= right)
        known = times + pd.Timedelta(hours=known_after)
        write_truth(folder, ids, truth.rename("late"), known, name=f"truth{prefix}{end:%Y%m%d}")

    def monitor(self, at: datetime = AT, **options: Any) -> MonitorResult:
        return run_monitor(self.root, self.file, at=at, reference=self.reference, **options)

    def words(self, *words: str) -> list[str]:
        return ["monitor", "--at", AT.isoformat(), "--reference", str(self.reference), *words]
