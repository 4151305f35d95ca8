"""Removes the files that belong to other answers, then says what was made and what comes next."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

ANSWERS = r"""{{ cookiecutter.items() | list | tojson }}"""

# (answer, value) -> the paths that go when that is the answer.
GOES = {
    ("ci_provider", "github-actions"): (".azuredevops",),
    ("ci_provider", "azure-devops"): (".github",),
}


def prune(project: Path, answers: dict[str, object]) -> None:
    """Remove from `project` what the answers rule out.

    Raises:
        SystemExit: the table names a path that the template does not make.
    """
    listed = [path for paths in GOES.values() for path in paths]
    if unknown := [path for path in listed if not os.path.lexists(project / path)]:
        sys.exit(
            f"A fault of the template, not of your answers: hooks/post_gen_project.py names "
            f"{', '.join(unknown)}, which the template does not make."
        )
    for (answer, value), paths in GOES.items():
        if answers[answer] == value:
            for path in paths:
                remove(project / path)


def remove(path: Path) -> None:
    """Remove a file, a link, or a folder with everything in it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def summary(project: Path, answers: dict[str, object]) -> str:
    """The answers that were taken, and the next three commands."""
    asked = [name for name in answers if not name.startswith("_")]
    if answers["_tags"]:
        asked.append("_tags")
    width = max(map(len, asked))
    return "\n".join(
        [
            "",
            f"{project.name} was made from these answers. One that you gave and do not see here",
            "had a mistyped name, which Cookiecutter does not report.",
            "",
            *(f"  {name:<{width}}  {answers[name]}" for name in asked),
            "",
            "Next:",
            f"  cd {shlex.quote(shown(project))}",
            "  make setup",
            "  make demo",
        ]
    )


def made_to_compare(project: Path, answers: dict[str, object]) -> bool:
    """Whether cruft makes the project for itself: then what is printed would end up in its diff."""
    temporary = Path(tempfile.gettempdir()).resolve()
    return "_output_dir" not in answers and temporary in project.resolve().parents


def shown(project: Path) -> str:
    """The project's path as its maker would type it: relative to the shell's folder if below it."""
    shell = os.environ.get("PWD")
    try:
        return project.relative_to(Path(shell).resolve()).as_posix() if shell else str(project)
    except ValueError:
        return str(project)


def main() -> None:
    """Prune the project in the working folder and print the summary."""
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    answers = dict(json.loads(ANSWERS))
    project = Path.cwd()
    prune(project, answers)
    if not made_to_compare(project, answers):
        print(summary(project, answers))


if __name__ == "__main__":
    main()
