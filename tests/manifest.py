"""Which files a project has for which answer. `python -m tests.manifest` writes it anew."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

from tests.baked import CHOICES, COMBINATIONS, TEMPLATE, bake, files_below

PATH = Path(__file__).with_name("manifest.txt")
ALWAYS = "always"
# The wheel's name has the toolkit's version in it: the manifest does not change with a release.
WHEEL = "requirements/wheels/modelyard-*.whl"
WHEEL_NOW = next(f for f in files_below(TEMPLATE) if f.endswith(".whl"))


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
    return sorted(
        file.replace(WHEEL, WHEEL_NOW)
        for section, files in read().items()
        if _holds(section, answers)
        for file in files
    )


def _holds(section: str, answers: dict[str, str]) -> bool:
    if section == ALWAYS:
        return True
    return all(answers[answer] in values for answer, values in conditions(section))


def conditions(section: str) -> list[tuple[str, list[str]]]:
    """The answers of a section, and the values of each with which a project has its files."""
    parts = (part.partition("=") for part in section.split(", "))
    return [(answer, values.split("|")) for answer, _, values in parts]


def write() -> None:
    """Make a project of every combination and write down what each answer brings.

    Raises:
        ValueError: a file depends on more than two answers.
    """
    with tempfile.TemporaryDirectory() as folder:
        files = {
            name: set(bake(Path(folder) / name, **answers).files)
            for name, answers in COMBINATIONS.items()
        }
    sections: dict[str, set[str]] = {ALWAYS: set.intersection(*files.values())}
    for file in set.union(*files.values()) - sections[ALWAYS]:
        having = {name for name, found in files.items() if file in found}
        sections.setdefault(_section(file, having), set()).add(file)
    PATH.write_text(
        "\n\n".join(
            "\n".join(
                [f"[{name}]", *sorted(file.replace(WHEEL_NOW, WHEEL) for file in sections[name])]
            )
            for name in sorted(sections)
        )
        + "\n",
        encoding="utf-8",
    )


def _section(file: str, having: set[str]) -> str:
    """The answer or two, and those of their values, with which a project has the file."""
    answers = list(next(iter(COMBINATIONS.values())))
    for together in (*itertools.combinations(answers, 1), *itertools.combinations(answers, 2)):
        section = ", ".join(
            f"{answer}={'|'.join(v for v in CHOICES[answer] if v in {COMBINATIONS[n][answer] for n in having})}"
            for answer in together
        )
        if having == {name for name, given in COMBINATIONS.items() if _holds(section, given)}:
            return section
    raise ValueError(f"{file} depends on more than two answers")


if __name__ == "__main__":
    write()
