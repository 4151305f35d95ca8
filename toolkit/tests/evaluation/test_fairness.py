"""Fairness: figures of groups are right, small groups are not judged, every kind has its own."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from fairlearn import metrics as known
from modelyard.evaluation import evaluate, fairness, groups, metrics

from tests.bench import make_bench
from tests.editing import edit

EVALUATION = evaluate.Evaluation(resamples=200)


def group_of(evidence, column: str, value: str):
    found = next(c for c in evidence["details"]["columns"] if c["column"] == column)
    return next(g for g in found["groups"] if g["value"] == value)


def apart(evidence, metric: str, column: int = 0):
    return evidence["details"]["columns"][column]["disparities"][metric]


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A model that learns that rows of group b are rarely positive; group c is tiny."""
    random = np.random.default_rng(5)
    rows = 2_000
    table = pd.DataFrame(
        {
            "x": random.normal(size=rows),
            "group": random.choice(["a", "b", "c", None], rows, p=[0.5, 0.4, 0.01, 0.09]),
            "age": random.integers(18, 90, rows),
        }
    )
    score = table["x"] - 1.5 * (table["group"] == "b")
    table["y"] = np.where(score + random.normal(size=rows) / 2 > 0, "yes", "no")
    types = {"x": "number", "group": "category", "age": "integer", "y": "category"}
    target = {"column": "y", "kind": "binary", "positive": "yes"}
    made = make_bench(
        tmp_path_factory.mktemp("unfair"), table, target, types, sensitive=["group", "age"]
    )
    assert made.train() == 0
    return made


@pytest.fixture
def unfair(trained, tmp_path):
    """A copy, to change."""
    return trained.copy(tmp_path)


def lower_limit(place, rows: int = 30) -> None:
    edit(place.gates, "group_rows: 30", f"group_rows: {rows}")


def test_groups_of_every_sensitive_column_have_figures_with_intervals(unfair, capfd):
    lower_limit(unfair)
    capfd.readouterr()
    assert unfair.fairness() == 0
    said = capfd.readouterr()
    assert said.err == "" and 'groups of "group"' in said.out
    evidence = unfair.evidence("fairness")
    assert evidence["details"]["sensitive"] == ["group", "age"]
    a, b = group_of(evidence, "group", "a"), group_of(evidence, "group", "b")
    for name in ("selection_rate", "true_positive_rate", "false_positive_rate", "accuracy"):
        figure = a["metrics"][name]
        assert figure["low"] <= figure["value"] <= figure["high"] and figure["judged"]
    assert b["metrics"]["selection_rate"]["high"] < a["metrics"]["selection_rate"]["low"]
    found = apart(evidence, "selection_rate")
    assert found["highest"] in ("a", groups.MISSING) and found["lowest"] == "b"
    assert found["difference"]["low"] > 0.1 and found["ratio"]["high"] < 0.8
    assert evidence["metrics"]["selection_rate_difference"] == found["difference"]["value"]


def test_missing_values_are_a_group_and_numbers_are_cut_into_bands(unfair):
    assert unfair.fairness() == 0
    evidence = unfair.evidence("fairness")
    assert group_of(evidence, "group", groups.MISSING)["rows"] > 10
    ages = next(c for c in evidence["details"]["columns"] if c["column"] == "age")
    assert len(ages["groups"]) == groups.BANDS
    starts = [float(g["value"].split(" ")[0]) for g in ages["groups"]]
    assert starts == sorted(starts)
    assert sum(g["rows"] for g in ages["groups"]) == len(unfair.test_rows())


def test_a_figure_that_rests_on_few_rows_is_shown_and_not_judged(unfair):
    lower_limit(unfair)
    assert unfair.fairness() == 0
    evidence = unfair.evidence("fairness")
    small = group_of(evidence, "group", "c")
    assert not any(figure["judged"] for figure in small["metrics"].values())
    rows = unfair.test_rows()
    positive = int(((rows["group"] == "b") & (rows["y"] == "yes")).sum())
    rate = group_of(evidence, "group", "b")["metrics"]["true_positive_rate"]
    assert rate["rows"] == positive and rate["judged"] == (positive >= 30)
    assert apart(evidence, "selection_rate")["groups"] == 3


def test_without_two_groups_of_enough_rows_nothing_is_compared(unfair):
    lower_limit(unfair, 10**6)
    assert unfair.fairness() == 0
    evidence = unfair.evidence("fairness")
    assert apart(evidence, "equalized_odds") is None
    assert group_of(evidence, "group", "a")["metrics"]["accuracy"]["judged"] is False
    assert evidence["metrics"] == {}


def test_the_same_input_gives_the_same_bytes(unfair):
    path = unfair.folder / "evidence" / "fairness.json"
    assert unfair.fairness() == 0
    first = path.read_bytes()
    assert unfair.fairness() == 0
    assert path.read_bytes() == first


def test_differences_are_held_against_the_champion_s_on_the_same_draws(unfair):
    lower_limit(unfair)
    unfair.make_champion()
    assert unfair.fairness() == 0
    more = apart(unfair.evidence("fairness"), "equalized_odds", 1)["over_champion"]
    assert more == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert unfair.fairness("baseline") == 0
    found = apart(unfair.evidence("fairness"), "equalized_odds", 1)["over_champion"]
    assert found["value"] != 0


def test_a_champion_that_cannot_score_the_rows_is_named(unfair):
    unfair.make_champion(model=None)
    assert unfair.fairness() == 0
    evidence = unfair.evidence("fairness")
    assert "holds no MLflow model" in evidence["details"]["champion"]["error"]
    assert apart(evidence, "selection_rate")["over_champion"] is None


