"""Judging: the same rows for every model, champions of every state, and segments."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest
from modelyard import gates
from modelyard.evaluation import evaluate, groups, metrics
from modelyard.evaluation.held_out import Champion, HeldOut
from modelyard.modelling import predicting

from tests.project import ROOT


def test_without_a_champion_the_baseline_is_the_measure(trained_bench, capfd):
    capfd.readouterr()
    assert trained_bench.evaluate() == 0
    said = capfd.readouterr()
    assert said.err == ""
    assert "roc_auc *" in said.out and "there is no champion yet" in said.out
    details = trained_bench.evidence("evaluation")["details"]
    assert details["models"]["champion"] is None and details["comparisons"]["champion"] is None
    assert details["champion"] == {"name": "m", "version": None, "error": None}
    assert details["primary"] == "roc_auc"
    assert details["higher_is_better"] == metrics.HIGHER_IS_BETTER["binary"]
    assert details["problem"] == {
        "kind": "binary", "target": "label", "positive": "yes", "classes": None,
    }  # fmt: skip
    gain = details["comparisons"]["baseline"]["roc_auc"]
    own, other = (details["models"][name]["roc_auc"] for name in ("challenger", "baseline"))
    assert gain["difference"] == pytest.approx(own["value"] - other["value"])
    assert own["low"] < own["value"] < own["high"]


def test_the_evidence_holds_what_the_report_draws(trained_bench):
    assert trained_bench.evaluate() == 0
    evidence = trained_bench.evidence("evaluation")
    details = evidence["details"]
    assert evidence["metrics"] == {
        name: found["value"] for name, found in details["models"]["challenger"].items()
    }
    assert evidence["params"]["confidence"] == 0.95
    assert (
        set(details["calibration"]) == set(details["curves"]["roc"]) == {"challenger", "baseline"}
    )
    assert details["confusion"]["labels"] == ["no", "yes"]
    assert sum(map(sum, details["confusion"]["matrix"])) == details["rows"] == 120


def test_judging_again_gives_the_same_bytes(trained_bench):
    path = trained_bench.folder / "evidence" / "evaluation.json"
    assert trained_bench.evaluate() == 0
    first = path.read_bytes()
    assert trained_bench.evaluate() == 0
    assert path.read_bytes() == first


def test_the_champion_itself_differs_from_the_challenger_by_exactly_nothing(trained_bench, capsys):
    trained_bench.make_champion()
    assert trained_bench.evaluate() == 0
    details = trained_bench.evidence("evaluation")["details"]
    assert details["champion"] == {"name": "m", "version": "3", "error": None}
    for gain in details["comparisons"]["champion"].values():
        assert gain == {"difference": 0.0, "low": 0.0, "high": 0.0}
    assert "champion 3" in capsys.readouterr().out


def test_a_worse_challenger_is_said_to_be_worse(trained_bench, capsys):
    trained_bench.make_champion()
    assert trained_bench.evaluate(model="baseline") == 0
    details = trained_bench.evidence("evaluation")["details"]
    for metric in ("roc_auc", "log_loss", "brier"):
        assert details["comparisons"]["champion"][metric]["difference"] < 0
    assert "worse" in capsys.readouterr().out


def test_a_champion_of_another_line_of_versions_is_not_compared(bench, trained_bench, capsys):
    trained_bench.make_champion()
    rules = (trained_bench.folder / "contract.yml").read_text()
    (trained_bench.folder / "contract.yml").write_text(
        "\n".join(line for line in rules.splitlines() if not line.startswith("  number:"))
    )
    for name in ("model", "baseline"):
        shutil.rmtree(trained_bench.folder / name)
    assert trained_bench.train() == 0
    assert trained_bench.evaluate() == 0
    details = trained_bench.evidence("evaluation")["details"]
    assert details["comparisons"]["champion"] is None and details["models"]["champion"] is None
    former = details["champion"]["former"]
    assert (former["version"], details["champion"]["version"]) == ("3", None)
    assert former["why"].endswith("columns that the contract does not have: number")
    assert "champion 3 is of another line" in capsys.readouterr().out


def test_a_champion_whose_file_is_gone_is_not_compared(trained_bench):
    trained_bench.make_champion(model=None)
    assert trained_bench.evaluate() == 0
    assert (
        "holds no MLflow model"
        in trained_bench.evidence("evaluation")["details"]["champion"]["error"]
    )


@pytest.mark.parametrize("text", [None, "{", "[]"])
def test_a_champion_that_is_not_described_is_an_error(trained_bench, capsys, text):
    path = trained_bench.folder / "champion" / "champion.json"
    path.unlink() if text is None else path.write_text(text)
    assert trained_bench.evaluate() == 2
    assert "champion.json: expected an object with name and version" in capsys.readouterr().err


def test_a_challenger_that_is_no_model_is_an_error(trained_bench, capsys):
    assert trained_bench.evaluate(model="nowhere") == 2
    assert "holds no MLflow model" in capsys.readouterr().err


def test_numbers_are_judged_by_residuals(bench, mixed):
    types = {"number": "number", "flag": "boolean", "value": "number"}
    place = bench(mixed, {"column": "value", "kind": "regression"}, types)
    assert place.train() == 0 and place.evaluate() == 0
    details = place.evidence("evaluation")["details"]
    assert details["primary"] == "r2" and sum(details["residuals"]["counts"]) == details["rows"]
    assert details["comparisons"]["baseline"]["r2"]["difference"] > 0
    segment = details["segments"][0]
    assert segment["column"] == "flag" and segment["target"] == pytest.approx(
        segment["predicted"], abs=0.5
    )


def test_many_classes_are_judged_by_confusion(bench):
    random = np.random.default_rng(0)
    x = random.normal(size=400)
    names = np.array(["b", "a", "c"])[np.digitize(x, [-0.5, 0.5])]
    place = bench(
        pd.DataFrame({"x": x, "y": names}),
        {"column": "y", "kind": "multiclass", "classes": ["a", "b", "c"]},
        {"x": "number", "y": "category"},
    )
    assert place.train() == 0 and place.evaluate() == 0
    details = place.evidence("evaluation")["details"]
    assert details["confusion"]["labels"] == details["problem"]["classes"] == ["a", "b", "c"]
    assert np.trace(details["confusion"]["matrix"]) > 70
    assert "curves" not in details


def segments(place, metric: str = "accuracy") -> list[dict]:
    """Segments of the whole table, predicted right but where it is `hard`."""
    truth = place.table["y"].to_numpy()
    score = np.where(place.table.get("hard", False), ~truth, truth).astype(float)
    settings = gates.Gates(evaluation={"resamples": 50}, promotion={})
    return evaluate.judge_segments(
        HeldOut(
            place.contract,
            settings,
            metric,
            place.table,
            truth,
            model=None,
            predictions={"challenger": predicting.Prediction(score, score > 0.5)},
            champion=Champion(None, None),
        )
    )


@pytest.fixture
def grouped(bench):
    """300 rows; `region` is sensitive, `kind` z is always wrong, `rare` has ten rows of one value."""
    rows = 300
    table = pd.DataFrame(
        {
            "region": ["north", "south", None] * 100,
            "kind": ["x", "y", "z"] * 100,
            "age": np.arange(rows) % 60 + 20,
            "rare": [True] * 10 + [False] * 290,
            "hard": ["x", "y", "z"] * 100,
            "number": np.arange(rows, dtype=float),
            "y": np.arange(rows) % 2 == 0,
        }
    )
    table["hard"] = table["kind"] == "z"
    types = {
        "region": {"type": "category", "role": "ignored", "why": "sensitive"},
        "kind": "category",
        "age": "integer",
        "rare": "boolean",
        "number": "number",
        "y": "boolean",
    }
    target = {"column": "y", "kind": "binary", "positive": True}
    return bench(table, target, types, sensitive=["region", "age"])


def test_sensitive_segments_come_first_then_the_worst(grouped):
    found = segments(grouped)
    sensitive = [segment["sensitive"] for segment in found]
    assert sensitive == sorted(sensitive, reverse=True)
    others = [segment for segment in found if not segment["sensitive"]]
    assert (others[0]["column"], others[0]["value"]) == ("kind", "z")
    assert others[0]["value_metric"]["value"] == 0.0
    assert {segment["column"] for segment in found} == {"region", "age", "kind", "rare"}
    for column in ("region", "age", "kind", "rare"):
        assert sum(segment["rows"] for segment in found if segment["column"] == column) == 300


def test_sensitive_numbers_are_cut_into_bands_and_missing_values_are_a_segment(grouped):
    values = {(s["column"], s["value"]) for s in segments(grouped)}
    assert ("region", groups.MISSING) in values
    assert len([value for column, value in values if column == "age"]) == groups.BANDS


def test_small_segments_are_marked_and_do_not_push_others_back(grouped):
    found = segments(grouped)
    assert [(s["column"], s["value"]) for s in found if s["small"]] == [("rare", "true")]
    assert found[-1]["small"]


def test_lower_is_worse_only_where_higher_is_better(grouped):
    others = [s for s in segments(grouped, "brier") if not s["sensitive"]]
    assert others[0]["value"] == "z" and others[0]["value_metric"]["value"] == 1.0


def test_segments_in_which_the_metric_is_not_defined_come_last(bench):
    rows = 200
    table = pd.DataFrame({"k": ["one class", "two"] * 100, "y": [True, False, True, True] * 50})
    target = {"column": "y", "kind": "binary", "positive": True}
    place = bench(table, target, {"k": "category", "y": "boolean"})
    found = segments(place, "roc_auc")
    assert [s["value"] for s in found] == ["two", "one class"]
    assert np.isnan(found[-1]["value_metric"]["value"]) and found[-1]["rows"] == rows / 2


def test_many_values_make_no_segments_unless_they_are_sensitive(bench):
    names = [f"n{i % 40}" for i in range(400)]
    table = pd.DataFrame({"a": names, "b": names, "y": np.arange(400) % 3 == 0})
    target = {"column": "y", "kind": "binary", "positive": True}
    types = {"a": "category", "b": "category", "y": "boolean"}
    found = segments(bench(table, target, types, sensitive=["b"]))
    assert {s["column"] for s in found} == {"b"}
    assert len(found) == groups.MOST_LEVELS
    assert max(found, key=lambda s: s["rows"])["value"] == groups.OTHER


def test_thirty_segments_are_judged_at_most(bench):
    random = np.random.default_rng(2)
    levels = {name: random.choice(list("abcd"), 300) for name in "pqrstuvw"}
    table = pd.DataFrame({**levels, "y": random.random(300) < 0.5})
    target = {"column": "y", "kind": "binary", "positive": True}
    types = dict.fromkeys(levels, "category") | {"y": "boolean"}
    assert len(segments(bench(table, target, types))) == 30


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_the_gates_that_come_with_the_project_name_a_metric_of_every_kind(kind):
    shipped = gates.load_gates(ROOT / "conf" / "gates.yml")
    assert shipped.promotion_of(kind).metric in metrics.HIGHER_IS_BETTER[kind]
    assert shipped.evaluation.resamples == 500


def test_a_metric_that_does_not_exist_is_refused_before_any_model_is_loaded(mixed_bench, capsys):
    mixed_bench.gates.write_text("promotion: {binary: {metric: roc_acu, floor: 0.5}}")
    assert mixed_bench.evaluate() == 2
    said = capsys.readouterr().err
    assert "roc_acu is not a metric of binary problems; did you mean `roc_auc`?" in said
