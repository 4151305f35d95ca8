"""Versions of the template, and projects as teams change them: for measuring updates and `mlops fleet`.

Every change leaves a word that occurs nowhere else, so that nothing can be lost unnoticed.
"""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from modelyard.files import link_tree
from modelyard.git import git
from packaging.version import Version

from tests.baked import ROOT, copy_template
from tests.wheels import pin, write_wheel

AUTHOR = ("-c", "user.name=team", "-c", "user.email=team@example.com")
WORKFLOWS = (".github/workflows", ".azuredevops")


@dataclass
class Edits:
    """Changes of a folder, with what they leave behind.

    Attributes:
        words: file of each word that a change has written.
        deleted: files that were deleted or renamed.
        pins: version to which a change has moved a pin, by its file and name.
    """

    root: Path
    mark: str
    words: dict[str, str] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)
    pins: dict[tuple[str, str], str] = field(default_factory=dict)

    def word(self, file: str) -> str:
        """A word that occurs nowhere else."""
        word = f"{self.mark}n{len(self.words)}x"
        self.words[word] = file
        return word

    def has(self, file: str) -> bool:
        """Whether a file is there still."""
        return (self.root / file).is_file()

    def put(self, file: str, text: str) -> None:
        """Write a file, with a word at its end."""
        (self.root / file).parent.mkdir(parents=True, exist_ok=True)
        self._write(file, text + f"# {self.word(file)}\n")

    def append(self, file: str, text: str = "# {}\n") -> None:
        """Add lines at the end."""
        self._write(file, self._read(file) + text.format(self.word(file)))

    def after(self, file: str, pattern: str, text: str) -> None:
        """Add lines below the first line that fits."""
        self.sub(file, rf"(?m)^({pattern}.*\n)", rf"\1{text}")

    def sub(self, file: str, pattern: str, text: str) -> None:
        """Replace the first text that fits."""
        content = self._read(file)
        if "{}" in text:
            text = text.replace("{}", self.word(file))
        new, count = re.subn(pattern, text, content, count=1)
        if not count:
            raise ValueError(f"{file} has nothing like {pattern}: change benchmarks/teams.py")
        self._write(file, new)

    def delete(self, file: str) -> None:
        """Delete a file."""
        (self.root / file).unlink()
        self.deleted.append(file)
        self.words = {word: of for word, of in self.words.items() if of != file}

    def rename(self, file: str, other: str) -> None:
        """Rename a file."""
        (self.root / other).parent.mkdir(parents=True, exist_ok=True)
        (self.root / file).rename(self.root / other)
        self.deleted.append(file)
        self.words = {w: other if f == file else f for w, f in self.words.items()}

    def _read(self, file: str) -> str:
        return (self.root / file).read_text(encoding="utf-8")

    def _write(self, file: str, text: str) -> None:
        # A hard link of a copy may share the file with others.
        (self.root / file).unlink(missing_ok=True)
        (self.root / file).write_text(text, encoding="utf-8", newline="\n")