def test_without_sensitive_columns_the_evidence_says_so(bench, mixed):
    types = {"number": "number", "label": "category"}
    place = bench(
        mixed[["number", "label"]],
        {"column": "label", "kind": "binary", "positive": "yes"},
        types,
    )
    assert place.train() == place.fairness() == 0
    evidence = place.evidence("fairness")
    assert evidence["details"]["sensitive"] == evidence["details"]["columns"] == []


@pytest.mark.parametrize("kind", ["multiclass", "regression"])
def test_other_kinds_are_compared_by_their_own_figures(bench, mixed, kind):
    table = mixed.drop(columns=["label", "when", "name", "maybe", "gaps", "value"])
    types = {"number": "number", "whole": "integer", "flag": "boolean", "group": "category"}
    if kind == "multiclass":
        table["y"] = np.where(mixed["value"] > 2, "high", np.where(mixed["flag"], "mid", "low"))
        target = {"column": "y", "kind": kind, "classes": ["low", "mid", "high"]}
    else:
        table["y"] = mixed["value"] + 3 * (mixed["group"] == "b")
        target = {"column": "y", "kind": kind}
    types["y"] = "category" if kind == "multiclass" else "number"
    place = bench(table, target, types, sensitive=["flag", "group"])
    lower_limit(place, 20)
    assert place.train() == place.fairness() == 0
    details = place.evidence("fairness")["details"]
    wanted = {"multiclass": {"accuracy"}, "regression": {"mae", "mean_error"}}[kind]
    for column in details["columns"]:
        assert set(column["disparities"]) == wanted
    assert (details["scale"] is not None) == (kind == "regression")
    if kind == "regression":
        assert apart({"details": details}, "mean_error")["ratio"] is None
        assert apart({"details": details}, "mae")["ratio"]["value"] <= 1


def test_a_limit_that_is_no_number_is_an_error(unfair, capsys):
    edit(unfair.gates, "group_rows: 30", "group_rows: few")
    assert unfair.fairness() == 2
    assert "fairness.group_rows" in capsys.readouterr().err


def drawn_case(seed: int):
    random = np.random.default_rng(seed)
    truth, score = random.random(800) < 0.3, random.random(800)
    prediction = metrics.Prediction(score, score > 0.6)
    codes = random.integers(0, 4, 800)
    return truth, prediction, groups.Groups(codes, ("a", "b", "c", "d"))


def binary_rules(group: str | None = None) -> SimpleNamespace:
    columns = {"group": SimpleNamespace(type="category")}
    return SimpleNamespace(kind="binary", sensitive=("group",), columns=columns, group=group)


def test_rows_that_belong_together_do_not_make_a_difference_surer():
    """Each person five times over, against each person once."""
    truth, prediction, divided = drawn_case(0)
    names = np.array(divided.names)[divided.codes]

    def apart(times: int, group: str | None, metric: str) -> dict:
        at = np.repeat(np.arange(len(truth)), times)
        rows = pd.DataFrame({"group": names[at], "person": at})
        made = {"challenger": prediction.at(at)}
        found = fairness.compare(rows, truth[at], made, binary_rules(group), EVALUATION, 1)[0]
        return found["disparities"][metric]

    for metric in ("selection_rate", "equalized_odds"):
        once, copied, known = (
            apart(*case, metric) for case in ((1, None), (5, None), (5, "person"))
        )
        for figure in ("difference", "ratio"):
            wide, narrow, held = (
                one[figure]["high"] - one[figure]["low"] for one in (once, copied, known)
            )
            assert narrow < 0.7 * wide
            assert held == pytest.approx(wide, rel=0.15)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_disparities_are_fairlearn_s(seed):
    truth, prediction, divided = drawn_case(seed)
    column = pd.Series(divided.codes).map(dict(enumerate(divided.names)))
    rows = pd.DataFrame({"group": column})

    rules = binary_rules()
    found = fairness.compare(rows, truth, {"challenger": prediction}, rules, EVALUATION, 1)[0]
    said = found["disparities"]
    given = {"y_true": truth, "y_pred": prediction.label, "sensitive_features": column}
    assert said["selection_rate"]["difference"]["value"] == pytest.approx(
        known.demographic_parity_difference(**given)
    )
    assert said["selection_rate"]["ratio"]["value"] == pytest.approx(
        known.demographic_parity_ratio(**given)
    )
    assert said["equalized_odds"]["difference"]["value"] == pytest.approx(
        known.equalized_odds_difference(**given)
    )
    assert said["equalized_odds"]["ratio"]["value"] == pytest.approx(
        known.equalized_odds_ratio(**given)
    )


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_weighted_figures_are_those_of_repeated_rows(seed):
    truth, prediction, divided = drawn_case(seed)
    weights = np.random.default_rng(seed).integers(0, 3, (1, len(truth)))
    found = fairness.means("binary", truth, prediction, divided)(weights)
    at = np.repeat(np.arange(len(truth)), weights[0])
    frame = known.MetricFrame(
        metrics={name: getattr(known, name) for name in ("selection_rate", "true_positive_rate")},
        y_true=truth[at],
        y_pred=prediction.label[at],
        sensitive_features=divided.codes[at],
    )
    for name in ("selection_rate", "true_positive_rate"):
        assert found[name][0] == pytest.approx(frame.by_group[name].to_numpy())


def test_evidence_is_plain_json(unfair):
    assert unfair.fairness() == 0
    text = (unfair.folder / "evidence" / "fairness.json").read_text()
    assert "NaN" not in json.dumps(json.loads(text))
