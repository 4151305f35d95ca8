"""The template's repository: its versions, and the files that it makes of a project's answers."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

from pydantic import BaseModel, Field

from modelyard.console import listed
from modelyard.environments import environment_python
from modelyard.errors import UsageError
from modelyard.files import parse_json, read_json
from modelyard.git import asked, git

STATE = ".cruft.json"
RESTORE = "restore it from git"
MARK = "\ufeff"  # the byte order mark
POLICY = "AI_FACTORY_POLICY"  # is about new projects; an update asks nothing
LOG = "CHANGELOG.md"
MOST_SUBJECTS = 20

# Runs where Cookiecutter is installed; `jobs` are [template, folder to write to, answers].
_RENDER = """
import json, sys
from pathlib import Path
from cookiecutter.config import get_user_config
from cookiecutter.generate import generate_context, generate_files
from cookiecutter.prompt import prompt_for_config
made = []
for template, output, answers in json.loads(sys.stdin.read()):
    context = generate_context(str(Path(template, "cookiecutter.json")), extra_context=answers)
    context["cookiecutter"] = dict(prompt_for_config(context, no_input=True))
    project = generate_files(template, context, output)
    made.append([str(project), context["cookiecutter"]])
print("\\n" + json.dumps(made))
"""


@dataclass(frozen=True)
class Origin:
    """What a project's .cruft.json and pyproject.toml say of the template.

    Attributes:
        state: .cruft.json.
        skip: patterns of what the team has made its own; an update leaves it alone.
    """

    state: Mapping[str, Any]
    skip: tuple[str, ...]

    @property
    def commit(self) -> str:
        """The commit of the template that the project is of."""
        return str(self.state["commit"])

    @property
    def context(self) -> Mapping[str, Any]:
        """The answers, and what the template derives from them."""
        found: Mapping[str, Any] = self.state["context"]["cookiecutter"]
        return found

    @property
    def answers(self) -> dict[str, str]:
        """The answers alone."""
        given = {k: v for k, v in self.context.items() if isinstance(v, str)}
        return {k: v for k, v in given.items() if not k.startswith("_") or k == "_tags"}

    def answered(self, answers: Mapping[str, str]) -> Origin:
        """Return it with other answers; what the template derives is derived anew."""
        context = {"cookiecutter": {**self.context, **answers}}
        return replace(self, state={**self.state, "context": context})

    def is_skipped(self, path: str) -> bool:
        """Whether a file is the team's own."""
        parts = path.split("/")
        above = ["/".join(parts[:n]) for n in range(1, len(parts) + 1)]
        return any(fnmatch(one, pattern.rstrip("/")) for one in above for pattern in self.skip)


class _Context(BaseModel):
    cookiecutter: dict[str, Any]


class _State(BaseModel):
    """The fields of .cruft.json that an update needs."""

    template: Annotated[str, Field(min_length=1)]
    commit: Annotated[str, Field(min_length=1)]
    context: _Context
    directory: str | None = None
    checkout: str | None = None
    skip: list[str] = []


class _Cruft(BaseModel):
    skip: list[str] = []


class _Tool(BaseModel):
    cruft: _Cruft = _Cruft()


class _Pyproject(BaseModel):
    tool: _Tool = _Tool()


def read_origin(read: Callable[[str], str | None], where: object) -> Origin:
    """Read where a project came from.

    Args:
        read: returns the text of a file of the project, None where there is none.
        where: the project's place, for messages.

    Raises:
        UsageError: the project was not made with cruft, or a file cannot be read.
    """
    text = read(STATE)
    if text is None:
        raise UsageError(
            f"{where} has no {STATE}, so that its template is not known; `cruft link TEMPLATE` writes it"
        )
    state = parse_json(text.removeprefix(MARK), f"{where}/{STATE}", _State, RESTORE)
    own = f"{where}/pyproject.toml"
    try:
        toml = tomllib.loads((read("pyproject.toml") or "").removeprefix(MARK))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{own} is not valid TOML: {error}; {RESTORE}") from None
    skip = parse_json(json.dumps(toml, default=str), own, _Pyproject, RESTORE)
    skip = skip.get("tool", {}).get("cruft", {}).get("skip", ())
    return Origin(state, (*skip, *state.get("skip", ())))


