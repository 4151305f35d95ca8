"""Data that a monitor's windows are made of: collected rows, and the table of the champion."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from modelyard.console import counted, listed
from modelyard.contract.line import another_line
from modelyard.contract.model import Contract, load_contract
from modelyard.errors import UsageError
from modelyard.models.registry import Located
from modelyard.monitoring.monitor_file import Monitor
from modelyard.monitoring.schedule import MonitorData
from modelyard.monitoring.windows import Window, batches
from modelyard.pipelines.data_assets import local_path
from modelyard.serving.collect import ID, KNOWN_AT
from modelyard.serving.collected_files import contract_file, digest_of

LOCAL_ENDPOINT = "local"
PARTS = ("train", "validation", "test")


@dataclass
class Sources:
    """Data of one run of a monitor.

    Attributes:
        at: when the monitor runs.
        collected: folder of collected data.
        reference: a table, or a folder of prepared parts, instead of the champion's.
        champion: None where the project has none.
        contract: that of the champion, without one the project's.
        digest: of the contract's file.
        notes: remarks on what was found, added while windows are looked up.
    """

    root: Path
    monitor: Monitor
    at: datetime
    collected: Path
    reference: Path | None
    champion: Located | None
    contract: Contract
    digest: str
    notes: list[str] = field(default_factory=list)
    _files: dict[tuple[str, datetime, datetime], list[str]] = field(default_factory=dict)
    _others: dict[str, str | None] = field(default_factory=dict)

    def production_window(self, data: MonitorData | None, context: str) -> Window:
        """Return the production window of a signal; `context` where its data names none."""
        start, end = self.monitor.window(data, self.at)
        return self._collected((data.data_context if data else None) or context, start, end)

    def reference_window(
        self, data: MonitorData | None, production: MonitorData | None, context: str
    ) -> Window:
        """Return the reference window of a signal: collected data, or the training table."""
        given = (data.data_context if data else None) or context
        start, end = self.monitor.reference_window(data, production, self.at)
        if data is None or given in ("model_inputs", "model_outputs"):
            start = start or datetime(1970, 1, 1, tzinfo=UTC)
            return self._collected(given, start, end or self.at)
        return Window(tuple(str(path) for path in self._table(data, given)))

    def ground_truth(self, target: str) -> Window:
        """Return the ground truth known when the monitor runs; files of another target are passed over."""
        files = []
        for file in sorted((self.collected / "ground_truth").glob("[!.]*.parquet")):
            try:
                known = set(pq.read_schema(file).names)
            except (pa.ArrowException, OSError):  # reading the window raises the error
                known = {target}
            others = known - {ID, KNOWN_AT}
            if target not in known and len(known) == len(others) + 2:
                note = f'{file.name} is ground truth of {listed(sorted(others))}, not of "{target}": passed over'
                self.notes.append(note)
            else:
                files.append(str(file))
        return Window(tuple(files), None, self.at)

    def why_other(self, digest: str) -> str | None:
        """Say why rows answered under a contract are not compared; None where they are."""
        if digest not in self._others:
            self._others[digest] = self._why_other(digest)
        return self._others[digest]

    def _why_other(self, digest: str) -> str | None:
        if digest == self.digest:
            return None
        file = contract_file(self.collected, digest)
        if not file.is_file():
            return f"its contract, {file}, is gone"
        old = load_contract(file)
        if why := another_line(old, self.contract):
            return why
        lacking = [name for name in self.contract.features if name not in old.features]
        return f"it does not take {listed(lacking)}" if lacking else None

    def _collected(self, context: str, start: datetime, end: datetime) -> Window:
        key = (context, start, end)
        if key not in self._files:
            self._files[key] = self._of_this_line(self._collected_files(*key), *key)
        return Window(tuple(self._files[key]), start, end)

    def _collected_files(self, context: str, start: datetime, end: datetime) -> list[str]:
        """Find collected files: of the monitor's deployment, else of the endpoint on this machine."""
        monitor = self.monitor
        own = self.collected / monitor.endpoint / monitor.deployment
        files = list(collected_files(own / context, start, end))
        if files:
            return files
        # A release alternates between two deployments; both served in turn.
        local = sorted((self.collected / LOCAL_ENDPOINT).glob(f"*/{context}"))
        files = [file for folder in local for file in collected_files(folder, start, end)]
        others = [
            f"{path.parent.name}/{path.name}"
            for path in sorted(self.collected.glob("*/*"))
            if path != own and next(collected_files(path / context, start, end), None)
        ]
        note = f"nothing was collected at {monitor.endpoint}/{monitor.deployment}"
        if files:
            note += (
                f": taken from the endpoint `{LOCAL_ENDPOINT}` on this machine, all its deployments"
            )
        else:
            note += f" in this window, but at {', '.join(others)}"
        if others and note not in self.notes:
            self.notes.append(note)
        return files

    def _of_this_line(
        self, files: list[str], context: str, start: datetime, end: datetime
    ) -> list[str]:
        """Leave out the rows that a model of another line of versions has answered; note how many."""
        kept: list[str] = []
        others = defaultdict[str, list[str]](list)
        for file in files:
            known = digest_of(file)
            why = known and self.why_other(known)
            (others[why] if why else kept).append(file)
        for why, left_out in others.items():
            rows = sum(batch.rows for batch in batches(Window(tuple(left_out), start, end), {}))
            self.notes.append(
                f"{counted(rows, 'row')} of {context} from {start:%Y-%m-%d} to {end:%Y-%m-%d} are left out, another "
                f"line of versions answered them: {why}"
            )
        return kept

    def _table(self, data: MonitorData, context: str) -> list[Path]:
        """Find the files of a table; all parts of a split together are the training table."""
        folder = self.reference
        if folder is None and self.champion is not None:
            folder = self.champion.paths["prepared"]
        if folder is None:
            return [self._asset_file(data)]
        if folder.is_file():
            return [folder]
        parts = PARTS if context == "training" else (context,)
        files = [folder / f"{part}.parquet" for part in parts]
        missing = [str(file) for file in files if not file.is_file()]
        if missing:
            raise UsageError(
                f"the reference lacks {listed(missing)}; name a table, or a folder of prepared data"
            )
        return files

    def _asset_file(self, data: MonitorData) -> Path:
        """Find the file of a data asset; that of `training` where the asset is not on this machine."""
        folder = self.root / "azureml" / "data"
        for name in (data.input_data.asset, "training"):
            path = local_path(folder, name) if name else None
            if path is not None and path.is_file():
                return path
        raise UsageError(
            f"{data.input_data.path} is not on this machine, and there is no champion whose table "
            "could be the reference: train one first (`make demo`), or name a table with --reference"
        )


def collected_files(base: Path, start: datetime, end: datetime) -> Iterator[str]:
    """Yield the Parquet files below `<yyyy>/<MM>/<dd>/<HH>/` of the hours of a window, in order."""
    first, last = (time.astimezone(UTC).strftime("%Y/%m/%d/%H") for time in (start, end))

    def below(folder: str, prefix: str, depth: int) -> Iterator[str]:
        try:
            names = sorted(os.listdir(folder))  # noqa: PTH208 (there may be thousands)
        except (FileNotFoundError, NotADirectoryError):
            return
        for name in names:
            if depth == 4:
                if name.endswith(".parquet") and not name.startswith("."):
                    yield f"{folder}/{name}"
                continue
            path = f"{prefix}/{name}" if prefix else name
            if first[: len(path)] <= path <= last[: len(path)]:
                yield from below(f"{folder}/{name}", path, depth + 1)

    yield from below(str(base), "", 0)
