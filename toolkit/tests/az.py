"""What `az` takes of the options that this toolkit gives it."""

from __future__ import annotations

from collections.abc import Sequence

# azure-cli 2.91's own parser (2026-11), the source of its extension azure-devops (2026-08), the reference of ml (2026-11).
_PLACE = "organization project output"
_POLICY = f"repository-id branch blocking enabled {_PLACE}"
_DEPLOYMENT = "name resource-group parameters template-file validation-level mode"
DOCUMENTED = {
    "identity show": "name resource-group output",
    "identity federated-credential list": "identity-name resource-group output",
    "identity federated-credential create": "name identity-name resource-group issuer subject audiences",
    "identity federated-credential delete": "name identity-name resource-group yes",
    "rest": "method url resource headers body output",
    "account show": "output",
    "bicep build": "file stdout outfile",
    "bicep build-params": "file stdout outfile",
    "bicep format": "file stdout outfile",
    "bicep lint": "file diagnostics-format",
    "bicep snapshot": "file mode resource-group subscription-id tenant-id location deployment-name",
    "bicep version": "",
    "deployment group create": f"{_DEPLOYMENT} query",
    "deployment group what-if": f"{_DEPLOYMENT} no-pretty-print result-format output",
    "extension show": "name",
    "group create": "name location tags",
    "group delete": "name yes",
    "group exists": "name",
    "keyvault purge": "name",
    "ml workspace delete": "name resource-group permanently-delete yes",
    "resource delete": "ids api-version",
    "functionapp deployment source config-zip": "build-remote resource-group name src",
    "provider list": "query output",
    "provider register": "namespace wait",
    "role assignment list": "all output",
    "role assignment delete": "ids assignee role scope resource-group yes",
    "devops project show": _PLACE,
    "repos show": f"repository {_PLACE}",
    "repos policy list": f"repository-id branch {_PLACE}",
    "repos policy build create": f"{_POLICY} build-definition-id queue-on-source-update-only manual-queue-only "
    "display-name valid-duration path-filter",
    "repos policy build update": f"id {_POLICY} build-definition-id queue-on-source-update-only manual-queue-only "
    "display-name valid-duration path-filter",
    "repos policy approver-count create": f"{_POLICY} minimum-approver-count creator-vote-counts allow-downvotes "
    "reset-on-source-push",
    "repos policy approver-count update": f"id {_POLICY} minimum-approver-count creator-vote-counts allow-downvotes "
    "reset-on-source-push",
    "pipelines list": _PLACE,
    "pipelines create": f"name repository repository-type branch yml-path skip-first-run {_PLACE}",
    "pipelines variable-group list": f"group-name {_PLACE}",
    "pipelines variable-group create": f"name variables {_PLACE}",
    "pipelines variable-group variable create": f"group-id name value secret {_PLACE}",
    "pipelines variable-group variable update": f"group-id name value secret new-name prompt-value {_PLACE}",
}


def check(words: Sequence[str]) -> None:
    """Assert that `az` knows a command and its options."""
    first = next((at for at, word in enumerate(words) if word.startswith("--")), len(words))
    command = " ".join(words[:first])
    assert command in DOCUMENTED, f"`az {command}` is no command that was looked up"
    known = {f"--{name}" for name in DOCUMENTED[command].split()}
    unknown = {word for word in words if word.startswith("--")} - known
    assert not unknown, f"`az {command}` does not know {', '.join(sorted(unknown))}"
