"""A rehearsal of the whole loop on one's own table: train on its past, then let its time go by.

Each period is served through the endpoint, collected, and watched; a breach starts the training
pipeline on everything known by then, and what comes out goes through the same gates and the same
release as on Azure. Near the end a model that breaks its callers is released on purpose, to see it
rolled back. Everything happens in `.drill/`, a copy of the project with a registry of its own.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from filelock import FileLock, Timeout

from modelyard.errors import ModelyardError, UsageError
from modelyard.files import read_json, write_json, write_text
from modelyard.gates import Release, load_gates
from modelyard.models.registry import CHAMPION, Registry
from modelyard.pipelines.data_assets import local_path
from modelyard.pipelines.run import run_pipeline
from modelyard.project import load_project
from modelyard.releases.local_endpoint import LocalEndpoint
from modelyard.releases.promote import promote, rollback
from modelyard.releases.rehearsal import Rehearsal
from modelyard.releases.release import run_release
from modelyard.serving.sample_rows import Rows, spread
from modelyard.tracking import tracking_uri
from modelyard.yaml_files import dump, parse, read_yaml

COPIED = ("conf", "azureml", "src", "requirements", "pyproject.toml")
ENDPOINT = "local"
_COLLECTING = 0.8  # seconds after an answer in which its row comes to the receiver
NEW_COLUMN = "asked_for_since_today"
# The stages of conf/gates.yml, in seconds instead of hours.
QUICK = Release(mirror=50, traffic=(10, 50, 100), requests=10, seconds=0.2, patience=60)
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """How a drill goes.

    Attributes:
        history: periods that the first model learns from.
        until: name of the last period to replay; None for all.
        rows: sent to the endpoint in each period, evenly spread over it.
        request_rows: in one request.
        cool_down: periods that must pass between two retrainings.
        break_one: release a model that breaks its callers, before the last period.
    """

    history: int = 3
    until: str | None = None
    rows: int = 2_000
    request_rows: int = 20
    cool_down: int = 2
    break_one: bool = True


@dataclass
class Event:
    """Something that was done about the model in a period."""

    kind: str
    version: str
    why: str = ""


@dataclass
class Passed:
    """A period that went by, as drill.json has it."""

    name: str
    start: str
    end: str
    requests: int = 0
    rows: int = 0
    failed: int = 0
    version: str = ""
    live: dict[str, float | None] | None = None
    monitor: dict[str, Any] | None = None
    events: list[Event] = field(default_factory=list)


def drill(root: Path, plan: Plan, *, data: Path | None = None, tell: Tell = print) -> Path:
    """Replay a table through a copy of this project.

    Args:
        root: the project.
        plan: how.
        data: the table; default: the one of azureml/data/training.yml.
        tell: called with a line for each thing that happened.

    Returns:
        `.drill/`, which holds drill.json, drill.html, timeline.svg and the copy.

    Raises:
        UsageError: there is no time column, no such period, or another drill is going on.
        ModelyardError: a step of the loop failed.
    """
    home = root / ".drill"
    home.mkdir(exist_ok=True)
    try:
        with FileLock(home / "lock", timeout=0), _own_store():
            return _Drill(root, home, plan, tell).run(data)
    except Timeout:
        raise UsageError(f"another drill is going on in {home}; wait until it has ended") from None


@contextlib.contextmanager
def _own_store() -> Iterator[None]:
    """Keep the drill's models out of the registry that the environment names."""
    kept = os.environ.pop("MLFLOW_TRACKING_URI", None)
    try:
        yield
    finally:
        os.environ.pop("MLFLOW_TRACKING_URI", None)
        if kept is not None:
            os.environ["MLFLOW_TRACKING_URI"] = kept


