"""A pull request from the template's newest version. A conflict fails it, with the files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from modelyard.delivery.provider import Provider
from modelyard.fleet.upgrade import need_clean, refuse_conflicts, upgrade_of
from modelyard.git import git

BRANCH = "update-template"


def update_project(root: Path, provider: Provider, say: Callable[[str], object]) -> str:
    """Update the project from its template on a branch, push it, and open a pull request.

    Returns:
        What was done.

    Raises:
        UsageError: the project was not made with cruft, or has changes that are not committed.
        CheckFailed: a file has conflicts; nothing is committed.
    """
    need_clean(root)
    with upgrade_of(root, None, None, say) as upgrade:
        if upgrade is None:
            return "the project is of the template's newest version"
        refuse_conflicts(upgrade)
        git(root, "switch", "--quiet", "--force-create", BRANCH, upgrade.store())
        opened = provider.open_pull_request(root, BRANCH, upgrade.title, upgrade.description)
        return f"{upgrade.title}: {opened}"
