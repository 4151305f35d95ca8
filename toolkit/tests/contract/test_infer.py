"""Inferring a contract: what is guessed, what is warned about, and what is refused."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from modelyard.contract import infer, read_table, validate
from modelyard.contract import model as contract
from modelyard.data.table import read_file
from modelyard.errors import UsageError
from modelyard.yaml_files import parse

ROWS = 60


def inferred(folder: Path, columns: dict, target: str = "target", **options) -> infer.Inference:
    path = folder / "table.csv"
    pd.DataFrame(columns).to_csv(path, index=False)
    return infer.infer(read_file(path), target, **options)


def with_target(**columns) -> dict:
    return {"x": np.arange(ROWS) % 7 / 4, **columns, "target": ["yes", "no", "no"] * (ROWS // 3)}


def test_rows_of_one_person_are_warned_about_and_kept_together_where_asked(tmp_path):
    columns = with_target(patient=[f"p{i // 5}" for i in range(ROWS)])
    (warning,) = inferred(tmp_path, columns).warnings
    assert 'each of the 12 "patient" has 5.0 rows' in warning and '--group "patient"' in warning
    guess = inferred(tmp_path, columns, group="patient")
    assert guess.warnings == [] and guess.contract.group == "patient"
    assert guess.contract.features == ["x"]
    (tmp_path / "contract.yml").write_text(infer.contract_yaml(guess, "t"))
    assert contract.load_contract(tmp_path / "contract.yml") == guess.contract
    with pytest.raises(UsageError, match=r'no group column "patiend"; did you mean `patient`'):
        inferred(tmp_path, columns, group="patiend")
    with pytest.raises(UsageError, match="give one of them"):
        inferred(tmp_path, columns, group="patient", time="x")


def test_what_is_left_out_or_looks_like_missing_is_said(tmp_path):
    columns = with_target()
    columns["target"][:3] = ["", "", ""]
    assert "Left out: 3 rows without target." in inferred(tmp_path, columns).messages
    columns["target"][:3] = ["none", "none", "none"]
    assert "none in target is read as missing" in inferred(tmp_path, columns).warnings[0]
    columns["target"][:3] = ["Yes", "yes", "maybe"]
    assert "the classes 'yes' and 'Yes' differ" in inferred(tmp_path, columns).warnings[0]
    columns["target"][:3] = ["?", "?", "?"]
    (warning,) = inferred(tmp_path, columns).warnings
    assert 'the class "?" has 3 rows' in warning
    columns["target"] = [*(f"{i % 9}.5" for i in range(ROWS - 1)), "1e12"]
    (warning,) = inferred(tmp_path, columns).warnings
    assert f"target is 1e+12 in row {ROWS}, far from all others" in warning


def test_the_time_of_a_trend_is_no_leakage(tmp_path):
    days = pd.date_range("2021-01-01", periods=ROWS).astype(str)
    columns = {"day": days, "x": np.arange(ROWS) % 7, "sales": np.arange(ROWS) * 2.5}
    assert "may leak" in inferred(tmp_path, columns, "sales").warnings[0]
    assert inferred(tmp_path, columns, "sales", time="day").warnings == []


def test_a_file_without_a_header_is_noticed(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("-0.8,,no\n" + "1.5,a,yes\n-2.5,b,no\n" * 10)
    said = infer.infer(read_file(path), "no").warnings
    assert "-0.8 looks like a value" in said[0] and "column_2" in said[1]
    path.write_text("3,b,no\n" + "3,a,yes\n2,b,no\n" * 10)
    assert "3, b, no looks like a value" in infer.infer(read_file(path), "no").warnings[0]
    path.write_text("x,c,no\n" + "3,a,yes\n2,b,no\n" * 10 + "x,c,no\n")
    assert "row 21 holds the header again" in infer.infer(read_file(path), "no").warnings[-1]
    path.write_text("Sales of 2024,,\nx,c,late\n" + "3,a,yes\n2,b,no\n" * 10)
    with pytest.raises(UsageError, match="column_3; if the first line is a title, delete it"):
        infer.infer(read_file(path), "late")


@pytest.mark.parametrize(
    ("first", "last", "warning"),
    [
        (["kg", "", "no"], [], 'the first row has a word where "x" (kg) has numbers else'),
        ([], ["Sum", "", "no"], 'the last row has a word where "x" (Sum) has numbers else'),
        ([], ["3", "Total", "no"], "\"c\" has 'Total': a total beside its parts"),
        ([], ["45", "", "no"], 'the last row holds the sum of all others in "x"'),
    ],
)
def test_rows_of_units_and_totals_are_warned_about(tmp_path, first, last, warning):
    rows = [
        first,
        *([str(i % 5 / 2), "pq"[i % 2], ("yes", "no")[i % 3 // 2]] for i in range(45)),
        last,
    ]
    frame = pd.DataFrame([row for row in rows if row], columns=["x", "c", "target"])
    assert warning in "".join(inferred(tmp_path, dict(frame.items())).warnings)


@pytest.mark.parametrize(
    ("name", "cells", "note"),
    [
        ("c", ["Male", "female", "MALE"], "'Male' and 'MALE' differ in case"),
        ("c", ["Zürich", "Zu\u0308rich", "Bern"], "differ in case, blanks or marks only"),
        ("c", ["none", "mild", "severe"], "none read as missing"),
        ("c", ["MÃ¼ller", "Meier", "Huber"], "'MÃ¼ller' was spoilt"),
        ("plz", ["10115", "80331", "20095"], "names, not amounts?"),
        (
            "time",
            [f"{h}{m:02}" for h in (5, 14, 23) for m in (0, 9, 30, 59, 15)],
            "if 500 is a time",
        ),
        ("c", [f"2021.{m:02}" for m in range(1, 13)], "if 2021.01 is a month"),
        ("c", ["1E5", "2.5", "3"], "1E5 is read as 100,000"),
        ("c", ["4.93012E+12", "1.5E+10", "7"], "was cut by a spreadsheet"),
        ("c", ["12.5", "13.5", "14.5 e", "15"], "mostly numbers, but some with e"),
        (
            "c",
            ["2021-01-01", "2021-01-02", "soon"],
            "mostly dates written as %Y-%m-%d, but also 'soon'",
        ),
        ("c", ["1", "2", "none"], "none read as missing"),
        ("c", ["12.5", "13.5", ":"], ": beside numbers: read as missing"),
        ("c", ["400638133390", "400638190012", "400638230071"], "names, not amounts?"),
        ("c", ["+4930123456", "+4989654321"], "a name, not an amount"),
        ("c", ["?", "a", "b"], '"?" is a category: if it stands for missing'),
        (
            "c",
            [*(str(44 + i * 7 % 50) for i in range(45)), "0"],
            "0 in 1 row, apart from all others",
        ),
    ],
)
def test_what_a_column_may_mean_beside_its_type_is_said(tmp_path, name, cells, note):
    guess = inferred(tmp_path, with_target(**{name: (cells * ROWS)[:ROWS]}))
    assert note in "; ".join(guess.profiles[name].notes)


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1", "2", "30"], "integer"),
        (["1", "", "30"], "integer"),
        (["1.0", "", "30.0"], "integer"),
        (["1.0", "2.0", "30.0"], "number"),
        (["1.5", "2", "1e3"], "number"),
        (["0", "1", "1"], "boolean"),
        (["yes", "No", ""], "boolean"),
        (["TRUE", "false", "true"], "boolean"),
        (["on", "off", "off"], "boolean"),
        (["yes", "no", "maybe"], "category"),
        (["007", "012", "100"], "category"),
        (["12345678901234567890", "2", "3"], "category"),
        (["2013-01-01", "2013-01-02 10:00", ""], "datetime"),
        (["31.12.2012", "01.01.2013", ""], "datetime"),
        (["12/31/2012 10:00", "01/01/2013 11:30", ""], "datetime"),
        (["9999-12-31", "2013-01-01", ""], "datetime"),
        (["1", "2", "x"], "category"),
        (["1E05", "12345", "20305"], "category"),
        (["1E+05", "12345", "20305"], "number"),
        (["9007199254740993", "9007199254740992", ""], "category"),
        (["True", "0", "1"], "boolean"),
        (["Y", "no", "yes"], "boolean"),
        (["2010-11", "2011-12", "2009-10"], "category"),
        (["2567-05-01", "2566-12-31", "2565-01-02"], "category"),
        (["2013", "2014", "2015"], "integer"),
        (["inf", "1.5", "2"], "number"),
    ],
)
def test_types_are_told_from_what_csv_cells_say(tmp_path, cells, kind):
    guess = inferred(tmp_path, with_target(c=cells * (ROWS // 3)))
    assert guess.contract.columns["c"].type == kind


def test_versions_are_no_numbers_and_the_cost_of_a_build_is_one(tmp_path):
    cells = ["1.1", "1.10", "1.9"] * (ROWS // 3)
    guess = inferred(tmp_path, with_target(app_version=cells, build_cost=cells))
    types = {name: rule.type for name, rule in guess.contract.columns.items()}
    assert (types["app_version"], types["build_cost"]) == ("category", "number")


def test_many_different_texts_are_text_not_categories(tmp_path):
    words = [f"word {i}" for i in range(ROWS // 2 + 5)]
    guess = inferred(tmp_path, with_target(c=(words * 2)[:ROWS]))
    assert guess.contract.columns["c"].type == "text"


def test_the_order_of_day_and_month_is_a_guess_that_is_told(tmp_path):
    guess = inferred(tmp_path, with_target(c=["03/04/2013", "05/06/2013", "07/08/2013"] * 20))
    assert guess.contract.columns["c"].format == "%m/%d/%Y"
    assert "day and month could be swapped" in guess.profiles["c"].notes[0]
    guess = inferred(tmp_path, with_target(c=["13/04/2013", "05/06/2013", "07/08/2013"] * 20))
    assert guess.contract.columns["c"].format == "%d/%m/%Y"
    assert "swapped" not in " ".join(guess.profiles["c"].notes)


def test_a_column_that_is_mostly_numbers_says_what_is_not(tmp_path):
    cells = [str(i / 3) for i in range(ROWS - 1)] + ["often"]
    guess = inferred(tmp_path, with_target(c=cells))
    assert "mostly numbers, but also 'often'" in guess.profiles["c"].notes[0]


@pytest.mark.parametrize(
    ("values", "whole", "expected"),
    [
        ([80, 4983], True, (0, 5500)),
        ([-86, 1272], True, (-300, 1500)),
        ([0.0, 1.0], False, (0.0, 1.1)),
        ([-3.0, -1.0], False, (-3.2, -0.8)),
        ([5, 5], True, (4, 6)),
        ([0.0, 1.6e308], False, (0.0, 1.6e308)),
        ([2**62 + 1, 2**62 + 2], True, None),
    ],
)
def test_ranges_have_slack_but_keep_their_sign(values, whole, expected):
    low, high = infer.limits(pd.Series(values), is_whole=whole)
    assert low <= min(values) and high >= max(values)
    if expected:
        assert (low, high) == pytest.approx(expected)


def test_missing_values_and_repeats_get_slack_and_none_stays_none(tmp_path):
    gaps = [None, *([1.5, 2.5] * ROWS)][:ROWS]
    guess = inferred(tmp_path, with_target(c=gaps))
    assert guess.contract.columns["c"].nulls == pytest.approx(0.03)
    assert guess.contract.columns["x"].nulls == 0
    assert guess.contract.table.duplicates > 0.5


def test_few_frequent_levels_are_closed_and_rare_ones_open(tmp_path):
    frequent, rare = ["a", "b"] * (ROWS // 2), ["a", *["b"] * (ROWS - 1)]
    columns = inferred(tmp_path, with_target(frequent=frequent, rare=rare)).contract.columns
    assert columns["frequent"].categories == ("a", "b")
    assert columns["rare"].categories is None


@pytest.mark.parametrize(
    ("cells", "options", "kind", "positive"),
    [
        (["yes", "no"], {}, "binary", True),
        (["0", "1"], {}, "binary", True),
        (["good", "bad", "good"], {}, "binary", "bad"),
        (["1", "2", "2"], {}, "binary", 1),
        (["1.0", "2.0", "2.0"], {}, "binary", 1),
        (["1", "2", "2"], {"positive": "2"}, "binary", 2),
        (["yes", "no"], {"positive": "No"}, "binary", False),
        (["0", "1", "2"], {}, "multiclass", None),
        (["a", "b", "c"], {}, "multiclass", None),
        (["0", "1", "2"], {"kind": "regression"}, "regression", None),
        (["0.5", "1.5", "2.5"], {}, "regression", None),
        ([str(i) for i in range(ROWS)], {}, "regression", None),
    ],
)
def test_the_problem_follows_from_the_target(tmp_path, cells, options, kind, positive):
    columns = {"x": np.arange(ROWS) % 7 / 4, "target": (cells * ROWS)[:ROWS]}
    goal = inferred(tmp_path, columns, **options).contract.target
    assert (goal.kind, goal.positive) == (kind, positive)
    assert type(goal.positive) is type(positive)


def test_classes_of_a_target_with_gaps_keep_their_type(tmp_path):
    columns = {"x": np.arange(ROWS) / 7, "target": ["1", "2", "", "3"] * (ROWS // 4)}
    assert inferred(tmp_path, columns).contract.target.classes == (1, 2, 3)


@pytest.mark.parametrize(
    ("cells", "options", "message"),
    [
        ([""], {}, "is missing in every row"),
        (["yes"], {}, "is true in every row|is yes in every row"),
        (["yes", "NA"], {}, 'is true in every row .* "NA" is read as missing'),
        (["2013-01-01", "2013-01-02"], {}, "holds datetime values"),
        ([f"name {i}" for i in range(ROWS)], {}, "60 different values .* too many for classes"),
        (["yes", "no"], {"positive": "maybe"}, "maybe: the target .* has false and true"),
        (["a", "b", "c"], {"positive": "a"}, "--positive needs two classes"),
        (["a", "b"], {"kind": "regression"}, "regression needs numbers"),
        (["a", "b", "c"], {"kind": "binary"}, "binary needs two classes"),
        (["0.5", "1.5", "2.5"], {"kind": "multiclass"}, "use --kind regression"),
        (["yes", "no"], {"time": "taget"}, 'no time column "taget"; did you mean `target`'),
        (["yes", "no"], {"time": "word"}, "holds category values, such as"),
        (["yes", "no"], {"sensitive": ["X"]}, 'no sensitive column "X"; did you mean `x`'),
        (["yes", "no"], {"sensitive": ["target"]}, "cannot be the time, the group or a sensitive"),
    ],
)
def test_what_cannot_work_is_refused_with_a_way_out(tmp_path, cells, options, message):
    columns = {
        "x": np.arange(ROWS) / 7,
        "word": ["a", "b"] * (ROWS // 2),
        "target": (cells * ROWS)[:ROWS],
    }
    with pytest.raises(UsageError, match=message):
        inferred(tmp_path, columns, **options)


def test_a_table_of_identifiers_only_says_that_nothing_is_left(tmp_path):
    columns = {"id": range(ROWS), "const": ["k"] * ROWS, "target": ["a", "b"] * (ROWS // 2)}
    with pytest.raises(
        UsageError, match=r"no column that a model could learn from .*const: always"
    ):
        inferred(tmp_path, columns)


def test_a_table_of_single_words_only_says_why_there_is_no_model(tmp_path):
    codes = [f"x{i}y" for i in range(ROWS)]
    columns = {"code": codes, "other": codes, "target": ["a", "b"] * (ROWS // 2)}
    with pytest.raises(
        UsageError, match=r"could learn from \(code: .*nearly every row has its own"
    ):
        inferred(tmp_path, columns)


def test_messages_name_five_columns_in_the_tables_order(tmp_path):
    columns = {f"c{i}": ["k"] * ROWS for i in (9, 8, 7, 6, 5, 4, 3, 2)}
    with pytest.raises(UsageError, match=r"\(c9: .*; c5: always k; and 3 more\)"):
        inferred(tmp_path, {**columns, "target": ["a", "b"] * (ROWS // 2)})
    rules = inferred(
        tmp_path, {f"c{i}": list(range(ROWS - 1, -1, -1)) for i in range(8)} | with_target()
    )
    (tmp_path / "other.csv").write_text("x,y\n1,2\n")
    with pytest.raises(UsageError) as error:
        read_table(tmp_path / "other.csv", rules.contract)
    *lines, rest = str(error.value).splitlines()
    assert (len(lines), rest) == (5, "and 4 more")


@pytest.mark.parametrize(
    ("name", "cells", "role"),
    [
        ("row", range(ROWS), "identifier"),
        ("Unnamed: 0", [i * 7919 % 1009 for i in range(ROWS)], "identifier"),
        ("", [i * 7919 % 1009 for i in range(ROWS)], "identifier"),
        ("n", [i + i // 3 for i in range(ROWS)], "identifier"),
        ("year", range(1950, 1950 + ROWS), "feature"),
        ("PassengerId", range(0, 5 * ROWS, 5), "identifier"),
        ("flight_number", [i * 3 % 1000 + 100 for i in range(ROWS)], "identifier"),
        ("comment", [f"text {i}" for i in range(ROWS)], "identifier"),
        ("income", range(100, 100 + 7 * ROWS, 7), "feature"),
        ("measure", [i / 7 for i in range(ROWS)], "feature"),
        ("airline_id", [f"A{i % 9}" for i in range(ROWS)], "feature"),
        ("constant", ["k"] * ROWS, "ignored"),
        ("empty", [""] * ROWS, "ignored"),
        ("ticked", ["yes", "", ""] * (ROWS // 3), "feature"),
    ],
)
def test_roles_follow_from_names_and_values(tmp_path, name, cells, role):
    # The target repeats with period 4, so that no column above gives it away.
    columns = {"x": np.arange(ROWS) % 7 / 4, name: list(cells), "target": list("aabb") * 15}
    column = inferred(tmp_path, columns).contract.columns[name or "column_2"]
    assert column.role == role
    assert bool(column.why) == (role == "ignored")


def leaky_table() -> dict:
    generator = np.random.default_rng(0)
    late = generator.random(400) < 0.3
    minutes = np.where(late, 16 + 60 * generator.random(400), 15 * generator.random(400))
    return {
        "distance": generator.random(400).round(3),
        "copy": np.where(late, "L", "T"),
        "minutes": minutes.round(2),
        "reason": np.where(late & (generator.random(400) < 0.5), "weather", None),
        "late_hint": generator.random(400).round(3),
        "late": late,
    }


def test_leakage_is_warned_about_and_a_copy_is_ignored(tmp_path):
    guess = inferred(tmp_path, leaky_table(), target="late")
    columns = guess.contract.columns
    assert columns["copy"].role == "ignored" and "copy of the target" in columns["copy"].why
    notes = {name: " ".join(profile.notes) for name, profile in guess.profiles.items()}
    assert "almost perfectly" in notes["minutes"] and columns["minutes"].role == "feature"
    assert "filled only where the target is True" in notes["reason"]
    assert "its name contains" in notes["late_hint"]
    assert not notes["distance"]
    assert len(guess.warnings) == 4


def test_leakage_of_a_number_is_found_too(tmp_path):
    generator = np.random.default_rng(0)
    delay = generator.normal(size=400).round(4)
    columns = {
        "noise": generator.random(400),
        "in_hours": (delay / 60 + 1).round(12),
        "cubed": delay**3,
        "delay": delay,
    }
    guess = inferred(tmp_path, columns, target="delay")
    assert guess.contract.columns["in_hours"].role == "ignored"
    assert "of the target's variance" in " ".join(guess.profiles["cubed"].notes)
    assert not guess.profiles["noise"].notes


@pytest.fixture
def table(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    pd.DataFrame(leaky_table()).to_csv("data/table.csv", index=False)
    return Path("data/table.csv")


CONTRACT = Path("conf/contract.yml")


def write(target: str = "late", **options: Any) -> None:
    infer.write_contract(Path("data/table.csv"), target, output=CONTRACT, **options)


def test_the_command_shows_what_it_guessed_and_writes_the_contract(table, capsys):
    write(sensitive="copy, distance")
    output = capsys.readouterr().out
    assert "LEAKAGE?" in output and "Target late: binary" in output
    assert "warning: " in output and "Wrote conf/contract.yml" in output
    assert contract.load_contract("conf/contract.yml").sensitive == ("copy", "distance")


def test_an_edited_contract_is_replaced_with_force_only(table):
    write()
    write()  # as infer wrote it
    path = Path("conf/contract.yml")
    path.write_text(path.read_text().replace("\n", "\r\n"), newline="")  # a checkout on Windows
    write()
    edited = path.read_text().replace("seed: 0", "seed: 1")
    path.write_text(edited)
    with pytest.raises(UsageError, match="was edited since it was inferred"):
        write()
    assert path.read_text() == edited
    write(force=True)
    assert "seed: 0" in path.read_text()


def test_a_failed_call_leaves_the_old_contract(table):
    write()
    before = Path("conf/contract.yml").read_bytes()
    with pytest.raises(UsageError, match="did you mean `late`"):
        write("lat")
    assert Path("conf/contract.yml").read_bytes() == before


def test_the_data_asset_points_at_the_table_and_keeps_what_a_person_wrote(table):
    asset = Path("azureml/data/training.yml")
    write(data_asset=asset)
    assert parse(asset.read_text())["path"] == "../../data/table.csv"
    asset.write_text("# ours\nname: flights\nversion: 3\npath: azureml://elsewhere\n")
    write(data_asset=asset)
    assert asset.read_text() == "# ours\nname: flights\nversion: 3\npath: ../../data/table.csv\n"


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=6)
NAMES = st.one_of(
    st.sampled_from(["on", "no", "null", "1", "a b", "é", "it's", 'say "hi"', "x: y", "#1", "a,b"]),
    st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), min_size=1, max_size=8),
)
CELLS = (
    st.floats(),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(0, 3),
    st.booleans(),
    st.sampled_from(["yes", "no", "Yes"]),
    st.sampled_from(["a", "b", "NA", "1"]),
    TEXT,
    st.datetimes(dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31)),
    st.dates(dt.date(2000, 1, 1)).map(lambda day: day.strftime("%d.%m.%Y")),
    st.from_regex(r"[0-9]{1,22}", fullmatch=True),
    st.from_regex(r"[+-]?[0-9]{1,3}([.,][0-9]{1,3}|e[0-9]{1,3})?", fullmatch=True),
    st.one_of(st.integers().map(str), TEXT),
    st.none(),
)


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    rows = draw(st.integers(2, 30))
    columns = {}
    names = st.lists(NAMES.filter(str.strip), min_size=2, max_size=5, unique_by=str.strip)
    for name in draw(names):
        cells = draw(st.sampled_from(CELLS))
        if draw(st.booleans()):
            cells = st.one_of(st.none(), cells)
        columns[name] = pd.Series(draw(st.lists(cells, min_size=rows, max_size=rows)), dtype=object)
    return pd.DataFrame(columns)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(frame=tables(), form=st.sampled_from([",", ";", "\t", "|", "parquet"]), data=st.data())
def test_a_table_keeps_the_contract_that_was_inferred_from_it(tmp_path_factory, frame, form, data):
    folder = tmp_path_factory.getbasetemp()
    try:
        table = read_file(written(frame, form, folder))
        guess = infer.infer(table, data.draw(st.sampled_from(list(table.columns))))
    except UsageError:
        return  # nothing to learn from; the messages have their own tests
    path = folder / "contract.yml"
    path.write_text(infer.contract_yaml(guess, "t"), encoding="utf-8", newline="\n")
    rules = contract.load_contract(path)
    assert rules == guess.contract
    assert validate.check(table, rules, validate.read_leniently(table, rules)) == []
    assert len(read_table(table.path, rules)) == table.rows


def written(frame: pd.DataFrame, form: str, folder: Path) -> Path:
    if form == "parquet":
        try:
            frame.to_parquet(folder / "t.parquet")
            return folder / "t.parquet"
        except (ValueError, OverflowError, TypeError):  # Arrow takes no mixed columns
            form = ","
    frame.to_csv(folder / "t.csv", index=False, sep=form)
    return folder / "t.csv"


@pytest.mark.parametrize(
    ("name", "kind"),
    [("breast_cancer", "binary"), ("wine", "multiclass"), ("diabetes", "regression")],
)
def test_the_tables_of_scikit_learn_need_no_edit(tmp_path, monkeypatch, name, kind):
    from sklearn import datasets

    monkeypatch.chdir(tmp_path)
    frame = getattr(datasets, f"load_{name}")(as_frame=True).frame
    frame.to_csv("table.csv", index=False)
    infer.write_contract(Path("table.csv"), "target", output=CONTRACT)
    rules = contract.load_contract("conf/contract.yml")
    assert rules.kind == kind
    assert len(rules.features) == frame.shape[1] - 1
    rows = validate.validate(read_file("table.csv"), Path("conf/contract.yml"), tmp_path)
    assert rows.shape == frame.shape
