"""What the infrastructure promises: no keys, nothing open, least privilege, tags, logs, a budget, locks, valid names.

Held against the resources that a parameter file deploys, wherever their snapshot comes from. A comment in a resource's
declaration, `// mlops:skip=RULE:reason`, makes an exception for the resources of its type.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from modelyard.console import listed
from modelyard.files import read_text
from modelyard.infra import names, service
from modelyard.infra.compiler import used
from modelyard.infra.declarations import Declarations
from modelyard.infra.findings import Finding, Place
from modelyard.infra.snapshot import Planned, is_expression

CHECK = "promises"
# Of rules with a title of their own.
TITLES = {"names": names.CHECK, "tag": names.CHECK, "service": service.CHECK}
# Properties that a resource of a type must have in every environment: rule, path, value, reason.
REQUIRED: dict[str, list[tuple[str, str, object, str]]] = {
    "microsoft.storage/storageaccounts": [
        ("keys", "properties.allowSharedKeyAccess", False, "data is reached with identities only"),
        ("open", "properties.allowBlobPublicAccess", False, "no blob is public"),
        ("tls", "properties.minimumTlsVersion", "TLS1_2", "older TLS is insecure"),
    ],
    "microsoft.keyvault/vaults": [
        ("keys", "properties.enableRbacAuthorization", True, "access to secrets is given by roles"),
        ("lost", "properties.enableSoftDelete", True, "a deleted vault can be restored"),
    ],
    "microsoft.containerregistry/registries": [
        ("keys", "properties.adminUserEnabled", False, "images are pulled with identities only"),
    ],
    "microsoft.insights/components": [
        ("keys", "properties.DisableLocalAuth", True, "telemetry is sent with identities only"),
    ],
    "microsoft.machinelearningservices/workspaces/datastores": [
        (
            "keys",
            "properties.credentials.credentialsType",
            "None",
            "data is reached with identities only",
        ),
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
# Roles that can assign roles: who has one can get every permission.
GIVE_ROLES = {
    "8e3af657-a8ff-443c-a75c-2fe8c4bcb635": "Owner",
    "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9": "User Access Administrator",
    "f58310d9-a9f6-439a-9e8d-f62e7b41a168": "Role Based Access Control Administrator",
}
ASSIGNMENT = "microsoft.authorization/roleassignments"
BUDGET = "microsoft.consumption/budgets"
DEFINITION = "microsoft.authorization/roledefinitions"
DIAGNOSTICS = "microsoft.insights/diagnosticsettings"
FOR_ADMINISTRATORS = "microsoft.authorization/"
LOCK = "microsoft.authorization/locks"
WORKSPACE = "microsoft.machinelearningservices/workspaces"
KEYS = (
    *("listKeys(", "listAccountSas(", "listServiceSas("),
    *("AccountKey=", "SharedAccessKey=", "SharedAccessSignature=", "InstrumentationKey="),
)

_BY_POLICY = re.compile(r"^param diagnosticsByPolicy = true", re.MULTILINE)
_ENVIRONMENT = re.compile(r"^param environment = '(\w+)'", re.MULTILINE)
_LOCKED = re.compile(r"^param lockResources = true", re.MULTILINE)
_RESOURCE_ID = re.compile(
    r"(?i)/subscriptions/[^/]+/resourcegroups/[^/]+(/providers/[^/]+(/[^/]+/[^/]+)+)?"
)
_TAKES_ID = re.compile(
    r"^@description\('Resource id of ((?:\\'|[^'])+)'\)\nparam (\w+) string", re.MULTILINE
)
Found = Iterator[tuple[str, str, str]]  # rule, what, remedy


def check(
    parameters: Path, plan: Sequence[Planned], by_ci: Sequence[Planned] | None = None
) -> Iterator[Finding]:
    """Check what a parameter file deploys.

    Args:
        parameters: the file, whose folder has the declarations.
        plan: what it deploys, with roles, policies and locks.
        by_ci: what it deploys with the rights of the pipelines; None for a file that administrators deploy only.
    """
    declarations = Declarations(parameters.parent)
    # Which settings a policy makes is not known here.
    left_out = {"logs"} if _BY_POLICY.search(read_text(parameters)) else set()
    faults: dict[tuple[str, str, str, str], list[Planned]] = {}
    for one in plan:
        for rule, what, remedy in _every(one, plan):
            if rule not in left_out | declarations.exceptions(one.type):
                # All resources have the same tags.
                of = "" if rule == "tag" else one.type
                faults.setdefault((of, rule, what, remedy), []).append(one)
    for one in by_ci or ():
        if one.kind.startswith(FOR_ADMINISTRATORS) and "ci" not in declarations.exceptions(
            one.type
        ):
            what = "CI would deploy it and has no permission for it"
            remedy = "deploy it only if asAdministrator is true"
            faults.setdefault((one.type, "ci", what, remedy), []).append(one)
    for (_, rule, what, remedy), (first, *more) in faults.items():
        names = listed([shown(first), *(one.name or str(one.given("name")) for one in more)])
        place = declarations.place(first.type, parameters)
        text = f"{names} with {parameters.name}: {what}"
        yield Finding(place, text, remedy, TITLES.get(rule, CHECK))
    yield from _whole(parameters, plan)


def identifiers(parameters: Path) -> Iterator[Finding]:
    """Yield values that a parameter file gives for resource ids and that are none: what it deploys is not known then."""
    takes = {name: about for about, name in _TAKES_ID.findall(read_text(used(parameters)))}
    takes["storageId"] = "a storage account"  # of an entry of centralData
    for number, line in enumerate(read_text(parameters).splitlines(), 1):
        for name, value in re.findall(r"\b(\w+)(?: =|:) '([^'$]+)'", line.partition("//")[0]):
            about = takes.get(name)
            may_be_policy = about is not None and "or policy" in about and value == "policy"
            if about is None or may_be_policy or _RESOURCE_ID.fullmatch(value):
                continue
            what = f"{name} is '{value}', which is no resource id"
            remedy = (
                "write it whole, /subscriptions/…/resourceGroups/…: az resource show --query id"
            )
            yield Finding(Place(parameters.resolve(), number), what, remedy, CHECK)


def _every(one: Planned, everything: Sequence[Planned]) -> Found:
    yield from _resource(one)
    yield from _among(one, everything)
    yield from names.check(one)
    yield from service.check(one, everything)


def shown(one: Planned) -> str:
    """Name a resource for a message."""
    return f"{one.type} {one.name or one.given('name')}"


def _resource(one: Planned) -> Found:
    """Yield what is wrong with a resource by itself."""
    for rule, path, wanted, why in REQUIRED.get(one.kind, []):
        found = one.given(path)
        if found != wanted and not is_expression(found):
            is_ = "not set" if found is None else _text(found)
            yield rule, f"{path} is {is_}", f"set it to {_text(wanted)}: {why}"
    # What has a place in Azure has tags; assignments of policies have a place for their identity only.
    is_placed = one.given("location") is not None and not one.kind.startswith(FOR_ADMINISTRATORS)
    if is_placed and not one.given("tags"):
        yield "tags", "it has no tags", "add `tags: tags`"
    for text in one.texts():
        if key := next((key for key in KEYS if key in text), None):
            yield "keys", f"it holds a key ({key.rstrip('(=')})", "give the identity a role instead"
    if one.kind == ASSIGNMENT:
        yield from _assignment(one)
    if one.kind == DEFINITION:
        for permission in one.value("properties.permissions") or ():
            for operation in (*permission.get("actions", ()), *permission.get("dataActions", ())):
                if "*" in operation:
                    remedy = "list the operations that are needed one by one"
                    yield "roles", f"the role has a wildcard: {operation}", remedy
    if one.kind == LOCK and one.id.count("/providers/") == 1:
        what = "it locks the whole resource group"
        yield "locks", what, "give it a scope: a lock of the group stops deployments too"


def _assignment(one: Planned) -> Found:
    role = str(one.given("properties.roleDefinitionId")).rstrip("')]").rpartition("/")[2]
    if name := next((name for key, name in GIVE_ROLES.items() if key in role.lower()), None):
        remedy = "assign a custom role with the operations that are needed"
        yield "roles", f"the role {name} can give itself every permission", remedy
    who, called = one.given("properties.principalId"), str(one.given("name"))
    # A name follows from a principal that is known only in a deployment just where it is known only then, too.
    if is_expression(who) and who[1:-1] not in called:
        remedy = "write guid(…, the principal's id, …): Azure refuses another principal under the same name"
        yield "principal", "its name does not hold its principal", remedy
    if isinstance(who, list):
        yield "principal", f"its principal is a list, {who}", "write one object id"
    if is_expression(who) and one.given("properties.principalType") != "ServicePrincipal":
        what = "its principal is an identity of this deployment, which Azure does not find at once"
        yield "principal", what, "write principalType: 'ServicePrincipal'"
    named = re.match(r"\[guid\('([^']+/providers/[^']+)'", called)
    if named and f"'{named[1]}'" not in one.id.partition("guid(")[0]:
        what = f"its name is for {named[1].rpartition('/')[2]}, and its scope is another"
        yield (
            "scope",
            what,
            "write the scope that its name begins with: without one it is the group",
        )


def _among(one: Planned, everything: Sequence[Planned]) -> Found:
    """Yield what is wrong with a resource among the others."""
    if one.kind in DIAGNOSED and not any(
        other.kind == DIAGNOSTICS and _holds(other.id, one.id) for other in everything
    ):
        remedy = "add a Microsoft.Insights/diagnosticSettings with it as scope"
        yield "logs", "it sends no logs: it has no diagnostic setting", remedy
    if one.kind in PRIVATE and any(
        other.kind == WORKSPACE and other.value("properties.publicNetworkAccess") == "Disabled"
        for other in everything
    ):
        access = one.given("properties.publicNetworkAccess")
        if not is_expression(access) and access != "Disabled" and not _is_closed(one):
            remedy = "publicNetworkAccess: isPrivate ? 'Disabled' : 'Enabled'"
            yield "open", "it stays open although the workspace is closed", remedy


def _is_closed(one: Planned) -> bool:
    """Whether its public endpoint lets in nobody but resources that it names."""
    rules: Mapping[str, Any] = one.value("properties.networkAcls") or {}
    ways = (rules.get("ipRules"), rules.get("virtualNetworkRules"))
    return rules.get("defaultAction") == "Deny" and not any(ways)


def _holds(setting: str, resource: str) -> bool:
    """Whether the id of a diagnostic setting is that of a resource, and more."""
    if is_expression(resource):
        return resource[1:-1] in setting
    return setting.startswith(f"{resource}/providers/Microsoft.Insights/") or (
        is_expression(setting) and f"'{resource}'" in setting
    )


def _whole(parameters: Path, plan: Sequence[Planned]) -> Iterator[Finding]:
    """Yield what is missing in an environment; a registry or the roles of an organization are none."""
    text, kinds = read_text(parameters), {one.kind for one in plan}
    environment = _ENVIRONMENT.search(text)
    if environment is None:
        return
    if environment[1] != (stem := parameters.name.partition(".")[0]):
        place = Declarations.line(parameters, "param environment")
        what = f"{parameters.name} deploys the names of {environment[1]}"
        yield Finding(place, what, f"param environment = '{stem}'", CHECK)
    if BUDGET not in kinds:
        place, remedy = Declarations.line(parameters, "using "), "call modules/budget.bicep"
        yield Finding(place, f"what {parameters.name} deploys has no budget", remedy, CHECK)
    where = Declarations.line(parameters, "param lockResources")
    if LOCK not in kinds and _LOCKED.search(text):
        what = f"{parameters.name} sets lockResources and deploys no lock"
        yield Finding(where, what, "call modules/locks.bicep", CHECK)
    elif LOCK not in kinds and environment[1] == "prod":
        yield Finding(where, "prod is not locked", "param lockResources = true", CHECK)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)
