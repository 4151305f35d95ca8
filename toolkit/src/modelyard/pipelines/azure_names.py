"""The sizes of virtual machines and the regions that files of Azure ML name.

`azure_names.json` has them as of a day. What is newer gets a warning; what cannot be newer, because the list has its series or a
later version of it, is a mistake. To renew it: each name of the file that it says it is made from, lower-case, without `standard_`, with
`#` for its number.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from modelyard.files import has_file, read_text
from modelyard.pipelines.azure_files import AzureFile
from modelyard.pipelines.retired import values
from modelyard.retirements import retirements
from modelyard.yaml_files import Problem, nearest, read_mapping

_SIZE = re.compile(r"standard_([a-z]+)(\d+(?:-\d+)?)([a-z]*(?:_[a-z0-9]+)*?)(_v\d+)?")
_SIZE_KEYS = {"size", "instance_type", "vm_size"}


def unknown_in(file: AzureFile) -> tuple[list[Problem], list[Problem]]:
    """Find the sizes and regions of a file that are none, and those that the list does not have."""
    wrong: list[Problem] = []
    unsure: list[Problem] = []
    for path, line, keys, text in values(file, file.content):
        find = _size if keys & _SIZE_KEYS else _region if keys & {"location"} else None
        found = find(text) if find else None
        if found:
            message, is_certain = found
            (wrong if is_certain else unsure).append(Problem(path, line, message))
    return wrong, unsure


def regions_of(root: Path) -> tuple[list[Problem], list[Problem]]:
    """Find regions of conf/project.yml that are none, and parameter files that say other ones than it does, or sizes that are none.

    Returns:
        What is wrong, and what may be: names that the list does not have, and regions that the organization's
        registry does not publish to, where this project's parameter file is the one that was deployed.
    """
    wrong: list[Problem] = []
    unsure: list[Problem] = []
    place = root / "conf" / "project.yml"
    content = read_mapping(place) if has_file(place) else {}
    at = {"": content, **(content.get("environments") or {})}
    for name, given in at.items():
        found = _region(str(given["region"])) if given.get("region") else None
        if found:
            problem = Problem(place, given.line_of("region"), found[0])
            (wrong if found[1] else unsure).append(problem)
        file = root / "infra" / f"{name}.bicepparam"
        wanted = str(given.get("region") or content.get("region"))
        for line, text in _parameter(file, "location") if name else ():
            if text and _plain(text) != _plain(wanted):
                message = f"location is {text}, and conf/project.yml has {wanted} for {name}"
                wrong.append(Problem(file, line, message))
        for key, find in _NAMED.items() if name else ():
            for line, text in _parameter(file, key):
                if found := find(text) if text else None:
                    (wrong if found[1] else unsure).append(Problem(file, line, found[0]))
        registry = root / "infra" / "registry.bicepparam"
        published = {_plain(str(content.get("region")))}
        for line, text in _parameter(registry, "otherRegions") if content.get("registry") else ():
            published |= {_plain(one) for one in text.split("'")[1::2]}
            if _plain(wanted) not in published:
                message = f"otherRegions has no {wanted}, where {name} is: what is published does not get there"
                unsure.append(Problem(registry, line, message))
    return wrong, unsure


def _plain(region: str) -> str:
    return region.lower().replace(" ", "")


def _parameter(file: Path, name: str) -> Iterator[tuple[int, str]]:
    """Yield line and value of a parameter, without the quotes of a text; nothing where it is not given."""
    text = read_text(file) if has_file(file) else ""
    for found in re.finditer(rf"^param {name} = (\[[^\]]*\]|.*)", text, re.MULTILINE):
        yield text.count("\n", 0, found.start()) + 1, found[1].strip().strip("'")


@cache
def _content() -> Any:
    return json.loads((files("modelyard.pipelines") / "azure_names.json").read_text("utf-8"))


def _size(text: str) -> tuple[str, bool] | None:
    """What is wrong with a size, and whether that is certain."""
    name, series = text.lower(), _content()["series"]
    found = _SIZE.fullmatch(name)
    is_retired = any(
        row.pattern.fullmatch(name) for row in retirements() if _SIZE_KEYS & set(row.keys)
    )
    if found is None or is_retired:
        return None  # a name of Kubernetes, or what the fields and the retirements say
    letters, number, rest, version = found[1], found[2], found[3], found[4] or ""
    counts = series.get(f"{letters}#{rest}{version}", "").split()
    if number in counts:
        return None
    if counts:
        have = ", ".join(f"standard_{letters}{one}{rest}{version}" for one in counts[:6])
        return f"there is no size {text}; its series has {have}", True
    same = [one for one in series if re.fullmatch(rf"{letters}#{re.escape(rest)}_v\d+", one)]
    known = [
        f"standard_{key.replace('#', count)}"
        for key in same or series
        for count in series[key].split()
    ]
    near = nearest(name, known, 0.8)
    hint = f"; did you mean `{near}`?" if near else ""
    if version and any(int(one.rpartition("_v")[2]) > int(version[2:]) for one in same):
        return f"there is no size {text}{hint}", True
    return f"{text} is no size that is known as of {_content()['of']}{hint}", False


def _region(text: str) -> tuple[str, bool] | None:
    """What is wrong with a region, and whether that is certain."""
    name, regions = _plain(text), _content()["regions"]
    if name in regions or not re.fullmatch(r"[a-z]+\d?", name):
        return None
    near = nearest(name, regions, 0.85)
    if near and name.rstrip("0123456789") != near.rstrip("0123456789"):
        return f"there is no region {text}; did you mean `{near}`?", True
    return f"{text} is no region that is known as of {_content()['of']}", False


_NAMED = {"trainingLocation": _region, "clusterSize": _size, "buildClusterSize": _size}
