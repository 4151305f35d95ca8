"""The reader in place of the Bicep compiler, as the source of a snapshot."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bicep_reader.snapshot import snapshot
from modelyard.infra import promises
from modelyard.infra.compiler import declared
from modelyard.infra.findings import Finding
from modelyard.infra.snapshot import Planned, read_snapshot


def plan(parameters: Path, **given: Any) -> list[Planned]:
    """Return what a parameter file deploys, as the reader tells it."""
    return read_snapshot(json.dumps(snapshot(parameters, given)), parameters.name)


def promised(parameters: Path, given: Mapping[str, Any]) -> list[Finding]:
    """Return what is wrong with what a parameter file deploys, with other values for some parameters."""
    by_ci = None
    if "asAdministrator" in declared(parameters):
        by_ci = plan(parameters, **given, asAdministrator=False)
    return list(promises.check(parameters, plan(parameters, **given, asAdministrator=True), by_ci))