def second_version(t: Edits) -> None:
    """What a minor version of a template brings: actions, steps, keys, documents, locks, a wheel."""
    move_action(t, "actions/checkout", "v7.1.0")
    for folder, step in zip(WORKFLOWS, ("      - run", "  - bash"), strict=True):
        t.append(f"{folder}/check.yml", f"{step}: .venv/bin/mlops check --azure # {{}}\n")
        t.sub(
            f"{folder}/update.yml", r"Every week: a pull request", "Every week ({}): a pull request"
        )
    t.after("conf/gates.yml", "  seed: 0 ", "  # {}: the seed of a resample\n")
    t.sub(
        "conf/gates.yml",
        "# What an endpoint has to keep to;",
        "# What an endpoint ({}) has to keep to;",
    )
    t.sub("conf/project.yml", "# The registered model;", "# The registered model ({});")
    t.after("Makefile", r"\t\$\(BIN\)/mlops infra check", "\t@echo {}\n")
    t.sub(
        "docs/delivery.md",
        "From a pull request to production.",
        "From a pull request ({}) to production.",
    )
    t.sub("docs/infrastructure.md", r"(?m)^## ", "{}\n\n## ")
    t.put("docs/troubleshooting.md", "# Troubleshooting\n\nWhat to do when.\n\n")
    t.sub("infra/main.bicep", r"(?m)^param environment ", "// {}\nparam environment ")
    t.sub("infra/modules/alerts.bicep", r"(?m)^param ", "// {}\nparam ")
    for name in ("dev", "test", "prod"):
        t.after(f"infra/{name}.bicepparam", "param lockResources", "// {}\n")
    t.sub("azureml/components/assess.yml", "display_name: assess", "display_name: assess # {}")
    t.sub(
        "azureml/pipelines/train.yml", "description: From a table", "description: ({}) From a table"
    )
    t.sub(
        "azureml/endpoints/online-deployment.yml", "rolling_rate: hour", "rolling_rate: hour # {}"
    )
    t.sub("azureml/monitoring/monitor.yml", r"(?m)^create_monitor:", "# {}\ncreate_monitor:")
    t.append(".gitignore", "\n# {}\n/cache/\n")
    t.append(".pre-commit-config.yaml", "      # {}\n")
    t.sub("AGENTS.md", r"(?m)^- ", "- {}\n- ")
    t.sub("pyproject.toml", r'"SIM"\]', '"SIM", "C90"] # {}')
    t.sub("README.md", r"(?m)^## ", "{}\n\n## ")
    t.sub("src/{{cookiecutter.package_name}}/model.py", r"\A", "# {}\n")
    move_packages(t, 0.08, 2)
    toolkit(t, "0.2.0")


def third_version(t: Edits) -> None:
    """What a larger one brings: files that go, move and are new, beside smaller changes."""
    move_action(t, "actions/checkout", "v8.0.0")
    move_action(t, "actions/upload-artifact", "v8.0.0")
    for folder in WORKFLOWS:
        t.sub(f"{folder}/audit.yml", r"(?m)^# Every week: ", "# Every week ({}): ")
        t.sub(f"{folder}/sample.yml", r"(?m)^# ", "# {}\n# ")
        t.sub(f"{folder}/package.yml", r"(?m)^# ", "# {}\n# ")
    t.sub(
        "conf/gates.yml",
        "# What the model costs to serve,",
        "# What the model ({}) costs to serve,",
    )
    t.sub("conf/project.yml", "# Where an environment needs", "# Where ({}) an environment needs")
    t.rename("docs/change-the-model.md", "docs/science.md")
    t.sub("docs/science.md", r"(?m)^## ", "{}\n\n## ")
    t.sub("docs/README.md", r"change-the-model\.md", "science.md?{}")
    t.delete(".editorconfig")
    t.put("azureml/jobs/reproduce.yml", "type: command\n")
    t.put("docs/lifecycle.md", "# Lifecycle\n\n")
    t.sub("Makefile", r"(?m)^clean: ", "tidy: ## {}\n\t@true\n\nclean: ")
    t.sub("infra/modules/workspace.bicep", r"(?m)^param ", "// {}\nparam ")
    t.sub("infra/prod.bicepparam", r"(?m)^param storageSku", "// {}\nparam storageSku")
    t.sub("azureml/pipelines/sweep.yml", r"(?m)^description: ", "description: ({}) ")
    t.sub("azureml/components/train.yml", "display_name: train", "display_name: train # {}")
    t.sub("azureml/environments/train.yml", "description: What", "description: ({}) What")
    t.sub("requirements/train.dockerfile", r"(?m)^FROM ", "# {}\nFROM ")
    t.sub("tests/test_pipeline.py", r"\A", "# {}\n")
    t.sub("CONTRIBUTING.md", r"The template this", "The template ({}) this")
    move_packages(t, 0.04, 2)
    toolkit(t, "0.3.0")


def digest_of(name: str, version: str, length: int = 40) -> str:
    """The digest of a version, which is the same whoever moves a pin to it."""
    return "".join(random.Random(f"{name} {version}").choices("0123456789abcdef", k=length))


