"""The resources and modules that a parameter file deploys, with their values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bicep_reader.evaluate import UNKNOWN, Scope, evaluate, loop, place
from bicep_reader.sources import Sources
from bicep_reader.tree import BicepFile, Expr, Module, Object, Resource

DEEPEST = 10


@dataclass(frozen=True)
class Deployed:
    """A resource or module in one iteration of its loop; `scope` has the values of its names."""

    declared: Resource | Module
    scope: Scope

    def value(self, *path: str) -> Any:
        """Evaluate the property at a path of its body; None where there is none, UNKNOWN where not known."""
        body: Expr | None = self.declared.body
        for number, key in enumerate(path):
            if not isinstance(body, Object):
                break
            found = body.value(key)
            if found is None:
                return UNKNOWN if body.spread else None
            body = found
            if not isinstance(body, Object):
                whole = evaluate(body, self.scope)
                for rest in path[number + 1 :]:
                    whole = whole.get(rest) if isinstance(whole, dict) else UNKNOWN
                return whole
        return evaluate(body, self.scope) if body is not None else None


def deployed(
    parameters: BicepFile, sources: Sources, given: Mapping[str, Any] | None = None
) -> Iterator[Deployed]:
    """Yield what a parameter file deploys, with the values `given` instead of its own."""
    called = sources.used(parameters)
    if called is not None:
        of_file = Scope(parameters)
        values = {name: evaluate(v.value, of_file) for name, v in parameters.assigned.items()}
        known = {k: v for k, v in (given or {}).items() if k in called.parameters}
        yield from _file(called, values | known, sources, 0)


def _file(
    file: BicepFile, given: dict[str, Any], sources: Sources, depth: int, where: Any = None
) -> Iterator[Deployed]:
    if depth > DEEPEST:
        return

    def output(symbol: str, name: str) -> Any:
        module = file.modules[symbol]
        called = sources.called(file, module)
        found = called.outputs.get(name) if called else None
        if called is None or found is None or module.loop:
            return UNKNOWN
        inner = next((_parameters(one) for one in _iterations(module, scope)), {})
        return evaluate(found.value, Scope(called, inner, place=where))

    scope = Scope(file, given, output, place=where)
    for resource in file.every_resource():
        if not resource.existing and not any(_is_off(r, scope) for r in resource.enclosing()):
            yield from _iterations(resource, scope)
    for module in file.modules.values():
        called = sources.called(file, module)
        for one in _iterations(module, scope):
            yield one
            if called is not None:
                inner = (
                    where if module.body.value("scope") is None else place(module.body, one.scope)
                )
                yield from _file(called, _parameters(one), sources, depth + 1, inner)


def _is_off(declared: Resource | Module, scope: Scope) -> bool:
    return declared.condition is not None and evaluate(declared.condition, scope) is False


def _iterations(declared: Resource | Module, scope: Scope) -> list[Deployed]:
    if declared.loop is not None:
        iterations = loop(declared.loop, scope, lambda inner: Deployed(declared, inner))
        found = iterations if isinstance(iterations, list) else [Deployed(declared, scope)]
    else:
        found = [Deployed(declared, scope)]
    return [one for one in found if not _is_off(declared, one.scope)]


def _parameters(module: Deployed) -> dict[str, Any]:
    given = module.value("params")
    return given if isinstance(given, dict) else {}
