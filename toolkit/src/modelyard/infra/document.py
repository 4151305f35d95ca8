"""The generated parts of docs/infrastructure.md: the diagram, the costs, and the table of permissions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelyard.errors import UsageError
from modelyard.files import read_json, read_text
from modelyard.infra import costs
from modelyard.infra.compiler import planned
from modelyard.infra.diagram import diagram
from modelyard.project import GIVEN

PAGE = Path("docs") / "infrastructure.md"
PARTS = ("diagram", "costs", "rights")
# Of the diagram: without and with what depends on a parameter, whatever the answers of a project are.
LEAST = {
    "asAdministrator": False,
    "network": "public",
    "onlineScoring": True,
    "batchScoring": False,
    "productionData": "approved-access",
    "ciSubject": "",
    "lockResources": False,
}
MOST = {
    "asAdministrator": True,
    "makeEndpoint": True,
    "network": "managed-vnet",
    "lockResources": True,
    "productionData": "masked-replica",
    "replicaStorageId": "/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/replica",
    "maskedColumns": ["name"],
}
_ML = "Microsoft.MachineLearningServices/workspaces/"
_BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/"
# Activities, and the operation that allows each.
CAPABILITIES = {
    "**approve models**": f"{_ML}assets/stage/write",
    "label data": f"{_ML}labeling/labels/write",
    "make data assets": f"{_ML}data/versions/write",
    "make datastores": f"{_ML}datastores/write",
    "run jobs": f"{_ML}jobs/write",
    "cancel jobs": f"{_ML}jobs/cancel/action",
    "schedule jobs": f"{_ML}schedules/write",
    "register models": f"{_ML}models/versions/write",
    "delete models": f"{_ML}models/delete",
    "write notebooks": f"{_ML}notebooks/storage/write",
    "make computes": f"{_ML}computes/write",
    "start and stop computes": f"{_ML}computes/start/action",
    "deploy endpoints": f"{_ML}onlineEndpoints/deployments/write",
    "make monitors": f"{_ML}endpoints/deployments/modelmonitorings/write",
    "ask endpoints": f"{_ML}onlineEndpoints/score/action",
    "read logs": "Microsoft.OperationalInsights/workspaces/query/read",
    "read data": f"{_BLOBS}read",
    "write data": f"{_BLOBS}write",
    "delete data": f"{_BLOBS}delete",
}


def documented(root: Path) -> str:
    """Return the page with its generated parts up to date.

    Raises:
        UsageError: the page or one of its marks is missing, or there is no Bicep compiler.
    """
    page = root / PAGE
    text = read_text(page)
    for name in PARTS:  # before the compiler is asked, which takes seconds
        _between(text, name, "", page)
    infra = (root / "infra").resolve()
    personas = read_json(infra / "modules" / "persona-roles.json")
    least, most = (planned(infra / "prod.bicepparam", given) for given in (LEAST, LEAST | MOST))
    drawn = diagram(least, most)
    picture = f"```mermaid\n{drawn}\n```"
    for name, content in zip(PARTS, (picture, costs.table(root), rights(personas)), strict=True):
        text = _between(text, name, content, page)
    return text


def rights(personas: Mapping[str, Any]) -> str:
    """Return a table of what each persona can do in each environment."""
    lines = [
        "| persona | " + " | ".join(GIVEN) + " |",
        "| --- |" + " --- |" * len(GIVEN),
    ]
    for persona in personas.values():
        cells = (_can(persona, environment) for environment in GIVEN)
        lines.append(f"| {persona['title']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _can(persona: Mapping[str, Any], environment: str) -> str:
    held = {
        operation.lower()
        for part in (persona, persona["dataActions"])
        for operation in (*part["everywhere"], *part[environment])
    }
    can = [words for words, operation in CAPABILITIES.items() if operation.lower() in held]
    return ", ".join(can) or "look"


def _between(text: str, name: str, content: str, page: Path) -> str:
    """Replace what is between the two marks of a name."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, found, rest = text.partition(begin)
    _, ended, after = rest.partition(end)
    if not found or not ended:
        raise UsageError(f"{page}: expected the lines `{begin}` and `{end}`; restore it from git")
    return f"{before}{begin}\n\n{content}\n\n{end}{after}"