def move_action(t: Edits, action: str, version: str) -> None:
    """Move an action to a version wherever it is used, as Dependabot does; never to an older one."""
    new = f"{action}@{digest_of(action, version)} # {version}"
    for path in sorted((t.root / ".github").rglob("*.yml")):
        text, file = path.read_text(encoding="utf-8"), path.relative_to(t.root).as_posix()
        found = re.findall(rf"{action}@\S+ # v([\d.]+)", text)
        if found and max(map(Version, found)) < Version(version):
            t._write(file, re.sub(rf"{action}@\S+ # v[\d.]+", new, text))
            t.pins[file, action] = version


def move_packages(t: Edits, share: float, by: int) -> None:
    """Raise the patch version of some locked packages, the same in every lock, with the hashes of its files."""
    for path in sorted((t.root / "requirements").glob("*.txt")):
        if path.name == "modelyard.txt":
            continue
        file = path.relative_to(t.root).as_posix()
        blocks = re.split(r"(?m)^(?=[A-Za-z0-9])", path.read_text(encoding="utf-8"))
        for at, block in enumerate(blocks):
            found = re.match(r"(\S+?)==([\d.]*?)(\d+)( ;.*?)? *\\\n", block)
            if found and random.Random(f"{t.mark} {found[1]}").random() < share:
                name, version = found[1], f"{found[2]}{int(found[3]) + by}"
                marker = found[4] or ""
                lines = [f"{name}=={version}{marker}", *hashes(name, version)]
                blocks[at] = " \\\n    ".join(lines) + "\n"
                t.pins[file, name + marker] = version
        t._write(file, "".join(blocks))


def hashes(name: str, version: str) -> list[str]:
    """What a lock has of the files of a package's version, of which there are two to four."""
    files = range(2 + len(digest_of(name, version).strip("0123456789")) % 3)
    return [f"--hash=sha256:{digest_of(name, f'{version} {file}', 64)}" for file in files]


def toolkit(t: Edits, version: str) -> None:
    """Bring another wheel of the toolkit, and the line that pins it."""
    for old in (t.root / "requirements" / "wheels").glob("*.whl"):
        old.unlink()
    new = t.root / "requirements" / "wheels" / f"modelyard-{version}-py3-none-any.whl"
    write_wheel(new, {"modelyard/__init__.py": f'__version__ = "{version}"\n'}, version)
    t._write("requirements/modelyard.txt", pin(new))


def write_template(place: Path) -> tuple[list[str], list[Edits]]:
    """Write a repository of three versions of the template.

    Returns:
        Their commits, and what each brought.
    """
    place.mkdir(parents=True)
    copy_template(place)
    shutil.copy(ROOT / "CHANGELOG.md", place)
    git(place, "init", "-q", "--initial-branch=main")
    [project] = place.glob("{{*}}")
    commits, brought = [commit(place, "0.1.0")], [Edits(project, "")]
    for number, change in ((2, second_version), (3, third_version)):
        edits = Edits(project, f"v{number}")
        change(edits)
        settings = Edits(place, f"s{number}")
        settings.sub(
            "cookiecutter.json",
            r'"__template_version": ".*?"',
            f'"__template_version": "0.{number}.0"',
        )
        settings.sub("CHANGELOG.md", r"(?m)^## ", f"## 0.{number}.0\n\n- {{}}\n\n## ")
        commits.append(commit(place, f"0.{number}.0"))
        brought.append(edits)
    return commits, brought


def commit(folder: Path, message: str) -> str:
    """Commit everything; return the commit."""
    git(folder, "add", "--all", "--force")
    git(folder, *AUTHOR, "commit", "-q", "-m", message)
    return git(folder, "rev-parse", "HEAD").strip()


# What teams do, and how often in a hundred projects.
Edit = Callable[[Edits, random.Random, str], None]


def own_step(t: Edits, _: random.Random, package: str) -> None:
    """A step between preparation and training."""
    t.put(f"src/{package}/enrich.py", "print('own')\n")
    t.put("azureml/components/enrich.yml", "type: command\nname: enrich\n")
    t.sub("azureml/pipelines/train.yml", r"(?m)^  train:\n", "  # {}\n  enrich:\n    type: command\n    component: ../components/enrich.yml\n  train:\n")  # fmt: skip


