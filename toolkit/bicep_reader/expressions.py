"""Expressions of Bicep, made from tree-sitter's nodes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

import tree_sitter_bicep
from modelyard.infra.findings import Finding, Place
from tree_sitter import Language, Node, Parser

from bicep_reader.tree import (
    Array,
    Call,
    Expr,
    For,
    Index,
    Literal,
    Member,
    Name,
    Object,
    Operation,
    Other,
    Property,
    Ternary,
    Text,
)

CHECK = "syntax"
_ACCESS = ("member_expression", "subscript_expression", "call_expression")
_OPERATIONS = ("binary_expression", "unary_expression", "ternary_expression")
_BINDING = ("??", "||", "&&", "== != =~ !~", "< <= > >=", "+ -", "* / %")
_PRECEDENCE = {sign: rank for rank, signs in enumerate(_BINDING, 1) for sign in signs.split()}
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "'": "'", "\\": "\\", "$": "$"}


@cache
def parser() -> Parser:
    """Return the parser of Bicep."""
    return Parser(Language(tree_sitter_bicep.language()))


class Expressions:
    """The expressions of one file.

    Args:
        path: of the file.
        errors: list that takes syntax errors.
    """

    def __init__(self, path: Path, errors: list[Finding]) -> None:
        self.path, self.errors = path, errors

    def place(self, node: Node) -> Place:
        """Return the place of a node."""
        return Place(self.path, node.start_point.row + 1, node.start_point.column + 1)

    def expression(self, node: Node) -> Expr:
        if node.type in _OPERATIONS or _hides_operators(node):
            return _with_precedence(self.operators(node))
        place = self.place(node)
        named = [n for n in node.named_children if n.type != "comment"]
        match node.type:
            case "string":
                return self.string(node, place)
            case "number":
                try:
                    return Literal(int(text_of(node)), place)
                except ValueError:
                    return Other("number", (), place)
            case "boolean":
                return Literal(text_of(node) == "true", place)
            case "null":
                return Literal(None, place)
            case "identifier" | "property_identifier" | "loop_variable" | "loop_enumerator":
                return Name(text_of(node), place)
            case "array":
                return Array(tuple(self.items(named)), place)
            case "object":
                return self.object(named, place)
            case "parenthesized_expression" if len(named) == 1:
                return self.expression(named[0])
            case _ if node.type in _ACCESS and len(named) >= 2:
                return self.access(node, self.expression(named[0]), place)
            case "resource_expression" if len(named) == 2:
                return Name(text_of(named[1]), place)
            case "for_statement" if len(named) >= 3:
                return self.loop(named, place)
            case _:
                return Other(node.type, tuple(self.expression(n) for n in named), place)

    def items(self, named: list[Node]) -> Iterator[Expr]:
        """Yield the values of an array. The grammar splits `f().a` and `a[0]` there; this joins them."""
        together: list[list[Node]] = []
        for node in named:
            if together and together[-1][-1].end_byte == node.start_byte:
                together[-1].append(node)
            else:
                together.append([node])
        for before, after in pairwise(together):
            if before[-1].end_point.row == after[0].start_point.row and not _comma(before, after):
                what = "two values on one line without a comma"
                self.errors.append(
                    Finding(self.place(after[0]), what, "write a comma, or a line each", CHECK)
                )
        for nodes in together:
            if len(nodes) == 1:
                yield self.expression(nodes[0])
                continue
            first = nodes[0].start_point
            text = b"".join(n.text or b"" for n in nodes)
            start = b"var x =" + b"\n" * first.row
            start += b" " * (first.column - (0 if first.row else len(start)))
            root = parser().parse(start + text).root_node
            declared = root.named_children[0] if root.named_children else None
            if root.has_error or declared is None:
                where = self.place(nodes[0])
                what = f"syntax error at `{text.decode(errors='replace')[:60]}`"
                self.errors.append(Finding(where, what, "correct the syntax", CHECK))
            else:
                yield self.expression(declared.named_children[-1])

    def operators(self, node: Node, outer: tuple[Node, ...] = ()) -> list[Expr | str]:
        """Return operands and operators in the order of the text; a unary operator begins with a blank.

        In the grammar `.`, `[]` and calls bind less than operators, so that `a && b.c` is `(a && b).c`,
        and the precedence of operators is wrong as well. Only its parentheses are used.

        Args:
            node: an expression.
            outer: properties, elements and calls that belong to its last operand, innermost first.
        """
        named = [n for n in node.named_children if n.type != "comment"]
        sign = next((c.type for c in node.children if not c.is_named), "")
        if node.type == "binary_expression" and len(named) == 2:
            return [*self.operators(named[0]), sign, *self.operators(named[1], outer)]
        if node.type == "unary_expression" and len(named) == 1:
            return [f" {sign}", *self.operators(named[0], outer)]
        if _hides_operators(node) and len(named) >= 2:
            return self.operators(named[0], (node, *outer))
        if node.type == "ternary_expression" and len(named) == 3:
            yes, no = self.expression(named[1]), self.operators(named[2], outer)
            return [*self.operators(named[0]), "?", yes, *no]
        if node.type in _OPERATIONS or _hides_operators(node):  # of a file with errors
            return [Other(node.type, (), self.place(node))]
        one = self.expression(node)
        for access in outer:
            one = self.access(access, one, one.place)
        return [one]

    def access(self, node: Node, of: Expr, place: Place) -> Expr:
        """Return a property, an element or a call of `of`."""
        named = [n for n in node.named_children if n.type != "comment"]
        if node.type == "member_expression":
            signs = {c.type for c in node.children if not c.is_named}
            return Member(of, text_of(named[1]), place, ".?" in signs, "!" in signs)
        if node.type == "subscript_expression":
            safe = any(c.type in ("[?", "?") for c in node.children)
            return Index(of, self.expression(named[1]), place, safe)
        given = (n for n in named[-1].named_children if n.type != "comment")
        arguments = tuple(self.expression(n) for n in given)
        match of:
            case Name(name=name):
                return Call(name, arguments, place)
            case Member(of=owner, name=name):
                return Call(name, arguments, place, owner)
            case _:
                return Other("call", (of, *arguments), place)

    def loop(self, named: list[Node], place: Place) -> Expr:
        first = named[0]
        if first.type == "for_loop_parameters":
            names = tuple(text_of(n) for n in first.named_children)
        else:
            names = (text_of(first),)
        over, body = self.expression(named[1]), self.expression(named[-1])
        condition: Expr | None = None
        if isinstance(body, Other) and body.kind == "if_statement" and len(body.parts) > 1:
            condition, body = body.parts[0], body.parts[-1]
        return For(names, over, body, place, condition)

    def object(self, named: list[Node], place: Place) -> Object:
        properties, spread = [], False
        for before, after in pairwise(named):
            if before.end_point.row == after.start_point.row and not _comma([before], [after]):
                what = "two properties on one line without a comma"
                remedy = "write a comma, or a line each"
                self.errors.append(Finding(self.place(after), what, remedy, CHECK))
        for node in named:
            parts = [n for n in node.named_children if n.type != "comment"]
            if node.type != "object_property" or not parts:
                spread = spread or node.type not in ("ERROR", "decorators", "compatible_identifier")
                continue
            if parts[0].type == "resource_declaration":
                continue
            if len(parts) == 1 and parts[0].type != "string":
                spread = True
                continue
            key: str | None = None
            computed: Expr | None = None
            if parts[0].type == "string":
                text = self.expression(parts[0])
                if isinstance(text, Literal):
                    key = str(text.value)
                else:
                    computed = text
            else:
                key = text_of(parts[0])
            value = self.expression(parts[-1])
            quoted = parts[0].type == "string"
            properties.append(Property(key, value, self.place(parts[0]), computed, quoted))
        return Object(tuple(properties), place, (), spread)

    def string(self, node: Node, place: Place) -> Expr:
        r"""Return a string, read from its bytes: the grammar drops `\\$` and blanks before `${`."""
        raw = node.text or b""
        verbatim = raw.startswith(b"'''")
        width = 3 if verbatim else 1
        position, end = width, max(width, len(raw) - width)
        parts: list[str | Expr] = []

        def add(text: bytes) -> None:
            part = text.decode(errors="replace")
            if verbatim:
                part = part.removeprefix("\r").removeprefix("\n") if position == width else part
            if part:
                parts.append(part if verbatim else _unescape(part))

        for child in node.named_children:
            if child.type == "interpolation":
                blank, _, _ = (child.text or b"").partition(b"${")
                add(raw[position : child.start_byte - node.start_byte] + blank)
                inner = [n for n in child.named_children if n.type != "comment"]
                parts += [self.expression(n) for n in inner]
                position = child.end_byte - node.start_byte
        add(raw[position:end])
        if all(isinstance(p, str) for p in parts):
            return Literal("".join(str(p) for p in parts), place)
        return Text(tuple(parts), place)


def _hides_operators(node: Node) -> bool:
    """Whether the grammar has an operation as the owner of a property, an element or a call."""
    if node.type not in _ACCESS:
        return False
    while node.type in _ACCESS and node.named_children:
        node = node.named_children[0]
    return node.type in _OPERATIONS


def _with_precedence(tokens: list[Expr | str]) -> Expr:
    """Build the tree by Bicep's precedence; what is between `?` and `:` is one operand."""
    position = 0

    def operand() -> Expr:
        nonlocal position
        token = tokens[position]
        position += 1
        if isinstance(token, str):
            inner = operand()
            return Operation(token.strip(), (inner,), inner.place)
        return token

    def climb(least: int) -> Expr:
        nonlocal position
        left = operand()
        while position < len(tokens):
            sign = str(tokens[position])
            binds = _PRECEDENCE.get(sign, 0)
            if binds < least:
                break
            position += 1
            if sign == "?":
                yes = operand()
                left = Ternary(left, yes, climb(0), left.place)
            else:
                left = Operation(sign, (left, climb(binds + 1)), left.place)
        return left

    return climb(0)


def _comma(before: list[Node], after: list[Node]) -> bool:
    one: Node | None = before[-1].next_sibling
    while one is not None and one.start_byte < after[0].start_byte:
        if one.type == ",":
            return True
        one = one.next_sibling
    return False


def text_of(node: Node) -> str:
    """Return the text of a node."""
    return (node.text or b"").decode(errors="replace")


def _unescape(text: str) -> str:
    def replace(found: re.Match[str]) -> str:
        if found[1].startswith("u{"):
            return chr(int(found[1][2:-1], 16))
        return _ESCAPES[found[1]]

    return re.sub(r"\\(u\{[0-9a-fA-F]{1,6}\}|[nrt'\\$])", replace, text)
