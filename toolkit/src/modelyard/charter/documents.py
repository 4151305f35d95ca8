"""The documents of a project's lifecycle: charter, decision record, exit report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import count, groupby
from pathlib import Path
from typing import Literal

from modelyard.charter.goals import GOOD_ENOUGH
from modelyard.charter.history import Known, Tried
from modelyard.charter.marked import write_marked
from modelyard.console import counted, short_commit
from modelyard.errors import UsageError
from modelyard.files import editing, read_json, relative, write_text
from modelyard.fleet.reuse import parts_of
from modelyard.pipelines.store import all_runs
from modelyard.principles import load_principles, shown
from modelyard.project import author
from modelyard.readiness.evidence import Monitored
from modelyard.reports.card.content import Part, Table
from modelyard.reports.card.markdown import escaped, part_lines
from modelyard.reports.card.scorecard import STATES
from modelyard.reports.wording import MISSING

DOCS = Path("docs")
RECORDS = DOCS / "decisions"
Outcome = Literal["go-on", "stop"]
REACHED = {True: "reached", False: "not reached", None: "not judged"}
PEOPLE = "## What only people know"
CHARTER = f"""{PEOPLE}

- Who decides what with a prediction, and what does a wrong one cost?
- By when, and who accepts it?
- What is not promised?"""
EXIT = f"""{PEOPLE}