def gates(t: Edits, r: random.Random, _: str) -> None:
    """Thresholds."""
    t.sub("conf/gates.yml", r"floor: 0\.55, over_baseline: 0\.0", f"floor: 0.{r.randint(560, 900)}, over_baseline: 0.01")  # fmt: skip
    t.sub("conf/gates.yml", r"requests: 100 .*", f"requests: {r.randint(150, 900)}  # {{}}")
    if r.random() < 0.5:
        t.sub("conf/gates.yml", r"p95_milliseconds: 100 ", "p95_milliseconds: 80  # {}")


def project_file(t: Edits, r: random.Random, _: str) -> None:
    """The registry, who pays, the machines of prod."""
    t.sub("conf/project.yml", r"# registry: NAME", "registry: reg-{}")
    if r.random() < 0.4:
        t.after("conf/project.yml", "  template: ai-factory", "  cost_center: cc-{}\n")
    if r.random() < 0.3:
        t.sub(
            "conf/project.yml",
            r"(?m)^  prod:\n",
            "  prod:\n    instance_type: Standard_D8as_v4 # {}\n",
        )


def workflow(t: Edits, r: random.Random, _: str) -> None:
    """When pipelines run, what they run, and where."""
    folder = next(one for one in WORKFLOWS if (t.root / one).is_dir())
    t.sub(f"{folder}/train.yml", r'cron: "[^"]+"', f'cron: "{r.randint(0, 59)} 3 * * 1" # {{}}')
    if r.random() < 0.5 and t.has(f"{folder}/audit.yml"):
        t.sub(f"{folder}/audit.yml", r'cron: "[^"]+"', f'cron: "{r.randint(0, 59)} 2 * * 4" # {{}}')
    if r.random() < 0.3 and folder == WORKFLOWS[0]:
        t.sub(f"{folder}/check.yml", r"(?m)^      - run: make check\n", "      - run: make check\n      - run: make typos # {}\n")  # fmt: skip
    if r.random() < 0.3:
        t.sub(f"{folder}/sample.yml", r"ubuntu-24\.04", "large-{}")


def dependabot(t: Edits, r: random.Random, _: str) -> None:
    """Pins of actions that the team's Dependabot has moved: to what the template will have, to less or to more."""
    for action in r.sample(["checkout", "upload-artifact", "setup-python"], r.randint(1, 3)):
        version = r.choice(["v7.0.2", "v7.1.0", "v7.2.1", "v8.0.0", "v8.1.0"])
        move_action(t, f"actions/{action}", version)


def upgraded_locks(t: Edits, r: random.Random, _: str) -> None:
    """Packages at their newest version, by `make upgrade-locks`."""
    move_packages(t, r.choice([0.1, 0.5]), r.randint(1, 3))


def infrastructure(t: Edits, r: random.Random, _: str) -> None:
    """Machines, groups, a budget."""
    for name in ("dev", "test", "prod"):
        t.sub(f"infra/{name}.bicepparam", r"param clusterMaximum = \d+", f"param clusterMaximum = {r.randint(3, 9)} // {{}}")  # fmt: skip
        t.sub(f"infra/{name}.bicepparam", r"dataScientists: ''", "dataScientists: 'id-{}'")
    if r.random() < 0.3:
        t.sub(
            "infra/prod.bicepparam",
            r"param monthlyBudget = \d+",
            "param monthlyBudget = 2500 // {}",
        )
    if r.random() < 0.1:
        t.sub("infra/modules/alerts.bicep", r"(?m)^resource ", "// {}\nresource ")


def endpoint(t: Edits, r: random.Random, _: str) -> None:
    """Machines and patience of the endpoint."""
    t.sub("azureml/endpoints/online-deployment.yml", r"instance_count: 1", f"instance_count: {r.randint(2, 5)} # {{}}")  # fmt: skip
    t.sub("azureml/endpoints/online-deployment.yml", r"request_timeout_ms: 5000", "request_timeout_ms: 9000 # {}")  # fmt: skip


