"""Preparing a table: what is dropped, how it is split, and its digest."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from modelyard.contract import model as contract
from modelyard.data import folds
from modelyard.data.parts import read_folds
from modelyard.errors import UsageError
from modelyard.evidence import read_evidence
from modelyard.steps import prepare
from modelyard.yaml_files import parse

CONTRACT = """\
version: 1
target: {column: late, kind: binary, positive: true}
time: left
sensitive: [carrier]
columns:
  number: {type: integer, role: identifier}
  carrier: {type: category, role: ignored, why: not to be learnt from}
  distance: {type: integer}
  left: {type: datetime}
  late: {type: boolean}
"""
ROWS = 200


def rules(**changes: object) -> contract.Contract:
    content = parse(CONTRACT) | changes
    return contract.Contract.model_validate(content)


def flights() -> pd.DataFrame:
    generator = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "number": range(ROWS),
            "carrier": generator.choice(["AA", "UA"], ROWS),
            "distance": generator.integers(80, 5000, ROWS),
            "left": pd.Timestamp("2013-01-01") + pd.to_timedelta(generator.permutation(ROWS), "h"),
            "late": generator.random(ROWS) < 0.3,
        }
    )


@pytest.fixture
def call(tmp_path: Path):
    """Prepare a table; returns the exit code, the parts and the evidence's details."""

    def caller(
        table: pd.DataFrame,
        text: str = CONTRACT,
        form: str = "csv",
        name: str = "out",
        options: tuple[str, ...] = (),
    ):
        data = tmp_path / f"table.{form}"
        if form == "csv":
            table.to_csv(data, index=False)
        else:
            table.to_parquet(data, index=False)
        (tmp_path / "contract.yml").write_text(text)
        out = tmp_path / name
        code = prepare.main(
            [
                *("--data", str(data), "--contract", str(tmp_path / "contract.yml")),
                *("--prepared", str(out), "--evidence", str(out), *options),
            ]
        )
        if code:
            return code, {}, {}
        parts = {part: pd.read_parquet(out / f"{part}.parquet") for part in prepare.PARTS}
        return code, parts, read_evidence(out, "data")["details"]

    return caller


def test_a_split_by_time_never_looks_ahead(call):
    code, parts, details = call(flights())
    assert code == 0
    assert details["split"]["method"] == "time"
    assert [len(parts[name]) for name in prepare.PARTS] == [120, 40, 40]
    assert parts["train"]["left"].max() < parts["validation"]["left"].min()
    assert parts["validation"]["left"].max() < parts["test"]["left"].min()
    assert details["split"]["train"]["from"] == "2013-01-01T00:00:00"


def test_parts_hold_features_target_time_and_sensitive_columns(call):
    _, parts, _ = call(flights())
    for part in parts.values():
        assert list(part.columns) == ["carrier", "distance", "left", "late"]
        assert part["late"].dtype == bool
        assert part["distance"].dtype == np.int64


@settings(deadline=None)
@given(
    times=st.integers(2, 30).flatmap(
        lambda n: st.lists(st.integers(0, n), min_size=20, max_size=200)
    ),
    validation=st.sampled_from([0.1, 0.2, 0.4]),
    test=st.sampled_from([0.1, 0.2, 0.4]),
)
def test_rows_of_the_same_moment_are_never_parted(times, validation, test):
    series = pd.Series(times)
    parts = prepare.by_time(series, rules(split={"validation": validation, "test": test}))
    assert sorted(np.concatenate(list(parts.values()))) == list(range(len(times)))
    moments = [set(series.iloc[parts[name]]) for name in prepare.PARTS]
    filled = [moment for moment in moments if moment]
    assert len(filled) == (3 if len(set(times)) > 2 else 1)
    for earlier, later in itertools.pairwise(filled):
        assert max(earlier) < min(later)


@settings(deadline=None)
@given(
    strata=st.lists(st.sampled_from("aaabbc"), min_size=1, max_size=300),
    seed=st.integers(0, 5),
)
def test_every_stratum_is_shared_out_alike(strata, seed):
    series = pd.Series(strata)
    parts = prepare.at_random(series, np.arange(len(series)), rules(split={"seed": seed}))
    assert sorted(np.concatenate(list(parts.values()))) == list(range(len(strata)))
    for value, count in series.value_counts().items():
        shared = [int((series.iloc[parts[name]] == value).sum()) for name in prepare.PARTS]
        assert shared[0] >= 1
        assert shared[1] == shared[2]
        assert abs(shared[2] - 0.2 * count) <= 0.5


