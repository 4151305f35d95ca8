"""Security and cost policy: no keys, no public access, least privilege, tags, logs, budget, locks.

A comment in a resource's body skips a rule for it: `// mlops:skip=RULE:reason`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from modelyard.infra.reader.deployment import Deployed, deployed
from modelyard.infra.reader.findings import Finding, Place
from modelyard.infra.reader.resource_types import Types
from modelyard.infra.reader.sources import Sources
from modelyard.infra.reader.tree import (
    BicepFile,
    Call,
    Expr,
    Literal,
    Module,
    Name,
    Object,
    Resource,
    Text,
    walk,
)

CHECK = "policy"
OPERATIONS = Path(__file__).with_name("operations.txt")
# Properties that a resource of a type must have in every environment: rule, path, value, reason.
REQUIRED: dict[str, list[tuple[str, str, object, str]]] = {
    "microsoft.storage/storageaccounts": [
        ("keys", "properties.allowSharedKeyAccess", False, "data is reached with identities only"),
        ("open", "properties.allowBlobPublicAccess", False, "no blob is public"),
        ("tls", "properties.minimumTlsVersion", "TLS1_2", "older TLS is insecure"),
    ],
    "microsoft.keyvault/vaults": [
        ("keys", "properties.enableRbacAuthorization", True, "access to secrets is given by roles"),
        ("lost", "properties.enablePurgeProtection", True, "a deleted vault can be restored"),
    ],
    "microsoft.containerregistry/registries": [
        ("keys", "properties.adminUserEnabled", False, "images are pulled with identities only"),
    ],
    "microsoft.insights/components": [
        ("keys", "properties.DisableLocalAuth", True, "telemetry is sent with identities only"),
    ],
    "microsoft.machinelearningservices/workspaces/computes": [
        (
            "cost",
            "properties.properties.scaleSettings.minNodeCount",
            0,
            "no node runs without a job",
        ),
    ],
}
DIAGNOSED = {
    "microsoft.containerregistry/registries",
    "microsoft.datafactory/factories",
    "microsoft.eventgrid/systemtopics",
    "microsoft.keyvault/vaults",
    "microsoft.machinelearningservices/registries",
    "microsoft.machinelearningservices/workspaces",
    "microsoft.machinelearningservices/workspaces/onlineendpoints",
    "microsoft.network/networksecuritygroups",
    "microsoft.network/virtualnetworks",
    "microsoft.operationalinsights/workspaces",
    "microsoft.storage/storageaccounts/blobservices",
    "microsoft.storage/storageaccounts/fileservices",
    "microsoft.storage/storageaccounts/queueservices",
    "microsoft.storage/storageaccounts/tableservices",
    "microsoft.web/sites",
}
# Types that have a public endpoint unless it is disabled.
PRIVATE = {
    "microsoft.containerregistry/registries",
    "microsoft.datafactory/factories",
    "microsoft.keyvault/vaults",
    "microsoft.machinelearningservices/workspaces",
    "microsoft.storage/storageaccounts",
    "microsoft.web/sites",
}
# Roles that can assign roles: their owner can get every permission.
GIVE_ROLES = {
    "8e3af657-a8ff-443c-a75c-2fe8c4bcb635": "Owner",
    "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9": "User Access Administrator",
    "f58310d9-a9f6-439a-9e8d-f62e7b41a168": "Role Based Access Control Administrator",
}
FOR_ADMINISTRATORS = "microsoft.authorization/"
OPERATION = re.compile(r"^[A-Za-z]+(\.[A-Za-z]+)+/[\w./*-]+/(read|write|delete|action|\*)$", re.I)
SECRET_NAME = re.compile(
    r"(password|secret|token|connectionstring|(account|api|access|sas|shared|primary|storage)key)$",
    re.I,
)
SECRET_TEXT = re.compile(r"(AccountKey|SharedAccessKey|SharedAccessSignature|InstrumentationKey)=")
SKIP = re.compile(r"mlops:skip=([a-z]+):\s*(\S.*)")


def check(sources: Sources, types: Types) -> Iterator[Finding]:
    """Check every file, and what every parameter file deploys."""
    for file in sources.bicep:
        for resource in file.every_resource():
            if not resource.existing:
                yield from _not_skipped(resource, _resource(resource, file, types))
        yield from _secrets(file)
        yield from _roles_that_give_roles(file)
    yield from _role_operations(sources)
    for parameters in sources.parameters:
        yield from _environment(parameters, sources)


def _not_skipped(resource: Resource, found: Iterator[tuple[str, Finding]]) -> Iterator[Finding]:
    """Yield the findings of rules that the resource does not skip."""
    skipped = {m[1] for reason in resource.reasons if (m := SKIP.search(reason))}
    for rule, finding in found:
        if rule not in skipped:
            yield finding


def _resource(resource: Resource, file: BicepFile, types: Types) -> Iterator[tuple[str, Finding]]:
    key = resource.type.lower()
    for rule, path, wanted, why in REQUIRED.get(key, []):
        found = _at(resource.body, path.split("."))
        if found is None:
            what = f"`{resource.symbol}` does not set {path}"
            yield rule, Finding(resource.place, what, f"set it to {_text(wanted)}: {why}", CHECK)
        elif isinstance(found, Literal) and found.value != wanted:
            what = f"{path} of `{resource.symbol}` is {_text(found.value)}"
            yield rule, Finding(found.place, what, f"set it to {_text(wanted)}: {why}", CHECK)
    for node in walk(resource.body):
        if isinstance(node, Object):
            for one in node.properties:
                if not isinstance(one.value, Literal):
                    continue
                if one.key == "publicNetworkAccess" and str(one.value.value).lower() == "enabled":
                    what = f"`{resource.symbol}` is open to every network in every environment"
                    remedy = "make it depend on a parameter: isPrivate ? 'Disabled' : 'Enabled'"
                    yield "open", Finding(one.value.place, what, remedy, CHECK)
                if one.key == "defaultAction" and str(one.value.value).lower() == "allow":
                    what = f"the firewall of `{resource.symbol}` allows every network"
                    yield "open", Finding(one.value.place, what, "write 'Deny'", CHECK)
    known = types.get(resource.type)
    field = known.body.fields.get("tags") if known else None
    if field and not field.read_only and resource.body.get("tags") is None:
        what = f"`{resource.symbol}` has no tags"
        yield "tags", Finding(resource.place, what, "add `tags: tags`", CHECK)
    if key in DIAGNOSED and not _is_diagnosed(resource, file):
        what = f"`{resource.symbol}` sends no logs: it has no diagnostic setting in this file"
        remedy = f"add a Microsoft.Insights/diagnosticSettings with scope: {resource.symbol}"
        yield "logs", Finding(resource.place, what, remedy, CHECK)
    if key == "microsoft.authorization/locks" and resource.body.get("scope") is None:
        what = f"`{resource.symbol}` locks the whole resource group"
        remedy = "give it a scope: in a locked group no deployment can be deleted"
        yield "lock", Finding(resource.place, what, remedy, CHECK)


def _is_diagnosed(resource: Resource, file: BicepFile) -> bool:
    return any(
        one.type.lower() == "microsoft.insights/diagnosticsettings"
        and (scope := one.body.value("scope")) is not None
        and any(isinstance(n, Name) and n.name == resource.symbol for n in walk(scope))
        for one in file.every_resource()
    )


def _at(body: Expr, path: list[str]) -> Expr | None:
    for key in path:
        if not isinstance(body, Object):
            return body
        found = body.value(key)
        if found is None:
            return None
        body = found
    return body


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _secrets(file: BicepFile) -> Iterator[Finding]:
    for parameter in file.parameters.values():
        if SECRET_NAME.search(parameter.name) and parameter.type.kind in (None, "string"):
            what = f"parameter `{parameter.name}` looks like a secret"
            remedy = "use an identity instead; if it is no secret, rename it"
            yield Finding(parameter.place, what, remedy, CHECK)
    for expression in file.expressions:
        for node in walk(expression):
            texts: tuple[object, ...] = ()
            if isinstance(node, Literal):
                texts = (node.value,)
            elif isinstance(node, Text):
                texts = node.parts
            elif isinstance(node, Call) and _reads_secret(node):
                remedy = "give the identity a role instead"
                yield Finding(node.place, f"{node.function}() reads keys", remedy, CHECK)
            if any(isinstance(t, str) and SECRET_TEXT.search(t) for t in texts):
                remedy = "connect with an identity"
                yield Finding(node.place, "a connection string with a key", remedy, CHECK)


def _reads_secret(call: Call) -> bool:
    return call.function == "getSecret" or call.function.lower().startswith("list")


def _roles_that_give_roles(file: BicepFile) -> Iterator[Finding]:
    for expression in file.expressions:
        for node in walk(expression):
            if isinstance(node, Literal) and str(node.value).lower() in GIVE_ROLES:
                name = GIVE_ROLES[str(node.value).lower()]
                remedy = "assign a custom role with the operations that are needed"
                yield Finding(
                    node.place, f"the role {name} can give itself every permission", remedy, CHECK
                )


def _role_operations(sources: Sources) -> Iterator[Finding]:
    """Check that operations of roles exist and have no wildcard."""
    own = sources.folder / "operations.txt"
    known = _operations(OPERATIONS) | (_operations(own) if own.is_file() else set())
    for place, operation in _operations_of_roles(sources):
        if "*" in operation:
            remedy = "list the operations that are needed one by one"
            yield Finding(place, f"the role has a wildcard: {operation}", remedy, CHECK)
        elif operation.lower() not in known:
            what = f"the operation {operation} is unknown"
            remedy = "correct it; or look it up (az provider operation show) and add it to operations.txt"
            yield Finding(place, what, remedy, CHECK)


def _operations(path: Path) -> set[str]:
    """Read a list of operations, in lower case."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return {line.split("#")[0].strip().lower() for line in lines} - {""}


