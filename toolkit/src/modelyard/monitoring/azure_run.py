"""Running the monitor on what the deployments of an Azure ML endpoint collect: those with traffic now."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path

from modelyard.azure import Workspace, azure_errors
from modelyard.console import counted
from modelyard.contract.model import load_contract
from modelyard.errors import UsageError
from modelyard.events.event import BREACH_TAG
from modelyard.models.registry import Registry
from modelyard.monitoring.monitor_file import Monitor, load_monitor
from modelyard.monitoring.run import RESULTS, MonitorResult, locate_champion, run_monitor
from modelyard.project import load_project
from modelyard.serving.azure_collected import copy_collected


def monitor_endpoint(
    root: Path,
    file: Path,
    workspace: Workspace,
    *,
    at: datetime,
    output: Path | None,
    say: Callable[[str], None],
) -> Mapping[str, MonitorResult]:
    """Run a monitor for every deployment that has traffic, whatever deployment its file names.

    In a job of Azure ML a breach tags the job's run, as Azure ML's own monitors do; events/ reacts to that tag.

    Returns:
        The result of each deployment.

    Raises:
        UsageError: no deployment has traffic, there is no champion to compare with, or the file has problems.
    """
    project, endpoint = load_project(root), workspace.names.endpoint
    with azure_errors():
        traffic = workspace.client.online_endpoints.get(endpoint).traffic or {}
    live = sorted(name for name, share in traffic.items() if share)
    if not live:
        raise UsageError(f"no deployment of `{endpoint}` has traffic: there is nothing to monitor")
    monitor = load_monitor(file)
    results = {}
    with tempfile.TemporaryDirectory(prefix="monitor-") as temporary:
        champion = locate_champion(root, project, Path(temporary) / "champion")
        if champion is None:
            raise UsageError(
                f"model `{project.model}` has no champion in {workspace.names.workspace} to compare with"
            )
        copied = copy_collected(
            workspace,
            endpoint,
            live,
            load_contract(champion.paths["model"] / "contract.yml"),
            Path(temporary) / "collected",
            earliest(monitor, at),
            at,
        )
        for note in copied.notes:
            say(note)
        for (name, collection), rows in copied.rows.items():
            say(f"{endpoint}/{name}: {counted(rows, 'row')} of {collection}")
        base = output or root / RESULTS / at.strftime("%Y%m%dT%H%M%SZ")
        for name in live:
            results[name] = run_monitor(
                root,
                file,
                at=at,
                collected=copied.folder,
                output=base / name,
                target=(endpoint, name),
                champion=champion,
            )
    found = {
        f"{name}: {', '.join(result.signals)}"
        for name, result in results.items()
        if result.breaches
    }
    if found and (run := os.environ.get("MLFLOW_RUN_ID")):
        registry = Registry(project.model, workspace.tracking_uri)
        registry.client.set_tag(run, BREACH_TAG, "; ".join(sorted(found)))
    return results


def earliest(monitor: Monitor, at: datetime) -> datetime:
    """Return when the first window of any signal begins."""
    begins = [at - monitor.period]
    for signal in monitor.signals.values():
        given = signal.production_data
        parts = given if isinstance(given, list) else [given]
        for part in parts:
            begins.append(monitor.window(part, at)[0])
            begin = monitor.reference_window(signal.reference_data, part, at)[0]
            collected = signal.reference_data is None or signal.reference_data.data_context in (
                "model_inputs",
                "model_outputs",
            )
            if collected and begin is not None:
                begins.append(begin)
    return min(begins) - timedelta(hours=1)
