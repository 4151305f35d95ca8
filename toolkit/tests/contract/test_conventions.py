"""Numbers, yes and no, dates and stand-ins as people write them: what a contract says of them, and every reader."""

from __future__ import annotations

import contextlib
import re
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from modelyard.contract import infer, read_table
from modelyard.contract.model import Column, load_contract
from modelyard.data.cells import Cells, Reading, parse, parse_word
from modelyard.data.numbers import Written
from modelyard.data.stream import open_stream
from modelyard.data.table import read_file
from modelyard.errors import UsageError
from modelyard.monitoring.windows import Window, batches, canonical
from modelyard.scoring.rows import check_types
from modelyard.serving import payload

ROWS = 60


def inferred(folder: Path, columns: dict[str, list[str]], **options: Any) -> infer.Inference:
    """Infer the contract of a CSV with a target and these columns, each repeated to ROWS rows."""
    sep = options.pop("sep", ",")
    frame = {name: (cells * ROWS)[:ROWS] for name, cells in columns.items()}
    frame["target"] = list("aabb") * (ROWS // 4)  # of another period than the columns
    pd.DataFrame(frame).to_csv(folder / "table.csv", index=False, sep=sep)
    return infer.infer(read_file(folder / "table.csv"), "target", **options)


def values(folder: Path, guess: infer.Inference, name: str = "c") -> list[Any]:
    """Read the table again by its contract, from the file that was written."""
    path = folder / "contract.yml"
    path.write_text(infer.contract_yaml(guess, "t"), encoding="utf-8")
    rules = load_contract(path)
    assert rules == guess.contract
    return read_table(folder / "table.csv", rules)[name].tolist()


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1.678,80", "645,06", "-9,50"], [1678.8, 645.06, -9.5]),
        (["1,678.80", "645.06", "-9.5"], [1678.8, 645.06, -9.5]),
        (["1.234.567", "645", "12"], [1234567, 645, 12]),
        (["1,234,567", "645", "12"], [1234567, 645, 12]),
        (["12,34,567", "6,45,000", "12"], [1234567, 645000, 12]),
        (["1 234,5", "645", "12,25"], [1234.5, 645, 12.25]),
        (["1\u202f234,5", "645", "12,25"], [1234.5, 645, 12.25]),
        (["1\u00a0234", "645", "12"], [1234, 645, 12]),
        (["1'234.50", "645", "12"], [1234.5, 645, 12]),
        (["1’234", "645", "12"], [1234, 645, 12]),
        (["0,5", "1,25", "3"], [0.5, 1.25, 3]),
        (["$1,200", "$5", "$12.50"], [1200, 5, 12.5]),
        (["-$1,200", "$-5", "$12.50"], [-1200, -5, 12.5]),
        (["1.200,00 €", "5,00 €", "0,50 €"], [1200, 5, 0.5]),
        (["EUR 7", "EUR 5.5", "EUR 12"], [7, 5.5, 12]),
        (["7 CHF", "5.5 CHF", "12 CHF"], [7, 5.5, 12]),
        (["R$ 7,50", "R$ 5", "R$ 12"], [7.5, 5, 12]),
        (["£7", "5", "12"], [7, 5, 12]),
        (["12%", "7.5%", "100%"], [12, 7.5, 100]),
        (["12,5 %", "7 %", "100 %"], [12.5, 7, 100]),
        (["(1,234.50)", "17.25", "(3)"], [-1234.5, 17.25, -3]),
        (["($12)", "$17.50", "$3"], [-12, 17.5, 3]),
        (["$ (1,200.50)", "$ 300.00", "$ 5.00"], [-1200.5, 300, 5]),
        (["1.2 million", "3 million", "2 billion"], [1_200_000, 3_000_000, 2e9]),
        (["12-", "17.5", "3-"], [-12, 17.5, -3]),
        (["\u22125", "7.5", "3"], [-5, 7.5, 3]),
        (["+5", "-7.5", "3"], [5, -7.5, 3]),
        (["12 kg", "7.5 kg", "3kg"], [12, 7.5, 3]),
        (["36 months", "60 months", "12 months"], [36, 60, 12]),
        (["20 °C", "-7.5 °C", "3 °C"], [20, -7.5, 3]),
        (["120 km/h", "7.5 km/h", "3 km/h"], [120, 7.5, 3]),
        (["70 m²", "65.5 m²", "30 m²"], [70, 65.5, 30]),
        (["1.5K", "2M", "300"], [1500, 2_000_000, 300]),
        (["€110.5M", "€900K", "€0"], [110_500_000, 900_000, 0]),
        (["1,5 Mio. €", "2 Mio. €", "0,5 Mio. €"], [1_500_000, 2_000_000, 500_000]),
        (["1.5e3", "2E-1", "3"], [1500, 0.2, 3]),
        (["4,776e+03", "4,956e-02", "1,5e1"], [4776, 0.04956, 15]),
        (["14:30", "9:15", "0:00"], [14.5, 9.25, 0]),
        (["9:37 AM", "4:38 pm", "12:05 a.m.", "12:30PM"], [9.6166667, 16.6333333, 0.0833333]),
        (["14:30", "-", "0:15"], [14.5, None, 0.25]),
        (["-1:00:36", "0:59:59.5", "101:00"], [-1.01, 0.9998611, 101]),
        (["0 days 06:30:00", "1 days 00:15:00", "1 day, 0:00:00"], [6.5, 24.25, 24]),
        (["1.5", "inf", "-Inf"], [1.5, None, None]),
        (["1.5", "?", "3"], [1.5, None, 3]),
        (["12,5", "k.A.", "3"], [12.5, None, 3]),
        (["4", "-", "3"], [4, None, 3]),
        (["１２３", "４．５", "－７"], [123, 4.5, -7]),
        (["٣٤٥", "١٢٫٥", "٧"], [345, 12.5, 7]),
        (["৩৪৫", "১২.৫", "৭"], [345, 12.5, 7]),
        (["2 years", "1 year", "10 years"], [2, 1, 10]),
        (["1 Monat", "3 Monate", "24 Monaten"], [1, 3, 24]),
        (["AED 1,234.50", "AED 3.00", "AED 7"], [1234.5, 3, 7]),
        (["%12", "%7.5", "%3"], [12, 7.5, 3]),
        (["Rp 1.500.000", "Rp 25.000", "Rp 500"], [1_500_000, 25_000, 500]),
        (["\u20135", "7.5", "3"], [-5, 7.5, 3]),
        (["€ 12,-", "€ 15,50", "€ 1.200,-"], [12, 15.5, 1200]),
        (["50.–", "20.50", "1'200.–"], [50, 20.5, 1200]),
        (["1.5万", "3万", "2万"], [15_000, 30_000, 20_000]),
        (["1.5 lakh", "2 crore", "3 lakhs"], [150_000, 20_000_000, 300_000]),
        (["4", "3", "(null)", r"\N", "1.#QNAN"], [4, 3, None, None, None]),
        (["Rs 500/-", "Rs 1,250/-", "Rs 7.50"], [500, 1250, 7.5]),
        (["12 T€", "1,5 M€", "30 T€"], [12_000, 1_500_000, 30_000]),
        (["\u200e1.5", "\ufeff-2", "3"], [1.5, -2, 3]),
        (["- 1.5", "+ 2.5", "3"], [-1.5, 2.5, 3]),
        (["12 тыс. руб.", "3,5 тыс. руб.", "7 тыс. руб."], [12, 3.5, 7]),
        (["8:15 Uhr", "14:30 Uhr", "0:00 Uhr"], [8.25, 14.5, 0]),
        (["4", "UNKNOWN", "(leer)", "#WERT!", "3", "7", "9"], [4, None, None, None, 3]),
    ],
)
def test_numbers_are_read_as_people_write_them(tmp_path, cells, expected):
    guess = inferred(tmp_path, {"c": cells})
    assert guess.contract.columns["c"].type in ("number", "integer")
    found = pd.Series(values(tmp_path, guess)[: len(expected)])
    assert found.to_list() == pytest.approx(
        [np.nan if e is None else e for e in expected], nan_ok=True
    )
    if guess.contract.columns["c"].written or guess.contract.columns["c"].missing:
        assert guess.profiles["c"].notes  # nothing is guessed without a word