- Who was told, and what do they use instead?
- What is kept, how long, and who answers for it?
- What was learnt?"""


def write_charter(known: Known, *, force: bool) -> Path:
    """Write the generated part of docs/charter.md; return its path.

    Raises:
        UsageError: somebody has edited that part, and not `force`.
    """
    return _write(known, "Charter", CHARTER, (_question, _goals, _principles, _decisions), force)


def write_exit(known: Known, *, force: bool) -> Path:
    """Write the generated part of docs/exit-report.md; return its path.

    Raises:
        UsageError: somebody has edited that part, and not `force`; or no version was ever registered.
    """
    if known.shown is None:
        raise UsageError(
            "no version is registered here: an exit report is of a model. What was only explored ends with "
            '`mlops charter --decision stop --because "…"`; models on Azure: --environment NAME'
        )
    parts = (_question, _versions, _goals, _releases, _monitor, _decisions, _remains)
    return _write(known, "Exit report", EXIT, parts, force)


def write_decision(known: Known, outcome: Outcome, because: str) -> Path:
    """Write a dated decision record, which no later call changes; return its path."""
    root, day = known.seen.root, datetime.now(UTC).date().isoformat()
    title = f"# {outcome.replace('-', ' ').capitalize()}: {escaped(known.seen.project.title)}"
    about = (
        f"Decided on {day} by {escaped(author(root))}. A later decision gets a record of its own."
    )
    text = _text(known, (_question, _versions, _goals, _elsewhere))
    with editing(root):
        files = (root / RECORDS / f"{day}-{outcome}{f'-{n}' if n > 1 else ''}.md" for n in count(1))
        file = next(file for file in files if not file.exists())
        write_text(file, f"{title}\n\n{about}\n\n## Why\n\n{escaped(because)}\n\n{text}\n")
    return file


Parts = Sequence[Callable[[Known], Part]]


def _write(known: Known, title: str, after: str, parts: Parts, force: bool) -> Path:
    path = known.seen.root / DOCS / f"{title.lower().replace(' ', '-')}.md"
    before = f"# {title}: {escaped(known.seen.project.title)}"
    write_marked(path, _text(known, parts), before=before, after=after, force=force)
    return path


def _text(known: Known, parts: Parts) -> str:
    return "\n".join(line for part in parts for line in part_lines(part(known), 2)).rstrip()


def _question(known: Known) -> Part:
    project, contract, gates = known.seen.project, known.contract, known.seen.gates
    rows, target = contract.table.rows, contract.target
    table = (
        f"{rows.min:,} to {rows.max:,} rows" if rows.max else f"{counted(rows.min, 'row')} or more"
    )
    if known.shown and (trained := known.shown.details("quality").get("rows")):
        table += f", {trained:,} in that of {known.shown.name}"
    flagged = f", flagged for the {gates.threshold.words}" if target.kind == "binary" else ""
    points = [
        f"Owner: {project.owner}",
        f"Predicted: {target.column}, {target.kind}{flagged}",
        f"Table: {table}; {counted(len(contract.features), 'column')} to learn from",
        f"Sensitive columns: {', '.join(contract.sensitive) or 'none is named'}",
        f"Approval of a release: {gates.release.approval}",
    ]
    return Part("The question", [project.description or "conf/project.yml describes none."], points)


def _goals(known: Known) -> Part:
    found = known.goals(known.shown)
    said = [f"{sum(r.passed is state for r in found)} {word}" for state, word in REACHED.items()]
    whose = (
        f"the figures of {known.shown.name} and their intervals"
        if known.shown
        else "no version yet"
    )
    about = (
        f"From conf/gates.yml, with {whose}: {', '.join(said)}. Not judged is a figure that nobody has measured, "
        "or whose interval holds the limit."
    )
    rows = [(one.gate, one.expected, one.found, REACHED[one.passed]) for one in found]
    advice = [f"{one.gate}: {one.advice}" for one in found if one.advice]
    return Part("Goals", (about,), advice, Table(("Goal", "At", "Figure", ""), rows))


def _principles(known: Known) -> Part:
    kept = shown(load_principles(known.seen.root / "conf" / "principles.yml"), known.evidence)
    rows = [(one.name.capitalize(), STATES[one.is_shown][0], one.said) for one in kept]
    return Part("Principles", table=Table(("Principle", "State", "By"), rows))


def _decisions(known: Known) -> Part:
    files = sorted(known.seen.root.glob(f"{RECORDS.as_posix()}/????-??-??-*.md"))
    names = [relative(file, known.seen.root).as_posix() for file in files]
    return Part("Decisions", points=names or ["none yet: mlops charter --decision"])


def _versions(known: Known) -> Part:
    metric = known.seen.gates.promotion_of(known.contract.kind).metric
    rows = []
    for one in known.tried:
        found = {goal.gate: goal.found for goal in known.goals(one)}
        better = next(text for gate, text in found.items() if gate.endswith("than the baseline"))
        learner = str(one.details("training").get("learner", MISSING))
        commit = short_commit(one.version.tags.get("git_commit", MISSING))
        name = f"{one.name}, {one.place}"
        rows.append((name, learner, found[GOOD_ENOUGH], better, _decided(one), commit))
    failed = [
        f"run {run.state.id} ({run.state.pipeline}) left no version: {run.state.status}"
        for run in all_runs(known.seen.root / ".runs")
        if run.state.status != "completed"
    ]
    headings = ("Version", "Learner", metric, "More than the baseline", "Decision", "Commit")
    none = () if rows else ("No version was registered.",)
    return Part("What was tried", none, failed, Table(headings, rows) if rows else None)


def _decided(of: Tried) -> str:
    """Say what was decided last, and who judged the version: a rollback leaves no name."""
    said, found = of.version.tags.get("decision", "nobody promoted it"), of.details("decision")
    if not (decided := found.get("decided")):
        return said
    who = f"{found['stage']} by {decided['by']}, {decided['at'][:10]}"
    who += f", open gates accepted by {found['accepted_by']}" if found["accepted_by"] else ""
    return who if said == found["stage"] else f"{said} ({who})"


def _elsewhere(known: Known) -> Part:
    """List what `mlops reuse` finds of this project, but what every project has."""
    found = [
        one for one in parts_of(known.seen.root, "") if one.kind in ("data", "feature", "model")
    ]
    same = groupby(found, key=lambda one: (one.kind, one.file))
    points = [
        f"{kind}: {', '.join(one.name for one in some)} ({file})" for (kind, file), some in same
    ]
    return Part("What can be used elsewhere", points=points)


def _releases(known: Known) -> Part:
    rows = [
        (
            str(one["ended"])[:16].replace("T", " "),
            str(one["endpoint"]),
            f"v{tried.version.number}",
            f"v{one['before']['version']}" if one["before"] else MISSING,
            str(one["stage"]),
            str(one["approved_by"] or MISSING),
        )
        for tried in known.tried
        for one in tried.releases
    ]
    headings = ("Ended (UTC)", "Endpoint", "Version", "Before", "As", "Approved by")
    none = () if rows else ("There is no record of one.",)
    return Part(
        "Releases and rollbacks", none, table=Table(headings, sorted(rows)) if rows else None
    )


def _monitor(known: Known) -> Part:
    file = known.seen.newest(".monitor/**/monitor.json")
    if file is None:
        said = "Not known: no monitor has run on this machine (mlops monitor; of an environment: --environment)."
        return Part("Last monitor report", (said,))
    details = read_json(file, Monitored)["details"]
    said = f"{details['at'][:10]}, v{details['model']['version']}: {details['verdict']}."
    signals = [f"{name}: {one['verdict']}" for name, one in details["signals"].items()]
    return Part("Last monitor report", (said,), signals)


def _remains(known: Known) -> Part:
    said = "By the files of this project; Azure was not asked what of it is deployed."
    return Part("What remains", (said,), list(_left(known)))


def _left(known: Known) -> Iterator[str]:
    root, project = known.seen.root, known.seen.project
    for one in known.tried:
        if one.is_champion:
            there = "" if one.place == "this machine" else f" --environment {one.place}"
            yield f"{one.name}, {one.place}: mlops retire{there}"
    for folder in sorted(root.glob(".endpoints/*/releases")):
        name = folder.parent.name
        yield f"endpoint {name}, this machine: mlops endpoint stop --endpoint {name}"
    if (root / "infra").is_dir():
        for name, names in project.environments.items():
            yield f"resource group {names.resource_group}: mlops infra teardown {name}"
    if project.registry:
        yield f"versions that were shared to the registry {project.registry}"
    for pattern in ("azureml/schedules/*.yml", "azureml/data/*.yml"):
        yield from (relative(file, root).as_posix() for file in sorted(root.glob(pattern)))
    for name in ("data", ".collected", ".mlflow"):
        if (root / name).is_dir():
            yield f"{name}/, this machine"