class _Drill:
    """The state of one drill while it goes on."""

    def __init__(self, root: Path, home: Path, plan: Plan, tell: Tell) -> None:
        self.root, self.home, self.plan, self.tell = root, home, plan, tell
        self.copy = home / "project"
        self.project = load_project(root)
        self.passed: list[Passed] = []
        self.index: dict[str, Any] = {}
        self.quiet = 0  # periods since the last training
        self.serving = ""
        self.clock = datetime.now(UTC)

    def run(self, data: Path | None) -> Path:
        """See `drill`."""
        self._make_copy()
        self._cut(data or _training_table(self.root))
        periods = [Passed(p["name"], p["start"], p["end"]) for p in self.index["periods"]]
        history, ahead = periods[: self.plan.history], periods[self.plan.history :]
        if self.plan.until:
            names = [p.name for p in ahead]
            if self.plan.until not in names:
                raise UsageError(
                    f"there is no {self.index['unit']} {self.plan.until} to replay; there are "
                    f"{', '.join(names)}"
                )
            ahead = ahead[: names.index(self.plan.until) + 1]
        if not ahead:
            raise UsageError(
                f"{len(periods)} periods are not more than the {self.plan.history} the first model "
                "learns from; lower --history, or bring more rows"
            )
        known = [p.name for p in history]
        with self._endpoint():
            self._first_model(known)
            for number, period in enumerate(ahead):
                self._pass(period, known, is_last=number == len(ahead) - 1)
        self._judge()
        self._write()
        return self.home

    def _make_copy(self) -> None:
        """A project of its own: nothing a drill does is seen in the real registry or runs."""
        for old in (self.copy, self.home / "periods"):
            shutil.rmtree(old, ignore_errors=True)
        self.copy.mkdir(parents=True)
        for name in COPIED:
            source = self.root / name
            if source.is_dir():
                ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
                shutil.copytree(source, self.copy / name, ignore=ignore)
            else:
                shutil.copy2(source, self.copy / name)
        # The serving environment is large and the same.
        environments = self.root / ".environments"
        environments.mkdir(exist_ok=True)
        with contextlib.suppress(OSError):  # Windows asks for a privilege; then it is made again
            (self.copy / ".environments").symlink_to(environments, target_is_directory=True)

    def _cut(self, table: Path) -> None:
        periods = self.home / "periods"
        self._package(
            "replay",
            "split",
            data=table,
            contract=self.root / "conf" / "contract.yml",
            output=periods,
        )
        self.index = read_json(periods / "periods.json")
        # The contract's limits are those of the whole table.
        contract = self.copy / "conf" / "contract.yml"
        content = read_yaml(contract)
        rows = content.get("table", {}).get("rows", {})
        if "min" in rows:
            rows["min"] = min(rows["min"], sum(p["rows"] for p in self.index["periods"][:1]))
        contract.write_text(dump(content), encoding="utf-8")

    def _package(self, module: str, command: str, **options: object) -> None:
        """Run a command of the project's package; what it says goes to the drill's log.

        Raises:
            ModelyardError: it failed; with what it said.
        """
        words = [sys.executable, "-m", f"modelyard.drills.{module}", command]
        for name, value in options.items():
            words += [f"--{name}", str(value)]
        done = subprocess.run(words, check=False, capture_output=True, text=True)  # noqa: S603
        if done.returncode:
            raise ModelyardError((done.stderr or done.stdout).strip().removeprefix("error: "))

    def _known_table(self, known: list[str], *, extra: str | None) -> Path:
        """One table of all periods that are over; with a column more, where a name is given."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        files = [self.home / "periods" / f"{name}.parquet" for name in known]
        path = self.copy / "data" / "known.parquet"
        path.parent.mkdir(exist_ok=True)
        table = pa.concat_tables([pq.read_table(file) for file in files])
        if extra:
            table = table.append_column(extra, pa.array([n % 7 for n in range(len(table))]))
        pq.write_table(table, path)
        return path

    def _train(self, known: list[str], *, extra: str | None = None) -> tuple[str, str]:
        """Run the training pipeline on what is known and judge the result; (version, verdict)."""
        run_pipeline(
            self.copy / "azureml" / "pipelines" / "train.yml",
            inputs={"data": str(self._known_table(known, extra=extra))},
        )
        decision = promote(self.copy).decision
        return decision.version, "promoted" if decision.passed else "refused"

    def _first_model(self, known: list[str]) -> None:
        """What the drill starts with; nobody serves yet, so the gates only speak."""
        began = time.monotonic()
        version, verdict = self._train(known)
        words = "is trained, promoted and released"
        if verdict == "refused":
            words = "is refused by the gates, and released all the same: a drill has to begin"
            self._promote_anyway(version)
        if not self._release(version, self._rows(known[-1])):
            raise ModelyardError(
                f"the first model cannot be released; why is in {self.copy / '.endpoints' / ENDPOINT}"
            )
        self.tell(
            f"{known[0]} to {known[-1]}: v{version} {words} ({time.monotonic() - began:.0f} s)"
        )

    def _promote_anyway(self, version: str) -> None:
        registry = Registry(self.project.model, tracking_uri(self.copy))
        chosen = registry.version(version)
        registry.crown(chosen, registry.holder(CHAMPION))
        registry.tag(chosen, "decision", "promoted")

    def _pass(self, period: Passed, known: list[str], *, is_last: bool) -> None:
        """Let a period go by: serve, collect, watch, and do what has to be done."""
        began = time.monotonic()
        rows = self._rows(period.name)
        self._serve(period, rows)
        period.version = self.serving
        self._reveal(period, rows)
        period.monitor = self._watch(period)
        known.append(period.name)
        self.quiet += 1
        if is_last and self.plan.break_one:
            self._break_callers(period, known, rows)
        elif period.monitor["breached"] and self.quiet >= self.plan.cool_down and not is_last:
            self._retrain(period, known, rows)
        self.passed.append(period)
        self.tell(f"{told(period)} ({time.monotonic() - began:.0f} s)")

    def _rows(self, name: str) -> Rows:
        """Rows of a period in order of time, spread evenly over it."""
        import pyarrow.parquet as pq

        contract = read_yaml((self.root / "conf" / "contract.yml"))
        types = {column: rule["type"] for column, rule in contract["columns"].items()}
        table = pq.read_table(self._file(name))
        return spread(table, self.index["features"], self.index["target"], types, self.plan.rows)

    def _file(self, name: str) -> Path:
        return self.home / "periods" / f"{name}.parquet"

    def _serve(self, period: Passed, rows: Rows) -> None:
        """Send a period's rows; the receiver's clock goes along with them."""
        begin, end = _moment(period.start), _moment(period.end)
        size = self.plan.request_rows
        with httpx.Client(timeout=60, trust_env=False) as client:
            for start in range(0, len(rows.records), size):
                self.clock = begin + (end - begin) * (start / len(rows.records))
                records = rows.records[start : start + size]
                ids = [f"{period.name}-{start + n}" for n in range(len(records))]
                answer = client.post(
                    f"{self.endpoint.url}/score",
                    json={"input_data": records, "correlation_ids": ids},
                )
                period.requests += 1
                period.rows += len(records)
                period.failed += answer.status_code != 200

    def _reveal(self, period: Passed, rows: Rows) -> None:
        """What really happened to the rows becomes known at the end of their period."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        ids = [f"{period.name}-{n}" for n in range(len(rows.truth))]
        # Known in time for the monitor, which runs as the next period begins.
        at = [_moment(period.end) - timedelta(seconds=1)] * len(ids)
        table = pa.table(
            {
                "correlationid": pa.array(ids, pa.string()),
                rows.target: pa.array(rows.truth),
                "known_at": pa.array(at, pa.timestamp("us", "UTC")),
            }
        )
        folder = self.copy / ".collected" / "ground_truth"
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, folder / f"{period.name}.parquet")

    def _watch(self, period: Passed) -> dict[str, Any]:
        """The monitor at the end of a period."""
        from modelyard.monitoring.monitor import run_monitor

        self._settle()
        spec = self.copy / "azureml" / "monitoring" / "monitor.yml"
        output = self.copy / ".monitor" / period.name
        result = run_monitor(self.copy, spec, at=_moment(period.end), output=output)
        return {
            "verdict": result.verdict,
            "breached": [
                {
                    "signal": breach.signal,
                    "feature": breach.feature or breach.metric,
                    "metric": breach.metric,
                    "value": breach.value,
                    "threshold": breach.threshold,
                }
                for breach in result.breaches
            ],
            "report": os.path.relpath(result.report, self.home),
        }

    def _settle(self) -> None:
        """Wait until no more rows come to the receiver, and have them written."""
        before = -1
        while before != (now := self.receiver.rows.total()):
            before = now
            time.sleep(_COLLECTING)
        self.receiver.flush()

    def _retrain(self, period: Passed, known: list[str], rows: Rows) -> None:
        self.quiet = 0
        version, verdict = self._train(known)
        worst = period.monitor["breached"][0]["feature"] if period.monitor else ""
        period.events.append(Event("retrained", version, f"{worst} moved"))
        period.events.append(Event(verdict, version))
        if verdict == "promoted":
            released = self._release(version, rows)
            period.events.append(Event("released" if released else "rolled back", version))
            if not released:
                rollback(self.copy)

    def _break_callers(self, period: Passed, known: list[str], rows: Rows) -> None:
        """Release a model that asks for a column which no caller sends; see it rolled back."""
        contract = self.copy / "conf" / "contract.yml"
        before = contract.read_text(encoding="utf-8")
        content = parse(before)
        content["columns"][NEW_COLUMN] = {"type": "integer", "nulls": 0.0}
        contract.write_text(dump(content), encoding="utf-8")
        try:
            version, verdict = self._train(known, extra=NEW_COLUMN)
        finally:
            contract.write_text(before, encoding="utf-8")
        if verdict == "refused":  # somebody insists
            self._promote_anyway(version)
        period.events.append(Event("forced", version, f"asks for {NEW_COLUMN}, which nobody sends"))
        released = self._release(version, rows)
        period.events.append(Event("released" if released else "rolled back", version))
        if not released:
            rollback(self.copy)

    def _release(self, version: str, rows: Rows) -> bool:
        """Through the same stages as on Azure, with rows of the period as live traffic."""
        result = run_release(
            self.copy,
            version,
            endpoint=self.endpoint,
            settings=QUICK,
            traffic=lambda address: Rehearsal(address, rows),
        )
        if result.released:
            self.serving = version
        return result.released

    def _bring(self, version: str, folder: Path) -> Path:
        registry = Registry(self.project.model, tracking_uri(self.copy))
        return registry.bring(registry.version(version), "model", folder)

    @contextlib.contextmanager
    def _endpoint(self) -> Iterator[None]:
        """The endpoint, and the receiver of what it collects, while the drill goes on."""
        from modelyard.serving.receiver import Receiver
        from modelyard.serving.server import start_server

        contract = self.copy / "conf" / "contract.yml"
        with Receiver(self.copy / ".collected", contract, clock=lambda: self.clock) as receiver:
            self.receiver = receiver
            self.endpoint = LocalEndpoint(
                self.copy,
                ENDPOINT,
                model=self.project.model,
                start=lambda *words, **options: start_server(
                    *words, **{**options, "collect_to": receiver.address}
                ),
                bring=self._bring,
            )
            self.endpoint.open()
            try:
                yield
            finally:
                self.endpoint.close()

    def _judge(self) -> None:
        """Join every answer with what became known: how well each period was really served."""
        gates = load_gates(self.root / "conf" / "gates.yml")
        contract = self.root / "conf" / "contract.yml"
        kind = read_yaml(contract)["target"]["kind"]
        self.metric = gates.promotion[kind].metric
        file = self.home / "live.json"
        collected = self.copy / ".collected"
        self._package(
            "replay",
            "judge",
            contract=contract,
            answers=collected / ENDPOINT,
            truth=collected / "ground_truth",
            metric=self.metric,
            output=file,
        )
        most: dict[str, dict[str, Any]] = {}
        for one in read_json(file):
            if one["rows"] > most.get(one["period"], {"rows": 0})["rows"]:
                most[one["period"]] = one
        for period in self.passed:
            period.live = most.get(period.name)

    def _write(self) -> None:
        from modelyard.drills.drill_report import render, standalone

        content = {
            "title": self.project.title,
            "metric": self.metric,
            "unit": self.index["unit"],
            "plan": asdict(self.plan),
            "history": [p["name"] for p in self.index["periods"][: self.plan.history]],
            "periods": [asdict(period) for period in self.passed],
        }
        write_json(self.home / "drill.json", content)
        write_text(self.home / "drill.html", render(content))
        write_text(self.home / "timeline.svg", standalone(content))


def told(period: Passed) -> str:
    """What happened in a period, in one line."""
    watched = period.monitor or {"breached": []}
    moved = list(dict.fromkeys(one["feature"] for one in watched["breached"]))
    parts = [f"{period.name}: {period.rows:,} rows served by v{period.version}"]
    if period.failed:
        parts.append(f"{period.failed} requests failed")
    parts.append(
        f"drift in {', '.join(moved[:3])}{' …' if moved[3:] else ''}" if moved else "no drift"
    )
    parts += [f"v{event.version} {event.kind}" for event in period.events]
    return "; ".join(parts)


def _training_table(root: Path) -> Path:
    """The table of azureml/data/training.yml.

    Raises:
        UsageError: it is not on this machine.
    """
    asset = local_path(root / "azureml" / "data", "training")
    if asset is None or not asset.is_file():
        raise UsageError(
            f"{asset or 'azureml/data/training.yml'} does not exist; name a table with --data, or "
            "write the sample with `make data`"
        )
    return asset


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
