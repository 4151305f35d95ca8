"""Which files a project has for which answer. `python -m tests.manifest` writes it anew."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.baked import CHOICES, COMBINATIONS, bake

PATH = Path(__file__).with_name("manifest.txt")
ALWAYS = "always"


def read() -> dict[str, list[str]]:
    """The sections of the manifest: `always`, and one for each answer that brings files."""
    sections: dict[str, list[str]] = {}
    for line in PATH.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = sections.setdefault(line.strip("[]"), [])
        elif line:
            section.append(line)
    return sections


def expected(answers: dict[str, str]) -> list[str]:
    """The files that the manifest gives a project with these answers."""
    sections = read()
    chosen = [ALWAYS, *(f"{name}={value}" for name, value in answers.items())]
    return sorted(file for section in chosen for file in sections.get(section, []))


def write() -> None:
    """Make a project of every combination and write down what each answer brings."""
    with tempfile.TemporaryDirectory() as folder:
        files = {
            name: set(bake(Path(folder) / name, **answers).files)
            for name, answers in COMBINATIONS.items()
        }
    sections = {ALWAYS: set.intersection(*files.values())}
    for answer, values in CHOICES.items():
        for value in values:
            brought = set.intersection(*(files[name] for name in having(answer, value)))
            for name in COMBINATIONS.keys() - having(answer, value):
                brought -= files[name]
            sections[f"{answer}={value}"] = brought
    PATH.write_text(
        "\n\n".join(
            "\n".join([f"[{name}]", *sorted(sections[name])]) for name in sections if sections[name]
        )
        + "\n",
        encoding="utf-8",
    )


def having(answer: str, value: str) -> set[str]:
    """Names of the combinations with this answer."""
    return {name for name, given in COMBINATIONS.items() if given[answer] == value}


if __name__ == "__main__":
    write()
