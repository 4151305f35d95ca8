"""Commands for many projects at once."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from modelyard.cli.policy import PolicyOption, SignersOption
from modelyard.cli.terminal import JsonOption, PreviewOption, refuse_idle, say
from modelyard.console import counted
from modelyard.errors import CheckFailed
from modelyard.files import write_text

fleet_app = typer.Typer(
    help="Look at many projects at once, and update them.", no_args_is_help=True
)
FileArgument = Annotated[
    Path,
    typer.Argument(help="A path or an address of a repository in each line; # begins a remark."),
]
TemplateOption = Annotated[
    str | None, typer.Option(help="A clone of the template, or its address; see .cruft.json.")
]

JOBS = os.cpu_count() or 1
JobsOption = Annotated[int, typer.Option(min=1, help="Repositories at once.")]


@fleet_app.command()
def status(
    file: FileArgument,
    template: TemplateOption = None,
    policy: PolicyOption = None,
    signers: SignersOption = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page, too.")] = None,
    jobs: JobsOption = JOBS,
    as_json: JsonOption = False,
) -> None:
    """Show what each project is today. Its versions, changes, champion, breaches and retiring features.

    Nothing is changed. Exit code 1: a repository could not be read whole, or breaches the policy.

    Example: mlops fleet status fleet.txt --template ../template --html fleet.html
    """
    from contextlib import ExitStack
    from datetime import UTC, datetime

    from modelyard.console import console, table
    from modelyard.fleet.hub import HEADINGS, below, cells, render
    from modelyard.fleet.repositories import read_fleet
    from modelyard.fleet.status import Question, examine
    from modelyard.fleet.template import opened
    from modelyard.policy.model import policy_file, read_policy

    repositories, today = read_fleet(file), datetime.now(UTC).date()
    with ExitStack() as stack:
        known = template and stack.enter_context(opened(template, say, Path.cwd()))
        named = stack.enter_context(policy_file(policy, signers))
        rules = named and (read_policy(named.file), named.file)
        if named:
            say(f"policy: {named}")
        question = Question(known or None, rules, today)
        rows = list(examine(repositories, question, min(jobs, len(repositories))))
    if html:
        write_text(html, render(rows, today))
    if as_json:
        print(json.dumps([asdict(row) for row in rows]))
    else:
        console().print(table("", HEADINGS, map(cells, rows)))
        for line in below(rows):
            print(line)
    wrong = [row for row in rows if not row.is_fine]
    if wrong:
        unread = sum(bool(row.problems) for row in wrong)
        breaching = sum(bool(row.breaches) for row in wrong)
        raise CheckFailed(
            f"of {counted(len(rows), 'repository', 'repositories')} {unread} could not be read whole, {breaching} breach the policy"
        )


@fleet_app.command()
def update(
    file: FileArgument,
    to: Annotated[str, typer.Option(help="Tag, branch or commit of the template.")],
    template: TemplateOption = None,
    preview: PreviewOption = False,
    check: Annotated[
        str | None,
        typer.Option(
            metavar="COMMAND", help="Has to succeed in the updated project, as `make check`."
        ),
    ] = None,
    push: Annotated[bool, typer.Option("--push", help="Push the branches.")] = False,
    pull_requests: Annotated[
        bool, typer.Option("--pull-requests", help="Open pull requests, by gh or az; pushes.")
    ] = False,
    jobs: JobsOption = JOBS,
    as_json: JsonOption = False,
) -> None:
    """Make a branch with an update in each project. Files and other branches are left as they are.

    A project with conflicts gets no branch; they are named, and the exit code is 1. What is done
    already is found, so that the same command goes on after an interruption. `no-update` behind a
    repository leaves it out.

    Example: mlops fleet update fleet.txt --to v1.4.0 --preview
    """
    from modelyard.fleet.repositories import read_fleet
    from modelyard.fleet.update import Wanted, update_fleet

    if preview:
        refuse_idle("with --preview", push=push, pull_requests=pull_requests, check=check)
    repositories = read_fleet(file)
    push = push or pull_requests
    wanted = Wanted(to, template, check, preview, push, pull_requests)
    outcomes = []
    for outcome in update_fleet(repositories, wanted, jobs, say):
        outcomes.append(outcome)
        if not as_json:
            print(outcome, flush=True)
    if as_json:
        print(json.dumps([asdict(one) for one in outcomes]))
    counts = Counter(one.state for one in outcomes)
    summary = ", ".join(f"{count} {state}" for state, count in counts.items())
    if not all(one.is_fine for one in outcomes):
        raise CheckFailed(f"of {counted(len(outcomes), 'repository', 'repositories')}: {summary}")
    if not as_json:
        print(f"of {counted(len(outcomes), 'repository', 'repositories')}: {summary}")


def reuse(
    words: Annotated[list[str], typer.Argument(help="All of them occur in what is found.")],
    fleet: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            envvar="AI_FACTORY_FLEET",
            help="A path or an address of a repository in each line.",
        ),
    ],
    jobs: JobsOption = JOBS,
    as_json: JsonOption = False,
) -> None:
    """Find what other projects have. Components, data assets, environments, features and models.

    Example: mlops reuse late flight --fleet fleet.txt
    """
    from modelyard.console import console, table
    from modelyard.fleet.repositories import read_fleet
    from modelyard.fleet.reuse import find_parts

    repositories = read_fleet(fleet)
    found, unread = find_parts(repositories, words, min(jobs, len(repositories)))
    if as_json:
        print(json.dumps({"found": [asdict(one) for one in found], "unread": unread}))
    elif found:
        headings = ("kind", "name", "about", "project", "owner", "where")
        rows = [
            (
                one.kind,
                one.name,
                one.about,
                one.project,
                one.owner,
                f"{one.repository}/{one.file}:{one.line}",
            )
            for one in found
        ]
        console().print(table("", headings, rows))
    else:
        print(
            f"nothing in {counted(len(repositories) - len(unread), 'repository', 'repositories')} has all of: {' '.join(words)}"
        )
    if unread:
        raise CheckFailed(
            "\n".join(
                [*unread, f"{counted(len(unread), 'repository', 'repositories')} could not be read"]
            )
        )