def test_parquet_may_hold_durations_times_of_day_and_infinite_numbers(tmp_path):
    frame = pd.DataFrame({"target": list("aabb") * (ROWS // 4)})
    frame["took"] = pd.to_timedelta([90.5, 3.0, None, 7.25] * (ROWS // 4), unit="s")
    frame["at"] = [time(14, 30), None, time(9, 15), time(0, 0, 36)] * (ROWS // 4)
    frame["speed"] = [1.5, np.inf, np.nan, 2.5] * (ROWS // 4)
    frame.to_parquet(tmp_path / "table.csv")
    guess = infer.infer(read_file(tmp_path / "table.csv"), "target")
    expected = {"took": [90.5, 3, np.nan, 7.25], "at": [14.5, np.nan, 9.25, 0.01]}
    for name, few in expected.items():
        assert guess.contract.columns[name].type == "number"
        assert values(tmp_path, guess, name)[:4] == pytest.approx(few, nan_ok=True)
    assert guess.profiles["took"].notes == ["a duration, in seconds"]
    assert guess.profiles["speed"].notes[0] == f"{ROWS // 4:,} infinite values count as missing"
    rule = guess.contract.columns["at"]
    assert payload.checker(rule)("14:30") == 14.5
    check_types(open_stream(tmp_path / "table.csv", list(expected)), guess.contract)
    given = pq.read_table(tmp_path / "table.csv").column("at")
    assert canonical(given, rule.type, rule)[0].to_pylist()[:3] == [14.5, None, 9.25]


@pytest.mark.parametrize("sep", [",", ";", "\t"])
@pytest.mark.parametrize("cells", [["1.678", "645", "242"], ["350.000", "249.500", "120.900"]])
def test_a_number_that_could_be_two_is_asked_about(tmp_path, sep, cells):
    with pytest.raises(UsageError, match=r'column "c": .* --decimal "\."'):
        inferred(tmp_path, {"c": cells}, sep=sep)
    first = float(cells[0])
    guess = inferred(tmp_path, {"c": cells}, sep=sep, decimal=",")
    assert values(tmp_path, guess)[0] == first * 1000
    guess = inferred(tmp_path, {"c": cells}, sep=sep, decimal=".")
    assert values(tmp_path, guess)[0] == first


@pytest.mark.parametrize(
    ("other", "cell", "value"),
    [
        ("0,89", "1.678", 1678),
        ("0.89", "1.678", 1.678),
        ("0.89", "1,678", 1678),
        ("0,89", "1,678", 1.678),
        ("1.678,80", "1.678", 1678),
        ("1.234.567", "1.678", 1678),
    ],
)
def test_the_rest_of_the_file_decides_what_a_column_leaves_open(tmp_path, other, cell, value):
    guess = inferred(tmp_path, {"other": [other, "12", "3"], "c": [cell, "645", "9"]}, sep=";")
    assert values(tmp_path, guess)[:3] == [value, 645, 9]
    assert "the rest of the file" in guess.profiles["c"].notes[0]


def test_commas_between_fields_leave_commas_in_numbers_to_thousands(tmp_path):
    guess = inferred(tmp_path, {"c": ["1,678", "645", "242"]})
    assert values(tmp_path, guess)[:3] == [1678, 645, 242]
    assert "since commas delimit the fields" in guess.profiles["c"].notes[0]


@pytest.mark.parametrize("sep", [",", ";"])
def test_digits_without_thousands_do_not_make_a_comma_a_decimal_sign(tmp_path, sep):
    columns = {"c": ["1,234", "1500", "12"]}
    if sep == ";":
        with pytest.raises(UsageError, match=r"1,234 may be 1\.234 or 1234"):
            inferred(tmp_path, columns, sep=sep)
    else:
        assert values(tmp_path, inferred(tmp_path, columns, sep=sep))[:3] == [1234, 1500, 12]


def test_a_file_that_contradicts_itself_does_not_decide(tmp_path):
    columns = {"point": ["0.5", "2"], "comma": ["0,5", "2"], "c": ["1.678", "645"]}
    with pytest.raises(UsageError, match=r'column "c": 1\.678 may be 1\.678 or 1678'):
        inferred(tmp_path, columns, sep=";")


@pytest.mark.parametrize(
    "cells",
    [
        ["$5", "€7", "$8"],
        ["12%", "0.5", "3%"],
        ["1.2.3", "1.2.4", "2.0.1"],
        ["192.168.0.1", "10.0.0.1", "10.0.0.2"],
        ["A12", "B7", "C3"],
        ["12a", "7b", "3c"],
        ["100g", "250g", "1kg"],
        ["0,5", "0.5", "3"],
        ["1,23.4", "5", "6"],
        ["(5", "5)", "6"],
        ["10-20", "20-30", "30-40"],
        ["5'11", "6'2", "5'9"],
        ["50-", "55-", "60-"],
        ["R1", "R2", "R12"],
        ["1. Yes", "2. No", "3. Unknown"],
        ["12.50 CR", "3.00", "7.00"],
        ["5 m", "7 mm", "9 mm"],
    ],
)
def test_what_is_no_number_stays_a_category(tmp_path, cells):
    assert inferred(tmp_path, {"c": cells}).contract.columns["c"].type == "category"


@pytest.mark.parametrize(
    "pair",
    [
        ("ja", "nein"),
        ("Oui", "Non"),
        ("sí", "no"),
        ("да", "нет"),
        ("WAHR", "FALSCH"),
        ("EVET", "HAYIR"),
        ("ya", "tidak"),
    ],
)
def test_yes_and_no_are_read_in_the_files_language(tmp_path, pair):
    guess = inferred(tmp_path, {"c": [pair[0], pair[1], pair[1]]})
    assert values(tmp_path, guess)[:3] == [True, False, False]
    check = payload.checker(guess.contract.columns["c"])
    assert (check(pair[0]), check(pair[1]), check(True)) == (True, False, True)


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1949-01", "1949-02", "1950-12"], "1949-01-01"),
        (["01/1949", "02/1949", "12/1950"], "1949-01-01"),
        (["Jan 1949", "Feb 1949", "Dec 1950"], "1949-01-01"),
        (["January 1949", "February 1949", "May 1950"], "1949-01-01"),
        (["20200705", "20210715", "20220120"], "2020-07-05"),
        (["20200705.0", "", "20220120.0", "20220121.0"], "2020-07-05"),
        (["2020-07-05", "2021-07-15", "2022-01-20"], "2020-07-05"),
        (["Jul 05 2020", "Jul 15 2021", "Jan 20 2022"], "2020-07-05"),
        (["July 5, 2020", "July 15, 2021", "January 20, 2022"], "2020-07-05"),
        (["5 July 2020", "15 July 2021", "20 January 2022"], "2020-07-05"),
        (["05-Jul-20", "15-Jul-21", "20-Jan-22"], "2020-07-05"),
        (["5. Juli 2020", "15. März 2021", "20. Dezember 2022"], "2020-07-05"),
        (["5 juillet 2020", "15 août 2021", "20 janv. 2022"], "2020-07-05"),
        (["5 de julio de 2020", "15 de marzo de 2021", "20 de enero de 2022"], "2020-07-05"),
        (["Sun, 05 Jul 2020", "Thu, 15 Jul 2021", "Thu, 20 Jan 2022"], "2020-07-05"),
        (["07/05/2020 03:15 PM", "07/15/2021 12:00 AM", "01/20/2022 11:59 am"], "2020-07-05 15:15"),
        (["2020-07-05 3:15:30 PM", "2021-07-15 12:00:00 AM", "2022-01-20 1:00:00 AM"], "2020-07-05 15:15:30"),
        (["15.07.2020 03:15", "15.07.2021 12:00", "20.01.2022 23:59"], "2020-07-15 03:15"),
        (["Sun, 05 Jul 2020 03:15:00 +0200", "Thu, 15 Jul 2021 03:15:00 +0000", "Thu, 20 Jan 2022 03:15:00 -0100"], "2020-07-05 01:15"),
        (["2020-07-05", "15/07/2021", "Jan 20, 2022"], "2020-07-05"),
        (["15.07.2020", "-", "20.01.2022"], "2020-07-15"),
        (["15.07.2020", "00.00.0000", "20.01.2022"], "2020-07-15"),
        (["2021Q3", "2021Q4", "2022Q1"], "2021-07-01"),
        (["2021 Q3", "2021 Q4", "2022 Q1"], "2021-07-01"),
        (["Q3 2021", "Q4 2021", "Q1 2022"], "2021-07-01"),
        (["Q32021", "Q42021", "Q12022"], "2021-07-01"),
        (["2020-W53", "2021-W01", "2021-W52"], "2020-12-28"),
        (["2021W01", "2021W02", "2021W52"], "2021-01-04"),
        (["2020-W53-5", "2021-W01-1", "2021-W52-7"], "2021-01-01"),
        (["KW01/2021", "KW02/2021", "KW52/2021"], "2021-01-04"),
        (["2021q3", "2021q4", "2022q1"], "2021-07-01"),
        (["3Q 2021", "4Q 2021", "1Q 2022"], "2021-07-01"),
        (["T3 2021", "T4 2021", "T1 2022"], "2021-07-01"),
        (["3. Quartal 2021", "4. Quartal 2021", "1. Quartal 2022"], "2021-07-01"),
        (["Jul-20", "Aug-20", "Jan-22"], "2020-07-01"),
        (["Q3/20", "Q4/20", "Q1/22"], "2020-07-01"),
        (["julio de 2020", "agosto de 2020"], "2020-07-01"),
        (["5 июля 2020", "15 августа 2021", "20 января 2022"], "2020-07-05"),
        (["5 lipca 2020", "15 sierpnia 2021", "20 stycznia 2022"], "2020-07-05"),
        (["5. července 2020", "15. srpna 2021", "20. ledna 2022"], "2020-07-05"),
        (["5 Temmuz 2020", "15 Ağustos 2021", "20 Ocak 2022"], "2020-07-05"),
        (["5. heinäkuuta 2020", "15. elokuuta 2021", "20. tammikuuta 2022"], "2020-07-05"),
        (["5 Ιουλίου 2020", "15 Αυγούστου 2021", "20 Ιανουαρίου 2022"], "2020-07-05"),
        (["2020年7月5日", "2021年7月15日", "2022年1月20日"], "2020-07-05"),
        (["20/07/14", "20/08/28", "21/01/03"], "2020-07-14"),
        (["2020-07-05 03:15:30 UTC", "2021-07-15 12:00:00 UTC", "2022-01-20 01:00:00 UTC"], "2020-07-05 03:15:30"),
        (["2020-07-05 03:15:30+02", "2021-07-15 12:00:00+02", "2022-01-20 01:00:00+01"], "2020-07-05 01:15:30"),
        (["20200705T031530Z", "20210715T120000Z", "20220120T010000Z"], "2020-07-05 03:15:30"),
        (["2020-07-05 03:15:30,123", "2021-07-15 12:00:00,5", "2022-01-20 01:00:00,25"], "2020-07-05 03:15:30.123"),
        (["2020-07-05 03", "2021-07-15 12", "2022-01-20 23"], "2020-07-05 03:00"),
        (["15.07.2020, 03:15 Uhr", "15.07.2021, 12:00 Uhr", "20.01.2022, 23:59 Uhr"], "2020-07-15 03:15"),
        (["So, 05.07.2020", "Do, 15.07.2021", "Do, 20.01.2022"], "2020-07-05"),
        (["domingo, 5 de julho de 2020", "quinta-feira, 15 de julho de 2021"], "2020-07-05"),
        (["5. 7. 2020", "15. 7. 2021", "20. 1. 2022"], "2020-07-05"),
        (["2020. 07. 05.", "2021. 07. 15.", "2022. 01. 20."], "2020-07-05"),
        (["1er juillet 2020", "15 août 2021", "20 janvier 2022"], "2020-07-01"),
        (["7/5/2020, 3:15:30\u202fPM", "7/15/2021, 12:00:00\u202fAM"], "2020-07-05 15:15:30"),
        (["5/7/2020 3:15 p.\u00a0m.", "15/7/2021 12:00 a.\u00a0m."], "2020-07-05 15:15"),
        (["5\u00a0juillet\u00a02020", "15\u00a0août\u00a02021"], "2020-07-05"),
        (["\u200e15/07/2020", "\u200e20/01/2022"], "2020-07-15"),
        (["２０２０／０７／０５", "２０２１／０７／１５"], "2020-07-05"),
        (["2020–07–05", "2021–07–15"], "2020-07-05"),
        (["05-JUL-20 03.15.00.000000 PM", "15-JUL-21 12.00.00.000000 AM"], "2020-07-05 15:15"),
        (["15.07.2020 um 03:15 Uhr", "20.01.2022 um 23:59 Uhr"], "2020-07-15 03:15"),
        (["July 5, 2020 at 3:15 PM", "July 15, 2021 at 12:00 AM"], "2020-07-05 15:15"),
    ],
)  # fmt: skip
def test_dates_are_read_as_people_write_them(tmp_path, cells, expected):
    guess = inferred(tmp_path, {"c": cells})
    rule = guess.contract.columns["c"]
    assert (rule.type, rule.min, rule.max) == ("datetime", None, None)
    assert rule.format is None or guess.profiles["c"].notes
    assert values(tmp_path, guess)[0] == pd.Timestamp(expected)
    assert payload.checker(rule)(cells[0]) == pd.Timestamp(expected)


@pytest.mark.parametrize(
    ("name", "unit"),
    [("created_at", "s"), ("measured", "s"), ("epoch_ms", "ms"), ("x", "ms"), ("created_at", "us")],
)
def test_seconds_and_milliseconds_since_1970_are_times(tmp_path, name, unit):
    times = pd.date_range("2020-07-05 10:00", periods=ROWS, freq="37h")
    numbers = (
        (times.astype("int64") // {"s": 10**9, "ms": 10**6, "us": 10**3}[unit]).astype(str).tolist()
    )
    guess = inferred(tmp_path, {name: ["", *numbers[1:]]})
    assert values(tmp_path, guess, name) == [pd.NaT, *times[1:]]
    rule = guess.contract.columns[name]
    assert payload.checker(rule)(int(numbers[1])) == times[1]
    for word in ("soon", "9999999999999999999"):
        assert not parse_word(word, rule)[1]


def test_months_as_whole_numbers_are_dates(tmp_path):
    months = pd.period_range("2018-01", periods=36, freq="M").strftime("%Y%m").tolist()
    guess = inferred(tmp_path, {"c": months})
    assert values(tmp_path, guess)[12] == pd.Timestamp("2019-01-01")


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("income", ["201904", "183012", "250099"]),
        ("price", ["19991231", "20011399", "5"]),
        ("customer_id", ["1593907200", "1626307200", "1642636800"]),
        ("population", ["1400000000", "1380000000", "1330000000"]),
        ("year", ["2013", "2014", "2015"]),
    ],
)
def test_amounts_and_names_are_no_dates(tmp_path, name, cells):
    assert (
        inferred(tmp_path, {"x": ["1", "2", "3", "4"], name: cells}).contract.columns[name].type
        == "integer"
    )


@pytest.mark.parametrize(
    ("name", "cells", "first"),
    [
        ("dob", ["13012019", "14022019", "05032020"], "2019-01-13"),
        ("week", ["201902", "201933", "202052"], "2019-01-07"),
        ("date", ["190113", "190214", "200305"], "2019-01-13"),
        ("sold_at", ["20190113", "20190214", "20200305", "0"], "2019-01-13"),
        ("julian_date", ["2019060", "2020366", "2021001"], "2019-03-01"),
        ("ts", ["1593907200000000000", "1626307200000000000", "1642636800000000000"], "2020-07-05"),
    ],
)
def test_a_telling_name_makes_whole_numbers_dates(tmp_path, name, cells, first):
    guess = inferred(tmp_path, {"x": ["1", "2", "4"], name: cells})
    found = values(tmp_path, guess, name)
    assert found[0] == pd.Timestamp(first)
    assert guess.profiles[name].notes
    assert pd.isna(found[3]) or "0" not in cells


@pytest.mark.parametrize(
    "cells",
    [
        ["2019-003", "2019-104"],
        ["1. siječnja 2019", "2. veljače 2020"],
        ["1h 30m", "45m"],
        ["PT1H30M", "PT5M"],
        ["-1 days +23:00:00", "2 days"],
        ["52°31'N", "48°08'S"],
        ["FY21", "FY22"],
        ["½", "1½"],
        ["令和3年2月27日", "令和4年6月12日"],
    ],
)
def test_what_may_be_dates_and_is_not_known_is_said(tmp_path, cells):
    guess = inferred(tmp_path, {"x": ["1", "2", "4"], "c": cells})
    assert guess.contract.columns["c"].type == "category"
    assert f"if {cells[0]} is a date, --date-format" in guess.profiles["c"].notes[0]


@pytest.mark.parametrize(
    ("cells", "hint"),
    [
        (["925,52 €", "1.2.3 €"], "if 925,52 € is an amount, write plain numbers"),
        (["+49 171 2555413", "+49 30 800996"], "if +49 171 2555413 is an amount"),
        (["P035", "P007"], ""),
    ],
)
def test_no_amount_or_name_is_asked_about_as_a_date(tmp_path, cells, hint):
    (note,) = inferred(tmp_path, {"x": ["1", "2", "4"], "c": cells}).profiles["c"].notes or [""]
    assert hint in note
    assert "is a date" not in note


@pytest.mark.parametrize(
    "cells", [["21-May", "3-June"], ["Mar 1st", "août 2"], ["Jan 03", "Feb 17", "Mar 31"]]
)
def test_days_without_a_year_are_said(tmp_path, cells):
    guess = inferred(tmp_path, {"x": ["1", "2", "4"], "c": cells})
    assert guess.contract.columns["c"].type == "category"
    assert "without a year" in guess.profiles["c"].notes[0]


@pytest.mark.parametrize(
    ("cells", "hint", "format", "first"),
    [
        (["44197", "44562.5", "44600"], "2021-01-01 to 2022-02-08", "excel_days", "2021-01-01 05:00"),
        (["2021-01-01 10:00 EST", "2021-02-01 11:30 EST", "2021-03-01 09:15 EST"], '%H:%M EST" with', "%Y-%m-%d %H:%M EST", "2021-01-01 15:00"),
        (["2019-060", "2020-366", "2021-001"], "--date-format", "%Y-%j", "2019-03-01 05:00"),
    ],
)  # fmt: skip
def test_what_may_be_times_is_said_with_the_format_that_reads_it(
    tmp_path, cells, hint, format, first
):
    columns = {"x": ["1", "2", "4"], "order_date": cells}
    assert hint in inferred(tmp_path, columns).profiles["order_date"].notes[0]
    guess = inferred(tmp_path, columns, formats={"order_date": format}, zone="America/New_York")
    assert values(tmp_path, guess, "order_date")[0] == pd.Timestamp(first)


def test_an_hour_that_a_zone_has_twice_or_never_is_said(tmp_path):
    columns = {"x": ["1", "2", "4"], "c": ["2024-10-27 02:30", "2024-10-27 03:30"]}
    guess = inferred(tmp_path, columns, zone="Europe/Berlin")
    assert values(tmp_path, guess)[0] == datetime(2024, 10, 27, 0, 30)
    assert guess.profiles["c"].notes == [
        "2024-10-27 02:30:00 is twice in Europe/Berlin: the earlier is taken"
    ]
    columns["c"] = ["31.03.2024 02:30", "31.03.2024 03:30"]
    notes = inferred(tmp_path, columns, zone="Europe/Berlin").profiles["c"].notes
    assert (
        "2024-03-31 02:30:00 is never in Europe/Berlin: correct it, or name another zone" in notes
    )
    with pytest.raises(UsageError, match=r"the time column .*Noted.* 02:30:00 is never"):
        inferred(tmp_path, columns, zone="Europe/Berlin", time="c")


def test_whole_numbers_of_parquet_beyond_a_float_stay_apart_beside_a_gap(tmp_path):
    ids = [2**60 + i // 6 for i in range(ROWS - 1)]
    frame = pd.DataFrame({"id": pd.array([None, *ids], "Int64"), "x": [1.5, 2, 4] * (ROWS // 3)})
    frame.assign(target=list("aabb") * (ROWS // 4)).to_parquet(tmp_path / "table.csv")
    guess = infer.infer(read_file(tmp_path / "table.csv"), "target", group="id")
    assert values(tmp_path, guess, "id")[1:] == [str(one) for one in ids]
    assert "more digits than a number can hold" in guess.profiles["id"].notes[0]


def test_a_format_that_is_given_is_followed_or_refused(tmp_path):
    columns = {"a=b": ["03/04/2013", "05/06/2013", "07/08/2013"], "x": ["1", "2"]}
    guess = inferred(tmp_path, columns)
    assert values(tmp_path, guess, "a=b")[0] == datetime(2013, 3, 4)
    formats = infer.formats_in(["a=b=%d/%m/%Y"], read_file(tmp_path / "table.csv"))
    guess = inferred(tmp_path, columns, formats=formats)
    assert values(tmp_path, guess, "a=b")[0] == datetime(2013, 4, 3)
    with pytest.raises(UsageError, match=r'column "a=b" is not written as %d\.%m\.%Y.*03/04/2013'):
        inferred(tmp_path, columns, formats={"a=b": "%d.%m.%Y"})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("c", "expected COLUMN=FORMAT"),
        ("see=%Y-%m", "expected COLUMN=FORMAT .*did you mean `c`|expected COLUMN=FORMAT"),
        ("c=%Q", "%Q is none of"),
        ("c=%d", "a year .* and a month"),
        ("c=%Y-%m %I", "%I, an hour of twelve, and %p"),
        ("c=%Y-%j-%d", "%j, the day of a year, stands without"),
        ("c=%Y-W%V", "%G, the year of a week, and %V"),
    ],
)
def test_a_format_that_cannot_be_is_refused(tmp_path, given, message):
    inferred(tmp_path, {"c": ["1", "2"]})
    with pytest.raises(UsageError, match=message):
        infer.formats_in([given], read_file(tmp_path / "table.csv"))


def test_dates_in_both_orders_are_not_guessed(tmp_path):
    guess = inferred(tmp_path, {"c": ["13/01/2021", "01/13/2021", "03/04/2021"], "x": ["1", "2"]})
    assert guess.contract.columns["c"].type == "category"
    assert "month first and day first are mixed" in guess.profiles["c"].notes[0]


def test_a_stand_in_beside_many_dates_is_found_wherever_it_is(tmp_path):
    days = pd.date_range("2021-01-01", periods=ROWS - 1).astype(str).tolist()
    guess = inferred(tmp_path, {"c": [*days, "unknown"], "x": ["1", "2"]})
    assert guess.contract.columns["c"].missing == ("unknown",)


def test_the_century_of_two_digits_is_said(tmp_path):
    guess = inferred(tmp_path, {"c": ["31.12.45", "15.07.21", "20.01.68"], "x": ["1", "2"]})
    assert "68 the year 2068: 20.01.68 is 2068-01-20" in " ".join(guess.profiles["c"].notes)


@pytest.mark.parametrize("format", ["%y%m%d", "%Y%j", "%d%m%Y", "epoch_us", "epoch_ns"])
def test_whole_numbers_that_are_all_dates_are_asked_about(tmp_path, format):
    days = pd.date_range("2019-01-31", periods=30, freq="37D")
    as_epoch = {"epoch_us": 1_000, "epoch_ns": 1}
    cells = [
        str(day.value // as_epoch[format]) if format in as_epoch else day.strftime(format)
        for day in days
    ]
    guess = inferred(tmp_path, {"x": ["1", "2", "4"], "c": cells})
    assert guess.contract.columns["c"].type != "datetime"
    said = f"if these are dates, 2019-01-31 to {days[-1]:%Y-%m-%d}: --date-format COLUMN={format}"
    assert said in guess.profiles["c"].notes


@pytest.mark.parametrize("cells", [["18685", "18750"], ["2459273.5", "2459337.1"]])
def test_numbers_that_are_called_dates_are_said(tmp_path, cells):
    guess = inferred(tmp_path, {"x": ["1", "2", "4"], "birth_date": cells})
    assert "numbers, though called dates" in guess.profiles["birth_date"].notes[0]


def test_one_impossible_date_is_named(tmp_path):
    cells = ["2021-02-27", "2021-02-28", "2021-02-30", "2021-03-01"]
    guess = inferred(tmp_path, {"x": ["1", "2", "4"], "c": cells})
    assert "dates written as %Y-%m-%d, but also '2021-02-30'" in guess.profiles["c"].notes[0]


def test_a_column_with_another_decimal_sign_than_the_rest_is_noted(tmp_path):
    guess = inferred(tmp_path, {"c": ["11", "14,15", "16"], "x": ["1.5", "2.5"], "y": ["0.1", "7"]})
    assert "other columns have a decimal point" in guess.profiles["c"].notes


def test_times_with_and_without_an_offset_are_asked_about(tmp_path):
    columns = {
        "x": ["1", "2"],
        "c": ["2024-10-26T12:00:00+02:00", "2024-10-26T12:00:00", "2024-01-26 12:00"],
    }
    with pytest.raises(UsageError, match=r'column "c" .*--time-zone UTC or another'):
        inferred(tmp_path, columns)
    guess = inferred(tmp_path, columns, zone="Europe/Berlin")
    noon = datetime(2024, 10, 26, 10)
    assert values(tmp_path, guess)[:3] == [noon, noon, datetime(2024, 1, 26, 11)]
    check = payload.checker(guess.contract.columns["c"])
    assert [check(cell) for cell in columns["c"]] == [noon, noon, datetime(2024, 1, 26, 11)]


@pytest.mark.parametrize(
    "cells",
    [
        ["12.5", "-999", "3"],
        ["12", "-9999", "300"],
        ["2", "9999", "31"],
        ["2.5", "1e30", "31"],
        ["2.5", "-3.4028235e+38", "31"],
        ["2020-01-01", "9999-12-31", "2021-05-05"],
        ["01.01.2020", "31.12.9999", "05.05.2021"],
        ["20200101", "99991231", "20210505"],
        ["2020-01-01", "1900-01-01", "2021-05-05"],
        ["2020-01-01", "0001-01-01", "2021-05-05"],
    ],
)
def test_a_stand_in_for_missing_is_read_as_missing_with_a_note(tmp_path, cells):
    guess = inferred(tmp_path, {"c": cells})
    rule = guess.contract.columns["c"]
    assert rule.type != "text" and rule.missing and cells[1] in " ".join(guess.profiles["c"].notes)
    found = values(tmp_path, guess)
    assert pd.isna(found[1]) and not pd.isna(found[0]) and not pd.isna(found[2])
    check = payload.checker(rule)
    assert check(cells[1]) is None
    assert rule.type == "datetime" or check(float(cells[1])) is None


def test_a_date_that_stands_for_missing_does_so_in_every_zone(tmp_path):
    columns = {"c": ["2020-01-01", "1900-01-01", "2021-05-05"]}
    guess = inferred(tmp_path, columns, zone="America/New_York")
    assert guess.contract.columns["c"].missing == ("1900-01-01",)
    assert pd.isna(values(tmp_path, guess)[1])


@pytest.mark.parametrize(
    "cells",
    [
        ["-1500", "-999", "300"],
        ["9000", "9999", "12000"],
        ["1200", "999", "1234", "1300"],
        ["1890-01-01", "1900-01-01", "1910-05-05"],
    ],
)
def test_a_value_among_others_is_no_stand_in(tmp_path, cells):
    assert inferred(tmp_path, {"c": cells}).contract.columns["c"].missing == ()


@pytest.mark.parametrize("cells", [["1", "2", "3", "9"], ["0", "1", "2", "-1"], ["10", "20", "99"]])
def test_a_code_apart_from_all_others_is_asked_about(tmp_path, cells):
    guess = inferred(tmp_path, {"c": cells})
    assert guess.contract.columns["c"].missing == ()
    assert f"{cells[-1]} in " in guess.profiles["c"].notes[0]


def test_a_word_for_missing_is_a_value_where_that_is_said(tmp_path):
    inferred(tmp_path, {"c": ["NA", "DE", "", "FR", "NA"]})
    table = read_file(tmp_path / "table.csv")
    guess = infer.infer(infer.with_values(table, ["c=NA"]), "target")
    assert values(tmp_path, guess)[:5] == ["NA", "DE", None, "FR", "NA"]
    rule = guess.contract.columns["c"]
    window = Window((str(tmp_path / "table.csv"),))
    (batch,) = batches(window, {"c": rule.type}, {"c": rule})
    assert batch.columns["c"].to_pylist()[:5] == ["NA", "DE", None, "FR", "NA"]
    (batch,) = batches(window, {"c": rule.type})
    assert batch.columns["c"].to_pylist()[:5] == [None, "DE", None, "FR", None]
    inferred(tmp_path, {"c": ["inf", "mild", "severe"]})
    guess = infer.infer(infer.with_values(read_file(tmp_path / "table.csv"), ["c=inf"]), "target")
    assert values(tmp_path, guess)[:3] == ["inf", "mild", "severe"]
    assert not any("infinite" in note for note in guess.profiles["c"].notes)
    for wrong in ("c=None", "d=NA", "NA"):
        with pytest.raises(UsageError, match=f"--not-missing {wrong}: expected COLUMN=WORD"):
            infer.with_values(table, [wrong])
    with pytest.raises(ValueError, match="'DE' is a value anyway"):
        Reading(type="category", not_missing=("DE",))


def test_a_target_keeps_its_values(tmp_path):
    path = tmp_path / "table.csv"
    pd.DataFrame({"x": range(1, 301, 5), "y": [12.5, -999, 3.25] * 20}).to_csv(path, index=False)
    guess = infer.infer(read_file(path), "y", kind="regression")
    assert guess.contract.columns["y"].missing == ()
    assert "-999" in " ".join(guess.profiles["y"].notes)


SIGNS = st.sampled_from([(".", None), (",", None), (".", ","), (",", "."), (",", " "), (".", "'")])


@st.composite
def ways(draw: st.DrawFn) -> Written:
    decimal, thousands = draw(SIGNS)
    return Written(
        decimal=decimal,
        thousands=thousands,
        unit=draw(st.sampled_from([None, "€", "US$", "kg", "%", "m²"])),
        negative=draw(st.sampled_from([None, "parentheses", "trailing minus"])),
    )


def write(number: float, way: Written, *, before: bool) -> str:
    text = f"{abs(number):,.3f}".rstrip("0").rstrip(".")
    text = text.translate(str.maketrans({",": way.thousands or "", ".": way.decimal}))
    if way.unit:
        text = f"{way.unit}{text}" if before else f"{text} {way.unit}"
    if number >= 0:
        return text
    forms = {"parentheses": f"({text})", "trailing minus": f"{text}-", None: f"-{text}"}
    return forms[way.negative]


@settings(max_examples=60, deadline=None)
@given(
    numbers=st.lists(
        st.integers(-(10**10), 10**10).map(lambda n: n / 1000), min_size=1, max_size=20
    ),
    way=ways(),
    before=st.booleans(),
)
def test_a_number_is_read_as_it_was_written_by_files_and_by_requests(numbers, way, before):
    words = [write(number, way, before=before) for number in numbers]
    rule = Reading(type="number", written=way)
    parsed = parse(Cells(pa.chunked_array([pa.array(words)]), ","), rule)
    assert not parsed.wrong.any()
    assert parsed.values.tolist() == numbers
    check = payload.checker(Column(type="number", written=way))
    assert [check(word) for word in words] == numbers == [check(number) for number in numbers]


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    numbers=st.lists(
        st.integers(-(10**10), 10**10).map(lambda n: n / 1000), min_size=3, max_size=20
    ),
    way=ways(),
    before=st.booleans(),
    sep=st.sampled_from([",", ";", "\t"]),
)
def test_a_table_of_numbers_is_read_rightly_or_asked_about(
    tmp_path_factory, numbers, way, before, sep
):
    folder = tmp_path_factory.getbasetemp()
    words = [write(number, way, before=before) for number in numbers]
    guess = None
    with contextlib.suppress(UsageError):  # asked about; or all are the same, and nothing is left
        guess = inferred(folder, {"c": words}, sep=sep)
    if guess and guess.contract.columns["c"].type in ("number", "integer"):
        expected = (numbers * ROWS)[:ROWS]
        assert pd.Series(values(folder, guess)).fillna(0).tolist() == [
            0 if f"{n:.15g}" in guess.contract.columns["c"].missing else n for n in expected
        ]


FORMATS = [
    "%Y%m%d", "%Y-%m", "%d.%m.%Y", "%m/%d/%Y", "%d %b %Y", "%B %d, %Y", "%m/%d/%Y %I:%M %p",
    "%Y-%m-%d %I:%M:%S %p", "%d.%m.%Y %H:%M", "%a %b %d %H:%M:%S %Y", "%d/%b/%Y:%H:%M:%S %z", "%d.%m.%y",
]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    times=st.lists(
        st.datetimes(datetime(1970, 1, 1), datetime(2068, 12, 31)), min_size=1, max_size=10
    ),
    format=st.sampled_from(FORMATS),
)
def test_a_time_is_read_as_strptime_reads_it_by_files_and_by_requests(times, format):
    words = [time.replace(tzinfo=UTC).strftime(format) for time in times]
    expected = [datetime.strptime(word, format).replace(tzinfo=None) for word in words]
    parsed = parse(
        Cells(pa.chunked_array([pa.array(words)]), ","), Reading(type="datetime", format=format)
    )
    assert parsed.values.dt.to_pydatetime().tolist() == expected
    check = payload.checker(Column(type="datetime", format=format))
    assert [check(word) for word in words] == expected


@pytest.mark.parametrize(
    "words", [["1st March 2024", "22nd April 2024"], ["March 3rd, 2024", "April 21st, 2024"]]
)
def test_english_ordinals_are_days(tmp_path, words):
    guess = inferred(tmp_path, {"c": words})
    assert guess.contract.columns["c"].type == "datetime"
    plain = re.sub("st|nd|rd", "", words[0]).replace(",", "")
    form = "%d %B %Y" if plain[0].isdigit() else "%B %d %Y"
    assert values(tmp_path, guess)[0] == datetime.strptime(plain, form)


@example("2013-01-01")  # Hypothesis draws it too where a loaded module has it
@given(
    word=st.text(max_size=12) | st.from_regex(r"[0-9]{1,2}\.[0-9]{1,2}\.[0-9]{4}", fullmatch=True)
)
def test_a_date_that_is_none_is_none_for_files_and_requests(word):
    rule = Column(type="datetime", format="%d.%m.%Y")
    cells = Cells(pa.chunked_array([pa.array([word])]), ",")
    parsed = parse(cells, rule)
    iso = parse(cells, Column(type="datetime"))
    assume(iso.wrong[0] or iso.nulls[0])  # ISO 8601 is a date in every request
    try:
        found = payload.checker(rule)(word)
    except ValueError:
        assert parsed.wrong[0] or parsed.nulls[0]  # NA is a word in JSON
    else:
        assert found == (None if parsed.nulls[0] else parsed.values[0])
