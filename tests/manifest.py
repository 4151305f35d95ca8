"""Which files a project has for which answer. `python -m tests.manifest` writes it anew."""

from __future__ import annotations

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
    answer, _, values = section.partition("=")
    return answers[answer] in values.split("|")


def write() -> None:
    """Make a project of every combination and write down what each answer brings.

    Raises:
        ValueError: a file does not depend on one answer alone.
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
    """The answer, and those of its values, with which a project has the file."""
    for answer, values in CHOICES.items():
        with_it = [v for v in values if v in {COMBINATIONS[name][answer] for name in having}]
        if having == {n for n, given in COMBINATIONS.items() if given[answer] in with_it}:
            return f"{answer}={'|'.join(with_it)}"
    raise ValueError(f"{file} does not depend on one answer alone")


if __name__ == "__main__":
    write()
