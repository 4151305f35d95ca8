"""A small template of two versions, and a project of the first."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from modelyard.fleet.template import STATE, Origin, Template
from modelyard.git import git

AUTHOR = ("-c", "user.name=team", "-c", "user.email=team@example.com")
PROJECT = "{{cookiecutter.name}}"
LINES = "".join(f"line {n}\n" for n in range(30))
WORKFLOW = ".github/workflows/check.yml"


def workflow(version: str, last: str = "") -> str:
    """A workflow with a pinned action."""
    use = f"  - uses: acme/checkout@{version[1] * 40} # {version}\n"
    return f"{LINES}{use}    with: {{}}\n{last}"


FILES = {
    "cookiecutter.json": json.dumps(
        {"name": "late", "kind": ["a", "b"], "_copy_without_render": ["Makefile", "docs"]}
    ),
    "CHANGELOG.md": "# Changelog\n",
    "hooks/post_gen_project.py": "import os\nif '{{cookiecutter.kind}}' == 'a':\n    os.remove('only-b.md')\n",
    f"{PROJECT}/Makefile": LINES,
    f"{PROJECT}/{WORKFLOW}": workflow("v1.0.0"),
    f"{PROJECT}/README.md": "# {{cookiecutter.name}}\n",
    f"{PROJECT}/only-b.md": "b\n",
    f"{PROJECT}/docs/one.md": LINES,
    f"{PROJECT}/docs/two.md": LINES.replace("line", "word"),
    f"{PROJECT}/.gitignore": "/build/\n",
    f"{PROJECT}/pyproject.toml": '[tool.cruft]\nskip = ["README.md", "src"]\n',
    f"{PROJECT}/src/model.py": "X = 1\n",
    f"{PROJECT}/conf/project.yml": "title: t\nname: {{cookiecutter.name}}\npackage: p\nowner: a@b.org\n"
    "model: m\ntags:\n  template_version: '1'\n",
}  # fmt: skip
# What the second version changes; None: deletes.
CHANGES: dict[str, str | None] = {
    "CHANGELOG.md": "# Changelog\n\n- a new page\n",
    f"{PROJECT}/Makefile": LINES.replace("line 3\n", "line three\n"),
    f"{PROJECT}/{WORKFLOW}": workflow("v3.0.0"),
    f"{PROJECT}/README.md": "# {{cookiecutter.name}}, newer\n",
    f"{PROJECT}/docs/one.md": LINES.replace("line 20\n", "line twenty\n"),
    f"{PROJECT}/docs/two.md": None,
    f"{PROJECT}/docs/three.md": "three of {{not filled in}}\n",
    f"{PROJECT}/.gitignore": "/build/\n/cache/\n",
    f"{PROJECT}/src/model.py": "X = 2\n",
}


@dataclass(frozen=True)
class Made:
    """A template's repository with its commits, and a project's."""

    template: Path
    first: str
    second: str
    project: Path


def write(folder: Path, files: dict[str, str | None]) -> None:
    """Write files; None deletes one."""
    for name, text in files.items():
        path = folder / name
        if text is None:
            path.unlink()
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def commit(folder: Path, message: str = "Ours") -> str:
    """Commit everything; return the commit."""
    git(folder, "add", "--all", "--force")
    git(folder, *AUTHOR, "commit", "-q", "--allow-empty", "-m", message)
    return git(folder, "rev-parse", "HEAD").strip()


def make(place: Path) -> Made:
    """Make the template, and a project of its first version."""
    template, project = place / "template", place / "late"
    write(template, dict(FILES))
    git(template, "init", "-q", "--initial-branch=main")
    first = commit(template, "one")
    work = place / "work"
    work.mkdir()
    state = {"template": str(template), "commit": first, "checkout": None, "directory": None}
    origin = Origin({**state, "context": {"cookiecutter": {"name": "late", "kind": "a"}}}, ())
    opened = Template(template, work, Path(sys.executable))
    [(made, context)] = opened.render([(first, origin)], work / "made")
    made.rename(project)
    state["context"] = {"cookiecutter": context}
    write(project, {STATE: json.dumps(state, indent=2) + "\n"})
    write(template, CHANGES)
    second = commit(template, "two")
    git(project, "init", "-q", "--initial-branch=main")
    for key, value in (("user.name", "team"), ("user.email", "team@example.com")):
        git(project, "config", key, value)
    commit(project, "Made")
    return Made(template, first, second, project)
