"""Files of collected data that a window reads."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelyard.monitoring.sources import Sources, collected_files

hours = st.datetimes(datetime(2026, 1, 30), datetime(2026, 3, 2)).map(
    lambda t: t.replace(tzinfo=UTC)
)


def test_ground_truth_of_another_target_is_passed_over_with_a_note(tmp_path: Path) -> None:
    folder = tmp_path / "ground_truth"
    folder.mkdir()
    for name, target in (("old", "late"), ("new", "churn")):
        table = pa.table(
            {"correlationid": ["a"], target: [True], "known_at": [datetime(2026, 1, 1)]}
        )
        pq.write_table(table, folder / f"{name}.parquet")
    sources = Sources(tmp_path, None, datetime.now(UTC), tmp_path, None, None, None, "")  # type: ignore[arg-type]
    assert sources.ground_truth("churn").files == (str(folder / "new.parquet"),)
    [note] = sources.notes
    assert note == 'old.parquet is ground truth of late, not of "churn": passed over'


@given(st.sets(hours, max_size=6), hours, st.timedeltas(timedelta(minutes=1), timedelta(days=20)))
def test_only_hours_that_the_window_touches_are_read(
    tmp_path_factory: pytest.TempPathFactory,
    stamps: set[datetime],
    start: datetime,
    size: timedelta,
) -> None:
    base = tmp_path_factory.mktemp("c")
    for stamp in stamps:
        folder = base / f"{stamp:%Y/%m/%d/%H}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "a.parquet").touch()
        (folder / ".b.parquet").touch()
    end = start + size
    found = {Path(p).relative_to(base).parent.as_posix() for p in collected_files(base, start, end)}
    first, last = f"{start:%Y/%m/%d/%H}", f"{end:%Y/%m/%d/%H}"
    assert found == {f"{s:%Y/%m/%d/%H}" for s in stamps if first <= f"{s:%Y/%m/%d/%H}" <= last}
