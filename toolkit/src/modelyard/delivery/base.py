"""The commit that a pull request goes to, trained on the same rows: what the change is compared with."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from modelyard.drills.project_copy import own_registry
from modelyard.errors import ModelyardError, UsageError
from modelyard.git import git
from modelyard.models.registry import registry_of
from modelyard.pipelines.run import run_pipeline
from modelyard.relocation import relocate
from modelyard.tracking import local_store

FOLDER = Path("build") / "base"


def train_base(root: Path, commit: str, pipeline: Path, inputs: Mapping[str, str]) -> str:
    """Train the model of another commit and make it the champion of this machine's registry.

    It is the champion whatever the gates say of it: the question is what the change does to it. The commit's
    own gates, features and pipeline are used, with this toolkit.

    Args:
        root: of the project.
        commit: such as HEAD^1, the branch that a merge goes to.
        pipeline: relative to `root`.
        inputs: of the pipeline; paths are absolute.

    Returns:
        What came of it. A commit that cannot be trained on these rows is no fault of the change.

    Raises:
        UsageError: git does not know the commit, or there is a registry here already.
    """
    store = local_store(root)
    if store.exists():
        raise UsageError(
            f"{store} exists: its champion would be replaced. This is for a job of a pipeline, which begins without one"
        )
    place = root / FOLDER
    if place.exists():
        git(root, "worktree", "remove", "--force", str(place))
    # By force: git may still know one whose folder was deleted.
    git(root, "worktree", "add", "--force", "--detach", str(place), commit)
    if not (place / pipeline).is_file():
        return f"not compared: {commit} has no {pipeline}"
    try:
        with own_registry():
            run_pipeline(place / pipeline, inputs=dict(inputs))
            registry = registry_of(place)
            newest = registry.versions()[0]
            registry.set_champion(newest)
    except ModelyardError as error:
        return f"not compared: {commit} cannot be trained on these rows: {error}"
    shutil.copytree(local_store(place).parent, store.parent)
    relocate(store, root)
    return f"v{newest.number} is what {commit} learns from these rows, and the champion here"
