"""Jobs in a workspace: submitted once, and followed until they have really ended."""

from __future__ import annotations

import itertools
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelyard.azure import WHERE, Workspace, azure_errors, or_none, patiently
from modelyard.errors import UsageError
from modelyard.models.assets import Say, pin_data, pin_environment
from modelyard.project import pull_request
from modelyard.yaml_files import read_mapping

# azure.ai.ml: JobStatus. A job that is paused, or cancelled on request, has not ended yet.
COMPLETED = "Completed"
_UNMERGED = "pull_request"  # an input of azureml/pipelines/train.yml
ENDED = (COMPLETED, "Failed", "Canceled", "NotResponding")
_PAUSE = 20.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,254}")


@dataclass(frozen=True)
class Ended:
    """A job that has ended.

    Attributes:
        studio: address of its page.
        steps: status of each step of a pipeline, by name.
    """

    name: str
    status: str
    studio: str
    steps: Mapping[str, str] = field(default_factory=dict)


def submit(
    root: Path,
    workspace: Workspace,
    file: Path,
    *,
    inputs: Mapping[str, str],
    name: str | None,
    say: Say,
    wait: bool,
) -> Ended:
    """Submit a job unless there is one of its name, and follow it until it has ended.

    One of its name that has failed is done again: the name gets a number.

    Args:
        root: the project.
        workspace: to run it in.
        file: of the job.
        inputs: values, or paths and data assets, instead of the file's own.
        name: of the job, unique in the workspace; default: the file's and a random ending.
        say: gets a line for every step that changes.
        wait: follow it; else its status is that of now.

    Raises:
        UsageError: the file is no job, an input is unknown, or a data asset is nowhere.
        AzureFailed: the workspace refuses the job.
    """
    name = name or f"{file.stem}-{secrets.token_hex(4)}"
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot name a job: letters, digits, - and _, beginning with a letter or digit"
        )
    name, exists = _name_again(workspace, name)
    if not exists:
        job = load(root, workspace, file, inputs, say)
        job.name = name
        with azure_errors():
            workspace.client.jobs.create_or_update(job)
        say(f"job {name} is submitted to {workspace.names.workspace}")
    else:
        say(f"job {name} is there already: followed, not submitted again")
    if not wait:
        return Ended(name, _status(_job(workspace, name)), "")
    return follow(workspace, name, say)


def _name_again(workspace: Workspace, name: str) -> tuple[str, bool]:
    """Return the first name whose job has not failed, and whether there is such a job."""
    for number in itertools.count(1):
        tried = name if number == 1 else f"{name}-{number}"
        job = _job(workspace, tried)
        if job is None or (status := _status(job)) not in ENDED or status == COMPLETED:
            break
    return tried, job is not None


def load(root: Path, workspace: Workspace, file: Path, inputs: Mapping[str, str], say: Say) -> Any:
    """Load a job with its inputs; what it names as `@latest` becomes a version that is in the workspace.

    In a job of a pull request its number is the input of that name.
    """
    from azure.ai.ml import load_job

    known = read_mapping(file, "name the file of a job").get("inputs") or {}
    if unknown := sorted(set(inputs) - set(known)):
        raise UsageError(
            f"{file.name} has no input {', '.join(unknown)}; it has {', '.join(known) or 'none'}"
        )
    if _UNMERGED in known and (number := pull_request()):
        inputs = {_UNMERGED: number, **inputs}
    changes: list[dict[str, Any]] = []
    for key, value in inputs.items():
        is_path = isinstance(known[key], dict) and "path" in known[key]
        here = Path(value)
        text = str(here.resolve()) if is_path and here.exists() else value
        changes.append({f"inputs.{key}.path" if is_path else f"inputs.{key}": text})
    with azure_errors():
        job: Any = load_job(file, params_override=changes)
    for one in job.inputs.values():
        source = getattr(one, "_data", one)  # a pipeline wraps its inputs
        path = getattr(source, "path", None)
        if isinstance(path, str):
            source.path = pin_data(root, workspace, path, say)
    fit(root, workspace, job, say)
    return job


def fit(root: Path, workspace: Workspace, job: Any, say: Say) -> None:
    """Give a job's steps the environments of a workspace by version, and tell those that ask where they run."""
    pinned: dict[str, str] = {}
    for node in job.jobs.values() if hasattr(job, "jobs") else [job]:
        for holder in (node, getattr(node, "component", None)):
            reference = getattr(holder, "environment", None)
            if isinstance(reference, str):
                if reference not in pinned:
                    pinned[reference] = pin_environment(root, workspace, reference, say)
                holder.environment = pinned[reference]  # type: ignore[union-attr]
        if WHERE in (getattr(node, "environment_variables", None) or {}):
            node.environment_variables[WHERE] = workspace.environment


def follow(workspace: Workspace, name: str, say: Say) -> Ended:
    """Wait until a job has ended; a step that changes gets a line."""
    seen: dict[str, str] = {}
    jobs = workspace.client.jobs
    while True:
        job: Any = patiently(lambda: jobs.get(name))
        children: Any = (
            patiently(lambda: list(jobs.list(parent_job_name=name)))
            if job.type == "pipeline"
            else []
        )
        steps = {str(one.display_name or one.name): _status(one) for one in children}
        for step, status in steps.items():
            if seen.get(step) != status:
                say(f"{step}: {status}")
        seen = steps
        if (status := _status(job)) in ENDED:
            page = job.services["Studio"].endpoint if job.services else ""
            say(f"job {name}: {status}{f', {page}' if page else ''}")
            return Ended(name, status, str(page), steps)
        time.sleep(_PAUSE)


def _status(job: Any) -> str:
    """Return the status of a job as Azure says it; azure-ai-ml has it as an enumeration, whose text is another."""
    return str(getattr(job.status, "value", job.status))


def _job(workspace: Workspace, name: str) -> Any:
    """Read a job; None: there is none of the name."""
    return patiently(lambda: or_none(lambda: workspace.client.jobs.get(name)))
