"""The file that lists the repositories of a fleet."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from modelyard.errors import UsageError
from modelyard.git import asked, git
from modelyard.tracking import shown_uri

OPT_OUT = "no-update"
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://.+|[\w.-]+@[\w.-]+:.+")
# A question for a password, or a server that says nothing, would hold up all the others.
QUIET = {"GIT_TERMINAL_PROMPT": "0", "GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o ConnectTimeout=30"}
SLOW = ("-c", "http.lowSpeedLimit=1", "-c", "http.lowSpeedTime=60")


@dataclass(frozen=True)
class Repository:
    """A line of the file.

    Attributes:
        place: an absolute path, or an address that git knows.
        shown: as it is printed, without a password.
        updates: whether `mlops fleet update` may touch it.
    """

    place: str
    shown: str
    is_address: bool
    updates: bool


def read_fleet(file: Path) -> list[Repository]:
    """Read a file of repositories: a path or an address in each line, `no-update` behind it, # before remarks.

    Raises:
        UsageError: it cannot be read, has no repository, or one twice.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{file} cannot be read: {error}; it has a path or an address in each line"
        ) from None
    found: dict[str, int] = {}
    repositories = []
    for number, line in enumerate(lines, 1):
        text = re.sub(r"(^|\s)#.*", "", line).strip()
        given = (
            text.removesuffix(OPT_OUT).strip()
            if text.endswith((f" {OPT_OUT}", f"\t{OPT_OUT}"))
            else text
        )
        if not given:
            continue
        is_address = bool(_ADDRESS.fullmatch(given))
        place = (
            given
            if is_address
            else str((file.absolute().parent / Path(given).expanduser()).resolve())
        )
        if place in found:
            raise UsageError(f"{file}:{number}: {given} is in line {found[place]} already")
        found[place] = number
        shown = shown_uri(given) if "://" in given else given
        repositories.append(Repository(place, shown, is_address, given == text))
    if not repositories:
        raise UsageError(f"{file} names no repository: write a path or an address into each line")
    return repositories


@contextmanager
def files_of(repository: Repository) -> Iterator[Path]:
    """Yield a folder with a project's files: its own folder, or a clone for as long as this lasts.

    Raises:
        UsageError: there is no project.
    """
    folder = Path(repository.place)
    if not repository.is_address:
        if (folder / "conf" / "project.yml").is_file():
            yield folder
            return
        if not folder.is_dir():
            what = "is a file, and no folder" if folder.exists() else "does not exist"
            raise UsageError(f"{folder} {what}")
        if asked(folder, "rev-parse", "--is-bare-repository") != "true":
            raise UsageError(f"{folder} is no project: it has no conf/project.yml")
    with TemporaryDirectory(prefix="fleet-") as temporary:
        os.environ.update(QUIET)
        target = Path(temporary) / "project"
        address = repository.place if repository.is_address else folder.as_uri()
        git(Path(temporary), *SLOW, "clone", "-q", "--depth=1", "--", address, str(target))
        if not (target / "conf" / "project.yml").is_file():
            raise UsageError(f"{repository.shown} is no project: it has no conf/project.yml")
        yield target
