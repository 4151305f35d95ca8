"""Known differences between Azure's types and the service, service.yml, and sizes that retire."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from modelyard.infra.snapshot import Planned
from modelyard.retirements import retirements
from modelyard.yaml_files import parse

CHECK = "service"
KNOWN = Path(__file__).with_name("service.yml")
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


def check(one: Planned) -> Iterator[tuple[str, str, str]]:
    """Yield rule, fault and remedy for what Azure refuses, and for a size of machines that retires."""
    for known in differences():
        if known.type.lower() != one.kind or (known.where and one.given(known.where) is None):
            continue
        for path in known.paths:
            value = one.given(path)
            if value is not None and (not known.value or _matches(known.value, value)):
                yield "service", f"{path}: {known.what}", known.remedy
    size = one.value("properties.properties.vmSize") if one.kind == CLUSTER else None
    for row in retirements():
        if size is not None and "vm_size" in row.keys and row.pattern.fullmatch(str(size)):
            what = f"properties.properties.vmSize ({size}): {row.what}: retires on {row.date}"
            yield "service", what, f"take {row.instead}; Standard_D4ds_v4 is one of clusters"


def _matches(pattern: str, value: object) -> bool:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return re.fullmatch(pattern, text) is not None
