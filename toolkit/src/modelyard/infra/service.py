"""Known differences between Azure's types and the service, service.yml, and sizes that retire."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from functools import lru_cache
from ipaddress import ip_network
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from modelyard.infra.snapshot import Planned, is_expression
from modelyard.retirements import retirements
from modelyard.yaml_files import parse

CHECK = "service"
KNOWN = Path(__file__).with_name("service.yml")
NETWORK = "microsoft.network/virtualnetworks"
SPACE = "properties.addressSpace.addressPrefixes"
TAGS = "microsoft.resources/tags"
CLUSTER = "microsoft.machinelearningservices/workspaces/computes"


class Difference(BaseModel):
    """An entry of service.yml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str
    where: str = ""
    paths: tuple[str, ...]
    value: str = ""
    what: str
    remedy: str
    seen: date
    sources: tuple[str, ...]


@lru_cache
def differences() -> tuple[Difference, ...]:
    """Read the list."""
    entries = parse(KNOWN.read_text(encoding="utf-8"))
    return tuple(Difference.model_validate(one) for one in entries)


def check(one: Planned, everything: Sequence[Planned]) -> Iterator[tuple[str, str, str]]:
    """Yield rule, fault and remedy for what Azure refuses, and for a size of machines that retires."""
    for known in differences():
        if known.type.lower() != one.kind or (known.where and one.given(known.where) is None):
            continue
        for path in known.paths:
            if not known.value and one.given(path) is not None:
                yield "service", f"{path}: {known.what}", known.remedy
            for value in one.each(path) if known.value else ():
                if _matches(known.value, value):
                    yield "service", f"{path} ({value}): {known.what}", known.remedy
    for what, remedy in (*_twice(one, everything), *_ranges(one, everything)):
        yield "service", what, remedy
    size = one.value("properties.properties.vmSize") if one.kind == CLUSTER else None
    for row in retirements():
        if size is not None and "vm_size" in row.keys and row.pattern.fullmatch(str(size)):
            what = f"properties.properties.vmSize ({size}): {row.what}: retires on {row.date}"
            yield "service", what, f"take {row.instead}; Standard_D4ds_v4 is one of clusters"


def _twice(one: Planned, everything: Sequence[Planned]) -> Iterator[tuple[str, str]]:
    # The tags of a group are written where the budget is, and by an administrator with all others.
    same = [other for other in everything if other.id.lower() == one.id.lower()]
    if len(same) > 1 and "[unknown]" not in one.id and one.kind != TAGS:
        remedy = "take what is twice out of the list that it is made of, or give the other one a name of its own"
        yield "it is defined twice, which Azure refuses in one template", remedy


def _ranges(one: Planned, everything: Sequence[Planned]) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with the address ranges of a network or a subnet."""
    paths = {NETWORK: SPACE, f"{NETWORK}/subnets": "properties.addressPrefix"}
    ranges = one.each(paths[one.kind]) if one.kind in paths else []
    spaces = [
        space
        for other in everything
        if other.kind == NETWORK and one.id.lower().startswith(f"{other.id}/".lower())
        for space in other.each(SPACE)
    ]
    for text in (text for text in ranges if not is_expression(text)):
        try:
            own = ip_network(text)
            inside = [own.subnet_of(ip_network(space)) for space in spaces]  # type: ignore[arg-type]
        except (ValueError, TypeError) as error:
            yield f"its range is none that Azure takes: {error}", "write CIDR, such as 10.20.0.0/24"
            continue
        if inside and not any(inside):
            what = f"its range {text} is outside that of its network, {', '.join(spaces)}"
            yield what, "give the network a larger range: /24 has room for all subnets here"


def _matches(pattern: str, value: object) -> bool:
    if is_expression(value) or isinstance(value, Mapping):
        return False
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return re.fullmatch(pattern, text) is not None