def deleted_files(t: Edits, r: random.Random, _: str) -> None:
    """What the team has no use for."""
    folder = next(one for one in WORKFLOWS if (t.root / one).is_dir())
    candidates = [f"{folder}/package.yml", f"{folder}/audit.yml", "docs/organization.md", "infra/registry.bicep", "azureml/pipelines/sweep.yml", ".devcontainer/devcontainer.json", "notebooks/01-explore.ipynb"]  # fmt: skip
    for file in r.sample(candidates, r.randint(1, 3)):
        if t.has(file):
            t.delete(file)


def renamed_files(t: Edits, r: random.Random, _: str) -> None:
    """What the team calls otherwise."""
    candidates = [("docs/delivery.md", "docs/how-we-deliver.md"), ("docs/infrastructure.md", "docs/azure/infrastructure.md"), ("azureml/pipelines/train.yml", "azureml/pipelines/training.yml"), ("azureml/pipelines/model-test.yml", "azureml/pipelines/offline-test.yml"), ("tests/test_pipeline.py", "tests/pipelines/test_pipeline.py")]  # fmt: skip
    for file, other in r.sample(candidates, r.randint(1, 2)):
        if t.has(file):
            t.rename(file, other)


def packages(t: Edits, _: random.Random, __: str) -> None:
    """A package of the team's own."""
    t.append("requirements/train.in", "lightgbm # {}\n")
    t.sub("requirements/train.txt", r"(?m)^(m[a-z]\S+==)", r"lightgbm==4.6.0 # {}\n\1")


def tooling(t: Edits, r: random.Random, _: str) -> None:
    """Targets, ignored files, the linter."""
    t.append("Makefile", "\n# ours\ntypos: ## {}\n\t@true\n")
    if r.random() < 0.5:
        t.append(".gitignore", "\n# {}\n/ours/\n")
    if r.random() < 0.3:
        t.sub("pyproject.toml", r"line-length = 100", "line-length = 120 # {}")


def documents(t: Edits, r: random.Random, _: str) -> None:
    """What the team writes."""
    t.append("README.md", "\n{}\n")
    t.put("docs/our-data.md", "# Our data\n\n")
    if r.random() < 0.3 and t.has("docs/delivery.md"):
        t.append("docs/delivery.md", "\n## Ours\n\n{}\n")
    if r.random() < 0.1 and t.has("docs/delivery.md"):
        t.sub(
            "docs/delivery.md",
            "From a pull request",
            "From our {} pull request",
        )


def science(t: Edits, _: random.Random, package: str) -> None:
    """What a data scientist edits; an update leaves it alone."""
    t.append(f"src/{package}/features.py")
    t.append(f"src/{package}/model.py")
    t.append("conf/contract.yml")


EDITS: dict[Edit, int] = {
    science: 95, documents: 60, gates: 80, project_file: 60, infrastructure: 60, workflow: 45,
    own_step: 35, endpoint: 25, packages: 40, tooling: 45, deleted_files: 35, renamed_files: 20,
    dependabot: 30, upgraded_locks: 15,
}  # fmt: skip
RENAMES_LAST = (renamed_files,)


def edit_as_a_team(project: Path, package: str, seed: int) -> Edits:
    """Make the changes of one team, told by the seed."""
    dice = random.Random(seed)
    edits = Edits(project, f"t{seed}")
    chosen = [edit for edit, percent in EDITS.items() if dice.random() * 100 < percent]
    for edit in sorted(chosen, key=lambda one: one in RENAMES_LAST):
        edit(edits, dice, package)
    return edits


def copy_project(source: Path, target: Path) -> None:
    """Copy a project by hard links, for whoever changes a file replaces it; but not what git changes in place."""
    link_tree(source, target)
    for path in (source / ".git").iterdir():
        if path.name != "objects":
            copy = target / ".git" / path.name
            if path.is_dir():
                shutil.rmtree(copy)
                shutil.copytree(path, copy)
            else:
                copy.unlink()
                shutil.copy(path, copy)
