"""A stage between test and prod: its names, parameter file, and places in the pipelines of a project."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from modelyard.errors import UsageError
from modelyard.files import has_file, read_text
from modelyard.infra.rename import LONGEST
from modelyard.yaml_files import parse

NAME = re.compile(r"[a-z][a-z0-9]{1,9}")
PROJECT = Path("conf") / "project.yml"
LAST = "prod"  # the environment that a stage comes before
JOBS = {"changes", "drift", "kept", "packages", "share", "train"}  # and stages of the pipelines
# Of a parameter file: who signs in, which differs by environment.
_WHO = re.compile(r"^param (ciSubject|ciReaderSubject|ciIssuer) = .*$", re.MULTILINE)


def stage_files(root: Path, name: str) -> dict[Path, bytes]:
    """Return the files of a project as they are with a stage; those that need no change are as they were.

    Raises:
        UsageError: the name cannot be used, the project has no infrastructure, or a file has not the form
            that the template gave it.
    """
    if not NAME.fullmatch(name):
        raise UsageError(
            "a stage's name is 2 to 10 lower-case letters and digits, since names on Azure are made of it, "
            f"and begins with a letter; found {name!r}"
        )
    if name in JOBS:
        raise UsageError(f"{name} is a job of the pipelines; give the stage another name")
    if not (root / "infra").is_dir():
        raise UsageError("a stage is an environment on Azure: `mlops add infrastructure` first")
    edits: dict[Path, Callable[[str, str, str], str]] = {
        PROJECT: _names,
        Path(".github", "workflows", "deliver.yml"): _job,
        Path(".github", "workflows", "infra.yml"): _job,
        Path(".github", "workflows", "audit.yml"): _audit,
        Path(".github", "workflows", "rollback.yml"): _choice,
        Path(".azuredevops", "templates", "deliver.yml"): _template,
        Path(".azuredevops", "rollback.yml"): _choice,
    }
    files = {}
    for file, edit in edits.items():
        if has_file(path := root / file):
            files[path] = edit(read_text(path), name, file.as_posix()).encode()
    parameters = root / "infra" / f"{name}.bicepparam"
    if not has_file(parameters):
        files[parameters] = _parameters(root / "infra", name).encode()
    return files


def _names(text: str, name: str, file: str) -> str:
    if name in parse(text)["environments"]:
        return text
    block = _block(text, rf"^  {LAST}:\n(?:    .*\n)+", file)
    lines = []
    for line in block.splitlines():
        before, found, after = line.rpartition(LAST)
        lines.append(f"{before}{name}{after}" if found else line)
    made = "\n".join(lines) + "\n"
    for kind, value in parse(made)[name].items():
        if len(str(value)) > LONGEST.get(kind, 90):
            raise UsageError(
                f"{kind} {value} has {len(str(value))} characters, and Azure takes {LONGEST[kind]}; "
                "give the stage a shorter name"
            )
    return text.replace(block, made + block, 1)


def _parameters(infra: Path, name: str) -> str:
    like = next((one for one in ("test", LAST) if (infra / f"{one}.bicepparam").is_file()), None)
    if like is None:
        raise UsageError(f"infra/ has no {LAST}.bicepparam to begin with; restore it from git")
    text = read_text(infra / f"{like}.bicepparam")
    text = text.replace(f"param environment = '{like}'", f"param environment = '{name}'")
    return _WHO.sub(lambda found: f"param {found[1]} = ''", text)


def _job(text: str, name: str, file: str) -> str:
    """Add a job before that of prod, which waits for it."""
    if re.search(rf"^  {name}:$", text, re.MULTILINE):
        return text
    block = _block(text, rf"^  {LAST}:\n(?:(?: {{4}}.*)?\n)*", file)
    waiting = re.sub(r"^(    needs: \[.*)\]$", rf"\1, {name}]", block, flags=re.MULTILINE)
    if waiting == block:
        raise UsageError(_unlike(file, f"a job {LAST} with `needs: […]`"))
    return text.replace(block, f"{_like(block, name).rstrip()}\n\n{waiting}", 1)


def _audit(text: str, name: str, file: str) -> str:
    """Add the stage to what looks for old deployments, and a job that deletes its own."""
    if re.search(rf"^  tidy-{name}:$", text, re.MULTILINE):
        return text
    for pattern in (
        rf"^      {LAST}: .*\n",
        rf"^      - if: .*\"{LAST}\".*\n(?: {{8}}.*\n)+",
        rf"^  tidy-{LAST}:\n(?:(?: {{4}}.*)?\n)*",
    ):
        block = _block(text, pattern, file)
        between = "\n\n" if block.startswith("  tidy") else "\n"
        text = text.replace(block, f"{_like(block, name).rstrip()}{between}{block}", 1)
    return text


def _choice(text: str, name: str, file: str) -> str:
    """Add the stage to where one can go back."""
    block = _block(text, rf"^ +(?:options|values): \[.*{LAST}\]\n", file)
    if re.search(rf"\b{name}\b", block):
        return text
    return text.replace(block, block.replace(f"{LAST}]", f"{name}, {LAST}]"), 1)


def _template(text: str, name: str, file: str) -> str:
    """Add a stage of Azure Pipelines before that of prod, which waits for it."""
    if re.search(rf"^          environment: {name}$", text, re.MULTILINE):
        return text
    block = _block(text, rf"^  - \$\{{\{{ if .*'{LAST}'.*\n(?:(?: {{4}}.*)?\n)*", file)
    there = re.search(rf"^  - (\$\{{\{{ if .*'{LAST}'.*)\n", block)
    at = block.find("          after:")
    if there is None or at < 0 or "          before:\n" not in block:
        raise UsageError(_unlike(file, f"`before:` and `after:` of {LAST}"))
    wait = f"            - {there[1].replace(LAST, name)}\n                - {name}\n"
    return text.replace(
        block, f"{_like(block, name).rstrip()}\n\n{block[:at]}{wait}{block[at:]}", 1
    )


def _block(text: str, pattern: str, file: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    if found is None:
        raise UsageError(_unlike(file, f"that of {LAST}, before which the stage comes"))
    return found[0]


def _like(block: str, name: str) -> str:
    """Return the lines of prod for the stage, without their comments."""
    lines = [line for line in block.splitlines() if not line.lstrip().startswith("#")]
    text = "\n".join(lines) + "\n"
    own = re.sub(rf"(?<![A-Za-z0-9]){LAST}(?![A-Za-z0-9])", name, text)
    return own.replace(f"_{LAST.upper()} ", f"_{name.upper()} ")


def _unlike(file: str, expected: str) -> str:
    return f"{file}: expected {expected}, found none; restore it from git, or write the stage into it by hand"
