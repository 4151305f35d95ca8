"""Resource bodies compared with Azure's types: names, values, required and read-only properties.

A value whose type is not certain is not compared, so every finding is a fault.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator

from modelyard.infra.findings import Finding, Place

from bicep_reader.kinds import Symbols, in_words, kind_of_expression
from bicep_reader.resource_types import PRIMITIVES, Field, ResourceType, Shape, Types
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
    Resource,
    Ternary,
    Text,
    walk,
)

CHECK = "types"
EVERYWHERE = {"parent", "scope", "dependsOn"}  # of Bicep; in every resource's body
OF_EXISTING = {"name", "parent", "scope", "dependsOn"}


def check(file: BicepFile, types: Types) -> Iterator[Finding]:
    """Check the resources of one file, and the properties that are read of them."""
    symbols = Symbols(file)
    for resource in file.every_resource():
        yield from _resource(resource, file, symbols, types)
    yield from _reads(file, types)


def not_compared(file: BicepFile, types: Types) -> Iterator[tuple[Place, str]]:
    """Yield the resources whose bodies are not compared, because the shape of their type is unknown."""
    for resource in file.every_resource():
        known = types.get(resource.type)
        if known is None and not types.unknown(resource.type):
            yield resource.place, f"{resource.type} has no published type"
        elif known and resource.version and _is_newer(resource.version, known.version):
            yield (
                resource.place,
                f"{resource.type}@{resource.version} is newer than {known.version}",
            )


def _resource(
    resource: Resource, file: BicepFile, symbols: Symbols, types: Types
) -> Iterator[Finding]:
    place, name = resource.place, resource.type
    known = types.get(name)
    if known is None and types.unknown(name):
        remedy = "correct the name; Azure's are listed at learn.microsoft.com/azure/templates"
        yield Finding(place, f"Azure has no resource type {name}", remedy, CHECK)
    if resource.version is None:
        remedy = f"write {name}@{known.version if known else 'YYYY-MM-DD'}"
        yield Finding(place, f"{name} has no API version", remedy, CHECK)
    elif known and _is_older(resource.version, known.version):
        what = f"API version {resource.version} of {name} is older than {known.version}"
        yield Finding(place, what, f"write {name}@{known.version} and adapt to its changes", CHECK)
    yield from _family(resource, file)
    if resource.existing:
        for given in resource.body.properties:
            if given.key is not None and given.key not in OF_EXISTING:
                what = f"`{given.key}` of an existing resource"
                yield Finding(given.place, what, "remove it, or remove `existing`", CHECK)
    elif known and not (resource.version and _is_newer(resource.version, known.version)):
        yield from _Body(resource, known, symbols).findings()


def _family(resource: Resource, file: BicepFile) -> Iterator[Finding]:
    """Check a child's type against its parent's, and the number of parts of its name."""
    given = resource.body.value("parent")
    name = resource.body.value("name")
    if isinstance(given, Name) and (parent := file.resource(given.name)):
        if resource.type.rpartition("/")[0].lower() != parent.type.lower():
            what = f"{resource.type} cannot be inside {parent.type} (parent: {given.name})"
            yield Finding(given.place, what, "give the parent that the type requires", CHECK)
    elif given is None and resource.inside is None and isinstance(name, Literal):
        wanted = resource.type.count("/")
        if (found := str(name.value).count("/") + 1) != wanted:
            what = f"the name of a {resource.type} has {wanted} parts, found {found}"
            yield Finding(name.place, what, "give `parent`, and the last part as name", CHECK)
    if (given is not None or resource.inside) and isinstance(name, Literal | Text):
        texts = name.parts if isinstance(name, Text) else (str(name.value),)
        if any("/" in part for part in texts if isinstance(part, str)):
            what = "the name of a resource with a parent has a `/`"
            yield Finding(name.place, what, "keep the last part: the parent has the rest", CHECK)


def _reads(file: BicepFile, types: Types) -> Iterator[Finding]:
    """Check that the type of a resource has the properties that are read of it."""
    nodes = [node for expression in file.expressions for node in walk(expression)]
    local = {name for node in nodes if isinstance(node, For) for name in node.variables}
    local |= {name for one in file.deployments() if one.loop for name in one.loop.variables}
    for node in nodes:
        if not isinstance(node, Member) or node.safe:
            continue
        known, shape = _read_shape(node.of, file, types, local)
        if known is None or shape is None or shape.others:
            continue
        fields = set(shape.fields).union(*(v.fields for v in shape.variants.values()))
        if node.name not in fields:
            what = f"{known.name} has no property `{node.name}` to read"
            yield Finding(node.place, what, _nearest(node.name, shape, reading=True), CHECK)


def _read_shape(
    of: Expr, file: BicepFile, types: Types, local: set[str]
) -> tuple[ResourceType | None, Shape | None]:
    """Return the type of an expression that is a resource or a property of one."""
    match of:
        case Name(name=name) if name not in local and (resource := file.resource(name)):
            known = None if resource.loop else types.get(resource.type)
            return (known, known.body) if known else (None, None)
        case Index(of=Name(name=name)) if name not in local and (resource := file.resource(name)):
            known = types.get(resource.type) if resource.loop else None
            return (known, known.body) if known else (None, None)
        case Member(of=inner, name=name):
            known, shape = _read_shape(inner, file, types, local)
            field = shape.fields.get(name) if shape else None
            return known, known.shapes.get(field.type) if known and field else None
        case _:
            return None, None


class _Body:
    """Comparison of one resource's body with its type."""

    def __init__(self, resource: Resource, type_: ResourceType, symbols: Symbols) -> None:
        self.resource, self.type, self.symbols = resource, type_, symbols
        self.seen: set[tuple[str, str]] = set()

    def findings(self) -> Iterator[Finding]:
        local = frozenset(self.resource.loop.variables if self.resource.loop else ())
        body, shape = self.resource.body, self.type.body
        if shape.discriminator:
            shape = self.variant(shape, body)
        inner = [p for p in body.properties if p.key not in EVERYWHERE]
        own = Object(tuple(inner), self.resource.place, (), body.spread)
        yield from self.entries(own, shape, "", local)

    def value(
        self, given: Expr, wanted: str, path: str, local: frozenset[str]
    ) -> Iterator[Finding]:
        """Compare a value with the type `wanted`."""
        match given:
            case Literal(value=None) | Call(function="any"):
                return
            case Ternary(yes=yes, no=no):
                yield from self.value(yes, wanted, path, local)
                yield from self.value(no, wanted, path, local)
                return
            case Name(name=name) if name not in local and name in self.symbols.file.variables:
                if (name, wanted) not in self.seen:
                    self.seen.add((name, wanted))
                    inner = self.symbols.file.variables[name].value
                    yield from self.value(inner, wanted, path, frozenset())
                return
            case _:
                pass
        if wanted.endswith("[]"):
            yield from self.array(given, wanted[:-2].strip("()"), path, local)
        elif wanted in PRIMITIVES:
            yield from self.kind(given, wanted, path, local)
        elif wanted in self.type.shapes:
            yield from self.shaped(given, self.type.shapes[wanted], path, local)
        else:
            yield from self.choice(given, wanted.split(" | "), path, local)

    def kind(self, given: Expr, wanted: str, path: str, local: frozenset[str]) -> Iterator[Finding]:
        found = kind_of_expression(given, self.symbols, local)
        if wanted in ("any", "null") or found is None or found == wanted:
            return
        what = f"`{path}` of {self.type.name} is {in_words(wanted)}, found {in_words(found)}"
        yield Finding(given.place, what, f"give {in_words(wanted)}", CHECK)

    def array(self, given: Expr, inner: str, path: str, local: frozenset[str]) -> Iterator[Finding]:
        match given:
            case Array(items=items):
                for item in items:
                    yield from self.value(item, inner, f"{path}[]", local)
            case For(variables=variables, body=body):
                yield from self.value(body, inner, f"{path}[]", local | set(variables))
            case Call(function="concat" | "union", arguments=arguments, of=None):
                for argument in arguments:
                    yield from self.value(argument, f"{inner}[]", path, local)
            case _:
                yield from self.kind(given, "array", path, local)

    def shaped(
        self, given: Expr, shape: Shape, path: str, local: frozenset[str]
    ) -> Iterator[Finding]:
        match given:
            case Object():
                yield from self.entries(given, self.variant(shape, given), path, local)
            case Call(function="union", arguments=arguments, of=None):
                for argument in arguments:
                    if isinstance(argument, Object):
                        partly = Object(argument.properties, argument.place, (), True)
                        yield from self.entries(partly, self.variant(shape, partly), path, local)
            case _:
                yield from self.kind(given, "object", path, local)

    def variant(self, shape: Shape, given: Object) -> Shape:
        """Return the variant that the object's discriminator selects; all of them where it is unknown."""
        if not shape.discriminator:
            return shape
        named = given.value(shape.discriminator)
        if isinstance(named, Literal) and str(named.value) in shape.variants:
            return shape.variants[str(named.value)]
        fields = dict(shape.fields)
        for one in shape.variants.values():
            for name, field in one.fields.items():
                required = field.required and name in shape.fields
                fields[name] = Field(name, "any", required, field.read_only)
        choices = " | ".join(shape.variants)
        fields[shape.discriminator] = Field(shape.discriminator, choices, True)
        return Shape(shape.name, fields, shape.others)

    def entries(
        self, given: Object, shape: Shape, path: str, local: frozenset[str]
    ) -> Iterator[Finding]:
        where = f" in `{path}`" if path else ""
        for property_ in given.properties:
            key = property_.key
            if key is None:
                if shape.others:
                    yield from self.value(property_.value, shape.others, f"{path}.*", local)
                continue
            inner = f"{path}.{key}" if path else key
            field = shape.fields.get(key)
            if field is None and shape.others:
                yield from self.value(property_.value, shape.others, inner, local)
            elif field is None:
                what = f"{self.type.name} has no property `{key}`{where}"
                yield Finding(property_.place, what, _nearest(key, shape), CHECK)
            elif field.read_only and not field.required:
                what = f"`{inner}` of {self.type.name} is read-only"
                yield Finding(property_.place, what, "remove it: Azure sets it", CHECK)
            else:
                yield from self.value(property_.value, field.type, inner, local)
                yield from self.limits(property_.value, field, inner)
        if given.spread or any(p.key is None for p in given.properties):
            return
        present = {p.key for p in given.properties}
        for field in shape.fields.values():
            if field.required and not field.read_only and field.name not in present:
                what = f"{self.type.name} needs `{field.name}`{where}"
                remedy = f"add `{field.name}:` ({_short(field.type)})"
                yield Finding(given.place, what, remedy, CHECK)

    def choice(
        self, given: Expr, choices: list[str], path: str, local: frozenset[str]
    ) -> Iterator[Finding]:
        """Check that a value is one of `choices`. Azure refuses others even if `string` is among them.

        A single word may also be the name of a shape that azmcp left out, so an object is accepted.
        """
        kinds = [c for c in choices if c in PRIMITIVES]
        named = [c for c in choices if c not in PRIMITIVES]
        if isinstance(given, Object) and len(choices) > 1 and set(named) & set(self.type.shapes):
            return
        if any(k not in ("string", "int") for k in kinds) or any("[]" in c for c in choices):
            return
        listed = f"one of {', '.join(named[:12])}{', …' if len(named) > 12 else ''}"
        for value, place in self.constants(given, local):
            if str(value) not in named:
                what = f"`{path}` of {self.type.name} is {listed}; found '{value}'"
                same = [n for n in named if n.lower() == str(value).lower()]
                near = same or difflib.get_close_matches(str(value), named, 1, 0.5)
                remedy = f"write '{near[0]}'" if near else f"take {listed}"
                yield Finding(place, what, remedy, CHECK)
        found = kind_of_expression(given, self.symbols, local)
        if found not in (None, "string", "int") and (len(choices) > 1 or found == "bool"):
            what = f"`{path}` of {self.type.name} is {listed}; found {in_words(found)}"
            yield Finding(given.place, what, f"take {listed}", CHECK)
        elif isinstance(given, Text) and not kinds:
            what = f"`{path}` of {self.type.name} is {listed}; found a string with expressions"
            remedy = "give one of them, or a parameter with @allowed"
            yield Finding(given.place, what, remedy, CHECK)

    def constants(self, given: Expr, local: frozenset[str]) -> Iterator[tuple[object, Place]]:
        """Yield the constants that a value can be: a literal, or the allowed values of a parameter."""
        match given:
            case Literal(value=value) if value is not None and not isinstance(value, bool):
                yield value, given.place
            case Name(name=name) if name not in local:
                for allowed in self.symbols.allowed(name):
                    yield allowed, given.place
            case _:
                pass

    def limits(self, given: Expr, field: Field, path: str) -> Iterator[Finding]:
        if not isinstance(given, Literal) or path == "name":
            return  # names are checked once they are evaluated
        if broken := broken_limit(given.value, field.limits):
            what = f"`{path}` of {self.type.name} {broken}, found {given.value!r}"
            yield Finding(given.place, what, "stay within the limit", CHECK)


