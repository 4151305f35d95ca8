"""Other names for everything in Azure, where somebody else has those of conf/project.yml."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from modelyard.errors import UsageError
from modelyard.files import read_text, write_text
from modelyard.yaml_files import read_mapping

SUFFIX = re.compile(r"[a-z0-9]{1,6}")
# Where names of Azure's resources stand; docs/ and README.md have none.
PLACES = (".azuredevops", ".github", "azureml", "conf", "infra")
KINDS = {".yml", ".yaml", ".bicepparam", ".bicep", ".json"}
# The most characters that Azure takes; a batch endpoint has two more than the online one.
LONGEST = {
    "storage_account": 24,
    "key_vault": 24,
    "container_registry": 50,
    "workspace": 33,
    "endpoint": 30,
}


def rename(root: Path, suffix: str) -> list[Path]:
    """Write a suffix into every name of conf/project.yml, wherever in the project it stands.

    Args:
        root: of the project.
        suffix: letters and digits, before the environment: stacmeflightdev becomes stacmeflightx7dev.

    Returns:
        The files that were changed.

    Raises:
        UsageError: the suffix is not valid, or makes a name longer than Azure takes.
    """
    if not SUFFIX.fullmatch(suffix):
        raise UsageError(f"expected 1 to 6 lowercase letters and digits, found {suffix!r}")
    environments = read_mapping(root / "conf" / "project.yml").get("environments") or {}
    new: dict[str, str] = {}
    for environment, names in environments.items():
        for kind, name in names.items():
            if kind not in LONGEST and environment not in str(name):
                continue  # no name, such as a size of machines
            if (renamed := _renamed(str(name), suffix, environment)) is None:
                raise UsageError(
                    f"conf/project.yml: {kind} {name} has no {environment} as a part; rename it by hand"
                )
            new[name] = renamed
            if len(new[name]) > LONGEST.get(kind, 90):
                raise UsageError(
                    f"{kind} {new[name]} has {len(new[name])} characters, and Azure takes {LONGEST[kind]}; "
                    "give a shorter suffix"
                )
    longest = sorted(new, key=len, reverse=True)
    old = re.compile(rf"(?<![A-Za-z0-9])({'|'.join(map(re.escape, longest))})(?![A-Za-z0-9])")
    changed = []
    for path in _files(root):
        text = read_text(path)
        if (renamed := old.sub(lambda found: new[found[1]], text)) != text:
            write_text(path, renamed)
            changed.append(path)
    return changed


def _renamed(name: str, suffix: str, environment: str) -> str | None:
    """Return the name with the suffix before its environment; None where it has none."""
    dashed = re.sub(rf"-{environment}(?=-|$)", f"-{suffix}-{environment}", name)
    if dashed != name:
        return dashed
    if name.endswith(environment):
        return f"{name.removesuffix(environment)}{suffix}{environment}"
    return None


def _files(root: Path) -> Iterator[Path]:
    for place in PLACES:
        for path in sorted((root / place).rglob("*")):
            if path.is_file() and path.suffix in KINDS:
                yield path
