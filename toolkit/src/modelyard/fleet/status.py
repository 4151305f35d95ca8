"""What each project of a fleet is today, from what its repository holds. Nothing is changed."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from modelyard.errors import ModelyardError, reason_of
from modelyard.evidence import Evidence
from modelyard.files import has_file, read_json, read_text, relative
from modelyard.fleet.given import differences
from modelyard.fleet.repositories import Repository, files_of
from modelyard.fleet.template import STATE, Template, read_origin
from modelyard.models.registry import champion_decision
from modelyard.pipelines.azure_files import AzureFile
from modelyard.pipelines.azure_kinds import kind_of
from modelyard.pipelines.retired import retired_in
from modelyard.policy.check import check_project
from modelyard.policy.documents import Documents
from modelyard.policy.model import Policy
from modelyard.readiness.readiness import level_of
from modelyard.tracking import local_store, store_uri
from modelyard.yaml_files import LocatedMapping

COST_TAGS = ("cost_center", "costcenter", "cost-center", "budget")
OWNERS = (".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS")
CHUNK = 8  # repositories that a process takes at once


@dataclass(frozen=True)
class Question:
    """What is asked of every repository.

    Attributes:
        template: None: how far files differ from it is not judged.
        policy: with its file; None: breaches are not judged.
    """

    template: Template | None
    policy: tuple[Policy, Path] | None
    today: date


@dataclass
class Row:
    """A repository.

    Attributes:
        folder: None where it is an address.
        problems: what could not be read, with the reason.
        template: the template's version, and the commit of it.
        changed: files that the template gave and the team changed; None: not judged.
        unjudged: why `changed` and `deleted` are not judged.
        level: of Azure's MLOps maturity model, with the evidence that is here; None: it could not be judged.
        lacking: names of the criteria of the next level that are not met.
        champion: number, age in days and verdict of the model that is in use; None: none is known here.
        breaches: of the policy; None: not judged.
        retired: what is in use and has been retired; None: not judged.
        retiring: what will be; None: not judged.
        pages: report and card of the champion's decision, relative to the repository.
    """

    repository: str
    folder: str | None
    updates: bool
    problems: list[str] = field(default_factory=list)
    name: str = ""
    owner: str = ""
    template: str = ""
    toolkit: str = ""
    changed: int | None = None
    deleted: int | None = None
    unjudged: str = ""
    level: int | None = None
    lacking: list[str] = field(default_factory=list)
    champion: dict[str, Any] | None = None
    breaches: list[str] | None = None
    retired: list[str] | None = None
    retiring: list[str] | None = None
    cost_tags: dict[str, str] = field(default_factory=dict)
    endpoints: list[str] = field(default_factory=list)
    pages: list[str] = field(default_factory=list)

    @property
    def is_fine(self) -> bool:
        """Whether everything could be read and nothing is against the policy."""
        return not self.problems and not self.breaches


def examine(
    repositories: Sequence[Repository], question: Question, processes: int
) -> Iterator[Row]:
    """Look at repositories, several at once; yield a row for each, in their order."""
    if processes == 1:
        _begin(question)
        yield from map(_row, repositories)
        return
    context = get_context("spawn")  # the caller may have threads
    with ProcessPoolExecutor(processes, context, _begin, (question,)) as pool:
        yield from pool.map(_row, repositories, chunksize=CHUNK)


_asked: list[Question] = []


def _begin(question: Question) -> None:
    _asked[:] = [question]


def _row(repository: Repository) -> Row:
    folder = None if repository.is_address else repository.place
    row = Row(repository.shown, folder, repository.updates)
    try:
        with files_of(repository) as root:
            _fill(row, root, _asked[0])
    except Exception as error:  # one broken repository must not hide the others
        row.problems.append(reason_of(error))
    return row


def _fill(row: Row, root: Path, question: Question) -> None:
    files = Documents(root)
    project = files.project
    row.name, row.owner = str(project.get("name")), owner_of(root, str(project.get("owner", "")))
    tags = project.get("tags") or {}
    row.cost_tags = {str(k): str(v) for k, v in tags.items() if str(k).lower() in COST_TAGS}
    environments = project.get("environments") or {}
    row.endpoints = [str(one["endpoint"]) for one in environments.values() if one.get("endpoint")]
    row.template, row.toolkit = str(tags.get("template_version", "")), _toolkit(root)
    for part in (_of_template, _readiness, _champion, _breaches, _retirements):
        try:
            part(row, root, question, files)
        except (ModelyardError, OSError, sqlite3.Error, LookupError, ValueError) as error:
            row.problems.append(reason_of(error))


def owner_of(root: Path, otherwise: str) -> str:
    """Return whom CODEOWNERS asks about everything; the last line that fits counts."""
    for name in OWNERS:
        if has_file(root / name):
            lines = read_text(root / name).splitlines()
            all_files = [
                words[1:] for line in lines if (words := line.split("#")[0].split())[:1] == ["*"]
            ]
            if all_files and all_files[-1]:
                return " ".join(all_files[-1])
    return otherwise


def _toolkit(root: Path) -> str:
    path = root / "requirements" / "modelyard.txt"
    text = read_text(path) if has_file(path) else ""
    found = re.search(r"^modelyard==([^\s;\\]+)", text, re.MULTILINE)
    return found[1] if found else ""


def _of_template(row: Row, root: Path, question: Question, _: Documents) -> None:
    def read(name: str) -> str | None:
        path = root / name
        return read_text(path) if has_file(path) else None

    if read(STATE) is None:
        row.unjudged = f"it has no {STATE}; `cruft link` writes it"
        return
    origin = read_origin(read, row.repository)
    row.template = f"{row.template} ({origin.commit[:8]})"
    if question.template is None:
        row.unjudged = "name a clone of the template with --template"
        return
    try:
        changed, deleted = differences(root, origin, question.template)
    except ModelyardError as error:
        row.unjudged = reason_of(error)
        return
    row.changed, row.deleted = len(changed), len(deleted)


def _readiness(row: Row, root: Path, question: Question, _: Documents) -> None:
    row.level, lacking = level_of(root, store_uri(local_store(root)), question.today)
    row.lacking = [one.name for one in lacking]


def _champion(row: Row, root: Path, question: Question, files: Documents) -> None:
    model = str(files.project.get("model"))
    found = champion_decision(store_uri(local_store(root)), model)
    if found is None:
        return
    number, since, decided = found
    age = (question.today - datetime.fromtimestamp(since, UTC).date()).days
    row.champion = {"version": number, "age_days": age, "verdict": decided or "not judged"}
    folder = Path(".mlflow") / "decisions" / f"{model}-v{number}"
    evidence = root / folder / "evidence" / "decision.json"
    if has_file(evidence):
        row.champion["verdict"] = str(read_json(evidence, Evidence)["details"]["verdict"])
    pages = ("report.html", "card.html")
    row.pages = [(folder / one).as_posix() for one in pages if (root / folder / one).is_file()]


def _breaches(row: Row, root: Path, question: Question, files: Documents) -> None:
    if question.policy is not None:
        policy, file = question.policy
        found = check_project(root, policy, file, question.today, files).breaches
        row.breaches = [str(one) for one in found]


def _retirements(row: Row, root: Path, question: Question, files: Documents) -> None:
    both: tuple[list[str], list[str]] = [], []
    for path, content in files.azureml.items():
        if isinstance(content, LocatedMapping) and (kind := kind_of(path, content)):
            found = retired_in(AzureFile(path, kind, content), question.today)
            for some, rows in zip(found, both, strict=True):
                rows += [f"{relative(one.file, root)}:{one.line}: {one.message}" for one in some]
    row.retired, row.retiring = both
