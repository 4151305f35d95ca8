"""What is checked of a repository besides its code: workflows, secrets, packages."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from modelyard.delivery.references import Commands, unknown_references
from modelyard.environments import environment_python
from modelyard.errors import CheckFailed, UsageError
from modelyard.git import git

ENVIRONMENT = "delivery"
SCHEMAS = {
    ".github/workflows/*.yml": ["vendor.github-workflows"],
    ".github/actions/*/action.yml": ["vendor.github-actions"],
    ".github/dependabot.yml": ["vendor.dependabot"],
    ".azuredevops/**/*.yml": [
        "vendor.azure-pipelines",
        "--data-transform=azure-pipelines",
        "--regex-variant=nonunicode",
    ],
}
# Hashes of wheels, and of commits of the template, look like secrets.
HASHES = (":(exclude)requirements/*.txt", ":(exclude).cruft.json")


def check_repository(root: Path, say: Callable[[str], object], commands: Commands) -> None:
    """Check workflows against their schemas, for weaknesses and for what they refer to, and all files for secrets.

    Args:
        root: of the project.
        say: takes a line before something is installed.
        commands: options by command of `mlops`.

    Raises:
        CheckFailed: something was found; it is printed.
    """
    programs = environment_python(root, ENVIRONMENT, say).parent
    failed = []
    for pattern, options in SCHEMAS.items():
        if files := sorted(str(path) for path in root.glob(pattern)):
            command = [str(programs / "check-jsonschema"), "--builtin-schema", *options, *files]
            failed += _failed(root, f"schema of {pattern}", command)
    what = "references of the workflows"
    found = [str(one) for one in unknown_references(root, commands)]
    print(f"{what}:\n" + "\n".join(found) if found else f"{what}: fine", flush=True)
    failed += [what] if found else []
    if (root / ".github").is_dir():
        command = [str(programs / "zizmor"), "--offline", "--no-progress", "--quiet", "."]
        failed += _failed(root, "security of the workflows", command)
    hook = shutil.which("detect-secrets-hook", path=str(Path(sys.executable).parent))
    if hook is None:
        raise UsageError("detect-secrets is not installed here; `make setup` installs it")
    names = git(root, "ls-files", "-z", "--", ".", *HASHES).split("\0")
    failed += _failed(root, "secrets", [hook, *filter(None, names)])
    if failed:
        raise CheckFailed(f"{len(failed)} of the checks found something: {', '.join(failed)}")


def _failed(root: Path, what: str, command: Sequence[str]) -> list[str]:
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode == 0:
        print(f"{what}: fine", flush=True)
        return []
    print(f"{what}:\n{done.stdout}{done.stderr}", flush=True)
    return [what]


def audit_packages(root: Path, bill: Path | None, say: Callable[[str], object]) -> None:
    """Ask the index for known weaknesses of every package that requirements/ pins.

    Args:
        root: of the project.
        bill: folder for a bill of materials of each set (CycloneDX); None writes none.
        say: takes a line before something is installed.

    Raises:
        CheckFailed: a package has a known weakness, or could not be looked up; it is printed.
    """
    audit = str(environment_python(root, ENVIRONMENT, say).parent / "pip-audit")
    failed = []
    for file in sorted((root / "requirements").glob("*.txt")):
        if file.stem == "modelyard":  # the toolkit's own wheel is on no index
            continue
        command = [
            audit,
            "--strict",
            "--disable-pip",
            "--require-hashes",
            "--requirement",
            str(file),
        ]
        failed += _failed(root, f"packages of {file.name}", command)
        if bill is not None:
            bill.mkdir(parents=True, exist_ok=True)
            output = ["--format", "cyclonedx-json", "--output", str(bill / f"{file.stem}.cdx.json")]
            subprocess.run([*command, *output], cwd=root, capture_output=True, check=False)  # noqa: S603
            if not (bill / f"{file.stem}.cdx.json").is_file():
                failed.append(f"bill of {file.name}")
    if failed:
        raise CheckFailed(f"weaknesses, or no answer: {', '.join(failed)}")
