"""Names of resources within Azure's limits, in every environment that has a parameter file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from .evaluate import UNKNOWN, Scope, evaluate, loop
from .findings import Finding
from .infrastructure import Infrastructure
from .schema import Types
from .tree import BicepFile, Call, Expr, Literal, Member, Module, Name, Resource, walk

CHECK = "names of resources"
# Azure's rules, where its types do not carry them. Regular expressions of whole names.
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


def check(all_files: Infrastructure, types: Types) -> Iterator[Finding]:
    """Every name that can be worked out, once, with the parameter file that makes it so."""
    said: set[tuple[object, str]] = set()
    for parameters in all_files.parameters:
        called = all_files.used(parameters)
        if called is None:
            continue
        of_file = Scope(parameters)
        given = {name: evaluate(v.value, of_file) for name, v in parameters.assigned.items()}
        for finding in _file(called, given, parameters.path.name, all_files, types, 0):
            if (finding.place, finding.what) not in said:
                said.add((finding.place, finding.what))
                yield finding


def missing_keys(all_files: Infrastructure) -> Iterator[Finding]:
    """Entries that are read of a loaded YAML or JSON file, and files that are loaded: all there."""
    for file in all_files.bicep:
        scope = Scope(file)
        for expression in file.expressions:
            for node in walk(expression):
                if isinstance(node, Call) and node.of is None and node.function.startswith("load"):
                    first = node.arguments[0] if node.arguments else None
                    if isinstance(first, Literal):
                        path = file.path.parent / str(first.value)
                        if not path.is_file():
                            what = f"{node.function}() of {first.value}, which is not there"
                            yield Finding(node.place, what, "restore the file, or mend the path", CHECK)
                elif isinstance(node, Member) and not node.safe and _loaded(node.of, file):
                    whole = evaluate(node.of, scope)
                    if isinstance(whole, dict) and node.name not in whole:
                        what = f"the loaded file has no `{node.name}` there"
                        listed = ", ".join(map(str, whole))
                        yield Finding(node.place, what, f"take one of: {listed}", CHECK)


def _loaded(of: Expr, file: BicepFile) -> bool:
    while isinstance(of, Member):
        of = of.of
    variable = file.variables.get(of.name) if isinstance(of, Name) else None
    value = variable.value if variable else of
    return isinstance(value, Call) and value.function in ("loadYamlContent", "loadJsonContent")


def _file(
    file: BicepFile,
    given: dict[str, Any],
    source: str,
    all_files: Infrastructure,
    types: Types,
    depth: int,
) -> Iterator[Finding]:
    if depth > 10:
        return
    scope = Scope(file, given, lambda module, name: _output(file, given, module, name, all_files))
    for resource in file.every_resource():
        if resource.existing:
            continue
        for name in _names_of(resource, scope):
            yield from _judge(name, resource, source, types)
    for module in file.modules.values():
        if module.condition and evaluate(module.condition, scope) is False:
            continue
        called = all_files.called(file, module)
        for name, inner in _calls(module, scope):
            if isinstance(name, str) and not re.fullmatch(DEPLOYMENT, name):
                what = f"the module's name is '{name}' with {source}"
                remedy = "at most 64 letters, digits, hyphens, dots, underscores"
                yield Finding(module.place, what, remedy, CHECK)
            if called is not None:
                yield from _file(called, inner, source, all_files, types, depth + 1)


def _output(
    file: BicepFile, given: dict[str, Any], symbol: str, name: str, all_files: Infrastructure
) -> Any:
    module = file.modules[symbol]
    called = all_files.called(file, module)
    output = called.outputs.get(name) if called else None
    if called is None or output is None or module.loop:
        return UNKNOWN
    outer = Scope(file, given, lambda m, n: _output(file, given, m, n, all_files))
    inner = next((i for _, i in _calls(module, outer)), {})
    return evaluate(output.value, Scope(called, inner))


def _calls(module: Module, scope: Scope) -> list[tuple[Any, dict[str, Any]]]:
    """The name and the parameters of a module, for each turn of its loop."""

    def one(inner: Scope) -> tuple[Any, dict[str, Any]]:
        given = module.body.value("params")
        name = module.body.value("name")
        params = evaluate(given, inner) if given is not None else {}
        return (
            evaluate(name, inner) if name is not None else UNKNOWN,
            params if isinstance(params, dict) else {},
        )

    if module.loop is None:
        return [one(scope)]
    turns = loop(module.loop, scope, one)
    return turns if isinstance(turns, list) else []


def _names_of(resource: Resource, scope: Scope) -> list[Any]:
    name = resource.body.value("name")
    if name is None:
        return []
    if resource.loop is None:
        return [evaluate(name, scope)]
    turns = loop(resource.loop, scope, lambda inner: evaluate(name, inner))
    return turns if isinstance(turns, list) else []


def _judge(name: Any, resource: Resource, source: str, types: Types) -> Iterator[Finding]:
    if not isinstance(name, str):
        return
    own = name.rpartition("/")[2]
    pattern = LIMITS.get(resource.type.lower())
    known = types.get(resource.type)
    published = re.search(r"pattern: (.+)$", known.limits_of_name) if known else None
    broken = pattern is not None and not re.fullmatch(pattern, own)
    if not broken and published:
        pattern = published[1]
        broken = not re.search(pattern, own)
    if broken:
        given = resource.body.value("name")
        what = f"the name of `{resource.symbol}` is '{own}' ({len(own)} characters) with {source}"
        remedy = f"Azure takes {pattern} for a {resource.type}; shorten it or its parts"
        yield Finding(given.place if given else resource.place, what, remedy, CHECK)
