"""Evaluation of expressions before a deployment, as far as names and conditions need it.

A value that is not known is `UNKNOWN`, and so is every value computed from it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from modelyard.infra.reader.tree import (
    Array,
    BicepFile,
    Call,
    Expr,
    For,
    Index,
    Literal,
    Member,
    Name,
    Object,
    Operation,
    Ternary,
    Text,
)
from modelyard.yaml_files import parse


class _Unknown:
    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = _Unknown()
# Stand-ins of the right format for values that Azure generates; the public cloud's hosts are the longest.
GENERATED: dict[str, Any] = {
    "uniqueString": "abcdefghijklm",
    "guid": "00000000-0000-0000-0000-000000000000",
    "newGuid": "00000000-0000-0000-0000-000000000000",
    "environment": {
        "name": "AzureCloud",
        "suffixes": {
            "acrLoginServer": ".azurecr.io",
            "keyvaultDns": ".vault.azure.net",
            "sqlServerHostname": ".database.windows.net",
            "storage": "core.windows.net",
        },
    },
}
DEPTH = 60


@dataclass
class Scope:
    """The values of one file's names; `given` has those of its parameters."""

    file: BicepFile
    given: Mapping[str, Any] = field(default_factory=dict)
    output: Callable[[str, str], Any] = lambda _module, _name: UNKNOWN
    local: Mapping[str, Any] = field(default_factory=dict)
    depth: int = 0

    def inner(self, **local: Any) -> Scope:
        """Return the scope inside a loop, with more names."""
        names = {**self.local, **local}
        return Scope(self.file, self.given, self.output, names, self.depth + 1)


def evaluate(expression: Expr, scope: Scope) -> Any:
    """Evaluate to str, int, bool, list, dict, None for null, or UNKNOWN."""
    if scope.depth > DEPTH:
        return UNKNOWN
    match expression:
        case Literal(value=value):
            return value
        case Text(parts=parts):
            return _joined([p if isinstance(p, str) else evaluate(p, scope) for p in parts])
        case Array(items=items):
            return [evaluate(i, scope) for i in items]
        case Object():
            return _object(expression, scope)
        case Name(name=name):
            return _named(name, scope)
        case Member(of=of, name=name):
            return _member(of, name, scope)
        case Index(of=of, index=index):
            return _indexed(evaluate(of, scope), evaluate(index, scope))
        case Ternary(condition=condition, yes=yes, no=no):
            holds = evaluate(condition, scope)
            if isinstance(holds, bool):
                return evaluate(yes if holds else no, scope)
            return UNKNOWN
        case Operation(operator=operator, operands=operands):
            return _operation(operator, [evaluate(o, scope) for o in operands])
        case For():
            return loop(expression, scope, lambda inner: evaluate(expression.body, inner))
        case Call(function=function, arguments=arguments, of=None | Name(name="az" | "sys")):
            return _call(function, arguments, scope)
        case _:
            return UNKNOWN


def loop(expression: For, scope: Scope, each: Callable[[Scope], Any]) -> Any:
    """Call `each` for every iteration of a loop; return UNKNOWN where the iterations are not known."""
    over = evaluate(expression.over, scope)
    if not isinstance(over, list):
        return UNKNOWN
    found = []
    for number, item in enumerate(over):
        inner = scope.inner(**dict(zip(expression.variables, (item, number), strict=False)))
        if expression.condition is None or evaluate(expression.condition, inner) is not False:
            found.append(each(inner))
    return found


def _object(expression: Object, scope: Scope) -> Any:
    if expression.spread:
        return UNKNOWN
    found = {}
    for one in expression.properties:
        key = one.key if one.computed is None else evaluate(one.computed, scope)
        if not isinstance(key, str):
            return UNKNOWN
        found[key] = evaluate(one.value, scope)
    return found


def _named(name: str, scope: Scope) -> Any:
    if name in scope.local:
        return scope.local[name]
    if name in scope.file.variables:
        outer = Scope(scope.file, scope.given, scope.output, {}, scope.depth + 1)
        return evaluate(scope.file.variables[name].value, outer)
    if name in scope.given:
        return scope.given[name]
    parameter = scope.file.parameters.get(name)
    if parameter is None or parameter.default is None:
        return UNKNOWN
    return evaluate(
        parameter.default, Scope(scope.file, scope.given, scope.output, {}, scope.depth + 1)
    )


def _member(of: Expr, name: str, scope: Scope) -> Any:
    match of:
        case Member(of=Name(name=module), name="outputs") if module in scope.file.modules:
            return scope.output(module, name)
        case Name(name=symbol) if symbol not in scope.local and name == "name":
            resource = scope.file.resource(symbol)
            if resource and resource.loop is None and (given := resource.body.value("name")):
                return evaluate(given, scope.inner())
        case _:
            pass
    return _indexed(evaluate(of, scope), name)


