"""Drill: the whole life of a model, replayed on a table along its time column.

The first periods train a model. Each further period is served through the endpoint, collected, and
monitored; a breach starts the training pipeline on all periods so far, and the new model passes the
same gates and the same release as on Azure. In the last period a model that breaks its callers is
released on purpose, and rolled back. All of it happens in `.drill/project`, a copy of the project.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from modelyard.console import counted
from modelyard.contract.model import load_contract
from modelyard.drills.drill_report import render, standalone
from modelyard.drills.live_metric import live_metrics
from modelyard.drills.periods import Periods, cut_table
from modelyard.drills.project_copy import (
    accept_fewer_rows,
    copy_project,
    own_registry,
    required_column,
    share_environments,
    training_table,
)
from modelyard.drills.record import Event, PeriodRecord, Plan
from modelyard.drills.traffic import DrillReceiver, moment, send_rows, write_ground_truth
from modelyard.errors import ModelyardError, UsageError
from modelyard.evaluation.held_out import deciding_metric
from modelyard.evaluation.metrics import load_metrics
from modelyard.files import write_json, write_text
from modelyard.gates import Release, load_gates
from modelyard.models.registry import registry_of
from modelyard.models.version import CHAMPION
from modelyard.monitoring.run import run_monitor
from modelyard.own_code import own_module
from modelyard.pipelines.run import run_pipeline
from modelyard.pipelines.warm import Launcher
from modelyard.project import load_project
from modelyard.releases.held_out_traffic import HeldOutTraffic
from modelyard.releases.local_endpoint import LocalEndpoint
from modelyard.releases.promote import promote, rollback
from modelyard.releases.release import run_release
from modelyard.serving.sample_rows import Rows, spread
from modelyard.serving.server import Server, start_server

ENDPOINT = "local"
COLLECTION_PATIENCE = 30.0  # seconds that collected rows may take from the server to the receiver
NEW_COLUMN = "asked_for_since_today"
# The stages of conf/gates.yml, in seconds instead of hours.
QUICK = Release(mirror=50, traffic=(10, 50, 100), requests=10, seconds=0.2, patience=60)


def drill(
    root: Path, plan: Plan, *, data: Path | None = None, say: Callable[[str], None] = print
) -> Path:
    """Replay a table through a copy of a project.

    Args:
        root: the project.
        plan: settings.
        data: the table; default: that of azureml/data/training.yml.
        say: takes a line for the first model, and one for each period.

    Returns:
        `.drill/`, which holds drill.json, drill.html, timeline.svg and the copy.

    Raises:
        UsageError: there is no time column, no such period, or another drill is running.
        ModelyardError: training or the first release failed.
    """
    home = root / ".drill"
    home.mkdir(exist_ok=True)
    try:
        with FileLock(home / "lock", timeout=0), own_registry():
            _Drill(root, home, plan, say).run(data or training_table(root))
    except Timeout:
        raise UsageError(f"another drill is running in {home}; wait until it has ended") from None
    return home


class _Drill:
    """A running drill: the copy, its endpoint, and the records so far."""

    endpoint: LocalEndpoint
    receiver: DrillReceiver
    launcher: Launcher

    def __init__(self, root: Path, home: Path, plan: Plan, say: Callable[[str], None]) -> None:
        self.home, self.plan, self.say = home, plan, say
        self.copy = home / "project"
        self.collected = self.copy / ".collected"
        self.root = root
        self.project = load_project(root)
        self.contract = load_contract(root / "conf" / "contract.yml")
        self.own_metrics = load_metrics(own_module(root, "metrics"), self.contract.kind)
        gates = root / "conf" / "gates.yml"
        self.metric = deciding_metric(load_gates(gates), self.contract, gates, self.own_metrics)
        self.periods_since_training = 0
        self.serving = ""
        self.servers: list[Server] = []

    def run(self, table: Path) -> None:
        """Replay a table and write the result."""
        shutil.rmtree(self.home / "periods", ignore_errors=True)
        cut = cut_table(table, self.contract, self.home / "periods")
        unit, periods = cut.unit, cut.found
        for why, rows in cut.left_out.items():
            self.say(f"left out of the drill: {counted(rows, 'row')} {why}")
        known = [period.name for period in periods[: self.plan.history]]
        records = [
            PeriodRecord(period.name, period.start.isoformat(), period.end.isoformat())
            for period in periods[self.plan.history :]
        ]
        if not records:
            raise UsageError(
                f"{len(periods)} periods are not more than the {self.plan.history} that the first "
                "model is trained on; lower --history, or bring more rows"
            )
        records = self._until(records, unit)
        copy_project(self.root, self.copy)
        share_environments(self.root, self.copy)
        accept_fewer_rows(self.copy, len(periods[0].positions))
        history = list(known)
        with self._endpoint(), Launcher() as self.launcher:
            self._first_model(known)
            for record in records:
                self._replay(record, known, is_last=record is records[-1])
        truth = self.collected / "ground_truth"
        outputs = self.collected / ENDPOINT
        live = live_metrics(self.contract, outputs, truth, self.metric, self.own_metrics)
        for record in records:
            record.live = live.get(record.name)
        self._write(cut, history, records)

    def _until(self, records: list[PeriodRecord], unit: str) -> list[PeriodRecord]:
        names = [record.name for record in records]
        if self.plan.until is None:
            return records
        if self.plan.until not in names:
            raise UsageError(
                f"there is no {unit} {self.plan.until} to replay; there are {', '.join(names)}"
            )
        return records[: names.index(self.plan.until) + 1]

    def _first_model(self, known: list[str]) -> None:
        """Train and release the first model, whatever the gates decide."""
        began = time.monotonic()
        version, verdict = self._train(known)
        words = "is trained, promoted and released"
        if verdict == "refused":
            words = "is refused by the gates, and released all the same: a drill needs a model"
            self._promote_anyway(version)
        if not self._release(version, self._rows(known[-1])):
            raise ModelyardError(
                "the first model cannot be released; the reason is in "
                f"{self.copy / '.endpoints' / ENDPOINT}"
            )
        self.say(
            f"{known[0]} to {known[-1]}: v{version} {words} ({time.monotonic() - began:.0f} s)"
        )

    def _replay(self, record: PeriodRecord, known: list[str], *, is_last: bool) -> None:
        """Serve and monitor a period, and retrain or release as the plan and the monitor demand."""
        began = time.monotonic()
        rows = self._rows(record.name)
        url, receiver = self.endpoint.url, self.receiver
        answered = send_rows(url, record, rows, receiver, self.plan.request_rows)
        record.version = self.serving
        write_ground_truth(record, rows, self.collected / "ground_truth")
        if missing := receiver.wait_for(answered, COLLECTION_PATIENCE):
            self.say(f"{record.name}: {missing:,} of {len(answered):,} rows were not collected")
        record.monitor = self._monitor(record)
        known.append(record.name)
        self.periods_since_training += 1
        if is_last and self.plan.break_one:
            self._break_callers(record, known, rows)
        elif record.breached and self.periods_since_training >= self.plan.cool_down and not is_last:
            self._retrain(record, known, rows)
        self.say(f"{record.line()} ({time.monotonic() - began:.0f} s)")

    def _monitor(self, record: PeriodRecord) -> dict[str, Any]:
        """Run the monitor at the end of a period; returns its part of the record."""
        file = self.copy / "azureml" / "monitoring" / "monitor.yml"
        output = self.copy / ".monitor" / record.name
        result = run_monitor(self.copy, file, at=moment(record.end), output=output)
        return {
            "verdict": result.verdict,
            "unjudged": list(result.unjudged),
            "breached": [
                {
                    "signal": breach.signal,
                    "feature": breach.feature or breach.metric,
                    "metric": breach.metric,
                    "value": breach.value,
                    "threshold": breach.threshold,
                    "noise": breach.noise,
                }
                for breach in result.breaches
            ],
            "report": os.path.relpath(result.report, self.home),
        }

    def _retrain(self, record: PeriodRecord, known: list[str], rows: Rows) -> None:
        self.periods_since_training = 0
        version, verdict = self._train(known)
        record.events.append(Event("retrained", version, f"{record.breached[0]['feature']} moved"))
        record.events.append(Event(verdict, version))
        if verdict == "promoted":
            self._release_or_roll_back(record, version, rows)

    def _break_callers(self, record: PeriodRecord, known: list[str], rows: Rows) -> None:
        """Release a model that requires a column which no caller sends."""
        few = known[: self.plan.history]  # enough for a model that nobody will be able to ask
        with required_column(self.copy, NEW_COLUMN):
            version, verdict = self._train(few, extra=NEW_COLUMN)
        if verdict == "refused":
            self._promote_anyway(version)
        why = f"requires {NEW_COLUMN}, which no caller sends"
        record.events.append(Event("forced", version, why))
        self._release_or_roll_back(record, version, rows)

    def _train(self, known: list[str], *, extra: str | None = None) -> tuple[str, str]:
        """Run the training pipeline on periods and the gates on the result: version and verdict."""
        pipeline = self.copy / "azureml" / "pipelines" / "train.yml"
        table = str(self._table_of(known, extra=extra))
        run_pipeline(pipeline, inputs={"data": table}, launcher=self.launcher)
        decision = promote(self.copy).decision
        return decision.version, "promoted" if decision.promotable else "refused"

    def _promote_anyway(self, version: str) -> None:
        registry = registry_of(self.copy)
        chosen = registry.version(version)
        registry.set_champion(chosen, registry.holder(CHAMPION))
        registry.tag(chosen, "decision", "promoted")

    def _release_or_roll_back(self, record: PeriodRecord, version: str, rows: Rows) -> None:
        is_released = self._release(version, rows)
        record.events.append(Event("released" if is_released else "rolled back", version))
        if not is_released:
            rollback(self.copy)

    def _release(self, version: str, rows: Rows) -> bool:
        """Release a version in the stages of Azure, with rows of the period as live traffic."""
        result = run_release(
            self.copy,
            version,
            endpoint=self.endpoint,
            settings=QUICK,
            traffic=lambda ask: HeldOutTraffic(ask, rows),
        )
        if result.released:
            self.serving = version
        return result.released

    def _rows(self, period: str) -> Rows:
        """Read the rows of a period that are sent: in order of time, spread evenly over it."""
        return spread(pq.read_table(self._file(period)), self.contract, self.plan.rows)

    def _file(self, period: str) -> Path:
        return self.home / "periods" / f"{period}.parquet"

    def _table_of(self, known: list[str], *, extra: str | None) -> Path:
        """Write one table of several periods, with a further column where `extra` names one."""
        path = self.copy / "data" / "known.parquet"
        path.parent.mkdir(exist_ok=True)
        table = pa.concat_tables([pq.read_table(self._file(name)) for name in known])
        if extra:
            table = table.append_column(extra, pa.array([n % 7 for n in range(len(table))]))
        pq.write_table(table, path)
        return path

    @contextlib.contextmanager
    def _endpoint(self) -> Iterator[None]:
        """Open the copy's endpoint, whose servers send collected rows to the drill's receiver."""
        contract = self.copy / "conf" / "contract.yml"
        self.receiver = DrillReceiver(self.collected, contract)
        with self.receiver:
            self.endpoint = LocalEndpoint(
                self.copy,
                ENDPOINT,
                model=self.project.model,
                start=self._start_server,
                download=self._download,
                collect=False,  # the drill collects itself
            )
            self.endpoint.open()
            try:
                yield
            finally:
                self.endpoint.close()

    def _download(self, version: str, folder: Path) -> Path:
        """Copy the model of a version into a folder."""
        registry = registry_of(self.copy)
        return registry.download(registry.version(version), "model", folder)

    def _start_server(self, *words: Any, **options: Any) -> Server:
        # All rows are collected, whatever the sampling rate of the deployment's file.
        environment = {**options["environment"], "AZUREML_MDC_SAMPLE_RATE": "100"}
        collected = {"collect_to": self.receiver.address, "environment": environment}
        server = start_server(*words, **{**options, **collected, "detached": False})
        self.servers.append(server)  # each ends with its handle, also where this process is killed
        return server

    def _write(self, cut: Periods, history: list[str], records: list[PeriodRecord]) -> None:
        content = {
            "title": self.project.title,
            "metric": self.metric,
            "unit": cut.unit,
            "left_out": cut.left_out,
            "plan": asdict(self.plan),
            "history": history,
            "periods": [asdict(record) for record in records],
        }
        write_json(self.home / "drill.json", content)
        write_text(self.home / "drill.html", render(content))
        write_text(self.home / "timeline.svg", standalone(content))
