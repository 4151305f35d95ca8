"""Training: tables of every shape are learnt from, and what goes wrong is said."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from modelyard.data import parts
from modelyard.errors import UsageError
from modelyard.evaluation import metrics
from modelyard.modelling import predicting, saving, stopping, threshold
from sklearn.base import BaseEstimator, ClassifierMixin

ROWS = 500
BINARY = {"column": "y", "kind": "binary", "positive": True}
REGRESSION = {"column": "y", "kind": "regression"}


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(11)


def judged(place) -> dict[str, float]:
    """Train, load again and measure on the test rows."""
    assert place.train() == 0
    rows = place.test_rows()
    made = predicting.predict(saving.load_model(place.folder / "model"), rows, place.contract)
    return metrics.values(place.contract.kind, parts.target_of(rows, place.contract), made)


def test_a_table_with_everything_is_learnt_from(mixed_bench, capfd):
    assert judged(mixed_bench)["roc_auc"] > 0.9
    said = capfd.readouterr()
    assert said.err == ""
    for words in ("360 rows to train", "validation loss", "stopped early", "threshold"):
        assert words in said.out
    assert len(said.out.splitlines()) <= 6


def test_the_evidence_says_how_it_went(mixed_bench):
    assert mixed_bench.train("--patience", "5", "--learning-rate", "0.1") == 0
    evidence = mixed_bench.evidence("training")
    details, losses = evidence["details"], evidence["series"]["validation_loss"]
    assert evidence["params"]["patience"] == 5 and evidence["params"]["learning_rate"] == 0.1
    assert details["iterations"] == int(np.argmin(losses))
    assert details["reason"].endswith("for 5 iterations")
    assert details["stopped"] == "early" and len(losses) == details["iterations"] + 6
    assert evidence["metrics"]["validation_loss"] == min(losses)
    assert 0 < details["threshold"] < 1
    assert {f["name"] for f in details["features"]} == set(mixed_bench.contract.features)
    assert details["features"][-1] == {
        "name": "name", "kind": "text", "encoding": "target mean of 60 texts",
    }  # fmt: skip


class Watchful(ClassifierMixin, BaseEstimator):
    """Remembers the rows it was fitted on, and refuses to be asked about them."""

    def fit(self, inputs, target):
        self.classes_, self.seen_ = np.unique(target), set(inputs[:, 0])
        return self

    def predict_proba(self, inputs):
        assert not self.seen_ & set(inputs[:, 0])
        assert len(self.seen_) > len(inputs)
        return np.full((len(inputs), 2), 0.5)


def test_the_threshold_is_chosen_on_rows_that_a_model_has_not_seen(mixed_bench, random):
    rows = np.arange(200.0).reshape(-1, 1)
    target = np.where(random.random(200) < 0.4, "yes", "no")
    assert threshold.choose_threshold(Watchful(), rows, target, mixed_bench.contract) is not None


def test_the_limit_of_iterations_is_kept(mixed_bench, capsys):
    assert mixed_bench.train("--max-iterations", "3", "--learner", "boosting") == 0
    assert mixed_bench.evidence("training")["details"]["stopped"] == "limit"
    assert "the limit of 3 iterations was reached" in capsys.readouterr().out


def test_numbers_are_predicted(bench, mixed):
    types = {"number": "number", "group": "category", "when": "datetime", "value": "number"}
    place = bench(mixed, REGRESSION | {"column": "value"}, types, time="when")
    assert judged(place)["r2"] > 0.6
    assert place.evidence("training")["details"]["threshold"] is None


def test_classes_may_be_whole_numbers(bench, random):
    x = random.normal(size=ROWS)
    place = bench(
        pd.DataFrame({"x": x, "y": np.digitize(x, [-0.5, 0.5]) * 10}),
        {"column": "y", "kind": "multiclass", "classes": [0, 10, 20]},
        {"x": "number", "y": "integer"},
    )
    assert judged(place)["balanced_accuracy"] > 0.9


def test_features_may_all_be_booleans(bench, random):
    one, two = random.random((2, ROWS)) < 0.5
    gaps = np.where(random.random(ROWS) < 0.1, None, two)
    table = pd.DataFrame({"one": one, "two": pd.Series(gaps, dtype=object), "y": one ^ two})
    place = bench(table, BINARY, {"one": "boolean", "two": "boolean", "y": "boolean"})
    assert judged(place)["roc_auc"] > 0.85


def test_features_may_all_be_texts(bench, random):
    number = random.integers(0, 300, 3 * ROWS)
    table = pd.DataFrame({"name": [f"plane {n}" for n in number], "y": number % 2 == 0})
    place = bench(table, BINARY, {"name": "text", "y": "boolean"})
    assert judged(place)["roc_auc"] > 0.9


def test_features_may_all_be_datetimes(bench):
    when = pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(ROWS) * 5, "h")
    table = pd.DataFrame({"when": when, "y": (when.hour >= 8) & (when.hour < 18)})
    place = bench(table, BINARY, {"when": "datetime", "y": "boolean"}, time="when")
    assert judged(place)["roc_auc"] > 0.99


def test_a_column_that_is_always_missing_does_no_harm(bench, random):
    x = random.normal(size=ROWS)
    table = pd.DataFrame({"x": x, "n": np.nan, "c": None, "t": None, "b": None, "y": x > 0})
    types = {"n": "number", "c": "category", "t": "text", "b": "boolean"}
    place = bench(table.astype({"c": object}), BINARY, {"x": "number", **types, "y": "boolean"})
    assert judged(place)["roc_auc"] > 0.99


def test_categories_may_go_beyond_what_boosting_tells_apart_in_the_validation_rows(bench, random):
    number = np.append(np.arange(300) % 250, np.arange(200) + 200)
    table = pd.DataFrame({"c": [f"c{n}" for n in number], "x": random.normal(size=ROWS)})
    table["y"] = table["x"] > 0
    place = bench(table, BINARY, {"c": "category", "x": "number", "y": "boolean"})
    assert judged(place)["roc_auc"] > 0.99


def test_rare_positives_are_still_found(bench, random):
    x = random.normal(size=8 * ROWS)
    rare = x + random.normal(size=8 * ROWS) / 4 > 2.3
    assert 0.005 < rare.mean() < 0.02
    place = bench(pd.DataFrame({"x": x, "y": rare}), BINARY, {"x": "number", "y": "boolean"})
    found = judged(place)
    assert found["roc_auc"] > 0.98
    assert found["f1"] > 0.5


def test_rare_classes_of_any_name_are_told_apart(bench, random):
    x = random.normal(size=4 * ROWS)
    names = np.array(["a b", "ü", "3"])[np.digitize(x, [-2.2, 2.2])]
    place = bench(
        pd.DataFrame({"x": x, "y": names}),
        {"column": "y", "kind": "multiclass", "classes": ["3", "a b", "ü"]},
        {"x": "number", "y": "category"},
    )
    assert judged(place)["balanced_accuracy"] > 0.8


def test_twenty_rows_can_be_trained_on(bench, random):
    x = random.normal(size=34)
    place = bench(pd.DataFrame({"x": x, "y": x > 0}), BINARY, {"x": "number", "y": "boolean"})
    assert place.train() == 0


def test_the_same_seed_gives_the_same_predictions_and_the_test_rows_are_never_opened(trained_bench):
    rows = trained_bench.test_rows()
    trained_bench.part("test").unlink()
    assert trained_bench.train(to="2") == 0
    for name in ("model", "baseline"):
        first, second = (
            predicting.predict(
                saving.load_model(trained_bench.folder / (name + to)), rows, trained_bench.contract
            )
            for to in ("", "2")
        )
        np.testing.assert_array_equal(first.score, second.score)


def test_the_validation_rows_are_learnt_from_in_the_end(bench, random):
    x = random.normal(size=ROWS)
    table = pd.DataFrame({"x": x, "y": 100.0 + x})
    table.loc[int(ROWS * 0.6) :, "y"] -= 90.0  # the level falls with the validation rows
    place = bench(table, REGRESSION, {"x": "number", "y": "number"})
    assert place.train() == 0
    made = saving.load_model(place.folder / "model").predict(table[["x"]])
    assert made.mean() < 90


@pytest.mark.parametrize("rate", ["1e3", "1e30"])
def test_divergence_is_an_error_that_says_what_to_do(bench, random, capsys, rate):
    x = random.normal(size=ROWS)
    place = bench(pd.DataFrame({"x": x, "y": x**3}), REGRESSION, {"x": "number", "y": "number"})
    assert place.train("--learning-rate", rate) == 2
    said = capsys.readouterr().err
    assert "training diverges, ended at iteration 1:" in said and "Lower --learning-rate" in said
    assert "Traceback" not in said
    assert not (place.folder / "model").exists()


def endings(losses: list[float], **settings: float) -> list[object]:
    """What is said after each loss."""
    return [
        stopping.ending(
            losses[: count + 1],
            **{"patience": 20, "tolerance": 1e-5, "learning_rate": 0.06} | settings,
        )
        for count in range(len(losses))
    ]


@pytest.mark.parametrize(
    "losses", [[1.0, math.nan], [1.0, 0.5, math.inf], [math.nan], [1.0, 5.0, 11.0]]
)
def test_losses_that_are_not_finite_or_only_grow_are_divergence(losses):
    assert not any(endings(losses[:-1]))
    with pytest.raises(
        UsageError, match=f"training diverges, ended at iteration {len(losses) - 1}"
    ):
        endings(losses)


def test_a_loss_that_explodes_after_a_good_start_ends_training_with_what_was_good():
    *before, last = endings([1.0, 0.5, 3.0, 10.5])
    assert not any(before)
    assert last == ("diverged", "diverged at iteration 3: a validation loss of 10.5")


def test_progress_below_the_tolerance_is_a_stall():
    crawling = [1.0 - n / 1000 for n in range(30)]
    assert not any(endings(crawling, patience=5, tolerance=0.0049))
    *_, last = endings(crawling, patience=5, tolerance=0.0051)
    assert last == ("early", "no better by more than 0.0051 of a constant's loss for 5 iterations")


def test_progress_of_exactly_the_tolerance_is_a_stall():
    assert endings([1.0, 0.75], patience=1, tolerance=0.25)[-1][0] == "early"
    assert endings([1.0, 0.75], patience=1, tolerance=0.125)[-1] is None


def test_the_tolerance_does_not_depend_on_the_unit_of_the_target():
    crawling = [1.0 - n / 1000 for n in range(30)]
    for unit in (1e-9, 1e9):
        losses = [loss * unit for loss in crawling]
        assert endings(losses, patience=5, tolerance=0.0051)[5][0] == "early"


def test_a_target_too_large_for_its_squares_is_divergence(bench, random, capsys):
    x = random.normal(size=ROWS)
    place = bench(
        pd.DataFrame({"x": x, "y": x * 1e300}), REGRESSION, {"x": "number", "y": "number"}
    )
    assert place.train() == 2
    assert "extreme values of the target" in capsys.readouterr().err


def test_features_that_say_nothing_are_warned_about(bench, random, capsys):
    x, y = random.normal(size=(2, ROWS))
    place = bench(pd.DataFrame({"x": x, "y": y}), REGRESSION, {"x": "number", "y": "number"})
    assert place.train("--learner", "boosting") == 0
    assert "warning: no iteration was better than a constant" in capsys.readouterr().out


def test_options_out_of_bounds_are_refused_all_at_once(mixed_bench, capsys):
    assert mixed_bench.train("--learning-rate", "0", "--max-leaf-nodes", "1", "--l2", "nan") == 2
    said = capsys.readouterr().err
    assert "--learning-rate 0: input should be greater than 0" in said
    assert "--max-leaf-nodes 1" in said and "--l2 nan" in said


def test_prepared_data_of_another_contract_is_refused(mixed_bench, capsys):
    rows = pd.read_parquet(mixed_bench.part("train")).drop(columns="group")
    rows.to_parquet(mixed_bench.part("train"))
    assert mixed_bench.train() == 2
    assert 'lacks "group" of the contract. Run prepare again' in capsys.readouterr().err


def test_long_training_shows_that_it_lives(mixed_bench, capsys, monkeypatch):
    monkeypatch.setattr(stopping, "PROGRESS_SECONDS", 0.0)
    assert mixed_bench.train("--max-iterations", "5") == 0
    said = capsys.readouterr().out
    assert "iteration 4: validation loss 0." in said
    assert "max depth" not in said
