"""What the projects of a fleet have that another one could use."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from modelyard.errors import reason_of
from modelyard.fleet.repositories import Repository, files_of
from modelyard.fleet.status import CHUNK, owner_of
from modelyard.pipelines.azure_kinds import kind_of
from modelyard.policy.documents import Documents
from modelyard.yaml_files import LocatedMapping, line_of

KINDS = ("component", "data", "environment", "model")


@dataclass(frozen=True)
class Part:
    """A component, data asset, environment, feature or model of a project.

    Attributes:
        file: relative to the project.
        about: what its file says of it.
    """

    kind: str
    name: str
    about: str
    project: str
    owner: str
    repository: str
    file: str
    line: int

    def fits(self, words: Sequence[str]) -> int:
        """Return how well words describe it, 0 where one of them is not in it."""
        name, all_of_it = (
            self.name.lower(),
            f"{self.kind} {self.name} {self.about} {self.project}".lower(),
        )
        wanted = [word.lower() for word in words]
        if not all(word in all_of_it for word in wanted):
            return 0
        return 1 + sum(word in name for word in wanted) + (name in wanted)


def find_parts(
    repositories: Sequence[Repository], words: Sequence[str], processes: int
) -> tuple[list[Part], list[str]]:
    """Look for parts in repositories, several at once.

    Returns:
        The parts that all words describe, best first, and what could not be read.
    """
    context = get_context("spawn")
    with ProcessPoolExecutor(processes, context) as pool:
        read = list(pool.map(_read, repositories, [words] * len(repositories), chunksize=CHUNK))
    found = [part for parts, _ in read for part in parts]
    found.sort(key=lambda part: (-part.fits(words), part.kind, part.name, part.project))
    return found, [problem for _, problem in read if problem]


def _read(repository: Repository, words: Sequence[str]) -> tuple[list[Part], str]:
    try:
        with files_of(repository) as root:
            return [part for part in parts_of(root, repository.shown) if part.fits(words)], ""
    except Exception as error:  # one broken repository must not hide the others
        return [], f"{repository.shown}: {reason_of(error)}"


def parts_of(root: Path, repository: str) -> Iterator[Part]:
    """Yield the parts of the project at `root`."""
    files = Documents(root)
    project = str(files.project.get("name"))
    owner = owner_of(root, str(files.project.get("owner", "")))

    def part(kind: str, name: object, about: Any, path: Path, line: int) -> Part:
        text = " ".join(str(about or "").split())
        file = path.relative_to(root).as_posix()
        return Part(kind, str(name), text, project, owner, repository, file, line)

    for path, content in files.azureml.items():
        if isinstance(content, LocatedMapping) and content.get("name"):
            kind = (kind_of(path, content) or "").rpartition(" ")[2]
            if kind in KINDS:
                line = line_of(content, ("name",))
                yield part(kind, content["name"], content.get("description"), path, line)
    place = root / "conf" / "contract.yml"
    columns = files.contract.get("columns") or {}
    for name, column in columns.items():
        if isinstance(column, dict) and column.get("role", "feature") == "feature":
            yield part("feature", name, column.get("type"), place, line_of(columns, (name,)))
    about = f"{files.project.get('title', '')}: {files.project.get('description', '')}"
    place, line = root / "conf" / "project.yml", line_of(files.project, ("model",))
    yield part("model", files.project.get("model"), about, place, line)
