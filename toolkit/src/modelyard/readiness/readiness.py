"""Readiness of a project: its level, why, and the cheapest next step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Literal

from modelyard.errors import UsageError
from modelyard.principles import load_principles, shown
from modelyard.project import author
from modelyard.readiness.answers import Answer, load_answers, save_answer
from modelyard.readiness.criteria import CRITERIA, Criterion
from modelyard.readiness.evidence import Found, Seen
from modelyard.readiness.responsibility import groups, owners
from modelyard.yaml_files import did_you_mean

LEVELS = (
    "No MLOps",
    "DevOps, no MLOps",
    "Automated training",
    "Automated model deployment",
    "Full MLOps automated operations",
)
DAYS = 365  # that an answer holds
State = Literal["met", "not met", "open"]
STATES: dict[bool | None, State] = {True: "met", False: "not met", None: "open"}


@dataclass(frozen=True)
class Line:
    """A criterion, a principle or a responsibility, with what was found.

    Attributes:
        level: of the criterion; None of the others.
        remedy: a command; None where it is met.
    """

    name: str
    level: int | None
    area: str
    what: str
    state: State
    said: str
    remedy: str | None
    minutes: int


@dataclass(frozen=True)
class Readiness:
    """Where a project is.

    Attributes:
        title: of the project.
        level: the highest of which, and of all below, every criterion is met.
        lines: criteria by level, then principles, then responsibilities.
        following: the cheapest criterion of the next level that is not met.
    """

    title: str
    level: int
    lines: Sequence[Line]
    following: Line | None

    def of(self, level: int | None) -> list[Line]:
        """Return the lines of a level; None: principles and responsibilities."""
        return [one for one in self.lines if one.level == level]


def readiness(root: Path, today: date | None = None) -> Readiness:
    """Judge a project by the maturity model; an unanswered question is open, and open is not met.

    Raises:
        UsageError: a file of conf/ is broken, or names a question that there is not.
    """
    seen, answers = Seen(root), load_answers(root)
    today = today or datetime.now(UTC).date()
    for name in answers:
        _question(name)
    by_level = {level: _judged(level, seen, answers, today) for level in range(1, 5)}
    level, lacking = _reached(by_level.__getitem__)
    following = min(lacking, key=lambda one: one.minutes, default=None)
    lines = [line for some in by_level.values() for line in some]
    return Readiness(seen.project.title, level, (*lines, *_others(seen)), following)


def level_of(root: Path, uri: str, today: date) -> tuple[int, list[Line]]:
    """Return the level of a project, and what it lacks of the next one; nothing beyond that is read.

    Raises:
        UsageError: a file is broken.
        sqlite3.Error: the store has other tables.
    """
    seen, answers = Seen(root, uri), load_answers(root)
    return _reached(lambda level: _judged(level, seen, answers, today))


def _reached(lines: Callable[[int], list[Line]]) -> tuple[int, list[Line]]:
    for level in range(4):
        if lacking := [one for one in lines(level + 1) if one.state != "met"]:
            return level, lacking
    return 4, []


def _judged(level: int, seen: Seen, answers: Mapping[str, Answer], today: date) -> list[Line]:
    return [
        _line(one, one.check(seen) if one.check else _answered(answers.get(one.name), today))
        for one in CRITERIA
        if one.level == level
    ]


def take_answer(root: Path, name: str, *, is_met: bool, why: str) -> None:
    """Write somebody's answer to a question into conf/readiness.yml.

    Raises:
        UsageError: there is no such question, or the reason is missing.
    """
    _question(name)
    if not why.strip():
        raise UsageError(f'say why, for whoever reads the answer: --answer {name}=… --why "…"')
    today = datetime.now(UTC).date()
    save_answer(root, name, Answer(met=is_met, why=why.strip(), by=author(root), day=today))


def _question(name: str) -> None:
    questions = [one.name for one in CRITERIA if one.check is None]
    if name not in questions:
        hint = did_you_mean(name, questions)
        known = ", ".join(questions)
        raise UsageError(f"nobody asks `{name}`{hint}; the questions are {known}")


def _answered(answer: Answer | None, today: date) -> Found:
    if answer is None:
        return Found(None, "nobody has answered")
    said = f"{answer.why} ({answer.by}, {answer.day})"
    if (today - answer.day).days > DAYS:
        return Found(None, f"answered more than a year ago: {said}")
    if (answer.day - today).days > 1:  # of a clock in another zone
        return Found(None, f"answered on a day to come: {said}")
    return Found(answer.met, said)


def _line(criterion: Criterion, found: Found) -> Line:
    remedy = None if found.is_met else found.remedy or criterion.remedy
    about = (criterion.name, criterion.level, criterion.area, criterion.what)
    return Line(*about, STATES[found.is_met], found.said, remedy, criterion.minutes)


def _others(seen: Seen) -> list[Line]:
    principles = load_principles(seen.root / "conf" / "principles.yml")
    found = [
        (one.name, "principles", Found(one.is_shown, one.said, "mlops docs readiness"))
        for one in shown(principles, seen.evidence)
    ]
    found.append(("code owners", "responsibility", owners(seen.root)))
    found.append(("groups", "responsibility", groups(seen.root)))
    return [
        _line(Criterion(name, None, area, name.capitalize(), 0, None), one)
        for name, area, one in found
    ]
