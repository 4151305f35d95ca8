"""Values that must be known at the start of a deployment, and values that may be null."""

from __future__ import annotations

from collections.abc import Iterator

from modelyard.infra.findings import Finding

from bicep_reader.sources import Sources
from bicep_reader.tree import (
    KNOWN_AT_ONCE,
    BicepFile,
    Call,
    Expr,
    Index,
    Literal,
    Member,
    Module,
    Name,
    Object,
    Operation,
    Ternary,
    children,
)

CHECK = "start of the deployment"
DEEPEST = 20


def check(sources: Sources) -> Iterator[Finding]:
    """Check names, conditions and loops, and values for outputs and parameters that may not be null."""
    for file in sources.bicep:
        for one in file.deployments():
            parts = [
                ("the name", one.body.value("name")),
                ("the condition", one.condition),
                ("the loop", one.loop.over if one.loop else None),
            ]
            for title, expression in parts:
                if expression is not None:
                    yield from _runtime_value(expression, f"{title} of `{one.symbol}`", file)
        for output in file.outputs.values():
            if not output.type.text.endswith("?"):
                yield from _null(output.value, f"output `{output.name}`", file)
        for module in file.modules.values():
            yield from _parameters(module, file, sources)


def _runtime_value(
    expression: Expr, title: str, file: BicepFile, depth: int = 0
) -> Iterator[Finding]:
    match expression:
        case Member(of=of, name=name) if (symbol := _symbol(of)) and depth < DEEPEST:
            is_output = symbol in file.modules and name == "outputs"
            resource = file.resource(symbol)
            if is_output or (resource is not None and name not in KNOWN_AT_ONCE):
                what = f"{title} depends on `{symbol}.{name}`, which is known only after its deployment"
                remedy = "use parameters, variables, or a resource's id or name"
                yield Finding(expression.place, what, remedy, CHECK)
                return
        case Call(function=function, of=of) if of is not None and _symbol(of):
            what = f"{title} depends on {function}(), which is known only after the deployment"
            remedy = "use parameters, variables, or a resource's id or name"
            yield Finding(expression.place, what, remedy, CHECK)
            return
        case Name(name=name) if name in file.variables and depth < DEEPEST:
            for finding in _runtime_value(file.variables[name].value, title, file, depth + 1):
                yield Finding(expression.place, finding.what, finding.remedy, CHECK)
            return
        case _:
            pass
    for child in children(expression):
        yield from _runtime_value(child, title, file, depth)


def _symbol(of: Expr) -> str | None:
    inner = of.of if isinstance(of, Index) else of
    return inner.name if isinstance(inner, Name) and inner.name not in ("az", "sys") else None


def _parameters(module: Module, file: BicepFile, sources: Sources) -> Iterator[Finding]:
    called, given = sources.called(file, module), module.body.value("params")
    if called is None or not isinstance(given, Object):
        return
    assigned = {p.key for p in given.properties}
    for name, parameter in called.parameters.items():
        default = parameter.default
        if name in assigned or not isinstance(default, Member) or default.name != "location":
            continue
        what = f"module {module.symbol} takes the region from the default of `{name}`"
        yield Finding(given.place, what, f"assign `{name}` here", CHECK)
    for one in given.properties:
        wanted = called.parameters.get(str(one.key))
        if wanted and wanted.default is None and not wanted.type.text.endswith("?"):
            yield from _null(one.value, f"parameter `{one.key}` of {called.path.name}", file)


def _null(expression: Expr, title: str, file: BicepFile) -> Iterator[Finding]:
    """Check a value that may not be null for `.?` without a default."""
    match expression:
        case Ternary(yes=yes, no=no):
            for branch in (yes, no):
                if isinstance(branch, Literal) and branch.value is None:
                    yield _may_be_null(branch, title)
                yield from _null(branch, title, file)
        case Operation(operator="??", operands=(_, right)):
            yield from _null(right, title, file)
        case Member() if _is_safe(expression, file):
            yield _may_be_null(expression, title)
        case _:
            pass


def _may_be_null(expression: Expr, title: str) -> Finding:
    remedy = "give a default with `??`, or write `!` instead of `.?` where it exists"
    return Finding(expression.place, f"{title} may be null", remedy, CHECK)


def _is_safe(expression: Expr, file: BicepFile) -> bool:
    """Whether properties of a resource or module are read with `.?`, so that the value may be null."""
    safe = False
    while isinstance(expression, Member | Index):
        safe = safe or expression.safe
        if isinstance(expression, Member) and expression.asserted:
            return safe
        expression = expression.of
    declared = isinstance(expression, Name) and (
        expression.name in file.modules or file.resource(expression.name) is not None
    )
    return safe and declared