class Template:
    """A repository of the template, and what has been made of it, in a folder for this process."""

    def __init__(self, repository: Path, place: Path, python: Path) -> None:
        self.repository = repository
        self.place = place
        self._python = python

    def commit(self, version: str | None) -> str:
        """Return the commit of a version: a tag, a branch or a commit; None: what is checked out.

        Raises:
            UsageError: the template has no such version.
        """
        for name in (version, f"origin/{version}") if version else ("HEAD",):
            if found := asked(self.repository, "rev-parse", "--verify", "-q", f"{name}^{{commit}}"):
                return found
        raise UsageError(
            f"the template {self.repository} has no version {version or 'HEAD'}; `git fetch` brings it into a clone"
        )

    def branch(self, name: object) -> str | None:
        """Return a name if it is that of a branch, which a project may follow."""
        refs = (f"refs/heads/{name}", f"refs/remotes/origin/{name}")
        known = any(asked(self.repository, "show-ref", "--verify", one) is not None for one in refs)
        return str(name) if name and known else None

    def checkout(self, commit: str) -> Path:
        """Return a folder with the files of a commit."""
        folder = self.place / "versions" / self.commit(commit)
        if not folder.is_dir():
            with TemporaryDirectory(dir=self.place) as temporary:
                new = Path(temporary, "version")
                git(self.place, "clone", "-qsn", str(self.repository.resolve()), str(new))
                git(new, "-c", "advice.detachedHead=false", "checkout", "-q", folder.name)
                folder.parent.mkdir(exist_ok=True)
                try:
                    new.rename(folder)
                except OSError:  # another process was faster
                    if not folder.is_dir():
                        raise
        return folder

    def folder(self, commit: str, directory: str | None) -> Path:
        """Return the folder of a commit with the cookiecutter.json that a project was made by.

        Raises:
            UsageError: there is none.
        """
        name = Path(directory or "", "cookiecutter.json")
        folder = self.checkout(commit) / name.parent
        if not (folder / name.name).is_file():
            where = f"the template has no {name} at {commit[:8]}"
            raise UsageError(f"{where}; `directory` in {STATE} says where it is")
        return folder

    def need_answers(self, origin: Origin) -> None:
        """Raise UsageError where a project lacks an answer that its own commit asked for: no default takes its place."""
        asked_for = settings_of(self, origin.commit, origin.state.get("directory"))
        questions = [one for one in asked_for if not one.startswith("_")]
        if lost := [one for one in questions if one not in origin.answers]:
            raise UsageError(f"{STATE} lacks the answers {listed(lost)}; {RESTORE}")

    def render(
        self, jobs: list[tuple[str, Origin]], into: Path, *, judged: bool = False
    ) -> list[tuple[Path, Any]]:
        """Make projects, as Cookiecutter does, hooks included.

        Args:
            jobs: a commit and the answers of each.
            into: a folder for them.
            judged: by the organization's policy, as new answers are; it may be newer than old ones.

        Returns:
            The folder and the complete answers of each.

        Raises:
            UsageError: the template refuses the answers, with its reason.
        """
        asked_for = []
        for number, (commit, origin) in enumerate(jobs):
            template = self.folder(commit, origin.state.get("directory"))
            asked_for.append([str(template), str(into / str(number)), origin.answers])
        environment = {k: v for k, v in os.environ.items() if judged or k != POLICY}
        # The hooks say less where a project is made to be compared, and see that by its folder.
        environment |= {"TMPDIR": str(self.place), "PYTHONPATH": ""}
        done = subprocess.run(  # noqa: S603
            [str(self._python), "-c", _RENDER],
            input=json.dumps(asked_for),
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise UsageError(f"the template refuses the answers:\n{_refusal(done.stderr)}")
        return [(Path(path), context) for path, context in json.loads(done.stdout.splitlines()[-1])]

    def news(self, before: str, after: str) -> list[str]:
        """Return the lines of the change log between two versions, else the subjects of the commits."""
        lines = git(self.repository, "diff", "--unified=0", before, after, "--", LOG).splitlines()
        added = [one[1:] for one in lines if one.startswith("+") and not one.startswith("+++")]
        if news := [one for one in added if one.strip()]:
            return news
        log = ("log", f"--max-count={MOST_SUBJECTS}", "--format=- %s", f"{before}..{after}")
        return git(self.repository, *log).splitlines()


@cache
def settings_of(template: Template, commit: str, directory: str | None) -> Mapping[str, Any]:
    """Read the cookiecutter.json that a project was made by, once in a process."""
    return dict(read_json(template.folder(commit, directory) / "cookiecutter.json"))


@contextmanager
def opened(source: str, say: Callable[[str], object], root: Path) -> Iterator[Template]:
    """Open a template; an address is cloned for as long as this lasts.

    Args:
        source: a folder, or an address that git knows.
        say: takes a line before something slow.
        root: where an environment with Cookiecutter is kept, where this Python has none.

    Raises:
        UsageError: there is no repository.
    """
    with TemporaryDirectory(prefix="template-") as temporary:
        place = Path(temporary).resolve()
        repository = Path(source)
        if not repository.is_dir():
            say(f"cloning {source}")
            repository = place / "template"
            try:
                git(place, "clone", "-q", "--no-checkout", "--", source, str(repository))
            except UsageError as error:
                raise UsageError(f"{error}; --template names a clone of it") from None
        elif asked(repository, "rev-parse", "--git-dir") is None:
            raise UsageError(f"{source} is no git repository, so that its versions are not known")
        is_here = importlib.util.find_spec("cookiecutter") is not None
        python = Path(sys.executable) if is_here else environment_python(root, "delivery", say)
        yield Template(repository, place, python)


def _refusal(text: str) -> str:
    """Return what the hooks say, or the error that Cookiecutter ends with."""
    said = text.partition("\nNo project was made")[0].partition("Traceback (most")[0].strip()
    return said or text.strip().splitlines()[-1]
