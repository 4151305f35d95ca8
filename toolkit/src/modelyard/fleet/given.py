"""The files that a template gave to a project, told without making it anew.

Files that are copied have the same digest in both repositories. The others are rendered here, which is
some thousand times as quick as Cookiecutter; which files the answers leave out, Cookiecutter says once for
each combination of choices.
"""

from __future__ import annotations

import hashlib
import json
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from modelyard.errors import UsageError
from modelyard.files import replacing
from modelyard.fleet.template import STATE, Origin, Template, settings_of
from modelyard.git import git


def differences(root: Path, origin: Origin, template: Template) -> tuple[list[str], list[str]]:
    """Compare the files of a project with those that its template gave; what is skipped is left out.

    Returns:
        The changed files and the deleted ones.

    Raises:
        UsageError: the template's repository does not have the project's version.
    """
    template.need_answers(origin)
    changed, deleted = [], []
    for path, digest in given(origin, template).items():
        if path == STATE or origin.is_skipped(path):
            continue
        try:
            content = (root / path).read_bytes()
        except OSError:
            deleted.append(path)
            continue
        if _blob(content, digest) != digest:
            changed.append(path)
    return changed, deleted


def given(origin: Origin, template: Template) -> dict[str, str]:
    """Return the digest, as git has it, of each file that the template gave for these answers."""
    version = _Version.of(template, origin.commit, origin.state.get("directory") or "")
    context = {"cookiecutter": origin.context}
    found = {}
    for path in version.present(origin):
        digest, text = version.files[path]
        name = _rendered(path, version.copied, context)
        found[name] = digest if text is None else _blob(_fill(text, context).encode(), digest)
    return found


class _Version:
    """The files of a version of the template.

    Attributes:
        files: digest of each, and its text where it is filled in.
        copied: patterns of those that are not.
    """

    def __init__(self, template: Template, commit: str, directory: str) -> None:
        self._template, self._commit = template, template.commit(commit)
        self._present: dict[tuple[str, ...], list[str]] = {}
        folder = template.folder(commit, directory)
        settings = settings_of(template, commit, directory)
        self.choices = sorted(k for k, v in settings.items() if type(v) is list and k[0] != "_")
        self.copied = tuple(settings.get("_copy_without_render", ()))
        project = next((one for one in folder.glob("*cookiecutter.*") if "{{" in one.name), None)
        if project is None:
            raise UsageError(f"the template has no folder {{{{cookiecutter.…}}}} at {commit}")
        self.files: dict[str, tuple[str, str | None]] = {}
        for line in git(project, "ls-tree", "-r", "-z", "HEAD", ".").split("\0")[:-1]:
            about, _, path = line.partition("\t")
            text = None
            if _copied_from(path, self.copied) is None:
                try:
                    text = (project / path).read_text(encoding="utf-8")
                except UnicodeDecodeError:  # Cookiecutter copies what is not text
                    text = None
            self.files[path] = (about.split()[2], text)

    @staticmethod
    @cache
    def of(template: Template, commit: str, directory: str) -> _Version:
        """Read a version, once in a process."""
        return _Version(template, commit, directory)

    def present(self, origin: Origin) -> list[str]:
        """Return the files that hooks leave where the choices are these."""
        choices = tuple(str(origin.context.get(one)) for one in self.choices)
        if choices not in self._present:
            self._present[choices] = self._ask(origin, choices)
        return self._present[choices]

    def _ask(self, origin: Origin, choices: tuple[str, ...]) -> list[str]:
        """Ask Cookiecutter, or read what another process was told."""
        key = hashlib.sha256(json.dumps([self._commit, choices]).encode()).hexdigest()
        known = self._template.place / f"present-{key[:16]}.json"
        if not known.is_file():
            with TemporaryDirectory(dir=self._template.place) as temporary:
                job = (self._commit, origin)
                [(project, answers)] = self._template.render([job], Path(temporary))
                context = {"cookiecutter": answers}
                found = [
                    path
                    for path in self.files
                    if (project / _rendered(path, self.copied, context)).is_file()
                ]
            with replacing(known) as partial:
                partial.write_text(json.dumps(found), encoding="utf-8")
        names: list[str] = json.loads(known.read_text(encoding="utf-8"))
        return names


def _copied_from(path: str, patterns: tuple[str, ...]) -> int | None:
    """Return how many parts of a path are above, or are, what is copied whole; None where it is filled in."""
    parts = path.split("/")
    for count in range(1, len(parts) + 1):
        if any(fnmatch("/".join(parts[:count]), pattern) for pattern in patterns):
            return count
    return None


def _rendered(path: str, patterns: tuple[str, ...], context: dict[str, Any]) -> str:
    """Fill in a path; names inside a folder that is copied whole stay as they are."""
    if "{{" not in path:
        return path
    parts = path.split("/")
    count = _copied_from(path, patterns)
    return "/".join([_fill("/".join(parts[:count]), context), *(parts[count:] if count else ())])


def _fill(text: str, context: dict[str, Any]) -> str:
    from jinja2 import TemplateError

    try:
        return _compiled(text).render(context)
    except TemplateError as error:
        raise UsageError(f"the template cannot be filled in: {error}") from None


@cache
def _compiled(text: str) -> Any:
    from jinja2 import Environment, StrictUndefined

    # As Cookiecutter has it: what is made is no page of the web.
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True)  # noqa: S701
    return environment.from_string(text)


def _blob(content: bytes, like: str) -> str:
    """Return the digest of a file as git has it, by the algorithm of another one."""
    algorithm = "sha256" if len(like) == 64 else "sha1"
    total = hashlib.new(algorithm, b"blob %d\0" % len(content), usedforsecurity=False)
    total.update(content)
    return total.hexdigest()
