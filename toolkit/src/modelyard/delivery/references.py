"""What workflows and pipelines refer to: commands of `mlops`, environments, jobs, files, inputs, permissions."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from modelyard.errors import UsageError
from modelyard.files import has_file, read_text
from modelyard.yaml_files import LocatedMapping, Problem, nearest, read_mapping

Commands = Mapping[str, Collection[str]]  # options by the words after `mlops`
_COMMAND = re.compile(r"\.venv/bin/mlops ([^\n|&;)#]*)")
_ENVIRONMENT = re.compile(r"--(?:environment|endpoint) ([a-z][a-z0-9]*)\b")
_HIDDEN = (
    "the job passes although mlops has failed; let it fail, or write "
    "`|| true # mlops:skip=hidden:` with the reason behind the command"
)
_LEVELS = {"read": 1, "write": 2}


def unknown_references(root: Path, commands: Commands) -> Iterator[Problem]:
    """Find what the workflows and pipelines of a project refer to and that is not there."""
    place = root / "conf" / "project.yml"
    environments = list(_parts(read_mapping(place), "environments")) if has_file(place) else []
    github = [*root.glob(".github/workflows/*.yml"), *root.glob(".github/actions/*/action.yml")]
    for path in sorted((*github, *root.glob(".azuredevops/**/*.yml"))):
        yield from _commands(path, commands, environments)
        content = _read(path)
        if path in github:
            yield from _jobs(root, path, content, environments)
        else:
            yield from _templates(root, path, content)


def _commands(path: Path, known: Commands, environments: list[str]) -> Iterator[Problem]:
    for number, line in enumerate(read_text(path).splitlines(), 1):
        for text in () if line.lstrip().startswith("#") else _COMMAND.findall(line):
            words = text.split()
            name = next((n for end in (2, 1) if (n := " ".join(words[:end])) in known), None)
            if re.search(r"\|\| *(true|:)", line) and "# mlops:skip=hidden:" not in line:
                yield Problem(path, number, _HIDDEN)
            if name is None:
                yield _unknown(path, number, "command", " ".join(words[:2]), known)
                continue
            for option in (w.partition("=")[0].rstrip("\"'") for w in words if w[:2] == "--"):
                if option not in known[name]:
                    yield _unknown(path, number, f"option of mlops {name}", option, known[name])
            for one in _ENVIRONMENT.findall(text):
                if environments and one not in environments:
                    yield _unknown(path, number, "environment", one, environments)


def _jobs(
    root: Path, path: Path, content: LocatedMapping, environments: list[str]
) -> Iterator[Problem]:
    jobs = _parts(content, "jobs") or {"": _parts(content, "runs")}
    for name, job in jobs.items():
        if not isinstance(job, LocatedMapping):
            continue  # its schema says so
        needs = job.get("needs") or []
        for one in [needs] if isinstance(needs, str) else needs:
            if one not in jobs:
                yield _unknown(path, job.line_of("needs"), f"job that {name} needs", one, jobs)
        at_once = _parts(job if "concurrency" in job else content, "concurrency")
        if "environment" in job and at_once.get("cancel-in-progress") is True:
            what = f"{name} works on an environment, and the next one would end it halfway"
            yield Problem(path, at_once.line_of("cancel-in-progress"), f"{what}; write false")
        permissions = job.get("permissions", content.get("permissions"))
        for step in (job, *(s for s in job.get("steps") or () if isinstance(s, LocatedMapping))):
            uses = str(step.get("uses", ""))
            if step.get("continue-on-error") is True and "bin/mlops " in str(step.get("run")):
                yield Problem(path, step.line_of("continue-on-error"), _HIDDEN)
            if uses.startswith("./") and not (root / uses).exists():
                yield Problem(path, step.line_of("uses"), f"there is no {uses}")
            elif uses.startswith("./") and step is job:
                yield from _called(path, job, permissions, _read(root / uses), environments)
            if uses.startswith("azure/login@"):
                asked = {"id-token": "write"}
                yield from _permitted(path, step.line_of("uses"), asked, permissions)


def _called(
    path: Path, job: LocatedMapping, given: Any, called: LocatedMapping, environments: list[str]
) -> Iterator[Problem]:
    """Find what a job hands to a workflow that has no such input, and what it does not hand over."""
    inputs = _parts(called, "on", "workflow_call", "inputs")
    handed = _parts(job, "with")
    line = job.line_of("uses")
    for name in handed.keys() - inputs.keys():
        yield _unknown(path, handed.line_of(name), f"input of {job['uses']}", name, inputs)
    for name, one in inputs.items():
        if isinstance(one, dict) and one.get("required") and name not in handed:
            yield Problem(path, line, f"{job['uses']} takes an input `{name}`")
    environment = str(handed.get("environment", "$"))
    if environments and "$" not in environment and environment not in environments:
        yield _unknown(
            path, handed.line_of("environment"), "environment", environment, environments
        )
    for one in _parts(called, "jobs").values():
        asked = _parts(one, "permissions") or called.get("permissions")
        yield from _permitted(path, line, asked, given)


def _permitted(path: Path, line: int, asked: Any, given: Any) -> Iterator[Problem]:
    """Find what a token is asked to do and may not; all others are those that the repository gives."""
    if isinstance(asked, Mapping) and isinstance(given, Mapping):
        for name, level in asked.items():
            if _LEVELS.get(str(given.get(name)), 0) < _LEVELS.get(str(level), 0):
                yield Problem(
                    path, line, f"this takes `{name}: {level}` in the job's `permissions`"
                )


def _templates(root: Path, path: Path, node: Any) -> Iterator[Problem]:
    """Find templates of Azure Pipelines that are not there, and parameters that they have not."""
    for one in node if isinstance(node, list) else node.values() if isinstance(node, dict) else ():
        yield from _templates(root, path, one)
    name = node.get("template") if isinstance(node, LocatedMapping) else None
    if not isinstance(name, str) or "@" in name or "$" in name:
        return
    line = node.line_of("template")
    target = root / name[1:] if name.startswith("/") else path.parent / name
    if not has_file(target):
        yield Problem(path, line, f"there is no {name}")
        return
    known = _read(target).get("parameters")
    given = _parts(node, "parameters")
    if not isinstance(known, list) or any("$" in str(key) for key in given):
        return
    wanted = {one["name"]: "default" in one for one in known if isinstance(one, dict)}
    for key in given.keys() - wanted.keys():
        yield _unknown(path, given.line_of(key), f"parameter of {name}", key, wanted)
    for key, has_default in wanted.items():
        if not has_default and key not in given:
            yield Problem(path, line, f"{name} takes a parameter `{key}`")


def _read(path: Path) -> LocatedMapping:
    """Read a file; one that cannot be read is empty, which its schema says."""
    try:
        return read_mapping(path)
    except UsageError:
        return LocatedMapping()


def _parts(content: Any, *keys: str) -> LocatedMapping:
    """Return the mapping below some keys; an empty one where there is none, which the schema says."""
    for key in keys:
        content = content.get(key) if isinstance(content, Mapping) else None
    return content if isinstance(content, LocatedMapping) else LocatedMapping()


def _unknown(path: Path, line: int, kind: str, name: str, known: Collection[str]) -> Problem:
    near = nearest(name, list(known))
    hint = f"did you mean `{near}`?" if near else f"there is: {', '.join(sorted(known)[:12])}"
    return Problem(path, line, f"there is no {kind} `{name}`; {hint}")