def test_without_time_classes_are_stratified_and_numbers_are_not(call):
    _, parts, details = call(flights(), CONTRACT.replace("time: left", "time: null"))
    assert details["split"]["method"] == "stratified"
    shares = [parts[name]["late"].mean() for name in prepare.PARTS]
    assert max(shares) - min(shares) < 0.02
    text = CONTRACT.replace("time: left", "time: null").replace("boolean", "number")
    text = text.replace("kind: binary, positive: true", "kind: regression")
    _, _, details = call(flights().assign(late=lambda f: f["distance"] / 7), text)
    assert details["split"]["method"] == "random"
    assert details["split"]["test"]["target_mean"] > 0


def test_rows_that_teach_nothing_are_dropped_and_counted_and_repeated_ones_by_choice(call, capsys):
    table = flights().astype(object)
    table.loc[[0, 1, 2], "late"] = None
    table.loc[[3, 4], "left"] = None
    table = pd.concat([table, table.iloc[10:16]])
    _, parts, details = call(table)
    assert details["dropped"] == {"no_target": 3, "no_time": 2, "duplicates": 0}
    assert sum(map(len, parts.values())) == ROWS + 1
    assert parts["train"]["late"].dtype == bool
    dropping = CONTRACT + "table: {repeated_rows: drop}\n"
    _, parts, details = call(table, dropping, name="dropping")
    assert details["dropped"] == {"no_target": 3, "no_time": 2, "duplicates": 6}
    assert sum(map(len, parts.values())) == ROWS - 5
    assert "left out: 3 no target, 2 no time, 6 repeated" in capsys.readouterr().out


COUNTED = """\
version: 1
target: {column: admit, kind: binary, positive: true}
columns:
  gender: {type: category}
  dept: {type: category}
  admit: {type: boolean}
"""


