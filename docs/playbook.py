"""The playbook: a page per role, made from playbook.yml, the toolkit's page of roles, the tour and the recordings."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import yaml
from modelyard.tour.steps import ROLES, STEPS

DOCS = Path(__file__).parent
RESPONSIBILITY = {"R": "responsible", "A": "accountable", "C": "consulted", "I": "informed"}


def pages(roles_page: str) -> dict[str, str]:
    """Make the pages of the playbook: Markdown by their place in the site.

    Args:
        roles_page: toolkit/docs/roles.md, whose two tables say what each role does and who answers for what.
    """
    book = yaml.safe_load((DOCS / "playbook.yml").read_text(encoding="utf-8"))
    work, answers = tables(roles_page)
    made = {
        f"playbook/{slug(one['role'])}.md": _role(one, book, answers)
        for one in sorted(work, key=lambda one: list(ROLES).index(slug(one["role"])))
    }
    return {"playbook/index.md": _index(work, answers), **made}


def slug(name: str) -> str:
    """Return a role's name as it stands in addresses and commands."""
    return name.lower().replace(" ", "-")


def tables(page: str) -> list[list[dict[str, str]]]:
    """Read the tables of a Markdown page: a row by its headings."""
    found = []
    for table in re.findall(r"(?:^\|.*\|\n)+", page, re.MULTILINE):
        rows = [
            [cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()
        ]
        found.append([dict(zip(rows[0], row, strict=True)) for row in rows[2:]])
    return found


def recording(name: str) -> str:
    """Make the figure of a recording; the script of the site can play it."""
    text = (DOCS / "recordings" / f"{name}.txt").read_text(encoding="utf-8").rstrip()
    lines = html.escape(text, quote=False).splitlines()
    shown = "\n".join(f"<b>{line}</b>" if line.startswith("$ ") else line for line in lines)
    label = html.escape(text.splitlines()[0].removeprefix("$ "))
    return f'<figure class="recording"><pre tabindex="0" aria-label="Recording of {label}">{shown}</pre></figure>'


def _index(work: list[dict[str, str]], answers: list[dict[str, str]]) -> str:
    roles = [name for name in answers[0] if name != "stage"]
    named = {one["role"].lower(): _capital(one["role"]) for one in work}
    lines = [
        "# Playbook",
        "",
        "Who does what, from the first question to the last request. Choose your role, or a stage of it: R is responsible, A accountable, C consulted, I informed.",
        "",
        "| stage | " + " | ".join(f"[{named[role]}]({slug(role)}.md)" for role in roles) + " |",
        "| --- |" + " --- |" * len(roles),
    ]
    for row in answers:
        cells = [f"[{row[role]}]({slug(role)}.md#{row['stage']})" for role in roles]
        lines.append(f"| {_capital(row['stage'])} | {' | '.join(cells)} |")
    return "\n".join(
        [
            *lines,
            "",
            "A first day in the terminal, in a copy of the project: `mlops tour ROLE` ([the tour](../toolkit/tour.md)). The commands are typed in a project, with `.venv` activated.",
            "",
            recording("tour"),
            "",
            "For a meeting there is a [summary in slides](../deck.html). The recordings are made by a test that fails when a command prints something else; # stands for digits that differ each time.",
            "",
        ]
    )


def _role(work: dict[str, str], book: dict[str, Any], answers: list[dict[str, str]]) -> str:
    name, role = work["role"], slug(work["role"])
    lines = [
        f"# {_capital(name)}",
        "",
        f"**First hour**: {work['first hour']}",
        "",
        f"**Every week**: {work['every week']}",
        "",
        f"**On Azure**: {work['on Azure (`infra/`)']}. [What the roles are](../toolkit/roles.md)",
        "",
        f"**First day**: `mlops tour {role}`: {'; '.join(_small(STEPS[step].title) for step in ROLES[role])}. [The tour](../toolkit/tour.md)",
        "",
    ]
    for row in answers:
        stage, letters = book["stages"][row["stage"]], row[name.lower()]
        said = " and ".join(RESPONSIBILITY[one] for one in sorted(letters, reverse=True))
        lines += [
            f"## {_capital(row['stage'])}",
            "",
            f"*You are {said}.* {stage['about']} It ends with {stage['ends']}.",
            "",
        ]
        if letters in ("C", "I"):
            lines += [stage[RESPONSIBILITY[letters]], ""]
        for task in book["tasks"]:
            if task["stage"] == row["stage"] and role in task["roles"]:
                lines += _task(task)
    return "\n".join(lines)


def _task(task: dict[str, Any]) -> list[str]:
    more = f" [More](../{task['read']})" if "read" in task else ""
    lines = [f"{task['do']}{more}", ""]
    if "recording" in task:
        return [*lines, recording(task["recording"]), ""]
    return [*lines, "```console", task["run"], "```", ""] if "run" in task else lines


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _small(text: str) -> str:
    return text[0].lower() + text[1:]
