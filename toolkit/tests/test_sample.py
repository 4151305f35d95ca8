"""The sample's table, built from a few rows in the form of the published data."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from modelyard import sample

FLIGHTS = """\
year,month,day,dep_time,sched_dep_time,dep_delay,arr_time,sched_arr_time,arr_delay,carrier,flight,\
tailnum,origin,dest,air_time,distance,hour,minute,time_hour
2013,1,1,517,515,2,830,819,11,UA,1545,N14228,EWR,IAH,227,1400,5,15,2013-01-01T10:00:00Z
2013,1,1,2354,2359,-5,430,440,16,B6,725,N503JB,JFK,BQN,195,1576,23,59,2013-01-02T04:00:00Z
2013,1,1,NA,600,NA,NA,901,NA,B6,125,N618JB,JFK,FLL,NA,1069,6,0,2013-01-01T11:00:00Z
"""
PLANES = "tailnum,year,manufacturer,seats\nN14228,1999,BOEING,149\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "flights.csv").write_text(FLIGHTS)
    (tmp_path / "planes.csv").write_text(PLANES)
    pd.read_csv(tmp_path / "flights.csv").to_csv(tmp_path / "flights.csv.zip", index=False)
    return tmp_path


def test_flights_that_never_arrived_are_left_out(folder: Path) -> None:
    assert len(sample.flights(folder, "late")) == 2


def test_the_target_is_late_beyond_a_quarter_of_an_hour_or_the_delay(folder: Path) -> None:
    assert sample.flights(folder, "late")["late"].tolist() == [False, True]
    assert sample.flights(folder, "arrival_delay")["arrival_delay"].tolist() == [11, 16]


def test_planned_minutes_survive_midnight(folder: Path) -> None:
    assert sample.flights(folder, "late")["planned_minutes"].tolist() == [184, 281]


def test_nothing_known_only_after_departure_is_in_the_table(folder: Path) -> None:
    columns = set(sample.flights(folder, "late").columns)
    assert not columns & {"dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"}
    assert sample.flights(folder, "late")["plane_seats"].tolist() == [149, pd.NA]
