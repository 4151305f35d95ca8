"""What stands on this machine for assets and addresses of Azure ML."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from modelyard.errors import UsageError
from modelyard.files import has_file, read_text, relative
from modelyard.yaml_files import LocatedMapping, parse, read_mapping

LOCAL = Path("conf") / "local.yml"  # address → path from the project's folder
_NAMED = re.compile(r"azureml:(?!//)([^:@/]+)(?::(.+)|@.+)?")
_LONG = re.compile(
    r"azureml://.+/(?:data|models|components|environments)/([^/]+)(?:/versions/([^/]+)|/labels/[^/]+)?/?"
)


def parts_of(reference: str) -> tuple[str, str] | None:
    """The name and the version of an asset's reference, a label being `latest`; None for any other address."""
    found = _NAMED.fullmatch(reference) or _LONG.fullmatch(reference)
    return (found[1], found[2] or "latest") if found else None


def mapped(root: Path, address: str) -> Path | None:
    """Find the path that `conf/local.yml` gives for an address, or for a folder above it.

    Args:
        root: of the project.
        address: as a pipeline has it.

    Returns:
        None where the file, which no project has to have, says nothing about it.

    Raises:
        UsageError: the file is wrong.
    """
    file = root / LOCAL
    if ":" not in address or not has_file(file):
        return None
    content = read_mapping(file, expected="a mapping of addresses to paths")
    above = [key for key in content if str(key).endswith("/") and address.startswith(str(key))]
    key = address if address in content else max(above, key=len, default=None)
    if key is None:
        return None
    path = (root / str(content[key]) / address[len(key) :]).resolve()
    if not path.exists():
        raise UsageError(f"{file}:{content.line_of(key)}: {content[key]} does not exist")
    return path


def described(folders: Iterable[Path], reference: str) -> tuple[LocatedMapping, Path]:
    """Find the YAML file that describes an asset.

    Args:
        folders: to look in, in this order.
        reference: `azureml:NAME:VERSION`, `azureml:NAME@latest`, or an address of a registry.

    Returns:
        The content and the path of the file.

    Raises:
        ValueError: why there is none.
    """
    name, version = parts_of(reference) or ("", "")
    places, versions = list(dict.fromkeys(folders)), set[str]()
    for folder in places:
        found = []
        for file in sorted((*folder.glob("*.yml"), *folder.glob("*.yaml"))):
            content = _named(file, name)
            if content is not None:
                found.append((str(content.get("version", "")), content, file))
        wanted = [one for one in found if version in ("latest", one[0]) or not one[0]]
        if wanted:
            _, content, file = max(wanted, key=lambda one: _order(one[0]))
            return content, file
        versions |= {one[0] for one in found}
    if versions:
        raise ValueError(f"{reference}: the files describe version {', '.join(sorted(versions))}")
    raise ValueError(
        f"{reference} is described in no file of {', '.join(str(relative(one)) for one in places)}"
    )


def _named(file: Path, name: str) -> LocatedMapping | None:
    """The content of a file that says `name: NAME`."""
    text = read_text(file)
    if not re.search(rf"^name:\s*[\"']?{re.escape(name)}\b", text, re.MULTILINE):
        return None
    try:
        content = parse(text)
    except ValueError:  # it is checked where it is used
        return None
    is_it = isinstance(content, LocatedMapping) and str(content.get("name")) == name
    return content if is_it else None


def _order(version: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in version.split(".")]


def local_path(folder: Path, name: str) -> Path | None:
    """Find a data asset on this machine; None where it is elsewhere or not described."""
    try:
        content, file = described([folder], f"azureml:{name}")
    except ValueError:
        return None
    place = str(content.get("path", ""))
    return None if "://" in place else (file.parent / place).resolve()
