"""Which columns a model learns from, how each is encoded, and what the encoder survives."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from modelyard.contract import model as contract
from modelyard.data import parts
from modelyard.errors import UsageError
from modelyard.modelling import encoding


def rules(columns: dict[str, str], time: str | None = None, **target: object) -> contract.Contract:
    described = {name: {"type": kind} for name, kind in {**columns, "y": "boolean"}.items()}
    goal = {"column": "y", "kind": "binary", "positive": True} | target
    return contract.Contract.model_validate({"target": goal, "time": time, "columns": described})


def encoded(
    agreed: contract.Contract, table: pd.DataFrame, *others: pd.DataFrame
) -> list[np.ndarray]:
    chosen = encoding.choose_features(table[agreed.features], agreed)
    encode = encoding.encoder(chosen, agreed, seed=0)
    target = np.arange(len(table)) % 2 == 0
    return [encode.fit_transform(table, target), *map(encode.transform, others)]


def days(*times: str, repeat: int = 10) -> pd.DataFrame:
    return pd.DataFrame({"when": pd.to_datetime(list(times) * repeat, format="ISO8601"), "y": True})


@pytest.mark.parametrize(
    ("times", "parts"),
    [
        (("2020-01-01 10:00", "2020-01-02 09:00"), ()),
        (("2020-01-01 10:00", "2020-01-04 09:00"), ("hour",)),
        (("2020-01-01", "2020-01-20"), ("weekday",)),
        (("2020-01-01 10:00", "2021-06-20"), ("hour", "weekday")),
        (("2020-01-01 10:00", "2022-06-20"), ("hour", "weekday", "month")),
        (("2020-01-01", "2020-01-15"), ("weekday",)),  # 14 days
        (("2020-01-01", "2020-01-14"), ()),
        (("2020-01-01", "2022-01-01"), ("weekday", "month")),  # 731 days, two years
        (("2020-01-01", "2021-12-31"), ("weekday",)),
    ],
)
def test_only_cycles_that_the_rows_cover_are_learnt_from(times, parts):
    agreed = rules({"when": "datetime", "x": "number"}, time="when")
    chosen = encoding.choose_features(days(*times).assign(x=1.0), agreed)
    assert next((f.parts for f in chosen if f.name == "when"), ()) == parts


def test_datetimes_other_than_the_time_count_in_days_to_it():
    agreed = rules({"when": "datetime", "born": "datetime"}, time="when")
    table = days("2020-01-01 06:00", "2020-03-01 06:00").assign(born=pd.Timestamp("2019-12-31"))
    (found,) = encoded(agreed, table)
    assert found[0].tolist()[-1] == -1.25
    assert found[1].tolist()[-1] == -61.25


def test_without_a_time_they_count_from_1970():
    agreed = rules({"born": "datetime"})
    (found,) = encoded(agreed, pd.DataFrame({"born": pd.to_datetime(["1970-01-03"] * 10)}))
    assert found[:, -1].tolist() == [2.0] * 10


def test_dates_too_close_together_for_a_cycle_are_a_trend_if_nothing_else_is_there():
    agreed = rules({"when": "datetime"}, time="when")
    (found,) = encoding.choose_features(days("2020-01-01", "2020-01-05"), agreed)
    assert found.parts == ("days",)


def test_a_time_without_a_value_is_an_error_if_nothing_else_is_there():
    agreed = rules({"when": "datetime"}, time="when")
    with pytest.raises(UsageError, match="datetimes without a value"):
        encoding.choose_features(days("2020-01-01", "2020-01-05").assign(when=pd.NaT), agreed)


def test_a_trend_is_a_feature_only_where_it_is_asked_for():
    agreed = rules({"when": "datetime"}, time="when")
    table = days("2020-01-01", "2022-03-01")
    (without,), (with_trend,) = (
        encoding.choose_features(table, agreed, trend=trend) for trend in (False, True)
    )
    assert with_trend.parts == (*without.parts, "days") and "days" not in without.parts
    assert with_trend.encoding.endswith("trend")


def test_categories_beyond_what_boosting_tells_apart_are_encoded_as_texts():
    names = [f"c{i}" for i in range(encoding.MOST_LEVELS + 1)]
    agreed = rules({"few": "category", "many": "category", "text": "text", "own": "text"})
    own = [f"text {i}" for i in range(2 * len(names))]
    few = [*names[1:], names[1]] * 2
    table = pd.DataFrame({"few": few, "many": names * 2, "text": names * 2, "own": own, "y": True})
    how = {f.name: f.how for f in encoding.choose_features(table, agreed)}
    assert how == {"few": "category", "many": "text", "text": "text", "own": "words"}


@pytest.mark.parametrize(("rows", "how"), [(0, "category"), (10, "category"), (11, "text")])
def test_categories_of_few_rows_are_encoded_by_the_target_where_asked(rows, how):
    table = pd.DataFrame({"c": [f"c{i % 30}" for i in range(300)], "y": True})
    agreed = rules({"c": "category"})
    (found,) = encoding.choose_features(table, agreed, category_rows=rows)
    assert found.how == how


def test_the_positions_of_categories_are_those_of_the_encoded_columns(mixed):
    columns = {"group": "category", "number": "number", "when": "datetime", "name": "text"}
    agreed = rules(columns, time="when")
    chosen = encoding.choose_features(mixed[agreed.features], agreed)
    (found,) = encoded(agreed, mixed)
    assert encoding.categorical_positions(chosen) == [3]
    assert set(found[:, 3][~np.isnan(found[:, 3])]) == {0.0, 1.0, 2.0}
    assert found.shape == (len(mixed), 5)


def test_columns_may_come_in_another_order_and_with_others_between(mixed):
    agreed = rules({"number": "number", "group": "category", "flag": "boolean"})
    _, first, second = encoded(agreed, mixed, mixed, mixed[mixed.columns[::-1]])
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    "values",
    [
        [True, False, None],
        pd.array([True, False, None], dtype="boolean"),
        [1.0, 0.0, np.nan],
        pd.array([1, 0, None], dtype="Int64"),
    ],
)
def test_booleans_and_numbers_with_gaps_are_floats_in_whatever_form(values):
    found = encoding.as_floats(pd.DataFrame({"x": values}))
    np.testing.assert_array_equal(found, [[1.0], [0.0], [np.nan]])


def test_infinite_numbers_are_missing_and_huge_ones_are_cut():
    found = encoding.as_floats(pd.DataFrame({"x": [np.inf, -np.inf, 1e300]}))
    np.testing.assert_array_equal(found, [[np.nan], [np.nan], [3e38]])


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (["a", None, "b"], ["a", np.nan, "b"]),
        (pd.array(["a", None], dtype="string"), ["a", np.nan]),
        (pd.Categorical(["a", None]), ["a", np.nan]),
        ([1, 2], ["1", "2"]),
        ([None, None], [np.nan, np.nan]),
    ],
)
def test_words_are_strings_in_whatever_form(values, words):
    found = encoding.as_words(pd.DataFrame({"x": values}))
    assert [repr(word) for word in found[:, 0]] == [repr(word) for word in words]


def test_unseen_and_missing_categories_become_nan_and_texts_the_mean():
    agreed = rules({"kind": "category", "name": "text"})
    table = pd.DataFrame({"kind": ["a", "b"] * 20, "name": ["x", "z"] * 20})
    new = pd.DataFrame({"kind": ["a", "never", None], "name": ["x", "never", None]})
    _, found = encoded(agreed, table, new)
    np.testing.assert_array_equal(found[:, 0], [0.0, np.nan, np.nan])
    assert found[1:, 1].tolist() == [0.5, 0.5]


def test_a_text_is_not_told_by_its_own_row():
    agreed = rules({"name": "text"})
    names = pd.DataFrame({"name": [f"only once {i}" for i in range(200)]})
    learnt, asked = encoded(agreed, names, names)
    assert learnt[:, 0].std() < 0.02  # each row's own target would make this 0.5
    assert asked[:, 0].std() > learnt[:, 0].std()


def test_times_with_a_zone_are_read_in_utc():
    times = pd.DataFrame({"when": pd.to_datetime(["2020-01-01 01:30+03:00"])})
    assert encoding.date_parts(times, ("hour", "weekday")).tolist() == [[22.5, 1.0]]


def test_prepared_rows_that_fit_are_read(mixed_bench):
    rows = parts.read_part(mixed_bench.folder / "prepared", "test", mixed_bench.contract)
    assert rows.columns.tolist() == mixed_bench.contract.prepared
    truth = parts.target_of(rows, mixed_bench.contract)
    assert truth.tolist() == (rows["label"] == "yes").tolist()


def test_targets_are_what_metrics_need():
    many = rules({"x": "number"}, kind="multiclass", positive=None, classes=[True, False])
    table = pd.DataFrame({"y": [True, False]})
    assert parts.target_of(table, many).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.drop(columns="number"), 'lacks "number" of the contract'),
        (lambda rows: rows.assign(number="x"), 'column "number": expected a number, found object'),
        (lambda rows: rows.assign(when=1.0), 'column "when": expected a datetime'),
        (lambda rows: rows.assign(group=3), 'column "group": expected text, found int64'),
        (lambda rows: rows.head(0), "has no rows"),
        (lambda rows: rows.assign(label=None), "missing values"),
        (lambda rows: rows.assign(label=rows["name"]), 'expected two values of "label"'),
    ],
)
def test_prepared_rows_that_do_not_fit_are_refused(mixed_bench, change, message):
    change(mixed_bench.test_rows()).to_parquet(mixed_bench.part("test"))
    with pytest.raises(UsageError, match=message) as error:
        parts.read_part(mixed_bench.folder / "prepared", "test", mixed_bench.contract)
    assert "Run prepare again" in str(error.value)


def test_missing_and_damaged_parts_are_refused(mixed_bench):
    folder = mixed_bench.folder / "prepared"
    mixed_bench.part("test").write_bytes(b"PAR1 nothing")
    with pytest.raises(UsageError, match="cannot be read"):
        parts.read_part(folder, "test", mixed_bench.contract)
    mixed_bench.part("test").unlink()
    with pytest.raises(UsageError, match="is missing"):
        parts.read_part(folder, "test", mixed_bench.contract)
