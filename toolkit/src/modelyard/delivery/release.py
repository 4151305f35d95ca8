"""The release of one environment: what of it a project has, its approval, and the way back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from modelyard.delivery.provider import Provider
from modelyard.errors import CheckFailed, UsageError
from modelyard.files import has_file, write_json
from modelyard.gates import load_gates
from modelyard.models.adoption import DIGEST
from modelyard.models.version import PULL_REQUEST

ENDPOINTS = Path("azureml") / "endpoints"
APPROVAL = Path("build") / "approval.json"


def deploy_commands(root: Path, environment: str, version: str) -> list[list[str]]:
    """Return the commands that release a version to the endpoints that the project has."""
    commands = []
    if _has(root, "online"):
        release = ["release", "--endpoint", environment, "--version", version]
        commands.append(
            [*release, "--approval", str(APPROVAL)] if has_file(root / APPROVAL) else release
        )
    if _has(root, "batch"):
        # A batch deployment is that of the champion.
        commands += [
            ["promote", "--environment", environment, "--version", version],
            ["batch", "--environment", environment],
        ]
    return commands


def roll_back(root: Path, environment: str) -> int:
    """Bring the version before back: to the endpoints, and as champion.

    The champion changes only where it is the version that goes: a release that had not ended has not made one.

    Returns:
        The exit code of the first command that failed, else 0.
    """
    gone = None
    if _has(root, "online"):
        code, details = _ask(root, ["release", "--endpoint", environment, "--rollback", "--json"])
        if code:
            return code
        gone, before = details["model"]["version"], (details["before"] or {}).get("version")
        print(f"endpoint of {environment}: v{gone} goes, v{before or '(none)'} serves", flush=True)
    champion = champion_of(ask_models(root, environment), environment)
    if gone is not None and champion != gone:
        print(f"v{champion} was and stays champion of {environment}", flush=True)
        return 0
    commands = [["rollback", "--environment", environment]]
    return run_all(
        root,
        [*commands, ["batch", "--environment", environment]] if _has(root, "batch") else commands,
    )


def _has(root: Path, kind: str) -> bool:
    return has_file(root / ENDPOINTS / f"{kind}-endpoint.yml")


def run_all(root: Path, commands: Sequence[Sequence[str]]) -> int:
    """Run `mlops` commands until one does not end with 0; returns its exit code."""
    for command in commands:
        print(f"mlops {' '.join(command)}", flush=True)
        done = subprocess.run([sys.executable, "-m", "modelyard", *command], cwd=root, check=False)  # noqa: S603
        if done.returncode:
            return done.returncode
    return 0


def ask_models(root: Path, environment: str) -> list[Mapping[str, Any]]:
    """Return the registered versions of an environment's workspace, newest first.

    Raises:
        CheckFailed: the workspace does not answer.
    """
    code, versions = _ask(root, ["models", "--environment", environment, "--json"])
    if code:
        raise CheckFailed(f"the models of {environment} cannot be read; the reason is above")
    found: list[Mapping[str, Any]] = versions
    return found


def _ask(root: Path, command: Sequence[str]) -> tuple[int, Any]:
    """Run an `mlops` command; return its exit code and, where that is 0, what it printed as JSON."""
    print(f"mlops {' '.join(command)}", flush=True)
    words = [sys.executable, "-m", "modelyard", *command]
    done = subprocess.run(words, cwd=root, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603
    return done.returncode, json.loads(done.stdout) if done.returncode == 0 else None


def champion_of(versions: Sequence[Mapping[str, Any]], environment: str) -> str:
    """Return the number of the champion.

    Raises:
        CheckFailed: there is none.
    """
    for one in versions:
        if one["champion"]:
            return str(one["version"])
    raise CheckFailed(f"{environment} has no champion: nothing was promoted")


def challenger_of(versions: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the number of the newest version where nobody has judged it yet, as after a breach."""
    merged = [one for one in versions if not one["tags"].get("role", "").startswith(PULL_REQUEST)]
    newest = max(merged, key=lambda one: int(one["version"]), default=None)
    if newest is None or newest["champion"] or "decision" in newest["tags"]:
        return None
    return str(newest["version"])


def say_output(name: str, value: str, settings: Mapping[str, str] = os.environ) -> None:
    """Give a value to later jobs, in the way of the provider."""
    if output := settings.get("GITHUB_OUTPUT"):
        with Path(output).open("a", encoding="utf-8") as file:
            file.write(f"{name}={value}\n")
    if settings.get("TF_BUILD", "").lower() == "true":
        print(f"##vso[task.setvariable variable={name};isOutput=true]{value}")


def write_approval(
    root: Path,
    provider: Provider,
    versions: Sequence[Mapping[str, Any]],
    environment: str,
    version: str,
) -> str:
    """Write who approved the deployment of a version, as the provider's API says, for `mlops release`.

    Returns:
        What was found.

    Raises:
        CheckFailed: conf/gates.yml asks for an approval, and the provider knows of none.
        UsageError: the environment has no such version, or it has no digest.
    """
    found = next((one for one in versions if str(one["version"]) == version), None)
    digest = found["tags"].get(DIGEST) if found else None
    if not digest:
        raise UsageError(
            f"{environment} has no v{version} with a digest; `mlops take {version}` brings it there"
        )
    given = provider.approval(environment)
    (root / APPROVAL).unlink(missing_ok=True)
    if given is None:
        if load_gates(root / "conf" / "gates.yml").release.approval == "automatic":
            return f"v{version} goes to {environment} without an approval: conf/gates.yml says `automatic`"
        raise CheckFailed(
            f"nobody has approved that v{version} goes to {environment}, and conf/gates.yml asks for it: "
            f"`mlops connect` gives the environment its reviewers"
        )
    write_json(root / APPROVAL, asdict(given) | {"digest": digest})
    return (
        f"{given.by} approved at {given.at} that v{version} ({digest[:12]}) goes to {environment}"
    )