def broken_limit(value: object, limits: str) -> str | None:
    """Describe the limit that a value breaks; None where it breaks none."""
    for name, given in re.findall(r"(minLength|maxLength|minValue|maxValue): (-?\d+)", limits):
        limit = int(given)
        if name == "minLength" and isinstance(value, str) and len(value) < limit:
            return f"has at least {limit} characters"
        if name == "maxLength" and isinstance(value, str) and len(value) > limit:
            return f"has at most {limit} characters"
        if name == "minValue" and isinstance(value, int) and value < limit:
            return f"is at least {limit}"
        if name == "maxValue" and isinstance(value, int) and value > limit:
            return f"is at most {limit}"
    pattern = re.search(r"pattern: (.+)$", limits)
    if pattern and isinstance(value, str):
        try:
            if not re.search(pattern[1], value):
                return f"matches {pattern[1]}"
        except re.error:
            return None
    return None


def _nearest(key: str, shape: Shape, *, reading: bool = False) -> str:
    writable = [f.name for f in shape.fields.values() if reading or not f.read_only]
    same = [n for n in writable if n.lower() == key.lower()]
    near = same or difflib.get_close_matches(key, writable, 1, 0.7)
    if near:
        return f"write `{near[0]}`"
    listed = ", ".join(sorted(writable)[:12])
    return f"remove it; there is: {listed}{', …' if len(writable) > 12 else ''}"


def _short(text: str) -> str:
    return text if len(text) < 80 else text[:77] + "…"


def _date(version: str) -> tuple[str, bool]:
    return version[:10], not version.lower().endswith("preview")


def _is_older(version: str, known: str) -> bool:
    return _date(version) < _date(known)


def _is_newer(version: str, known: str) -> bool:
    return _date(version) > _date(known)
