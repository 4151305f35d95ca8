"""Syntax tree of a Bicep file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from modelyard.infra.findings import Finding, Place

# Properties of a resource that are known before it is deployed.
KNOWN_AT_ONCE = frozenset({"id", "name", "type", "apiVersion"})


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant: string without interpolation, int, bool or null."""

    value: str | int | bool | None
    place: Place


@dataclass(frozen=True, slots=True)
class Text:
    """A string with interpolated expressions; parts are in order."""

    parts: tuple[str | Expr, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Array:
    """Values in brackets."""

    items: tuple[Expr, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Property:
    """One entry of an object; `key` is None where the key is computed."""

    key: str | None
    value: Expr
    place: Place
    computed: Expr | None = None
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Object:
    """Entries in braces; `resources` are those declared inside a resource's body."""

    properties: tuple[Property, ...]
    place: Place
    resources: tuple[Resource, ...] = ()
    spread: bool = False  # has `...other`, whose entries are not known

    def get(self, key: str) -> Property | None:
        """Return the entry of that name; case matters."""
        return next((p for p in self.properties if p.key == key), None)

    def value(self, key: str) -> Expr | None:
        """Return the value of the entry of that name."""
        found = self.get(key)
        return found.value if found else None


@dataclass(frozen=True, slots=True)
class Name:
    """A symbol: parameter, variable, resource, module, loop variable or namespace."""

    name: str
    place: Place


@dataclass(frozen=True, slots=True)
class Member:
    """`of.name`; `safe` with `.?`, `asserted` with `!` before the dot."""

    of: Expr
    name: str
    place: Place
    safe: bool = False
    asserted: bool = False


@dataclass(frozen=True, slots=True)
class Index:
    """`of[index]`."""

    of: Expr
    index: Expr
    place: Place
    safe: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """A call; `of` is what the function belongs to, as in `account.listKeys()`."""

    function: str
    arguments: tuple[Expr, ...]
    place: Place
    of: Expr | None = None


@dataclass(frozen=True, slots=True)
class Ternary:
    """`condition ? yes : no`."""

    condition: Expr
    yes: Expr
    no: Expr
    place: Place


@dataclass(frozen=True, slots=True)
class Operation:
    """An operator with one or two operands."""

    operator: str
    operands: tuple[Expr, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class For:
    """`[for variable in over: body]`; `condition` where the body begins with `if (...)`."""

    variables: tuple[str, ...]
    over: Expr
    body: Expr
    place: Place
    condition: Expr | None = None


@dataclass(frozen=True, slots=True)
class Other:
    """Syntax without a class of its own; `parts` are the expressions in it."""

    kind: str
    parts: tuple[Expr, ...]
    place: Place


Expr: TypeAlias = "Literal | Text | Array | Object | Name | Member | Index | Call | Ternary | Operation | For | Other"


@dataclass(frozen=True, slots=True)
class Declared:
    """The type of a parameter or an output."""

    text: str
    choices: tuple[str | int | bool, ...] | None = None  # of a union of literals

    @property
    def kind(self) -> str | None:
        """string, int, bool, object or array; None for the name of another type."""
        if self.choices is not None:
            return kind_of(self.choices[0])
        if self.text.endswith("[]") or self.text == "array":
            return "array"
        if self.text.startswith("{"):
            return "object"
        return self.text if self.text in ("string", "int", "bool", "object") else None


def kind_of(value: object) -> str | None:
    """Return Bicep's name of a constant's type; None for null."""
    for kind, python in (("bool", bool), ("int", int), ("string", str), ("array", list)):
        if isinstance(value, python):
            return kind
    return "object" if isinstance(value, dict) else None


@dataclass(frozen=True, slots=True)
class Parameter:
    """`param name type = default`."""

    name: str
    type: Declared
    default: Expr | None
    decorators: tuple[Call, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Variable:
    """`var name = value`."""

    name: str
    value: Expr
    place: Place


@dataclass(frozen=True, slots=True)
class Output:
    """`output name type = value`."""

    name: str
    type: Declared
    value: Expr
    decorators: tuple[Call, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class TypeName:
    """`type name = ...`."""

    name: str
    type: Declared
    place: Place


@dataclass(frozen=True, slots=True)
class Resource:
    """`resource symbol 'type@version' [existing] = [if (...)] {...}`."""

    symbol: str
    type: str
    version: str | None
    existing: bool
    body: Object
    place: Place
    condition: Expr | None = None
    loop: For | None = None
    inside: Resource | None = None  # the resource whose body this one is declared in
    reasons: tuple[str, ...] = ()  # comments inside its body

    def enclosing(self) -> Iterator[Resource]:
        """Yield the resources in whose bodies it is declared, innermost first."""
        if self.inside is not None:
            yield self.inside
            yield from self.inside.enclosing()

    def walk(self) -> Iterator[Resource]:
        """Yield this resource and those declared inside it."""
        yield self
        for one in self.body.resources:
            yield from one.walk()


@dataclass(frozen=True, slots=True)
class Module:
    """`module symbol 'path' = [if (...)] {...}`."""

    symbol: str
    path: str
    body: Object
    place: Place
    condition: Expr | None = None
    loop: For | None = None


@dataclass(slots=True)
class BicepFile:
    """A .bicep or .bicepparam file; `errors` has its syntax errors."""

    path: Path
    parameters: dict[str, Parameter] = field(default_factory=dict)
    variables: dict[str, Variable] = field(default_factory=dict)
    outputs: dict[str, Output] = field(default_factory=dict)
    types: dict[str, TypeName] = field(default_factory=dict)
    resources: list[Resource] = field(default_factory=list)
    modules: dict[str, Module] = field(default_factory=dict)
    assigned: dict[str, Variable] = field(default_factory=dict)  # of a .bicepparam
    using: Literal | None = None  # of a .bicepparam
    scope: str = "resourceGroup"
    errors: list[Finding] = field(default_factory=list)
    expressions: list[Expr] = field(default_factory=list)  # all that are not part of another

    def every_resource(self) -> Iterator[Resource]:
        """Yield the resources, including those declared inside others."""
        for one in self.resources:
            yield from one.walk()

    def deployments(self) -> list[Resource | Module]:
        """Return the resources and modules."""
        return [*self.every_resource(), *self.modules.values()]

    def resource(self, symbol: str) -> Resource | None:
        """Return the resource of that symbol."""
        return next((r for r in self.every_resource() if r.symbol == symbol), None)


def children(node: Expr) -> tuple[Expr, ...]:
    """Return the expressions directly inside one."""
    match node:
        case Text(parts=parts):
            return tuple(p for p in parts if not isinstance(p, str))
        case Array(items=items):
            return items
        case Object(properties=properties):
            keys = tuple(p.computed for p in properties if p.computed is not None)
            return keys + tuple(p.value for p in properties)
        case Member(of=of):
            return (of,)
        case Index(of=of, index=index):
            return (of, index)
        case Call(of=of, arguments=arguments):
            return arguments if of is None else (of, *arguments)
        case Ternary(condition=condition, yes=yes, no=no):
            return (condition, yes, no)
        case Operation(operands=operands):
            return operands
        case For(over=over, body=body, condition=condition):
            return (over, body) if condition is None else (over, condition, body)
        case Other(parts=inner):
            return inner
        case _:
            return ()


def walk(node: Expr) -> Iterator[Expr]:
    """Yield the expression and all inside it, outermost first."""
    yield node
    for child in children(node):
        yield from walk(child)
