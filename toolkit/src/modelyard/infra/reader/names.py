"""Names of resources compared with Azure's limits, for every parameter file."""

from __future__ import annotations

import re
from collections.abc import Iterator

from modelyard.infra.reader.deployment import Deployed, deployed
from modelyard.infra.reader.evaluate import Scope, evaluate
from modelyard.infra.reader.findings import Finding
from modelyard.infra.reader.resource_types import Types
from modelyard.infra.reader.sources import Sources
from modelyard.infra.reader.tree import BicepFile, Call, Expr, Literal, Member, Module, Name, walk

CHECK = "names of resources"
# Azure's rules for names that its types do not have, as regular expressions of the whole name.
LIMITS = {
    "microsoft.storage/storageaccounts": r"[a-z0-9]{3,24}",
    "microsoft.storage/storageaccounts/blobservices/containers": r"\$?[a-z0-9](-?[a-z0-9]){2,62}",
    "microsoft.storage/storageaccounts/queueservices/queues": r"[a-z0-9](-?[a-z0-9]){2,62}",
    "microsoft.keyvault/vaults": r"(?=.{3,24}$)[a-zA-Z](-?[a-zA-Z0-9])+",
    "microsoft.containerregistry/registries": r"[a-zA-Z0-9]{5,50}",
    "microsoft.machinelearningservices/workspaces": r"[a-zA-Z0-9][a-zA-Z0-9_-]{2,32}",
    "microsoft.machinelearningservices/registries": r"[a-zA-Z0-9][a-zA-Z0-9_-]{2,32}",
    "microsoft.machinelearningservices/workspaces/computes": r"(?!.*-\d+$)[a-zA-Z][a-zA-Z0-9-]{1,30}[a-zA-Z0-9]",
    "microsoft.machinelearningservices/workspaces/onlineendpoints": r"[a-zA-Z][a-zA-Z0-9-]{1,30}[a-zA-Z0-9]",
    "microsoft.managedidentity/userassignedidentities": r"[a-zA-Z0-9][a-zA-Z0-9_-]{2,127}",
    "microsoft.managedidentity/userassignedidentities/federatedidentitycredentials": r"[a-zA-Z0-9][a-zA-Z0-9_-]{2,119}",
    "microsoft.operationalinsights/workspaces": r"[a-zA-Z0-9][a-zA-Z0-9-]{2,61}[a-zA-Z0-9]",
    "microsoft.insights/components": r"[^%&\\?/]{0,259}[^%&\\?/. ]",
    "microsoft.insights/actiongroups": r"[^:<>+/&%\\?]{0,259}[^:<>+/&%\\?. ]",
    "microsoft.insights/metricalerts": r"[^*#&+:<>?@%{}\\/|]{0,259}[^*#&+:<>?@%{}\\/|. ]",
    "microsoft.insights/scheduledqueryrules": r"[^*<>%{}&:\\?/#|]{0,259}[^*<>%{}&:\\?/#|. ]",
    "microsoft.network/virtualnetworks": r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}[a-zA-Z0-9_]",
    "microsoft.network/virtualnetworks/subnets": r"[a-zA-Z0-9]([a-zA-Z0-9._-]{0,78}[a-zA-Z0-9_])?",
    "microsoft.network/networksecuritygroups": r"[a-zA-Z0-9]([a-zA-Z0-9._-]{0,78}[a-zA-Z0-9_])?",
    "microsoft.network/privateendpoints": r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}[a-zA-Z0-9_]",
    "microsoft.eventgrid/systemtopics": r"[a-zA-Z0-9-]{3,128}",
    "microsoft.eventgrid/systemtopics/eventsubscriptions": r"[a-zA-Z0-9-]{3,64}",
    "microsoft.web/serverfarms": r"[a-zA-Z0-9-]{1,60}",
    "microsoft.web/sites": r"[a-zA-Z0-9][a-zA-Z0-9-]{0,58}[a-zA-Z0-9]",
    "microsoft.consumption/budgets": r"[a-zA-Z0-9_-]{1,63}",
    "microsoft.datafactory/factories": r"[a-zA-Z0-9](-?[a-zA-Z0-9]){2,62}",
    "microsoft.authorization/locks": r"[a-zA-Z0-9._()-]{0,89}[a-zA-Z0-9_()-]",
}
DEPLOYMENT = r"[a-zA-Z0-9._()-]{1,64}"


def check(sources: Sources, types: Types) -> Iterator[Finding]:
    """Check every name that can be evaluated; a finding names the parameter file."""
    for parameters in sources.parameters:
        for one in deployed(parameters, sources):
            yield from _check_name(one, parameters.path.name, types)


def missing_keys(sources: Sources) -> Iterator[Finding]:
    """Check that loaded files, and the entries that are read of them, exist."""
    for file in sources.bicep:
        scope = Scope(file)
        for expression in file.expressions:
            for node in walk(expression):
                if isinstance(node, Call) and node.of is None and node.function.startswith("load"):
                    first = node.arguments[0] if node.arguments else None
                    if isinstance(first, Literal):
                        path = file.path.parent / str(first.value)
                        if not path.is_file():
                            what = f"{node.function}() of {first.value}, which does not exist"
                            yield Finding(
                                node.place, what, "restore the file, or correct the path", CHECK
                            )
                elif isinstance(node, Member) and not node.safe and _loaded(node.of, file):
                    whole = evaluate(node.of, scope)
                    if isinstance(whole, dict) and node.name not in whole:
                        what = f"the loaded file has no `{node.name}` here"
                        listed = ", ".join(map(str, whole))
                        yield Finding(node.place, what, f"take one of: {listed}", CHECK)


def _loaded(of: Expr, file: BicepFile) -> bool:
    while isinstance(of, Member):
        of = of.of
    variable = file.variables.get(of.name) if isinstance(of, Name) else None
    value = variable.value if variable else of
    return isinstance(value, Call) and value.function in ("loadYamlContent", "loadJsonContent")


def _check_name(one: Deployed, source: str, types: Types) -> Iterator[Finding]:
    name, declared = one.value("name"), one.declared
    if not isinstance(name, str):
        return
    given = declared.body.value("name")
    place = given.place if given else declared.place
    own = name.rpartition("/")[2]
    what = f"the name of `{declared.symbol}` is '{own}' ({len(own)} characters) with {source}"
    if isinstance(declared, Module):
        if not re.fullmatch(DEPLOYMENT, name):
            remedy = "at most 64 letters, digits, hyphens, dots, underscores and parentheses"
            yield Finding(place, what, remedy, CHECK)
        return
    known = types.get(declared.type)
    published = re.search(r"pattern: (.+)$", known.limits_of_name) if known else None
    rules = [LIMITS.get(declared.type.lower()), published[1] if published else None]
    for rule in rules:
        if rule is not None and not re.search(rf"^(?:{rule})$", own):
            remedy = f"a name of {declared.type} matches {rule}: shorten or correct its parts"
            yield Finding(place, what, remedy, CHECK)
            return