def counted() -> pd.DataFrame:
    """2,000 rows of twelve distinct rows of features, each with both outcomes; one is frequent."""
    generator = np.random.default_rng(3)
    share = np.r_[0.2, np.full(11, 0.8 / 11)]
    at = generator.choice(12, 2000, p=share)
    return pd.DataFrame(
        {
            "gender": np.where(at % 2, "Male", "Female"),
            "dept": np.array(list("ABCDEF"))[at // 2],
            "admit": generator.random(2000) < 0.1 + at / 20,
        }
    )


def test_a_table_of_few_distinct_rows_keeps_all_and_parts_no_copies(call, capsys):
    code, parts, details = call(counted(), COUNTED)
    assert code == 0
    assert details["repeated"] == {"rows": 1988, "distinct": 12}
    assert sum(details["dropped"].values()) == 0
    assert sum(map(len, parts.values())) == 2000
    assert "1,988 rows repeat another" in capsys.readouterr().out
    seen = [set(zip(part["gender"], part["dept"], strict=True)) for part in parts.values()]
    assert all(not one & other for one, other in itertools.combinations(seen, 2))
    for name, share in (("validation", 0.2), ("test", 0.2)):
        assert abs(len(parts[name]) / 2000 - share) < 0.06


@settings(deadline=None, max_examples=40)
@given(
    feature=st.lists(st.integers(0, 12), min_size=30, max_size=200),
    seed=st.integers(0, 3),
)
def test_copies_stand_on_one_side_of_the_split_and_of_every_fold(feature, seed):
    rows = pd.DataFrame({"distance": feature, "late": np.arange(len(feature)) % 3 == 0})
    same = folds.copies(rows[["distance"]])
    content = parse(COUNTED) | {"target": {"column": "late", "kind": "binary", "positive": True}}
    content |= {"columns": {"distance": {"type": "integer"}, "late": {"type": "boolean"}}}
    drawn = contract.Contract.model_validate(content | {"split": {"seed": seed}})
    assert len(np.unique(same)) == len(set(feature))
    parts = prepare.at_random(rows["late"], same, drawn)
    assert sorted(np.concatenate(list(parts.values()))) == list(range(len(feature)))
    fold = prepare.folds(rows, same, drawn)
    assert sorted(set(fold)) == list(range(fold.max() + 1))
    assert fold.max() < min(prepare.MOST_FOLDS, len(set(feature)))
    for number in (
        *(np.isin(np.arange(len(feature)), at) for at in parts.values()),
        *(fold == one for one in set(fold)),
    ):
        assert not set(rows["distance"][number]) & set(rows["distance"][~number])


def test_the_rows_of_a_group_stand_on_one_side_of_the_split_and_of_every_fold(call, tmp_path):
    table = flights()
    table["carrier"] = [f"c{number // 8}" if number < 192 else "" for number in range(ROWS)]
    text = CONTRACT.replace("time: left\nsensitive: [carrier]", "group: carrier")
    code, parts, details = call(table, text)
    assert (code, details["split"]["method"]) == (0, "group")
    assert sum(map(len, parts.values())) == ROWS
    named = {name: part["carrier"].dropna() for name, part in parts.items()}
    for one, other in itertools.combinations(named.values(), 2):
        assert not set(one) & set(other)
    rows, fold = read_folds(tmp_path / "out", rules(time=None, sensitive=[], group="carrier"))
    folds_of = pd.Series(fold).groupby(rows["carrier"].to_numpy()).nunique()
    assert (folds_of == 1).all() and len(folds_of) == 24


@pytest.mark.parametrize("strata", [1, 2, 3])
def test_frequent_rows_are_shared_out_like_rare_ones(strata):
    draw = np.random.default_rng(0)
    copies = draw.geometric(0.3, 3000)
    same = np.repeat(np.arange(3000), copies)
    classes = pd.Series(draw.integers(0, strata, len(same)))
    parts = prepare.at_random(classes, same, rules())
    for least, most in ((1, 1), (2, 3), (4, 8), (9, 99)):
        band = (copies[same] >= least) & (copies[same] <= most)
        shares = [band[parts[name]].sum() / band.sum() for name in prepare.PARTS]
        assert shares == pytest.approx([0.6, 0.2, 0.2], abs=0.03)


def test_rows_that_an_identifier_tells_apart_are_no_copies(call):
    table = counted().assign(person=range(2000))
    text = COUNTED + "  person: {type: integer, role: identifier}\n"
    _, parts, details = call(table, text)
    assert details["repeated"] == {"rows": 0, "distinct": 2000}
    shares = [part["admit"].mean() for part in parts.values()]
    assert max(shares) - min(shares) < 0.01


def test_folds_by_time_grow_and_part_no_moment(call, tmp_path):
    call(flights().assign(left=lambda table: table["left"].dt.floor("9h")))
    rows, fold = read_folds(tmp_path / "out", rules())
    assert fold.max() == prepare.TIME_FOLDS
    ends = rows.groupby(fold)["left"].agg(["min", "max"])
    assert (ends["min"].to_numpy()[1:] > ends["max"].to_numpy()[:-1]).all()
    assert 0.3 < (fold == 0).mean() < 0.5


def test_too_few_distinct_rows_for_three_parts_are_refused_with_their_number(call, capsys):
    table = counted().assign(dept="A")
    assert call(table, COUNTED)[0] == 2
    assert "2 distinct ones among 2,000 usable rows are too few" in capsys.readouterr().err


def test_missing_values_give_every_part_the_same_types(call):
    table = flights().sort_values("left").astype({"distance": object})
    table.iloc[-1, table.columns.get_loc("distance")] = None
    _, parts, _ = call(table)
    assert {part["distance"].dtype.name for part in parts.values()} == {"float64"}


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.assign(carrier=[*table["carrier"][:-2], *table["carrier"][:-3:-1]]),
        lambda table: table.assign(carrier=table["carrier"].replace("AA", "AB")),
        lambda table: table.rename(columns={"number": "numbers"}),
        lambda table: table.iloc[::-1],
        lambda table: table.assign(late=~table["late"]),
    ],
    ids=["order of words", "words", "a name", "order of rows", "booleans"],
)
def test_the_digest_changes_with_every_value_and_name(change):
    table = flights()
    table["carrier"] = [*table["carrier"][:-2], "AA", "UA"]
    assert prepare.content_digest(table) == prepare.content_digest(table.copy())
    assert prepare.content_digest(change(table)) != prepare.content_digest(table)


