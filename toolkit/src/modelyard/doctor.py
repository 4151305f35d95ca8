"""What a project needs on this machine, and the command for whatever is missing.

Nothing is imported that is slow, and nothing is asked of a network; what `mlops doctor --refresh` has fetched is read.
"""

from __future__ import annotations

import os
import re
import runpy
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions
from pathlib import Path

from modelyard.console import listed
from modelyard.environments import TOOLKIT, find_uv
from modelyard.errors import ModelyardError
from modelyard.files import read_text, relative
from modelyard.git import asked, head
from modelyard.infra.compiler import INSTALL, compiler
from modelyard.relocation import former_roots
from modelyard.tracking import local_store, shown_uri

PYTHONS = ((3, 11), (3, 13))
LOCKS = ("dev", "uv")  # what `make setup` installs, beside the toolkit
ROOM = 2.0  # GB: an environment and some runs
SHOWN = 3
# Where Typer's --install-completion writes, below the home folder.
COMPLETIONS = {
    "bash": ".bash_completions/mlops.sh",
    "zsh": ".zfunc/_mlops",
    "fish": ".config/fish/completions/mlops.fish",
}


@dataclass(frozen=True)
class Finding:
    """What was found out about one thing.

    Attributes:
        thing: what was looked at.
        is_fine: False where something has to be done; None for what is good to know.
        found: in words.
        remedy: one command.
        is_safe: whether `mlops doctor --fix` may run the remedy: it changes nothing that is the team's.
    """

    thing: str
    is_fine: bool | None
    found: str
    remedy: str | None = None
    is_safe: bool = False


def examine(root: Path) -> list[Finding]:
    """Look at everything that the project at `root` needs; a check that fails is a finding."""
    findings: list[Finding] = []
    for thing, check in CHECKS.items():
        try:
            findings += check(root)
        except (ModelyardError, OSError) as error:
            findings.append(Finding(thing, False, str(error)))
    return findings


def _python(root: Path) -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    first, last = (".".join(map(str, one)) for one in PYTHONS)
    if not PYTHONS[0] <= sys.version_info[:2] <= PYTHONS[1]:
        remedy = f"make setup PYTHON=python{last}"
        yield Finding("Python", False, f"{version}; {first} to {last} are supported", remedy)
    elif Path(sys.prefix).resolve() != (root / ".venv").resolve():
        found = f"{version} of {sys.prefix}; the project's own is .venv"
        yield Finding("Python", False, found, "make setup", is_safe=True)
    else:
        yield Finding("Python", True, version)


def _tools(root: Path) -> Iterator[Finding]:
    find_uv()
    if shutil.which("make") is None:
        yield Finding("tools", None, "make is not on the PATH: its targets are in the Makefile")
    if shutil.which("az") is None:
        found = "az (Azure CLI) is not on the PATH: what needs Azure cannot run from here"
        yield Finding("tools", None, found)
    else:
        yield Finding("tools", True, "uv, az")
    if (root / "infra").is_dir() and compiler() is None:
        found = "the Bicep compiler is not installed: `make infra-check` cannot judge infra/"
        yield Finding("tools", None, found, INSTALL)


