"""Live metric of each period: joined by correlation id, of the deployment with the most rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from modelyard.drills.live_metric import live_metrics
from modelyard.evaluation import Metric, metrics

from tests.drills.contracts import TARGETS, contract


def collect(folder: Path, deployment: str, content: pd.DataFrame) -> None:
    at = folder / "outputs" / deployment / "model_outputs" / "2020" / "01" / "01" / "00"
    at.mkdir(parents=True)
    content.assign(collected_at=pd.Timestamp("2020-01-01", tz="UTC")).to_parquet(at / "a.parquet")


@pytest.mark.parametrize("kind", TARGETS)
def test_predictions_are_joined_with_the_truth_by_correlation_id(tmp_path: Path, kind: str) -> None:
    random = np.random.default_rng(5)
    ids = [f"id-{i}" for i in range(300)]
    if kind == "regression":
        truth = random.normal(size=300)
        outputs = pd.DataFrame({"prediction": truth + random.normal(size=300) / 4})
        want = metrics.Prediction(*[outputs["prediction"].to_numpy()] * 2)
        metric, known = "mae", truth
    elif kind == "binary":
        truth = random.choice(["yes", "no"], 300)
        chance = np.clip((truth == "yes") * 0.4 + random.random(300) * 0.6, 0, 1)
        outputs = pd.DataFrame(
            {"prediction": np.where(chance > 0.5, "yes", "no"), "probability": chance}
        )
        want, metric, known = metrics.Prediction(chance, chance > 0.5), "roc_auc", truth == "yes"
    else:
        codes = random.integers(0, 3, 300)
        truth = np.array(["a", "b", "c"])[codes]
        scores = np.eye(3)[codes] * 0.6 + random.random((300, 3))
        scores /= scores.sum(axis=1, keepdims=True)
        outputs = pd.DataFrame(scores, columns=[f"probability_{c}" for c in "abc"])
        outputs["prediction"] = np.array(["a", "b", "c"])[scores.argmax(axis=1)]
        want, metric, known = (
            metrics.Prediction(scores, scores.argmax(axis=1)),
            "balanced_accuracy",
            codes,
        )
    outputs["correlationid"] = ids
    collect(tmp_path, "blue", outputs.sample(frac=1, random_state=1))
    (tmp_path / "truth").mkdir()
    later = pd.DataFrame(
        {"correlationid": [*ids[:200], "unknown"], "label": [*truth[:200], truth[0]]}
    )
    later.to_parquet(tmp_path / "truth" / "2020-01.parquet")
    [found] = live_metrics(
        contract(kind), tmp_path / "outputs", tmp_path / "truth", metric, {}
    ).values()
    assert (found["period"], found["deployment"], found["rows"]) == ("2020-01", "blue", 200)
    expected = metrics.values(kind, known[:200], want.at(np.arange(200)))[metric]
    assert found["value"] == pytest.approx(expected)
    assert found["low"] < found["value"] < found["high"]


def test_a_period_is_judged_by_the_deployment_that_answered_most_of_it(tmp_path: Path) -> None:
    ids = [f"id-{i}" for i in range(100)]
    truth = np.arange(100.0)
    for deployment, rows, error in (("blue", slice(0, 20), 1.0), ("green", slice(20, 100), 3.0)):
        answers = {"prediction": truth[rows] + error, "correlationid": ids[rows]}
        collect(tmp_path, deployment, pd.DataFrame(answers))
    (tmp_path / "truth").mkdir()
    known = pd.DataFrame({"correlationid": ids, "label": truth})
    known.to_parquet(tmp_path / "truth" / "2020-01.parquet")
    found = live_metrics(
        contract("regression"), tmp_path / "outputs", tmp_path / "truth", "mae", {}
    )
    assert found["2020-01"]["deployment"] == "green"
    assert found["2020-01"]["value"] == pytest.approx(3.0)


def test_a_metric_of_the_project_is_measured(tmp_path: Path) -> None:
    own = {"largest": Metric(lambda y, p: float(np.abs(y - p.score).max()), higher_is_better=False)}
    rules = contract("regression")
    ids = [f"id-{i}" for i in range(60)]
    collect(tmp_path, "blue", pd.DataFrame({"prediction": np.arange(60.0), "correlationid": ids}))
    (tmp_path / "truth").mkdir()
    known = pd.DataFrame({"correlationid": ids, "label": np.append(np.arange(59.0), 66.0)})
    known.to_parquet(tmp_path / "truth" / "2020-01.parquet")
    found = live_metrics(rules, tmp_path / "outputs", tmp_path / "truth", "largest", own)
    assert found["2020-01"]["value"] == 7.0
