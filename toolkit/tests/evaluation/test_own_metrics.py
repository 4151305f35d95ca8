"""Metrics of the project's own: right intervals, in every place where a metric counts, and plain errors."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from modelyard.errors import UsageError
from modelyard.evaluation import Metric, bootstrap, metrics
from modelyard.evaluation.metrics import load_metrics
from modelyard.gates import load_gates
from modelyard.modelling.predicting import Prediction
from modelyard.models.judge import judge
from modelyard.own_code import own_module
from modelyard.project import Project
from modelyard.reports import card, report

from tests.bench import Bench

COST = """\
from modelyard.evaluation import Metric

def cost(truth, prediction):
    missed, alarms = truth & ~prediction.label, ~truth & prediction.label
    return 10 * missed.mean() + alarms.mean()

METRICS = {"binary": {"cost": Metric(cost, higher_is_better=False)}}
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Write a module of metrics; returns its name."""
    monkeypatch.syspath_prepend(str(tmp_path))
    numbers = itertools.count()

    def write(text: str) -> str:
        name = f"metrics_{tmp_path.name.replace('-', '_')}_{next(numbers)}"
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
        return name

    return write


@pytest.fixture
def costly(trained_bench, module) -> Bench:
    """A trained bench whose gates ask for the cost."""
    trained_bench.metrics = module(COST)
    trained_bench.gates.write_text(
        "evaluation: {resamples: 100}\npromotion: {binary: {metric: cost, floor: 9}}"
    )
    return trained_bench


def drawn(kind: str, truth: np.ndarray, made: Prediction, own: dict[str, Metric]) -> dict[str, Any]:
    measure = metrics.measure(kind, truth, made, own=own)
    return bootstrap.bootstrap({"m": measure}, len(truth), resamples=60, seed=3)["m"]


@pytest.mark.parametrize(
    ("kind", "name", "function"),
    [
        ("binary", "accuracy", lambda truth, made: (truth == made.label).mean()),
        ("multiclass", "accuracy", lambda truth, made: (truth == made.label).mean()),
        (
            "regression",
            "median_absolute_error",
            lambda truth, made: np.median(np.abs(truth - made.score)),
        ),
        (
            "regression",
            "r2",
            lambda truth, made: (
                1 - ((truth - made.score) ** 2).sum() / ((truth - truth.mean()) ** 2).sum()
            ),
        ),
    ],
)
def test_an_own_metric_has_the_values_of_the_built_in_one_on_every_resample(kind, name, function):
    random = np.random.default_rng(1)
    if kind == "regression":
        truth, score = random.normal(size=(2, 300))
        made = Prediction(score, score)
    elif kind == "binary":
        truth, score = random.random(300) < 0.4, random.random(300)
        made = Prediction(score, score >= 0.5)
    else:
        truth, score = random.integers(0, 3, 300), random.dirichlet([1, 1, 1], 300)
        made = Prediction(score, score.argmax(axis=1))
    found = drawn(kind, truth, made, {"own": Metric(function, higher_is_better=True)})
    np.testing.assert_allclose(found["own"], found[name], atol=1e-12)


def test_a_metric_cannot_change_the_rows_that_others_are_measured_on():
    truth, score = np.array([True, False] * 50), np.linspace(0, 1, 100)

    def careless(actual: np.ndarray, made: Prediction) -> float:
        actual[:], made.score[:] = False, 0
        return 0.0

    own = {"careless": Metric(careless, higher_is_better=True)}
    made = Prediction(score, score >= 0.5)
    found = drawn("binary", truth, made, own)["roc_auc"]
    np.testing.assert_array_equal(found, drawn("binary", truth, made, {})["roc_auc"])


def test_it_is_reported_with_an_interval_and_its_direction(costly, capsys):
    costly.make_champion(model="baseline")
    assert costly.evaluate() == 0
    assert "cost *" in capsys.readouterr().out
    evidence = costly.evidence("evaluation")
    details = evidence["details"]
    assert details["primary"] == "cost" and details["higher_is_better"]["cost"] is False
    own = details["models"]["challenger"]["cost"]
    assert own["low"] < own["value"] < own["high"]
    assert evidence["metrics"]["cost"] == own["value"]
    baseline = details["models"]["baseline"]["cost"]["value"]
    for other in ("baseline", "champion"):
        gain = details["comparisons"][other]["cost"]["difference"]
        assert gain == pytest.approx(baseline - own["value"])
    assert details["segments"][0]["metric"] == "cost"
    assert details["segments"][0]["value_metric"]["value"] is not None


def test_it_decides_about_the_promotion_and_stands_in_report_and_card(costly, tmp_path):
    assert costly.evaluate() == 0
    evidence = {"evaluation": costly.evidence("evaluation")}
    quality = {"details": {"violations": []}}

    def verdict(floor: float) -> list[str]:
        gate = f"{{metric: cost, floor: {floor}, over_baseline: -9}}"
        costly.gates.write_text(f"promotion: {{binary: {gate}}}")
        about = {"model": "m", "version": "1", "quality": quality}
        decision = judge(load_gates(costly.gates), evaluation=evidence["evaluation"], **about)
        evidence["decision"] = decision.evidence()
        return [reason.gate for reason in decision.reasons if reason.passed is False]

    value = evidence["evaluation"]["metrics"]["cost"]
    ends = evidence["evaluation"]["details"]["models"]["challenger"]["cost"]
    assert verdict(ends["low"] - 0.01) == ["good enough on its own"]
    assert verdict(ends["high"] + 0.01) == []
    assert f"{value:.3f}" in report.render(evidence, {})
    project = Project(title="T", name="t", package="p", owner="me", model="m")
    text, _ = card.write_card(tmp_path / "card", evidence, project, {})
    assert "cost" in text.read_text(encoding="utf-8").lower()


def test_importance_is_measured_by_it(costly):
    assert costly.explain() == 0
    details = costly.evidence("importance")["details"]
    assert details["metric"] == "cost"
    assert details["features"][0]["name"] == "number" and details["features"][0]["importance"] > 0


def test_another_kind_of_problem_does_not_see_it(module):
    name = module(COST)
    assert list(load_metrics(name, "binary")) == ["cost"]
    assert load_metrics(name, "regression") == {} == load_metrics(None, "binary")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no `METRICS`"),
        ("import no_such_thing", "cannot be imported: No module named 'no_such_thing'"),
        ("METRICS = 1/0", "cannot be imported: ZeroDivisionError"),
        ("METRICS = []", "expected a dictionary by kind of problem"),
        ("METRICS = {'binry': {}}", "no kind of problem 'binry'; did you mean `binary`?"),
        ("METRICS = {'binary': {'cost': max}}", r"\['cost'\]: expected a Metric of modelyard"),
        (COST.replace('"cost":', '"roc_auc":'), "have a metric of this name"),
        (COST.replace('"cost":', '"the cost":'), "expected a name of lower-case letters"),
    ],
)
def test_a_module_that_declares_no_metrics_is_refused(module, text, message):
    with pytest.raises(UsageError, match=message):
        load_metrics(module(text), "binary")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise ValueError('one class')", "fails on .* rows: ValueError: one class. Return float"),
        ("return 'high'", "the metric cost: expected a number, found 'high'"),
    ],
)
def test_a_metric_that_fails_is_named(costly, module, capsys, body, message):
    costly.metrics = module(COST.replace("return 10 * missed.mean() + alarms.mean()", body))
    assert costly.evaluate() == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    with pytest.raises(UsageError, match=message):
        raise UsageError(said)


def test_a_metric_that_is_not_defined_everywhere_has_an_interval_of_the_rest(costly, module):
    costly.metrics = module(
        COST.replace("return 10", "return float('nan') if truth.mean() > 0.5 else 10")
    )
    assert costly.evaluate() == 0
    found = costly.evidence("evaluation")["details"]["models"]["challenger"]["cost"]
    assert found["low"] is not None or found["value"] is None


def test_the_module_of_a_project_is_found_by_its_file(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend("/nowhere")
    assert own_module(tmp_path, "metrics") is None
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "project.yml").write_text(
        "{title: t, name: n, package: its_package, owner: o, model: m}"
    )
    assert own_module(tmp_path, "metrics") is None
    (tmp_path / "src" / "its_package").mkdir(parents=True)
    (tmp_path / "src" / "its_package" / "__init__.py").touch()
    (tmp_path / "src" / "its_package" / "metrics.py").write_text(COST)
    assert list(load_metrics(own_module(tmp_path, "metrics"), "binary")) == ["cost"]
