"""What a deployment of infra/ would change in an environment, as a page for a pull request."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from modelyard.console import counted
from modelyard.errors import CheckFailed
from modelyard.files import parse_answer, write_text
from modelyard.infra.deploy import azure_cli
from modelyard.project import load_project

# Azure's kinds of changes that leave a resource as it is, and those that it could not tell.
UNCHANGED, UNKNOWN = {"NoChange", "Ignore"}, {"Unsupported"}


def ask_azure(root: Path, environment: str) -> list[Mapping[str, Any]]:
    """Return the changes of a deployment, asked with the Azure CLI by somebody who may only read.

    Raises:
        UsageError: the environment is unknown, or the Azure CLI is not installed.
        CheckFailed: Azure refuses the template.
    """
    group = load_project(root).environment(environment).resource_group
    command = [azure_cli(), "deployment", "group", "what-if", "--name", f"what-if-{environment}"]
    command += ["--resource-group", group, "--no-pretty-print"]
    command += ["--parameters", str(root / "infra" / f"{environment}.bicepparam")]
    # Whoever asks has no right to write, and is not asked for it.
    command += ["--validation-level", "ProviderNoRbac", "--output", "json"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise CheckFailed(f"Azure refuses the deployment to {environment}: {done.stderr.strip()}")
    changes: list[Mapping[str, Any]] = parse_answer(done.stdout, *command[1:4])["changes"]
    return changes


def write_page(changes: Sequence[Mapping[str, Any]], environment: str, output: Path) -> int:
    """Write the changes in Markdown; returns how many there are. What Azure could not tell is listed, too."""
    listed = [one for one in changes if one["changeType"] not in UNCHANGED]
    found = [one for one in listed if one["changeType"] not in UNKNOWN]
    lines = [f"# {environment}: what a deployment of infra/ would change", ""]
    lines += [
        f"{counted(len(found), 'change') if found else 'No changes'} of {counted(len(changes), 'resource')}.",
        "",
    ]
    if listed:
        lines += ["| | resource | properties |", "| --- | --- | --- |"]
    for one in sorted(listed, key=lambda one: (one["changeType"], one["resourceId"])):
        resource = one["resourceId"].partition("/providers/")[2] or one["resourceId"]
        paths = ", ".join(f"`{delta['path']}`" for delta in one.get("delta") or ())
        lines.append(f"| {one['changeType']} | {resource} | {paths} |")
    if unknown := len(listed) - len(found):
        lines += ["", f"Azure could not tell for {unknown}: not judged."]
    write_text(output, "\n".join([*lines, ""]))
    return len(found)