def _indexed(of: Any, key: Any) -> Any:
    if isinstance(of, dict) and isinstance(key, str):
        return of.get(key, UNKNOWN)
    if isinstance(of, list) and isinstance(key, int) and -1 < key < len(of):
        return of[key]
    return UNKNOWN


def _joined(parts: list[Any]) -> Any:
    if any(isinstance(p, _Unknown | dict | list) for p in parts):
        return UNKNOWN
    return "".join(_as_text(p) for p in parts)


def _as_text(value: Any) -> str:
    return str(value) if not isinstance(value, bool) else str(value).capitalize()


def _operation(operator: str, values: list[Any]) -> Any:
    if operator == "??":
        left = values[0]
        return values[1] if left is None else left
    if operator in ("&&", "||"):
        decisive = operator == "||"
        if any(v is decisive for v in values):
            return decisive
        return (not decisive) if all(isinstance(v, bool) for v in values) else UNKNOWN
    if any(isinstance(v, _Unknown) for v in values):
        return UNKNOWN
    match operator, values:
        case "==", [a, b]:
            return a == b
        case "!=", [a, b]:
            return a != b
        case "=~", [str(a), str(b)]:
            return a.lower() == b.lower()
        case "!", [bool(a)]:
            return not a
        case "+", [int(a), int(b)]:
            return a + b
        case "-", [int(a), int(b)]:
            return a - b
        case "*", [int(a), int(b)]:
            return a * b
        case ">", [int(a), int(b)]:
            return a > b
        case ">=", [int(a), int(b)]:
            return a >= b
        case "<", [int(a), int(b)]:
            return a < b
        case "<=", [int(a), int(b)]:
            return a <= b
        case _:
            return UNKNOWN


def _call(function: str, arguments: tuple[Expr, ...], scope: Scope) -> Any:
    if function in GENERATED:
        return GENERATED[function]
    values = [evaluate(a, scope) for a in arguments]
    if function.startswith("load") and values and isinstance(values[0], str):
        return _loaded(function, scope.file.path.parent / values[0])
    if any(isinstance(v, _Unknown) for v in values):
        return UNKNOWN
    try:
        return _known_call(function, values)
    except (ValueError, LookupError):  # such as format() with too few arguments
        return UNKNOWN


def _known_call(function: str, values: list[Any]) -> Any:
    match function, values:
        case "toLower", [str(text)]:
            return text.lower()
        case "toUpper", [str(text)]:
            return text.upper()
        case "trim", [str(text)]:
            return text.strip()
        case "string", [str() | int() as value]:
            return _as_text(value)
        case "replace", [str(text), str(old), str(new)]:
            return text.replace(old, new)
        case "take", [str() | list() as whole, int(count)]:
            return whole[: max(count, 0)]
        case "skip", [str() | list() as whole, int(count)]:
            return whole[max(count, 0) :]
        case "substring", [str(text), int(start), *rest]:
            return text[start : start + rest[0]] if rest else text[start:]
        case "last", [str() | list() as whole] if whole:
            return whole[-1]
        case "first", [str() | list() as whole] if whole:
            return whole[0]
        case "split", [str(text), str(separator)]:
            return text.split(separator)
        case "join", [list(items), str(separator)] if all(isinstance(i, str) for i in items):
            return separator.join(items)
        case "length", [str() | list() | dict() as whole]:
            return len(whole)
        case "empty", [value]:
            return value is None or value in ("", [], {})
        case "contains", [str() | list() | dict() as whole, value]:
            return value in whole
        case "range", [int(start), int(count)]:
            return list(range(start, start + count))
        case "concat", [*lists] if all(isinstance(one, list) for one in lists):
            return [item for one in lists for item in one]
        case "concat", [*texts] if all(isinstance(one, str) for one in texts):
            return "".join(texts)
        case "union", [*objects] if all(isinstance(one, dict) for one in objects):
            return {key: value for one in objects for key, value in one.items()}
        case "format", [str(text), *rest]:
            return text.format(*rest)
        case "json", [str(text)]:
            return json.loads(text)
        case _:
            return UNKNOWN


def _loaded(function: str, path: Path) -> Any:
    try:
        return _read(function, path, path.stat().st_mtime_ns)
    except OSError:
        return UNKNOWN


@lru_cache
def _read(function: str, path: Path, _changed: int) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
        if function == "loadYamlContent":
            return parse(text)
        return json.loads(text) if function == "loadJsonContent" else text
    except (OSError, ValueError):
        return UNKNOWN
