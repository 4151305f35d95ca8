"""Brings into a project what its answers left out, as if it had been answered so at the start."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from modelyard.errors import CheckFailed, UsageError
from modelyard.files import has_file, read_text, write_text
from modelyard.fleet.merge import Kind, Upgrade
from modelyard.fleet.upgrade import apply, origin_of, pick, upgrade_of
from modelyard.project import GIVEN, load_project

LATER = "none"  # the value of an answer that leaves a part out
# What the profile laptop makes of other answers; adding one of these makes the project a team's.
LAPTOP = {"profile": "team", "network": LATER, "ci_provider": LATER}

Person = Literal["", "kept", "conflict"]
_PERSON: dict[Kind, Person] = {"auto": "", "merged": "", "kept": "kept", "conflict": "conflict"}


@dataclass(frozen=True)
class File:
    """What becomes of a file.

    Attributes:
        path: relative to the project.
        before: its text as it is, None without one.
        after: its text as it will be, None without one; of a conflict with conflict markers.
        person: whether somebody has to decide, or to know that the template's change is left out.
        why: of that.
    """

    path: str
    before: str | None
    after: str | None
    person: Person = ""
    why: str = ""

    @property
    def what(self) -> str:
        """In a word what becomes of it."""
        if self.person or self.before is None:
            return self.person or "added"
        return "removed" if self.after is None else "changed"

    def lines(self) -> tuple[int, int]:
        """Count the lines that are added, and those that go."""
        marks = [line[:1] for line in self.diff()]
        return marks.count("+"), marks.count("-")

    def diff(self) -> list[str]:
        """The lines that change, with + and - before them and one line around."""
        old, new = ((side or "").splitlines() for side in (self.before, self.after))
        return list(difflib.unified_diff(old, new, n=1, lineterm=""))[2:]


@dataclass(frozen=True)
class Plan:
    """What an addition changes.

    Attributes:
        answers: each that changes, before and after.
        files: that change; a conflict has to be settled by a person.
        upgrade: the merge that has the files; None where they belong to no answer.
    """

    answers: Mapping[str, tuple[str, str]]
    files: Sequence[File]
    upgrade: Upgrade | None = None

    @property
    def conflicts(self) -> list[str]:
        """The files that a person has to look at."""
        return [one.path for one in self.files if one.person == "conflict"]

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON data."""
        return {
            "answers": {
                name: {"from": old, "to": new} for name, (old, new) in self.answers.items()
            },
            "files": [
                {"path": one.path, "what": one.what, "why": one.why}
                | dict(zip(("added", "removed"), one.lines(), strict=True))
                for one in self.files
            ],
            "conflicts": self.conflicts,
        }


def wanted_endpoint(kind: str, answers: Mapping[str, str]) -> dict[str, str]:
    """The answer that has an endpoint of a kind beside what there is."""
    there = answers.get("serving", kind)
    return {"serving": kind if there == kind else "online-and-batch"}


@contextmanager
def plan_answers(
    root: Path,
    choose: Callable[[Mapping[str, str]], Mapping[str, str]],
    template: str | None = None,
    say: Callable[[str], object] = print,
) -> Iterator[Plan]:
    """Plan what other answers change in a project: its template is rendered with both, and the difference merged.

    Args:
        root: of the project.
        choose: takes the project's answers, returns those that are to change.
        template: path or URL of a clone; default: what .cruft.json says.
        say: takes a line before packages are installed, and where `template` is not read.

    Raises:
        UsageError: the project does not say where it came from, the template cannot be reached, does not
            know an answer or refuses it.
    """
    old = origin_of(root).answers
    meant = effective(old)
    wanted = dict(choose(meant))
    if unknown := sorted(wanted.keys() - old.keys()):
        raise UsageError(
            f"the template of this project did not ask for {', '.join(unknown)}; `mlops upgrade` brings a newer one"
        )
    if wanted.keys() & LAPTOP.keys() and old.get("profile") == "laptop":
        wanted = LAPTOP | wanted
    new = {name: value for name, value in wanted.items() if old[name] != value}
    if not new:
        if template:
            say(f"{template} is not read: no answer of this project changes")
        yield Plan({}, [])
        return
    changed = {name: (meant[name], value) for name, value in wanted.items() if meant[name] != value}
    with upgrade_of(root, None, template, say, new) as upgrade:
        assert upgrade is not None  # noqa: S101 (other answers are never nothing)
        files = [
            File(one.file, *upgrade.sides(one.file), _PERSON[one.kind], one.why)
            for one in sorted(upgrade.changes, key=lambda one: one.file)
        ]
        yield Plan(changed, [*files, *_stages(root)], upgrade)


def _stages(root: Path) -> Iterator[File]:
    """Yield the parameter files of stages, which the template does not know, and an answer does not change."""
    for name in load_project(root).environments:
        path = root / "infra" / f"{name}.bicepparam"
        if name not in GIVEN and has_file(path):
            text = read_text(path)
            why = f"your own stage: give it what the others get; `mlops add stage {name}` adds it to new pipelines"
            yield File(f"infra/{path.name}", text, text, "kept", why)


def plan_files(root: Path, files: Mapping[Path, bytes], replaced: Sequence[Path] = ()) -> Plan:
    """Plan files that belong to no answer.

    Args:
        root: of the project.
        files: with their content.
        replaced: those that are there, and get another content.

    Raises:
        UsageError: a file is there with another content.
    """
    changes = []
    for path, content in files.items():
        name = path.relative_to(root).as_posix()
        before = path.read_bytes() if has_file(path) else None
        if before == content:
            continue
        if before is not None and path not in replaced:
            raise UsageError(f"{name} exists, and is another one; edit it, or choose another name")
        changes.append(File(name, before.decode() if before else None, content.decode()))
    return Plan({}, changes)


def effective(answers: Mapping[str, str]) -> dict[str, str]:
    """The answers, with what the profile makes of them."""
    laptop = answers.get("profile") == "laptop"
    return dict(answers) | ({k: v for k, v in LAPTOP.items() if v == LATER} if laptop else {})


def apply_plan(root: Path, plan: Plan) -> None:
    """Write a plan into the project: other answers as one commit, files that belong to no answer as they are.

    Raises:
        UsageError: something is not committed.
        CheckFailed: conflicts are left for a person.
    """
    if plan.upgrade is None:
        for one in plan.files:
            write_text(root / one.path, one.after or "")
    elif not plan.conflicts:
        apply(root, plan.upgrade)
    elif not pick(root, plan.upgrade):
        raise CheckFailed(
            f"a person decides on these: {', '.join(plan.conflicts)}; then `git add` them and `git cherry-pick "
            "--continue`. `git cherry-pick --abort` goes back"
        )
