"""Training a registered version again, from its commit, contract, table and locks.

The evidence that its steps left is compared with the new one. Two files are left out: the footprint is measured by
the clock, and the decision depends on the champion of its day.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from modelyard.errors import CheckFailed, UsageError, shortened
from modelyard.evidence import Evidence
from modelyard.files import digest, digest_files, read_json, write_json
from modelyard.git import git
from modelyard.models.registry import Registry, registry_of
from modelyard.models.version import Version
from modelyard.pipelines.commit import PATCH
from modelyard.pipelines.data_assets import local_path
from modelyard.pipelines.store import INPUT_TAG, PIPELINE_TAG
from modelyard.yaml_files import read_mapping

COMPARED = ("data", "quality", "training", "evaluation", "fairness", "importance")
DIRTY = "-dirty"
ASSET = "azureml:training"


@dataclass(frozen=True)
class Reproduction:
    """What came of training a version again.

    Attributes:
        differences: of each evidence file, the first difference; None where there is none.
        certificate: the file that says so.
    """

    version: str
    commit: str
    differences: Mapping[str, str | None]
    certificate: Path


def reproduce(
    root: Path, number: str, table: Path | None = None, say: Callable[[str], object] = print
) -> Reproduction:
    """Train a version again in a copy of its commit, and compare its evidence.

    Args:
        root: of the project; its registry, runs and files stay as they are.
        number: of the version.
        table: the table that it was trained on; default: the one of azureml/data/training.yml.
        say: takes a line about each part of the work.

    Raises:
        UsageError: the version's run has kept no commit or no evidence, or there is no such version.
        CheckFailed: the table is another one, or the pipeline fails.
    """
    registry = registry_of(root)
    version = registry.version(number)
    kept = version.tags.get("git_commit", "")
    if not kept:
        raise UsageError(
            f"v{number} was trained outside git, so nothing tells its code. Commit the project, then train again"
        )
    tags = registry.run_tags(version)
    if PIPELINE_TAG not in tags:
        raise UsageError(
            f"the run of v{number} names no pipeline: it was not trained by `mlops run`; reproduce it where it was"
        )
    pipeline = Path("azureml") / "pipelines" / f"{tags[PIPELINE_TAG]}.yml"
    inputs = [key for key in tags if key.startswith(INPUT_TAG)]
    given = {key.removeprefix(INPUT_TAG): tags[key] for key in inputs}
    prefix = f"reproduce-{os.getpid()}-"
    with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as temporary:
        before = registry.fetch(version, "evidence", Path(temporary))
        data = _table(root, table, read_json(before / "data.json", Evidence))
        with checkout(root, kept.removesuffix(DIRTY), Path(temporary)) as copy:
            say(f"the project as it was at {kept}")
            _restore(registry, version, copy, Path(temporary), is_dirty=kept.endswith(DIRTY))
            python, packages = _python(root, copy, say)
            _train(python, copy, pipeline, given, data, say)
            after = _evidence(copy)
            differences = {
                name: difference(read_json(before / f"{name}.json", Evidence), after[name])
                if name in after
                else "was not written"
                for name in COMPARED
            }
    certificate = (
        root / ".mlflow" / "decisions" / f"{registry.model}-v{number}" / "reproduction.json"
    )
    certificate.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "model": registry.model,
        "version": number,
        "commit": kept,
        "table": {"file": data.name, "sha256": digest(data)},
        "packages": packages,
        "evidence": {name: one or "equal" for name, one in differences.items()},
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    write_json(certificate, content)
    return Reproduction(number, kept, differences, certificate)


def difference(before: Any, after: Any, place: str = "") -> str | None:
    """Find the first difference of two contents of JSON files; what is said of a champion is passed over."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted((before.keys() | after.keys()) - {"champion"}):
            here = f"{place}.{key}" if place else key
            if (key in before) != (key in after):
                return f"{here} is {'new' if key in after else 'missing'}"
            if found := difference(before[key], after[key], here):
                return found
        return None
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return next(
            filter(None, (difference(one, other, f"{place}[{at}]") for at, (one, other) in pairs)),
            None,
        )
    old, new = shortened(repr(before), 60), shortened(repr(after), 60)
    return None if before == after else f"{place}: {old} before, {new} now"


