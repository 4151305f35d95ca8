"""Comparison of two versions by what the deployments of an Azure ML endpoint have collected."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from modelyard.contract.model import load_contract
from modelyard.errors import UsageError
from modelyard.releases.ab_report import ab_report
from modelyard.releases.azure_endpoint import AzureEndpoint
from modelyard.serving.azure_collected import copy_collected


def compare_on_azure(
    root: Path, environment: str, a: str, b: str, *, minimal_difference: float | None = None
) -> dict[str, Any]:
    """Compare two versions that are deployed now; see `ab_report`.

    A version that is gone is compared by its deployment and time, as DEPLOYMENT@SINCE/UNTIL.
    """
    endpoint = AzureEndpoint.of_environment(root, environment)
    there = endpoint.deployed_since()
    contract = load_contract(root / "conf" / "contract.yml")

    def periods_of(version: str) -> list[str]:
        found = [f"{name}@{since}/" for name, (one, since) in there.items() if one == version]
        if not found:
            now = ", ".join(f"{name} v{one}" for name, (one, _) in there.items()) or "nothing"
            raise UsageError(
                f"v{version} is not deployed to `{endpoint.name}` ({now}); name a deployment and a time, as "
                "green@2026-05-01/2026-05-08"
            )
        return found

    asked = {one.removeprefix("v") for one in (a, b)}
    times = [since for version, since in there.values() if version in asked]
    is_known = len(times) == 2 and all(times)
    begin = min(map(datetime.fromisoformat, times)) if is_known else None
    with tempfile.TemporaryDirectory(prefix="ab-") as temporary:
        copied = copy_collected(
            endpoint.workspace,
            endpoint.name,
            None,
            contract,
            Path(temporary),
            begin,
            datetime.now(UTC),
        )
        details = ab_report(
            root,
            a,
            b,
            endpoint=endpoint.name,
            minimal_difference=minimal_difference,
            collected=copied.folder,
            periods_of=periods_of,
        )
    return {**details, "notes": copied.notes}