def _operations_of_roles(sources: Sources) -> Iterator[tuple[Place, str]]:
    for path in sorted(sources.folder.rglob("*roles*.json")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            for found in re.finditer(r'"([^"]+)"(?!\s*:)', line):
                if OPERATION.match(found[1]) or found[1] == "*":
                    yield Place(path, number, found.start() + 1), found[1]
    for file in sources.bicep:
        for resource in file.every_resource():
            if resource.type.lower() != "microsoft.authorization/roledefinitions":
                continue
            for node in walk(resource.body):
                if isinstance(node, Object):
                    for key in ("actions", "dataActions"):
                        given = node.value(key)
                        for one in walk(given) if given is not None else ():
                            if isinstance(one, Literal) and isinstance(one.value, str):
                                yield one.place, one.value
        for module in file.modules.values():
            for node in walk(module.body):
                if isinstance(node, Literal) and OPERATION.match(str(node.value)):
                    yield node.place, str(node.value)


def _environment(parameters: BicepFile, sources: Sources) -> Iterator[Finding]:
    """Check all that one parameter file deploys."""
    called = sources.used(parameters)
    if called is None or parameters.using is None:
        return
    place, name = parameters.using.place, parameters.path.name
    if "network" in called.parameters:
        for one in deployed(parameters, sources, {"network": "managed-vnet"}):
            yield from _open(one)
    if "asAdministrator" not in called.parameters:
        return
    for one in deployed(parameters, sources, {"asAdministrator": False}):
        if isinstance(one.declared, Resource) and one.declared.type.lower().startswith(
            FOR_ADMINISTRATORS
        ):
            what = f"CI would deploy `{one.declared.symbol}` ({one.declared.type}) and has no permission for it"
            remedy = "deploy it only if asAdministrator is true"
            yield Finding(one.declared.place, what, remedy, CHECK)
    whole = list(deployed(parameters, sources, {"asAdministrator": True}))
    kinds = {one.declared.type.lower() for one in whole if isinstance(one.declared, Resource)}
    environment = parameters.assigned.get("environment")
    if environment is None:
        return  # not an environment, but the organization's registry
    if "microsoft.consumption/budgets" not in kinds:
        remedy = "call modules/budget.bicep in main.bicep"
        yield Finding(place, f"what {name} deploys has no budget", remedy, CHECK)
    lock = parameters.assigned.get("lockResources")
    locks = lock is not None and _constant(lock.value) is True
    where = lock.place if lock else place
    if locks and "microsoft.authorization/locks" not in kinds:
        what = f"{name} sets lockResources and deploys no lock"
        yield Finding(where, what, "call modules/locks.bicep", CHECK)
    if _constant(environment.value) == "prod" and not locks:
        yield Finding(where, "prod is not locked", "param lockResources = true", CHECK)


def _constant(expression: Expr) -> Any:
    return expression.value if isinstance(expression, Literal) else None


def _open(one: Deployed) -> Iterator[Finding]:
    """Check that a resource has no public endpoint where the network is private."""
    declared = one.declared
    if isinstance(declared, Module) or declared.type.lower() not in PRIVATE:
        return
    found = one.value("properties", "publicNetworkAccess")
    if found is None or (isinstance(found, str) and found != "Disabled"):
        what = f"`{declared.symbol}` stays open with network managed-vnet"
        remedy = "publicNetworkAccess: isPrivate ? 'Disabled' : 'Enabled'"
        yield from _not_skipped(
            declared, iter([("open", Finding(declared.place, what, remedy, CHECK))])
        )