def _table(root: Path, given: Path | None, evidence: Mapping[str, Any]) -> Path:
    source = evidence["details"]["source"]
    table = given or local_path(root / "azureml" / "data", "training")
    if table is None or not table.exists():
        raise UsageError(f"the table {source['file']} is not here ({table}); name it with --data")
    found = digest(table)
    if found != source["sha256"]:
        raise CheckFailed(
            f"the version was trained on {source['file']} of sha256 {source['sha256'][:12]}, and {table} has "
            f"{found[:12]}; name the table of that day with --data"
        )
    return table.resolve()


@contextlib.contextmanager
def checkout(root: Path, commit: str, temporary: Path) -> Iterator[Path]:
    """Yield a folder below `temporary` with the project as it was at a commit; delete those of killed commands beside it."""
    for left in temporary.parent.glob("reproduce-*-*"):
        pid = left.name.split("-")[1]
        if pid.isdecimal() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(left, ignore_errors=True)
    git(root, "worktree", "prune")
    copy = temporary / "project"
    git(root, "worktree", "add", "--quiet", "--detach", str(copy), commit)
    try:
        within = Path(git(root, "rev-parse", "--show-prefix").strip())
        yield copy / within
    finally:
        git(root, "worktree", "remove", "--force", str(copy))


def _restore(
    registry: Registry, version: Version, copy: Path, temporary: Path, *, is_dirty: bool
) -> None:
    """Bring the files that were not in the commit: the difference from it, and the contract."""
    if is_dirty:
        patch = registry.fetch(version, f"code/{PATCH}", temporary)
        git(copy, "apply", str(patch))
    contract = registry.fetch(version, "contract", temporary)
    shutil.copy(next(contract.iterdir()), copy / "conf" / "contract.yml")


def _python(root: Path, copy: Path, say: Callable[[str], object]) -> tuple[Path, str]:
    """Return the Python to train with, and which packages it has: those of now, if the locks are the same."""
    locks = [
        digest_files(sorted((place / "requirements").glob("*.txt")), place)
        for place in (root, copy)
    ]
    if locks[0] == locks[1]:
        return Path(sys.executable), "of this environment: its locks are those of the commit"
    say("its locks differ from those of today: an environment is made")
    done = subprocess.run(["make", "setup"], cwd=copy, stdout=sys.stderr, check=False)  # noqa: S607
    if done.returncode:
        raise UsageError("`make setup` failed in the copy of the commit; see above")
    name = "Scripts/python.exe" if os.name == "nt" else "bin/python"
    return copy / ".venv" / name, "of the commit's locks, installed anew"


def _train(
    python: Path,
    copy: Path,
    pipeline: Path,
    given: Mapping[str, str],
    data: Path,
    say: Callable[[str], object],
) -> None:
    """Run the pipeline with the values that were given then, on the table."""
    words = []
    for name, own in read_mapping(copy / pipeline).get("inputs", {}).items():
        path = str(own.get("path", "")) if isinstance(own, dict) else ""
        if path.startswith(ASSET):
            words.append(f"--input={name}={data}")
        elif path and name in given:
            say(f"input `{name}` was {given[name]} then; the commit's own file is taken: {path}")
        elif name in given:
            words.append(f"--input={name}={given[name]}")
    command = [str(python), "-m", "modelyard", "run", str(pipeline), "--no-reuse", *words]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "MLOPS_"))}
    done = subprocess.run(command, cwd=copy, env=environment, stdout=sys.stderr, check=False)  # noqa: S603
    if done.returncode:
        raise CheckFailed("the pipeline does not run through in the copy of the commit; see above")


def _evidence(copy: Path) -> dict[str, Any]:
    """Read the evidence of the only run."""
    files = (copy / ".runs").glob("*/*/evidence/*.json")
    return {file.stem: read_json(file, Evidence) for file in files}
