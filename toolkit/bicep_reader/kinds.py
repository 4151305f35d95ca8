"""Inference of the kind of value that an expression has, where it is certain."""

from __future__ import annotations

from collections.abc import Callable

from bicep_reader.tree import (
    KNOWN_AT_ONCE,
    Array,
    BicepFile,
    Call,
    Expr,
    For,
    Literal,
    Member,
    Module,
    Name,
    Object,
    Operation,
    Ternary,
    Text,
    kind_of,
)

_FUNCTIONS_BY_KIND = {
    "string": (
        "format guid join loadTextContent newGuid padLeft replace resourceId string "
        "subscriptionResourceId tenantResourceId toLower toUpper trim uniqueString uri uriComponent "
        "utcNow substring base64 extensionResourceId managementGroupResourceId dateTimeAdd"
    ),
    "int": "length indexOf lastIndexOf int dateTimeToEpoch",
    "bool": "empty contains bool startsWith endsWith",
    "array": "range split createArray array",
    "object": "createObject resourceGroup subscription deployment environment tenant",
}
_RETURNS = {name: kind for kind, names in _FUNCTIONS_BY_KIND.items() for name in names.split()}
_COMPARE = {"==", "!=", "=~", "!~", "<", "<=", ">", ">=", "&&", "||", "!"}
_COUNT = {"+", "-", "*", "/", "%"}
_DEPTH = 20


class Symbols:
    """The declarations of one file.

    Args:
        file: with the declarations.
        called: gives the file of a module; without it, the kind of outputs is unknown.
    """

    def __init__(
        self,
        file: BicepFile,
        called: Callable[[BicepFile, Module], BicepFile | None] = lambda _file, _module: None,
    ) -> None:
        self.file = file
        self._called = called

    def output(self, module: str, name: str) -> str | None:
        """Return the declared kind of a module's output."""
        one = self.file.modules.get(module)
        there = self._called(self.file, one) if one and one.loop is None else None
        output = there.outputs.get(name) if there else None
        return output.type.kind if output else None

    def kind(self, name: str) -> str | None:
        """Return the declared kind of a parameter."""
        parameter = self.file.parameters.get(name)
        if parameter is None:
            return None
        alias = self.file.types.get(parameter.type.text)
        return alias.type.kind if alias else parameter.type.kind

    def allowed(self, name: str) -> tuple[object, ...]:
        """Return the allowed values of a parameter; empty where they are not listed."""
        parameter = self.file.parameters.get(name)
        if parameter is None:
            return ()
        for decorator in parameter.decorators:
            if decorator.function == "allowed" and decorator.arguments:
                listed = decorator.arguments[0]
                if isinstance(listed, Array) and self.kind(name) != "array":
                    return tuple(i.value for i in listed.items if isinstance(i, Literal))
        alias = self.file.types.get(parameter.type.text)
        choices = alias.type.choices if alias else parameter.type.choices
        return choices or ()


def kind_of_expression(
    given: Expr, symbols: Symbols, local: frozenset[str] = frozenset(), depth: int = 0
) -> str | None:
    """Return string, int, bool, array or object; None where it is not certain.

    Args:
        given: the expression.
        symbols: of its file.
        local: names of loop variables, which hide declarations.
        depth: number of variables followed so far.
    """
    if depth > _DEPTH:
        return None
    match given:
        case Literal(value=value):
            return kind_of(value)
        case Text():
            return "string"
        case Array() | For():
            return "array"
        case Object():
            return "object"
        case Name(name=name) if name in local:
            return None
        case Name(name=name) if name in symbols.file.variables:
            inner = symbols.file.variables[name].value
            return kind_of_expression(inner, symbols, frozenset(), depth + 1)
        case Name(name=name) if name in symbols.file.parameters:
            return symbols.kind(name)
        case Call(function=function, of=None):
            return _RETURNS.get(function)
        case Call(function=function, of=Name(name="az" | "sys")):
            return _RETURNS.get(function)
        case Member(of=Name(name=owner), name=name, safe=False) if name in KNOWN_AT_ONCE:
            one = symbols.file.resource(owner)
            return "string" if owner not in local and one and one.loop is None else None
        case Member(of=Member(of=Name(name=owner), name="outputs", safe=False), name=name):
            return symbols.output(owner, name) if owner not in local else None
        case Ternary(yes=yes, no=no):
            kinds = {kind_of_expression(b, symbols, local, depth + 1) for b in (yes, no)}
            return kinds.pop() if len(kinds) == 1 else None
        case Operation(operator=operator) if operator in _COMPARE:
            return "bool"
        case Operation(operator=operator) if operator in _COUNT:
            return "int"
        case _:
            return None


def in_words(kind: str | None) -> str:
    """Name a kind of value for a message, with its article."""
    words = {"int": "a whole number", "bool": "true or false", "string": "text", None: "a value"}
    return words.get(kind, f"an {kind}")
