"""Evaluation of expressions before a deployment, as far as names and conditions need it.

A value that is not known is `UNKNOWN`, and so is every value computed from it.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from operator import add, ge, gt, le, lt, mul, sub
from pathlib import Path
from typing import Any, Final

from modelyard.yaml_files import parse

from bicep_reader.tree import (
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
    Resource,
    Ternary,
    Text,
)


class Unknown:
    """A value that is not known before a deployment."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown()


class Later(Unknown):
    """What is known only in a deployment, as the expression that ARM evaluates then."""

    def __init__(self, text: str) -> None:
        self.text = text


class Reference(Later):
    """A resource, of which a property is read."""

    def __init__(self, identifier: str, version: str) -> None:
        super().__init__(f"reference('{identifier}', '{version}', 'full')")
        self.properties = Later(f"reference('{identifier}', '{version}')")


class Refused(Unknown):
    """What `fail()` gives: the deployment stops with a message."""

    def __init__(self, message: str) -> None:
        self.message = message


# Stand-ins of the right format for values that Azure generates; the public cloud's hosts are the longest.
GENERATED: dict[str, Any] = {
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
# Where it would be deployed; `at` says.
NOBODY = "00000000-0000-0000-0000-000000000000"
SUBSCRIPTION = {"id": f"/subscriptions/{NOBODY}", "subscriptionId": NOBODY, "tenantId": NOBODY}
GROUP = {
    "id": f"/subscriptions/{NOBODY}/resourceGroups/rg-none",
    "name": "rg-none",
    "location": "westeurope",
}


def at(subscription: str, tenant: str, group: str, location: str) -> None:
    """Say where it would be deployed, of which ids, and what is made of ids, consist."""
    own = f"/subscriptions/{subscription}"
    SUBSCRIPTION.update(id=own, subscriptionId=subscription, tenantId=tenant)
    GROUP.update(id=f"{own}/resourceGroups/{group}", name=group, location=location)


# ARM makes a GUID of texts in this namespace.
GUIDS = uuid.UUID("11fb06fb-712d-4ddd-98c7-e71bbd588830")


@dataclass
class Scope:
    """The values of one file's names; `given` has those of its parameters."""

    file: BicepFile
    given: Mapping[str, Any] = field(default_factory=dict)
    output: Callable[[str, str], Any] = lambda _module, _name: UNKNOWN
    local: Mapping[str, Any] = field(default_factory=dict)
    depth: int = 0
    place: Any = None  # the id of another resource group, where a module is deployed to one

    def inner(self, **local: Any) -> Scope:
        """Return the scope inside a loop, with more names."""
        return replace(self, local={**self.local, **local}, depth=self.depth + 1)

    def outer(self) -> Scope:
        """Return the scope outside all loops."""
        return replace(self, local={}, depth=self.depth + 1)


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
        return evaluate(scope.file.variables[name].value, scope.outer())
    if name in scope.given:
        return scope.given[name]
    parameter = scope.file.parameters.get(name)
    if parameter is None or parameter.default is None:
        return UNKNOWN
    return evaluate(parameter.default, scope.outer())


def _member(of: Expr, name: str, scope: Scope) -> Any:
    match of:
        case Member(of=Name(name=module), name="outputs") if module in scope.file.modules:
            return scope.output(module, name)
        case Name() | Index() if (found := referred(of, scope)) is not None:
            return _property(*found, name)
        case _:
            pass
    return _indexed(evaluate(of, scope), name)


def _property(resource: Resource, scope: Scope, name: str) -> Any:
    """Return the property of a resource that is read where another is declared."""
    given = resource.body.value("name")
    if name == "name" and given:
        return evaluate(given, scope)
    base = identifier(resource, scope)
    if name == "id" or not isinstance(base, str) or not resource.version:
        return base if name == "id" else UNKNOWN
    reference = Reference(base, resource.version)
    return reference.properties if name == "properties" else _indexed(reference, name)


def referred(expression: Expr | None, scope: Scope) -> tuple[Resource, Scope] | None:
    """Return the resource that an expression names, and the scope that it is declared in."""
    match expression:
        case Name(name=symbol) if symbol not in scope.local:
            found = scope.file.resource(symbol)
            return (found, scope.inner()) if found and found.loop is None else None
        case Index(of=Name(name=symbol), index=index) if symbol not in scope.local:
            found = scope.file.resource(symbol)
            over = evaluate(found.loop.over, scope) if found and found.loop else None
            number = evaluate(index, scope)
            if found and found.loop and isinstance(over, list) and number in range(len(over)):
                values = zip(found.loop.variables, (over[number], number), strict=False)
                return found, scope.outer().inner(**dict(values))
    return None


def full_name(resource: Resource, scope: Scope) -> Any:
    """Return the name of a resource with those of the resources it is part of."""
    given = resource.body.value("name")
    own = evaluate(given, scope) if given is not None else UNKNOWN
    if not _is_part(resource):
        return own
    above = _above(resource, scope)
    return _joined([full_name(*above), "/", own]) if above else UNKNOWN


def _is_part(resource: Resource) -> bool:
    return resource.inside is not None or resource.body.value("parent") is not None


def _above(resource: Resource, scope: Scope) -> tuple[Resource, Scope] | None:
    """Return the resource that another is part of."""
    if resource.inside is not None:
        return resource.inside, scope
    return referred(resource.body.value("parent"), scope)


def identifier(resource: Resource, scope: Scope) -> Any:
    """Return the id of a resource, as far as it is known."""
    name, root = full_name(resource, scope), (resource, scope)
    while _is_part(root[0]):
        above = _above(*root)
        if above is None:
            return UNKNOWN
        root = above
    where = place(root[0].body, root[1])
    if isinstance(name, Later) and isinstance(where, str):
        return Later(f"extensionResourceId('{where}', '{resource.type}', {name.text})")
    if not isinstance(name, str) or not isinstance(where, str):
        return UNKNOWN
    namespace, *types = resource.type.split("/")
    pairs = zip(types, name.split("/"), strict=False)
    path = "/".join(f"{kind}/{one}" for kind, one in pairs)
    return f"{where}/providers/{namespace}/{path}"


def place(body: Object, scope: Scope) -> Any:
    """Return the id of what a resource or module is deployed to, which its `scope` says."""
    given = body.value("scope")
    if (of := referred(given, scope)) is not None:
        return identifier(*of)
    match given:
        case None if scope.file.scope == "resourceGroup":
            return scope.place or GROUP["id"]
        case None:
            return SUBSCRIPTION["id"]
        case Call(function="resourceGroup", arguments=[_, _] as arguments):
            subscription, group = (evaluate(one, scope) for one in arguments)
            return _joined(["/subscriptions/", subscription, "/resourceGroups/", group])
        case Call(function="resourceGroup", arguments=[group]):
            return _joined([SUBSCRIPTION["id"], "/resourceGroups/", evaluate(group, scope)])
        case Call(function="resourceGroup"):
            return scope.place or GROUP["id"]
        case Call(function="subscription"):
            return SUBSCRIPTION["id"]
        case Call(function="tenant"):
            return ""
        case _:
            return UNKNOWN


def _indexed(of: Any, key: Any) -> Any:
    if isinstance(of, dict) and isinstance(key, str):
        return of.get(key, UNKNOWN)
    if isinstance(of, list) and isinstance(key, int) and -1 < key < len(of):
        return of[key]
    if isinstance(of, Later):
        return Later(f"{of.text}.{key}" if isinstance(key, str) else f"{of.text}[{key}]")
    return UNKNOWN


def _joined(parts: list[Any]) -> Any:
    if any(isinstance(p, Later) for p in parts):
        return _later("format", ["".join(f"{{{n}}}" for n in range(len(parts))), *parts])
    if any(isinstance(p, Unknown | dict | list) for p in parts):
        return UNKNOWN
    return "".join(_as_text(p) for p in parts)


def _later(function: str, values: list[Any]) -> Any:
    """Return a call as ARM makes it in a deployment; UNKNOWN where a value of it is."""
    texts = [_written(one) for one in values]
    if any(text is None for text in texts):
        return UNKNOWN
    return Later(f"{function}({', '.join(map(str, texts))})")


def _written(value: Any) -> str | None:
    match value:
        case Later():
            return value.text
        case Unknown() | list() | dict():
            return None
        case str():
            return "'" + value.replace("'", "''") + "'"
        case _:
            return json.dumps(value)


def _as_text(value: Any) -> str:
    return str(value) if not isinstance(value, bool) else str(value).capitalize()


_OF_NUMBERS: dict[str, Callable[[int, int], Any]] = {
    "+": add,
    "-": sub,
    "*": mul,
    ">": gt,
    ">=": ge,
    "<": lt,
    "<=": le,
}


def _operation(operator: str, values: list[Any]) -> Any:
    if operator == "??":
        left = values[0]
        return values[1] if left is None else left
    if operator in ("&&", "||"):
        decisive = operator == "||"
        if any(v is decisive for v in values):
            return decisive
        return (not decisive) if all(isinstance(v, bool) for v in values) else UNKNOWN
    if any(isinstance(v, Unknown) for v in values):
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
        case _, [int(a), int(b)] if operator in _OF_NUMBERS:
            return _OF_NUMBERS[operator](a, b)
        case _:
            return UNKNOWN


def _call(function: str, arguments: tuple[Expr, ...], scope: Scope) -> Any:
    if function in GENERATED:
        return GENERATED[function]
    if function == "resourceGroup" and not arguments and scope.place:
        return {"id": scope.place}
    values = [evaluate(a, scope) for a in arguments]
    if function == "subscriptionResourceId" and isinstance(scope.place, str):
        values = ["/".join(scope.place.split("/")[:3]), *values]
    if function == "resourceId":
        values = [scope.place or GROUP["id"], *values]
    if function.startswith("load") and values and isinstance(values[0], str):
        return _loaded(function, scope.file.path.parent / values[0])
    if function == "uniqueString":  # as long as Azure's, and another one of other values
        of = [getattr(one, "text", "") if isinstance(one, Unknown) else one for one in values]
        return f"abcdef{uuid.uuid5(GUIDS, repr(of)).hex[:7]}"
    if any(isinstance(v, Unknown) for v in values):
        return _later(function, values) if any(isinstance(v, Later) for v in values) else UNKNOWN
    if function == "fail":
        return Refused(str(values[0])) if values else UNKNOWN
    try:
        return _known_call(function, values)
    except (ValueError, LookupError):  # such as format() with too few arguments
        return UNKNOWN


def _known_call(function: str, values: list[Any]) -> Any:
    match function, values:
        case "guid", [*texts] if all(isinstance(one, str) for one in texts):
            return str(uuid.uuid5(GUIDS, "-".join(texts)))
        case "resourceGroup", []:
            return GROUP
        case "subscription" | "tenant", []:
            return SUBSCRIPTION
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
        case "indexOf", [list() as whole, value]:
            return whole.index(value) if value in whole else -1
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
        case "union", [*lists] if all(isinstance(one, list) for one in lists):
            every = [item for one in lists for item in one]
            return [item for index, item in enumerate(every) if item not in every[:index]]
        case "subscriptionResourceId", [str(kind), str(name)]:
            return f"{SUBSCRIPTION['id']}/providers/{kind}/{name}"
        case "subscriptionResourceId", [str(own), str(kind), str(name)]:
            return f"{own}/providers/{kind}/{name}"
        case "resourceId", [str(group), str(kind), str(name)]:
            return f"{group}/providers/{kind}/{name}"
        case "tenantResourceId", [str(kind), str(name)]:
            return f"/providers/{kind}/{name}"
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
