"""The schedules of azureml/schedules, in the workspace of an environment."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from modelyard.azure import Workspace, patiently
from modelyard.delivery.jobs import fit
from modelyard.errors import UsageError
from modelyard.models.assets import Say
from modelyard.yaml_files import read_mapping

FOLDER = Path("azureml") / "schedules"
# Tag of a schedule: where it runs, separated by spaces; without it everywhere.
ENVIRONMENTS = "environments"


def apply_schedules(root: Path, workspace: Workspace, say: Say) -> dict[str, str]:
    """Create or update every schedule that belongs into an environment.

    Returns:
        What became of each file: applied, or where it belongs instead.

    Raises:
        UsageError: there is no file.
        AzureFailed: Azure refuses one.
    """
    from azure.ai.ml.entities._load_functions import load_schedule

    files = sorted((root / FOLDER).glob("*.yml"))
    if not files:
        raise UsageError(f"{FOLDER} has no file")
    done = {}
    for file in files:
        content = read_mapping(file)
        wanted = str((content.get("tags") or {}).get(ENVIRONMENTS, workspace.environment)).split()
        if workspace.environment not in wanted:
            done[file.name] = f"for {', '.join(wanted)} only"
        else:
            schedule: Any = load_schedule(file)
            fit(root, workspace, schedule.create_job, say)
            patiently(partial(_apply, workspace, schedule))
            done[file.name] = "applied"
        say(f"{file.name}: {done[file.name]}")
    return done


def _apply(workspace: Workspace, schedule: Any) -> None:
    workspace.client.schedules.begin_create_or_update(schedule).result()