def _environment(root: Path) -> Iterator[Finding]:
    """Compare the packages beside this Python with those that the locks pin."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    installed = {
        canonicalize_name(one.metadata["Name"]): one.version
        for one in distributions(path=[entry for entry in sys.path if "site-packages" in entry])
    }
    wrong, pinned = [], 0
    for lock in LOCKS:
        text = read_text(root / "requirements" / f"{lock}.txt")
        for line in re.findall(r"^([a-zA-Z][^\\\n]*)", text, re.MULTILINE):
            asked = Requirement(line.split(" --hash")[0])
            if asked.marker is not None and not asked.marker.evaluate():
                continue
            pinned += 1
            found = installed.get(canonicalize_name(asked.name))
            if found is None or not asked.specifier.contains(found, prereleases=True):
                wrong.append(f"{asked.name} {found or 'is missing'} ({asked.specifier})")
    if wrong:
        found = f"other than its locks: {listed(wrong, SHOWN)}"
        yield Finding("environment", False, found, "make setup --always-make", is_safe=True)
    else:
        yield Finding("environment", True, f"{pinned} packages as pinned")


def _toolkit(root: Path) -> Iterator[Finding]:
    """Compare the installed toolkit with the line that pins it, and with the wheel."""
    requirements = root / "requirements"
    problems = runpy.run_path(str(requirements / "check_wheel.py"))["problems"](requirements)
    for problem in problems:
        yield Finding("toolkit", False, f"requirements/{problem}")
    if problems:
        return
    line = read_text(requirements / "modelyard.txt")
    pinned = re.findall(rf"^{TOOLKIT}==(\S+)", line, re.MULTILINE)[0]
    try:
        installed = distribution(TOOLKIT)
    except PackageNotFoundError:
        yield Finding("toolkit", False, f"{TOOLKIT} {pinned} is not installed", "make setup")
        return
    wheel = requirements / "wheels" / f"{TOOLKIT}-{pinned}-py3-none-any.whl"
    remedy = "make setup --always-make"
    if installed.version != pinned:
        found = f"{installed.version} is installed, requirements/modelyard.txt names {pinned}"
        yield Finding("toolkit", False, found, remedy, is_safe=True)
    elif wheel.is_file() and _content(installed) != _content_of_wheel(wheel):
        found = f"{pinned} is installed with other files than those of {wheel.name}"
        yield Finding("toolkit", False, found, remedy, is_safe=True)
    else:
        yield Finding("toolkit", True, f"{TOOLKIT} {pinned}")


def _content(installed: Distribution) -> set[str]:
    return _modules(installed.read_text("RECORD") or "")


def _content_of_wheel(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        [record] = [name for name in archive.namelist() if name.endswith(".dist-info/RECORD")]
        return _modules(archive.read(record).decode())


def _modules(record: str) -> set[str]:
    """Return path, digest and size of the package's files; installers add compiled ones."""
    lines = record.splitlines()
    return {one for one in lines if one.startswith(f"{TOOLKIT}/") and "/__pycache__/" not in one}


def _template(root: Path) -> Iterator[Finding]:
    """Compare the template's commit with its newest one, where the template is a folder: an address is not asked."""
    from modelyard.fleet.template import STATE, Template
    from modelyard.fleet.upgrade import origin_of

    if not (root / STATE).is_file():
        found = f"there is no {STATE}, so that no update can come"
        yield Finding("template", None, found, "cruft link TEMPLATE")
        return
    origin = origin_of(root)
    source, remedy = str(origin.state["template"]), "mlops upgrade --preview"
    if not Path(source).is_dir():
        found = f"{origin.commit[:8]}; {shown_uri(source)} is not asked for a newer one here"
        yield Finding("template", None, found, remedy)
        return
    template = Template(Path(source), root, Path(sys.executable))
    newest = template.commit(template.branch(origin.state.get("checkout")))
    order = ("merge-base", "--is-ancestor", newest, origin.commit)
    if asked(Path(source), *order) is None:
        found = f"{origin.commit[:8]}; the newest is {newest[:8]}, and may bring a newer toolkit"
        yield Finding("template", None, found, remedy)
    else:
        yield Finding("template", True, f"{origin.commit[:8]}, the newest of {source}")


def _git(root: Path) -> Iterator[Finding]:
    if shutil.which("git") is None:
        yield Finding("git", False, "git is not installed: a run could not say what it was made of")
        return
    if (commit := head(root)) is None:
        remedy = "git init && git add --all && git commit --message 'The project as generated'"
        yield Finding("git", False, "no commit: a run cannot say what it was made of", remedy)
        return
    yield Finding("git", True, f"at {commit[:7]}")
    hook = asked(root, "rev-parse", "--git-path", "hooks/pre-commit")
    if hook is not None and not (root / hook).is_file():
        found = "no pre-commit hook: commits are not checked on this machine"
        yield Finding("git", None, found, "make hooks", is_safe=True)


