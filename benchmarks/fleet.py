"""A fleet of 1,000 projects: how many take a new version of the template, and how quick its status is."""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from modelyard.fleet.merge import Upgrade, merged
from modelyard.fleet.template import Origin, Template
from modelyard.git import git
from packaging.version import Version

from benchmarks.measure import Figure
from benchmarks.teams import (
    Edits,
    commit,
    copy_project,
    digest_of,
    edit_as_a_team,
    hashes,
    write_template,
)

COUNT = 1_000
ANSWERS: tuple[dict[str, str], ...] = (
    {},
    {"ci_provider": "azure-devops", "serving": "online-and-batch"},
    {"project_name": "Churn", "network": "managed-vnet", "release_approval": "model-validator"},
    {"problem_type": "regression", "serving": "batch", "production_data": "masked-replica"},
)


class Remembering(Template):
    """A template that makes a project once for the same version and answers."""

    _made: ClassVar[dict[str, Any]] = {}

    def render(
        self, jobs: list[tuple[str, Origin]], into: Path, *, judged: bool = False
    ) -> list[tuple[Path, Any]]:
        """As `Template.render`; the folders stay."""
        found = []
        for at, origin in jobs:
            key = json.dumps([at, origin.answers])
            if key not in self._made:
                folder = Path(tempfile.mkdtemp(dir=self.place))
                [self._made[key]] = super().render([(at, origin)], folder, judged=judged)
            found.append(self._made[key])
        return found


@dataclass
class Outcome:
    """What an update did to a project.

    Attributes:
        conflicts: files.
        lost: words that are neither in the project nor in a file that was named, and pins that were moved back.
    """

    updates: int = 0
    conflicts: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)


