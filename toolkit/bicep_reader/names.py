"""Names of deployments, and keys of loaded files."""

from __future__ import annotations

import re
from collections.abc import Iterator

from modelyard.infra.findings import Finding

from bicep_reader.deployment import deployed
from bicep_reader.evaluate import Scope, evaluate
from bicep_reader.sources import Sources
from bicep_reader.tree import BicepFile, Call, Expr, Literal, Member, Module, Name, walk

CHECK = "names of deployments"
DEPLOYMENT = r"[a-zA-Z0-9._()-]{1,64}"


def check(sources: Sources) -> Iterator[Finding]:
    """Check the names of deployments that can be evaluated; a finding names the parameter file."""
    for parameters in sources.parameters:
        for one in deployed(parameters, sources):
            name = one.value("name")
            if not isinstance(one.declared, Module) or not isinstance(name, str):
                continue
            if not re.fullmatch(DEPLOYMENT, name):
                given = one.declared.body.value("name")
                place = given.place if given else one.declared.place
                what = (
                    f"the name of `{one.declared.symbol}` is '{name}' with {parameters.path.name}"
                )
                remedy = "at most 64 letters, digits, hyphens, dots, underscores and parentheses"
                yield Finding(place, what, remedy, CHECK)


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