def _data(root: Path) -> Iterator[Finding]:
    """Look for the training table, and for the contract's columns in it; its rows are checked by `prepare`."""
    from modelyard.contract.model import load_contract
    from modelyard.data.stream import open_stream
    from modelyard.pipelines.data_assets import described, local_path

    contract = load_contract(root / "conf" / "contract.yml")
    folder = root / "azureml" / "data"
    name = "training"
    table = local_path(folder, name)
    if table is None:
        try:
            where = described([folder], f"azureml:{name}")[0].get("path")
        except ValueError as error:
            where = str(error)
        yield Finding("data", None, f"the training table is not on this machine: {where}")
    elif not table.exists():
        remedy = "make data" if table.name == "flights.parquet" else None
        yield Finding("data", False, f"{table} does not exist", remedy, is_safe=remedy is not None)
    else:
        files = [table] if table.is_file() else sorted(table.rglob("*.parquet"))
        for file in files[:1]:
            open_stream(file, list(contract.columns))
        count = len(contract.columns)
        yield Finding("data", True, f"{table.name} has the {count} columns of the contract")


def _store(root: Path) -> Iterator[Finding]:
    given = os.environ.get("MLFLOW_TRACKING_URI")
    if given:
        yield Finding("MLflow", None, f"MLFLOW_TRACKING_URI leads to {shown_uri(given)}")
        return
    store = local_store(root)
    former = former_roots(store, root)
    if former:
        found = f"the store keeps its models below {former[0]}: the project was moved or copied"
        yield Finding("MLflow", False, found, "mlops relocate", is_safe=True)
    else:
        yield Finding("MLflow", True, ".mlflow" if store.is_file() else "no run yet")


def _completion(root: Path) -> Iterator[Finding]:
    """Look for the file with which this person's shell completes the command."""
    shell = Path(os.environ.get("SHELL", "")).name
    if shell not in COMPLETIONS:
        return
    if (Path.home() / COMPLETIONS[shell]).is_file():
        yield Finding("completion", True, shell)
    else:
        remedy = f"mlops --install-completion {shell}"
        yield Finding("completion", None, f"{shell} does not complete mlops", remedy)


def _retirements(root: Path) -> Iterator[Finding]:
    """Look for what Azure has retired, or will, in the files of azureml/."""
    from modelyard.pipelines.azure_files import AzureFile
    from modelyard.pipelines.azure_kinds import kind_of
    from modelyard.pipelines.retired import retired_in
    from modelyard.retirements import FILE, known
    from modelyard.yaml_files import LocatedMapping, read_yaml

    found, today = known(root), datetime.now(UTC).date()
    gone: list[str] = []
    going: list[str] = []
    for path in sorted((root / "azureml").rglob("*.y*ml")):
        content = read_yaml(path)
        if isinstance(content, LocatedMapping) and (kind := kind_of(path, content)):
            both = retired_in(AzureFile(path, kind, content), today, found.rows)
            for problems, said in zip(both, (gone, going), strict=True):
                said += [f"{relative(one.file)}:{one.line}: {one.message}" for one in problems]
    if gone:
        yield Finding("retirements", False, listed(gone, SHOWN), "mlops check")
    if going:
        yield Finding("retirements", None, listed(going, SHOWN), "mlops check")
    if found.new:
        rows = listed([str(one) for one in found.new], SHOWN)
        more = f"{FILE.as_posix()} has what this toolkit does not know; is it in use here? {rows}"
        yield Finding("retirements", None, more)
    yield Finding("retirements", True, found.source)


def _disk(root: Path) -> Iterator[Finding]:
    free = shutil.disk_usage(root).free / 1e9
    is_fine = free >= ROOM
    found = f"{free:.1f} GB free" + ("" if is_fine else f"; an environment takes {ROOM:.0f} GB")
    yield Finding("disk", is_fine, found, None if is_fine else "mlops clean")


CHECKS: dict[str, Callable[[Path], Iterator[Finding]]] = {
    "Python": _python,
    "tools": _tools,
    "environment": _environment,
    "toolkit": _toolkit,
    "template": _template,
    "git": _git,
    "data": _data,
    "MLflow": _store,
    "retirements": _retirements,
    "completion": _completion,
    "disk": _disk,
}