class Fleet:
    """A template of three versions and a fresh project of each version and set of answers."""

    def __init__(self, place: Path, answers: int = len(ANSWERS)) -> None:
        self.place, self.answers = place, answers
        self.repository = place / "template"
        self.commits, self.brought = write_template(self.repository)
        for version in (0, 1):
            for number in range(answers):
                self._make(version, number, ANSWERS[number])

    def fresh(self, version: int, number: int) -> Path:
        """The folder of a project as it was made."""
        return self.place / "fresh" / f"{version}-{number}"

    def _make(self, version: int, number: int, answers: dict[str, str]) -> None:
        made = Path(tempfile.mkdtemp(dir=self.place))
        words = ["create", str(self.repository), "--checkout", self.commits[version], "--no-input"]
        words += ["--output-dir", str(made), "--extra-context", json.dumps(answers)]
        subprocess.run(
            [sys.executable, "-m", "cruft", *words], check=True, stdout=subprocess.DEVNULL
        )
        [project] = made.iterdir()
        state = json.loads((project / ".cruft.json").read_text())
        (project / ".cruft.json").write_text(
            json.dumps(state | {"checkout": None}, indent=2) + "\n"
        )
        git(project, "init", "-q", "--initial-branch=main")
        commit(project, "Made")
        target = self.fresh(version, number)
        target.parent.mkdir(exist_ok=True)
        project.rename(target)

    def project(self, seed: int) -> tuple[Path, int, Edits]:
        """Make the project of a seed, committed; with its version and the team's edits."""
        version = seed % 2
        project = self.place / "projects" / f"{seed:04}"
        copy_project(self.fresh(version, seed // 2 % self.answers), project)
        package = next((project / "src").glob("*/model.py")).parent.name
        edits = edit_as_a_team(project, package, seed)
        commit(project, "Ours")
        return project, version, edits

    def update(self, seed: int, template: Template) -> Outcome:
        """Update a project step by step, or at once to the newest version; look for what is lost."""
        project, version, edits = self.project(seed)
        steps = [2] if seed % 3 else list(range(version + 1, 3))
        outcome, named = Outcome(), set[str]()
        for step in steps:
            with merged(project, template, self.commits[step]) as upgrade:
                assert upgrade is not None
                outcome.updates += 1
                outcome.conflicts += [one.file for one in upgrade.conflicts]
                named |= {one.file for one in upgrade.changes if one.kind == "kept"}
                brought = range(version + 1, step + 1)
                outcome.lost += self._lost(project, upgrade, edits, brought, named)
                if upgrade.commit is None:
                    return outcome
                git(project, "reset", "-q", "--hard", upgrade.store())
        return outcome

    def _lost(
        self, project: Path, upgrade: Upgrade, edits: Edits, versions: range, named: set[str]
    ) -> list[str]:
        commit_of = upgrade.store() if upgrade.commit else upgrade.head
        text = git(project, "grep", "-hoE", r"[tv][0-9]+n[0-9]+x", commit_of, codes=(0, 1))
        there = set(text.split())
        files = set(git(project, "ls-tree", "-r", "--name-only", commit_of).splitlines())
        lost = [f"{word} of {file}" for word, file in edits.words.items() if word not in there]
        lost += [file for file in edits.deleted if file in files]
        pins = pins_of(project, commit_of)
        lost += _moved_back(pins, edits.pins)
        if upgrade.commit is None:  # nothing has come: what is wrong is named
            return lost
        present = set(self._given(project))
        for version in versions:
            for word, file in self.brought[version].words.items():
                if file in present and word not in there and file not in named:
                    lost.append(f"{word} of {file}")
            lost += _moved_back(pins, self.brought[version].pins)
        return lost

    def _given(self, project: Path) -> Iterator[str]:
        """The files that the template gives for these answers, as its repository names them."""
        package = next((project / "src").glob("*/model.py")).parent.name
        folder = next(self.repository.glob("{{*}}"))
        provider = ".github" if (project / ".github").is_dir() else ".azuredevops"
        for path in folder.rglob("*"):
            name = path.relative_to(folder).as_posix()
            if name.startswith((".github", ".azuredevops")) and not name.startswith(provider):
                continue
            if name.startswith("src/{{"):
                continue  # the team's own
            yield name.replace("{{cookiecutter.package_name}}", package)


def pins_of(project: Path, commit: str) -> dict[tuple[str, str], list[tuple[str, list[str]]]]:
    """The pins of a commit, by file and name: each one's version and digests."""
    lines = r"^\S+==| --hash=|uses: \S+@\S+ # v"
    words = ("grep", "-IE", lines, commit, "--", "requirements", ".github")
    found: dict[tuple[str, str], list[tuple[str, list[str]]]] = {}
    digests: list[str] = []
    for line in git(project, *words).splitlines():
        _, file, text = line.split(":", 2)
        if action := re.search(r"uses: (\S+)@(\S+) # (v[\d.]+)", text):
            found.setdefault((file, action[1]), []).append((action[3], [action[2]]))
        elif text.startswith(" "):
            digests.append(text.strip(" \\"))
        elif package := re.match(r"(\S+)==(\S+)( ;.*?)?(?: [\\#].*|$)", text):
            digests = []
            name = package[1] + (package[3] or "")
            found.setdefault((file, name), []).append((package[2], digests))
    return found


def _moved_back(
    pins: dict[tuple[str, str], list[tuple[str, list[str]]]],
    moved: dict[tuple[str, str], str],
) -> Iterator[str]:
    """Pins that are older than somebody has made them, or have the digest of another version."""
    for (file, name), least in moved.items():
        for version, digests in pins.get((file, name), ()):
            package = name.partition(" ")[0]
            right = [digest_of(name, version)] if "/" in name else hashes(package, version)
            if Version(version) < Version(least) or digests != right:
                yield f"{name} {version} of {file}, which was {least}"


def measure() -> list[Figure]:
    """1,000 projects: the share that updates without a conflict, what is lost, and `fleet status`."""
    with tempfile.TemporaryDirectory() as temporary:
        fleet = Fleet(Path(temporary).resolve())
        outcomes = update_all(fleet, COUNT)
        named = Counter(file for one in outcomes for file in one.conflicts)
        print(f"conflicts: {dict(named.most_common(12))}")
        lost = [word for one in outcomes for word in one.lost]
        print(f"lost: {lost[:12]}")
        clean = sum(not one.conflicts for one in outcomes) / len(outcomes)
        seconds, small, large = status(fleet)
        return [
            Figure("fleet: share of projects with a conflict", 1 - clean, 0.05, unit=""),
            Figure("fleet: changes lost without a word", len(lost), 0, unit=""),
            Figure(f"fleet status of {COUNT:,} repositories, seconds", seconds, 60),
            Figure("fleet status: memory of 1,000 / of 100 repositories", large, 1.5, small, "MB"),
        ]


def update_all(fleet: Fleet, count: int) -> list[Outcome]:
    """Update projects, two at once."""
    with ProcessPoolExecutor(2) as pool:
        return list(pool.map(_update, [fleet] * count, range(count), chunksize=25))


def _update(fleet: Fleet, seed: int) -> Outcome:
    place = fleet.place / "made"
    place.mkdir(exist_ok=True)
    return fleet.update(seed, Remembering(fleet.repository, place, Path(sys.executable)))


def status(fleet: Fleet) -> tuple[float, float, float]:
    """Seconds for all projects, and the largest process in MB for a tenth of them and for all."""
    folders = sorted((fleet.place / "projects").iterdir())
    memory = []
    for some in (folders[: len(folders) // 10], folders):
        file = fleet.place / "fleet.txt"
        file.write_text("".join(f"{one}\n" for one in some), encoding="utf-8")
        words = ["-m", "modelyard", "fleet", "status", str(file), "--template"]
        words += [str(fleet.repository), "--policy", str(_policy(fleet.place)), "--json"]
        words += ["--html", str(fleet.place / "hub.html")]
        started = time.perf_counter()
        done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - started
        rows = json.loads(done.stdout)
        assert len(rows) == len(some), done.stderr
        assert all(row["changed"] is not None for row in rows), done.stderr
        memory.append(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
    return seconds, memory[0], memory[1]


def _policy(place: Path) -> Path:
    file = place / "policy.yml"
    file.write_text(
        "regions: [westeurope]\nrequired_tags: [cost_center]\nsizes: ['Standard_*']\n"
        "gates: {promotion.binary.floor: {at_least: 0.5}}\ntoolkit: '>=0.1'\npackages: ['*']\n"
    )
    return file
