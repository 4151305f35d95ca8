"""Calls of modules, and parameter files, compared with the file they refer to."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator

from modelyard.infra.findings import Finding, Place

from bicep_reader.evaluate import Refused, Scope, evaluate
from bicep_reader.kinds import Symbols, in_words, kind_of_expression
from bicep_reader.sources import Sources
from bicep_reader.tree import (
    KNOWN_AT_ONCE,
    Array,
    BicepFile,
    Expr,
    Index,
    Literal,
    Member,
    Module,
    Name,
    Object,
    Parameter,
    walk,
)

CHECK = "modules and parameters"
OF_MODULE = {"name", "params", "scope", "dependsOn", "identity"}


def check(sources: Sources) -> Iterator[Finding]:
    """Check every call of a module, every reference to a module's outputs, and every parameter file."""
    for file in sources.bicep:
        symbols = Symbols(file, sources.called)
        for module in file.modules.values():
            yield from _call(module, file, symbols, sources)
        for expression in file.expressions:
            yield from _references(expression, file, sources)
    for parameters in sources.parameters:
        yield from _parameter_file(parameters, sources)


def _call(module: Module, file: BicepFile, symbols: Symbols, sources: Sources) -> Iterator[Finding]:
    called = sources.called(file, module)
    if called is None:
        what = f"module {module.symbol} is {module.path}, which does not exist"
        yield Finding(module.place, what, "restore the file, or correct the path", CHECK)
        return
    if called.errors:
        return
    for property_ in module.body.properties:
        if property_.key not in OF_MODULE:
            what = f"module {module.symbol} has `{property_.key}`"
            yield Finding(property_.place, what, _near(str(property_.key), OF_MODULE), CHECK)
    given = module.body.value("params")
    if given is None:
        given = Object((), module.place)
    if not isinstance(given, Object):
        return
    assigned = {p.key: (p.value, p.place) for p in given.properties if p.key is not None}
    whole = not given.spread and all(p.key is not None for p in given.properties)
    local = frozenset(module.loop.variables if module.loop else ())
    place = given.place if module.body.get("params") else module.place
    yield from _assignments(assigned, called, place, symbols, local, whole=whole)


def _parameter_file(parameters: BicepFile, sources: Sources) -> Iterator[Finding]:
    if parameters.using is None:
        return
    called = sources.used(parameters)
    if called is None:
        what = f"the file that it names, {parameters.using.value}, does not exist"
        yield Finding(parameters.using.place, what, "name a .bicep file beside it", CHECK)
        return
    if called.errors:
        return
    assigned = {name: (v.value, v.place) for name, v in parameters.assigned.items()}
    symbols = Symbols(parameters)
    yield from _assignments(assigned, called, parameters.using.place, symbols, frozenset())
    of_file = Scope(parameters)
    scope = Scope(called, {name: evaluate(v, of_file) for name, (v, _) in assigned.items()})
    for variable in called.variables.values():
        refused = evaluate(variable.value, scope)
        if isinstance(refused, Refused):
            what = f"{called.path.name} refuses these values"
            yield Finding(parameters.using.place, what, refused.message, CHECK)


def _assignments(
    assigned: dict[str, tuple[Expr, Place]],
    called: BicepFile,
    place: Place,
    symbols: Symbols,
    local: frozenset[str],
    *,
    whole: bool = True,
) -> Iterator[Finding]:
    """Compare values for parameters with the file that declares them."""
    target = called.path.name
    for name, (value, where) in assigned.items():
        parameter = called.parameters.get(name)
        if parameter is None:
            what = f"{target} has no parameter `{name}`"
            yield Finding(where, what, _near(name, called.parameters), CHECK)
        else:
            yield from _value(value, parameter, called, symbols, local)
    for name, parameter in called.parameters.items():
        optional = parameter.default is not None or parameter.type.text.endswith("?")
        if whole and name not in assigned and not optional:
            what = f"{target} needs parameter `{name}` ({parameter.type.text})"
            yield Finding(place, what, f"assign `{name}` here", CHECK)