def test_the_digest_follows_the_rows_and_not_the_format(call, tmp_path):
    _, _, first = call(flights(), name="a")
    _, _, same = call(flights(), form="parquet", name="b")
    changed = flights()
    changed.loc[17, "distance"] += 1
    _, _, other = call(changed, name="c")
    assert first["digest"] == same["digest"] != other["digest"]
    assert first["source"]["file"] == "table.csv"
    assert first["source"]["sha256"] != same["source"]["sha256"]
    for part in prepare.PARTS:
        a, b = (tmp_path / name / f"{part}.parquet" for name in "ab")
        assert a.read_bytes() == b.read_bytes()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (flights().head(12), "12 usable rows are too few: train would get 7, at least 10"),
        (flights().assign(left=pd.Timestamp("2013-01-01")), "1 different left among 200 usable"),
        (
            flights().sort_values("left").assign(late=[True] * 60 + [False] * 140),
            "every row of validation has late = false",
        ),
    ],
)
def test_a_table_that_cannot_be_split_is_refused(call, capsys, table, message):
    code, _, _ = call(table)
    assert code == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.drop(columns="carrier"),
        lambda table: table.assign(distance="far"),
        lambda table: table.assign(late=None),
    ],
    ids=["column", "type", "classes"],
)
def test_a_table_that_breaks_the_contract_is_not_split(call, tmp_path, capsys, change):
    code, _, _ = call(change(flights()))
    assert code == 1
    assert "breaks 1 rule of" in capsys.readouterr().err
    assert read_evidence(tmp_path / "out", "quality")["details"]["violations"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["quality.json"]


@pytest.fixture
def cleaning(tmp_path, monkeypatch):
    """Write a module with `clean`; returns the option that names it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    numbers = itertools.count()

    def make(body: str) -> tuple[str, ...]:
        name = f"cleaning_{tmp_path.name[-1]}{next(numbers)}"
        (tmp_path / f"{name}.py").write_text(f"def clean(rows, contract):\n    {body}\n")
        monkeypatch.delitem(sys.modules, name, raising=False)
        return ("--cleaning", name)

    return make


def test_rows_are_cleaned_before_they_are_checked_and_counted(call, cleaning, capsys):
    table = flights()
    table.loc[[3, 5], "distance"] = -1
    limited = CONTRACT.replace("distance: {type: integer}", "distance: {type: integer, min: 0}")
    assert call(table, limited, name="raw")[0] == 1
    clean = cleaning("return rows[rows['distance'] >= 0]")
    code, parts, details = call(table, limited, options=clean)
    assert code == 0
    assert details["dropped"] == {"cleaning": 2, "no_target": 0, "no_time": 0, "duplicates": 0}
    assert sum(map(len, parts.values())) == ROWS - 2
    said = capsys.readouterr().out
    assert f"{clean[1]}.clean left out 2 of 200 rows" in said and "left out: 2 by cleaning" in said


def test_cleaning_that_changes_nothing_gives_the_same_parts(call, cleaning, tmp_path):
    table = flights().astype({"distance": object})
    table.loc[7, "distance"] = None
    _, _, first = call(table, name="a")
    _, _, second = call(table, name="b", options=cleaning("return rows"))
    assert first["digest"] == second["digest"]
    for part in prepare.PARTS:
        a, b = (tmp_path / name / f"{part}.parquet" for name in "ab")
        assert a.read_bytes() == b.read_bytes()


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ("return None", 2, "expected a data frame of at most 200 rows, found None"),
        ("return rows.loc[[*rows.index, 0]]", 2, "at most 200 rows, found 201 rows"),
        ("return rows['no such']", 2, "clean fails: KeyError: 'no such'"),
        ("return rows.drop(columns='carrier')", 1, "breaks 1 rule"),
        ("return rows.assign(new=1)", 1, "breaks 1 rule"),
        ("return rows.head(0)", 2, "no rows"),
    ],
)
def test_what_clean_gives_is_checked(call, cleaning, capsys, body, code, message):
    assert call(flights(), options=cleaning(body))[0] == code
    said = capsys.readouterr().err
    assert message in said and "Traceback" not in said


def test_a_module_that_cannot_be_used_is_named(call, cleaning, capsys):
    assert call(flights(), options=("--cleaning", "no_such.cleaning"))[0] == 2
    assert "there is no module no_such.cleaning" in capsys.readouterr().err
    assert call(flights(), options=("--cleaning", "json"))[0] == 2
    assert "json has no `clean`" in capsys.readouterr().err


def test_a_class_that_train_never_shows_is_refused():
    table = flights().sort_values("left").assign(late=["a", "b"] * 90 + ["c"] * 20)
    goal = {"column": "late", "kind": "multiclass", "classes": ["a", "b", "c"]}
    columns = parse(CONTRACT)["columns"] | {"late": {"type": "category"}}
    with pytest.raises(UsageError, match="test has late = c, which train never shows"):
        prepare.split(
            table.reset_index(drop=True), np.arange(len(table)), rules(target=goal, columns=columns)
        )
