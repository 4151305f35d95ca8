"""Generating a project, against Cookiecutter copying as many files without Jinja and hooks."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import Figure, alternate, command

ROOT = Path(__file__).resolve().parents[1]
ROUNDS = 9


def measure() -> list[Figure]:
    """Whole processes, defaults, median of nine."""
    cookiecutter = Path(sys.executable).with_name("cookiecutter")
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        clone = place / "template"
        command("git", "clone", "--quiet", ROOT, clone)
        out = place / "out"

        def generate(template: Path) -> None:
            shutil.rmtree(out, ignore_errors=True)
            command(cookiecutter, template, "--no-input", "--output-dir", out)

        generate(clone)
        floor = bare_template(next(out.iterdir()), place / "bare")
        ours, bare = alternate(lambda: generate(clone), lambda: generate(floor), ROUNDS)
    return [
        Figure("generate a project / the same files without Jinja or hook", ours, 1.2, bare),
        Figure("generate a project, seconds", ours, 0.3),
    ]


def bare_template(project: Path, into: Path) -> Path:
    """A template of the generated files themselves, all of them copied as they are."""
    folder = into / "{{cookiecutter.name}}"
    shutil.copytree(project, folder)
    settings = {"name": "bare", "_copy_without_render": ["*"]}
    (into / "cookiecutter.json").write_text(json.dumps(settings), encoding="utf-8")
    return into
