"""The command that checks a project against an organization's policy."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from modelyard.cli.terminal import JsonOption
from modelyard.console import counted
from modelyard.errors import CheckFailed
from modelyard.files import project_root

policy_app = typer.Typer(
    help="Check projects against the policy of an organization.", no_args_is_help=True
)
PolicyOption = Annotated[
    str | None,
    typer.Option(
        "--policy",
        help="A path, or the address of a git repository, # and the path in it; default: as "
        "AI_FACTORY_POLICY says.",
    ),
]
SignersOption = Annotated[
    Path | None,
    typer.Option(
        "--signers",
        envvar="AI_FACTORY_POLICY_SIGNERS",
        metavar="FILE",
        help="Public SSH keys (`NAME ssh-ed25519 AAAA…`), of which one has to have signed the policy's commit, or a "
        "tag on it.",
    ),
]


@policy_app.command()
def check(
    project: Annotated[
        Path | None,
        typer.Argument(exists=True, file_okay=False, help="Folder; default: this project."),
    ] = None,
    policy: PolicyOption = None,
    signers: SignersOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check a project against the policy. A breach names file, line, rule and the rule's owner.

    Exit code 1: there is a breach, or the policy is not signed by one of --signers.

    Example: mlops policy check --policy ../platform/policy.yml
    """
    from datetime import UTC, datetime

    from modelyard.policy.check import check_project
    from modelyard.policy.model import VARIABLE, policy_file, read_policy

    root = project_root(project)
    with policy_file(policy, signers) as found:
        if found is None:
            message = (
                f"no policy is configured, nothing was checked: set {VARIABLE} or give --policy"
            )
            print(json.dumps({"policy": None}) if as_json else message)
            return
        verdict = check_project(root, read_policy(found.file), found.file, datetime.now(UTC).date())
    if as_json:
        print(json.dumps({"policy": found.name, "signer": found.signer, **asdict(verdict)}))
    else:
        for one in verdict.excepted:
            print(f"note: an exception covers {one}")
    if verdict.breaches:
        lines = [] if as_json else [str(one) for one in verdict.breaches]
        count = counted(len(verdict.breaches), "breach", "breaches")
        raise CheckFailed("\n".join([*lines, f"{count} of the policy {found}"]))
    if not as_json:
        print(f"within the policy {found}")