def _value(
    value: Expr,
    parameter: Parameter,
    called: BicepFile,
    symbols: Symbols,
    local: frozenset[str],
) -> Iterator[Finding]:
    """Compare one value with the parameter's type, allowed values and limits."""
    theirs = Symbols(called)
    wanted = theirs.kind(parameter.name)
    found = kind_of_expression(value, symbols, local)
    title = f"parameter `{parameter.name}` of {called.path.name}"
    if isinstance(value, Literal) and value.value is None:
        if not parameter.type.text.endswith("?"):
            yield Finding(value.place, f"{title} is null", f"give {in_words(wanted)}", CHECK)
        return
    if wanted and found and wanted != found:
        what = f"{title} is {in_words(wanted)}, found {in_words(found)}"
        yield Finding(value.place, what, f"give {in_words(wanted)}", CHECK)
        return
    allowed = theirs.allowed(parameter.name)
    constants: list[tuple[object, Place]] = []
    if isinstance(value, Literal):
        constants = [(value.value, value.place)]
    elif isinstance(value, Name) and value.name not in local:
        constants = [(one, value.place) for one in symbols.allowed(value.name)]
    for constant, place in constants:
        if allowed and constant not in allowed:
            listed = ", ".join(str(a) for a in allowed)
            what = f"{title} is one of {listed}; found {constant!r}"
            near = difflib.get_close_matches(str(constant), [str(a) for a in allowed], 1)
            yield Finding(place, what, f"write {near[0]!r}" if near else f"take {listed}", CHECK)
    for limit, bound in limits(parameter):
        size = _size(value, limit)
        if size is not None and (size < bound if limit.startswith("min") else size > bound):
            least = "at least" if limit.startswith("min") else "at most"
            unit = "" if limit.endswith("Value") else " long"
            what = f"{title} is {least} {bound}{unit}, found {size}"
            yield Finding(value.place, what, "stay within the limit", CHECK)


def limits(parameter: Parameter) -> Iterator[tuple[str, int]]:
    """Yield `minValue`, `maxValue`, `minLength` and `maxLength` of a parameter."""
    for one in parameter.decorators:
        if one.function in ("minValue", "maxValue", "minLength", "maxLength") and one.arguments:
            bound = one.arguments[0]
            if isinstance(bound, Literal) and isinstance(bound.value, int):
                yield one.function, bound.value


def _size(value: Expr, limit: str) -> int | None:
    if limit.endswith("Length"):
        if isinstance(value, Array):
            return len(value.items)
        if isinstance(value, Literal) and isinstance(value.value, str):
            return len(value.value)
    elif isinstance(value, Literal) and isinstance(value.value, int):
        return value.value
    return None


def _references(expression: Expr, file: BicepFile, sources: Sources) -> Iterator[Finding]:
    """Check that outputs exist, and that those of a conditional module are read with `.?` or `!`."""
    for node in walk(expression):
        if not isinstance(node, Member):
            continue
        owner = node.of.of if isinstance(node.of, Index) else node.of
        if isinstance(owner, Name) and (module := file.modules.get(owner.name)):
            if node.name not in ("outputs", "name"):
                what = f"module {module.symbol} has no `{node.name}`"
                yield Finding(node.place, what, "read its `outputs`", CHECK)
            elif module.condition and node.name == "outputs" and not _guarded(node):
                yield _absent(module.symbol, node)
        elif (
            isinstance(owner, Name)
            and (resource := file.resource(owner.name))
            and resource.condition
            and node.name not in KNOWN_AT_ONCE
            and not _guarded(node)
        ):
            yield _absent(resource.symbol, node)
        if isinstance(node.of, Member) and node.of.name == "outputs":
            inner = node.of.of.of if isinstance(node.of.of, Index) else node.of.of
            if isinstance(inner, Name) and (module := file.modules.get(inner.name)):
                called = sources.called(file, module)
                if called and not called.errors and node.name not in called.outputs:
                    what = f"module {module.symbol} ({module.path}) has no output `{node.name}`"
                    yield Finding(node.place, what, _near(node.name, called.outputs), CHECK)


def _guarded(node: Member) -> bool:
    return node.safe or node.asserted or (isinstance(node.of, Index) and node.of.safe)


def _absent(symbol: str, node: Member) -> Finding:
    what = f"{symbol} is conditional, and `.{node.name}` of it is read unconditionally"
    remedy = f"write {symbol}.?{node.name}, or {symbol}!.{node.name} where the condition holds"
    return Finding(node.place, what, remedy, CHECK)


def _near(name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    near = [n for n in names if n.lower() == name.lower()]
    near = near or difflib.get_close_matches(name, names, 1, 0.6)
    if near:
        return f"write `{near[0]}`"
    return f"remove it; there is: {', '.join(names)}" if names else "remove it; there is none"
