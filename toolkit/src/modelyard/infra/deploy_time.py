"""What must be known when a deployment begins, and what may turn out to be nothing."""

from __future__ import annotations

from collections.abc import Iterator

from modelyard.infra.findings import Finding
from modelyard.infra.infrastructure import Infrastructure
from modelyard.infra.tree import (
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
    Resource,
    Ternary,
    children,
)

CHECK = "known at the start"
DEEPEST = 20


def check(all_files: Infrastructure) -> Iterator[Finding]:
    """Names, conditions and loops that wait for a resource; values that may be null."""
    for file in all_files.bicep:
        declared: list[Resource | Module] = [*file.every_resource(), *file.modules.values()]
        for one in declared:
            parts = [
                ("the name", one.body.value("name")),
                ("the condition", one.condition),
                ("the loop", one.loop.over if one.loop else None),
            ]
            for title, expression in parts:
                if expression is not None:
                    yield from _waits(expression, f"{title} of `{one.symbol}`", file)
        for output in file.outputs.values():
            if not output.type.text.endswith("?"):
                yield from _null(output.value, f"output `{output.name}`", file)
        for module in file.modules.values():
            yield from _parameters(module, file, all_files)


def _waits(expression: Expr, title: str, file: BicepFile, depth: int = 0) -> Iterator[Finding]:
    match expression:
        case Member(of=of, name=name) if (symbol := _symbol(of)) and depth < DEEPEST:
            is_output = symbol in file.modules and name == "outputs"
            resource = file.resource(symbol)
            if is_output or (resource is not None and name not in KNOWN_AT_ONCE):
                what = f"{title} waits for `{symbol}.{name}`, which only the deployment tells"
                remedy = "make it of parameters, variables, or a resource's id or name"
                yield Finding(expression.place, what, remedy, CHECK)
                return
        case Call(function=function, of=of) if of is not None and _symbol(of):
            what = f"{title} waits for {function}(), which only the deployment tells"
            remedy = "make it of parameters, variables, or a resource's id or name"
            yield Finding(expression.place, what, remedy, CHECK)
            return
        case Name(name=name) if name in file.variables and depth < DEEPEST:
            for finding in _waits(file.variables[name].value, title, file, depth + 1):
                yield Finding(expression.place, finding.what, finding.remedy, CHECK)
            return
        case _:
            pass
    for child in children(expression):
        yield from _waits(child, title, file, depth)


def _symbol(of: Expr) -> str | None:
    inner = of.of if isinstance(of, Index) else of
    return inner.name if isinstance(inner, Name) and inner.name not in ("az", "sys") else None


def _parameters(module: Module, file: BicepFile, all_files: Infrastructure) -> Iterator[Finding]:
    called, given = all_files.called(file, module), module.body.value("params")
    if called is None or not isinstance(given, Object):
        return
    assigned = {p.key for p in given.properties}
    for name, parameter in called.parameters.items():
        default = parameter.default
        if name in assigned or not isinstance(default, Member) or default.name != "location":
            continue
        what = f"module {module.symbol} leaves the region to the default of `{name}`"
        yield Finding(given.place, what, f"assign `{name}` here", CHECK)
    for one in given.properties:
        wanted = called.parameters.get(str(one.key))
        if wanted and wanted.default is None and not wanted.type.text.endswith("?"):
            yield from _null(one.value, f"parameter `{one.key}` of {called.path.name}", file)


def _null(expression: Expr, title: str, file: BicepFile) -> Iterator[Finding]:
    """A value that is read with `.?` of what may be absent, and then goes where null may not."""
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
    remedy = "say what is taken then: `?? ''`, or that it is there: `!` instead of `.?`"
    return Finding(expression.place, f"{title} may be null", remedy, CHECK)


def _is_safe(expression: Expr, file: BicepFile) -> bool:
    """Whether a chain of properties of a resource or module is null where one of them is absent."""
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
