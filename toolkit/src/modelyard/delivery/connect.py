"""Connecting a repository with its provider and with Azure: a plan first, and nothing twice."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelyard.errors import CheckFailed, UsageError
from modelyard.files import parse_answer, read_text, write_text
from modelyard.project import Project, load_project
from modelyard.sign_in import AUDIENCE

NOT_THERE = ("404", "not found", "notfound", "could not be found", "does not exist")


@dataclass(frozen=True)
class Step:
    """One thing that has to be so.

    Attributes:
        what: it is.
        command: that makes it so; none where it is so already.
        body: of the command, as JSON on its standard input.
        file: a file to write instead, and its text.
        wait: why it cannot be done yet.
    """

    what: str
    command: tuple[str, ...] = ()
    body: Any = None
    file: tuple[Path, str] | None = None
    wait: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether there is something to do."""
        return bool(self.command or self.file)


def az(words: str, **options: str) -> tuple[str, ...]:
    """Return a command of the Azure CLI; `_` in the name of an option stands for a hyphen."""
    named = [(f"--{name.replace('_', '-')}", value) for name, value in options.items()]
    return ("az", *words.split(), *(word for pair in named for word in pair))


def contains(found: Any, wanted: Any) -> bool:
    """Whether settings have all that is wanted; a provider adds fields of its own."""
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and all(
            contains(found.get(key), one) for key, one in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            isinstance(found, list)
            and len(found) == len(wanted)
            and all(any(contains(one, other) for one in found) for other in wanted)
        )
    return bool(found == wanted)


class Cli:
    """Runs `gh` and `az`."""

    def ask(self, *command: str) -> Any:
        """Return the JSON that a command prints; None where it asks for something that is not there.

        Raises:
            UsageError: the program is not installed or not signed in.
        """
        as_json = ("--output", "json") if command[0] == "az" else ()  # a user may have set another
        done = self._run((*command, *as_json), None)
        if done.returncode == 0:
            return parse_answer(done.stdout, *command)
        said = done.stderr + done.stdout
        if any(word in said.lower() for word in NOT_THERE):
            return None
        raise UsageError(f"{' '.join(command[:4])} failed: {said.strip()[:400]}")

    def do(self, step: Step) -> None:
        """Do a step.

        Raises:
            CheckFailed: it was refused.
        """
        if step.file:
            write_text(*step.file)
            return
        done = self._run(step.command, None if step.body is None else json.dumps(step.body))
        if done.returncode:
            raise CheckFailed(f"{step.what}: {(done.stderr + done.stdout).strip()[:400]}")

    def _run(self, command: tuple[str, ...], body: str | None) -> subprocess.CompletedProcess[str]:
        program = shutil.which(command[0])
        if program is None:
            raise UsageError(f"{command[0]} is not installed, or not on the PATH")
        words = [program, *command[1:]]
        return subprocess.run(words, input=body, capture_output=True, text=True, check=False)  # noqa: S603


@dataclass(frozen=True)
class Wanted:
    """What somebody asks `mlops connect` for.

    Attributes:
        environments: that get a place for their deployments.
        reviewers: who approve deployments to those after dev; users or teams.
    """

    root: Path
    environments: tuple[str, ...]
    reviewers: tuple[str, ...]

    @property
    def project(self) -> Project:
        """The model of conf/project.yml."""
        return load_project(self.root)

    def reviewers_of(self, environment: str) -> tuple[str, ...]:
        """Who approve that something is deployed to an environment: nobody for the first."""
        return self.reviewers if environment != "dev" else ()


@dataclass(frozen=True)
class Identities:
    """The identities of an environment on Azure: CI's, and that of pull requests."""

    client: str
    reader: str
    tenant: str
    subscription: str


def find_identities(cli: Cli, wanted: Wanted, environment: str) -> Identities | None:
    """Look an environment's identities up on Azure; None where it is not deployed yet."""
    group = wanted.project.environments[environment].resource_group
    names = (identity_name(wanted, environment, kind) for kind in ("ci", "ci-reader"))
    found = [cli.ask(*az("identity show", name=name, resource_group=group)) for name in names]
    if None in found:
        return None
    subscription = str(found[0]["id"]).split("/")[2]
    return Identities(
        found[0]["clientId"], found[1]["clientId"], found[0]["tenantId"], subscription
    )


def identity_name(wanted: Wanted, environment: str, kind: str) -> str:
    """Return the name of an identity, as infra/ makes it: all follow from that of the workspace."""
    return f"id-{wanted.project.environments[environment].base}-{kind}"


def parameters_step(wanted: Wanted, environment: str, values: Mapping[str, str]) -> Step:
    """Return the step that writes who signs in into an environment's parameters."""
    path = wanted.root / "infra" / f"{environment}.bicepparam"
    text = before = read_text(path)
    for name, value in values.items():
        line = re.compile(rf"^param {name} = .*$", re.MULTILINE)
        assigned = f"param {name} = '{value}'"
        if line.search(text):
            text = line.sub(assigned.replace("\\", r"\\"), text)
        else:
            text = f"{text.rstrip()}\n{assigned}\n"
    what = f"infra/{environment}.bicepparam says who signs in: {', '.join(values.values())}"
    return Step(what, file=(path, text) if text != before else None)


def federated_step(
    cli: Cli, wanted: Wanted, environment: str, kind: str, name: str, issuer: str, subject: str
) -> Step:
    """Return the step that lets a subject sign in as an identity."""
    group = wanted.project.environments[environment].resource_group
    identity = identity_name(wanted, environment, kind)
    place = {"identity_name": identity, "resource_group": group}
    what = f"{subject} signs in as {identity}"
    known = cli.ask(*az("identity federated-credential list", **place))
    same = [one for one in known or () if one["name"] == name]
    if any(one["subject"] == subject and one["issuer"] == issuer for one in known or ()):
        return Step(what)
    words = f"identity federated-credential {'update' if same else 'create'}"
    who = {"issuer": issuer, "subject": subject, "audiences": AUDIENCE}
    return Step(what, az(words, name=name, **place, **who))


def connect(steps: Iterable[Step], cli: Cli, *, apply: bool, say: Callable[[str], object]) -> int:
    """Print every step, and with `apply` do those that are open, in order.

    Steps are asked for one by one: a later one may rest on what an earlier one has made.

    Returns:
        The number of steps that are left.
    """
    left = 0
    for step in steps:
        if step.wait:
            left += 1
            say(f"  later   {step.what}: {step.wait}")
        elif not step.is_open:
            say(f"  is so   {step.what}")
        elif apply:
            cli.do(step)
            say(f"  done    {step.what}")
        else:
            left += 1
            say(f"  to do   {step.what}")
    return left
