"""The command that brings a version of the template into a project."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelyard.cli.terminal import JsonOption, PreviewOption, alone, refuse_idle, say
from modelyard.console import counted
from modelyard.errors import CheckFailed
from modelyard.files import project_root

if TYPE_CHECKING:
    from modelyard.fleet.merge import Upgrade

WORDS = {
    "auto": "taken from the template",
    "merged": "the template's change and the team's",
    "kept": "the template's change is left out",
    "conflict": "both changed the same",
}


@alone
def upgrade(
    to: Annotated[
        str | None, typer.Option(help="Tag, branch or commit of the template; default: the newest.")
    ] = None,
    template: Annotated[
        str | None, typer.Option(help="Its place, where it is another than .cruft.json says.")
    ] = None,
    preview: PreviewOption = False,
    merge: Annotated[
        bool,
        typer.Option(
            "--merge", help="With conflicts: begin a git cherry-pick, for somebody to finish."
        ),
    ] = False,
    take_back: Annotated[
        bool, typer.Option("--undo", help="Revert the last update, by a commit.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Bring a new version of the template into this project. As one commit, or not at all.

    With conflicts nothing is changed, they are named, and the exit code is 1.

    Example: mlops upgrade --preview
    """
    from modelyard.fleet.upgrade import apply, pick, refuse_conflicts, undo, upgrade_of

    if preview:
        refuse_idle("with --preview", merge=merge)
    root = project_root()
    if take_back:
        refuse_idle("with --undo", to=to, template=template, preview=preview, merge=merge)
        commit = undo(root)
        print(json.dumps({"undone": commit}) if as_json else f"{commit[:8]} is taken back")
        return
    with upgrade_of(root, to, template, say) as found:
        if found is None:
            print(
                json.dumps({"changes": []}) if as_json else "the project is of this version already"
            )
            return
        if not as_json:
            _show(found)
        done = ""
        if merge and not preview and found.conflicts:
            pick(root, found)
            done = "begun"
        elif not preview and not found.conflicts:
            done = apply(root, found)
        if as_json:
            print(json.dumps(as_data(found) | {"commit": done or None}))
        if done == "begun":
            raise CheckFailed(
                "the conflicts are in the files: decide, `git add` them, `git cherry-pick --continue`; "
                "or go back: `git cherry-pick --abort`"
            )
        refuse_conflicts(found)
    if done and not as_json:
        print(f"{done[:8]}: {found.title}. Next: make setup. Way back: mlops upgrade --undo")


def as_data(found: Upgrade) -> dict[str, Any]:
    """Return an update as JSON has it."""
    changes = [asdict(one) for one in found.changes]
    return {"before": found.before, "after": found.after, "news": found.news, "changes": changes}


def _show(found: Upgrade) -> None:
    from modelyard.console import console, table

    for line in (found.title, *found.news):
        print(line)
    kinds = list(WORDS)
    changes = sorted(found.changes, key=lambda one: (kinds.index(one.kind), one.file))
    rows = [(one.kind, one.file, one.why or WORDS[one.kind]) for one in changes]
    console().print(table("", ("", "file", ""), rows))
    counts = {kind: sum(one.kind == kind for one in changes) for kind in kinds}
    print(", ".join(f"{count} {kind}" for kind, count in counts.items()))


@alone
def upgrade_locks(as_json: JsonOption = False) -> None:
    """Pin every package at its newest version.

    Names what moved in requirements/*.txt. What is new in requirements/*.in alone: make lock. Afterwards: make setup.

    Example: mlops upgrade-locks
    """
    from modelyard.locks import upgrade_locks

    moves = upgrade_locks(project_root())
    if as_json:
        print(json.dumps([asdict(move) for move in moves]))
        return
    for move in moves:
        print(f"{move.lock}.txt: {move.package} {move.before or 'none'} → {move.after or 'none'}")
    print(
        f"{counted(len(moves), 'pin')} moved"
        if moves
        else "every package is at its newest version already"
    )
