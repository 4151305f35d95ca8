"""Reads .bicep and .bicepparam files with tree-sitter: every part with its line and column."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

import tree_sitter_bicep
from tree_sitter import Language, Node, Parser

from modelyard.infra.findings import Finding, Place
from modelyard.infra.tree import (
    Array,
    BicepFile,
    Call,
    Declared,
    Expr,
    For,
    Index,
    Literal,
    Member,
    Module,
    Name,
    Object,
    Operation,
    Other,
    Output,
    Parameter,
    Property,
    Resource,
    Ternary,
    Text,
    TypeName,
    Variable,
)

UNREADABLE = "syntax"
_USING = re.compile(rb"^using[ \t]+'([^'\n]+)'", re.MULTILINE)
_PARAM = re.compile(rb"^param(?=[ \t])", re.MULTILINE)
_ACCESS = ("member_expression", "subscript_expression", "call_expression")
_OPERATIONS = ("binary_expression", "unary_expression", "ternary_expression")
_BINDING = ("??", "||", "&&", "== != =~ !~", "< <= > >=", "+ -", "* / %")
_PRECEDENCE = {sign: rank for rank, signs in enumerate(_BINDING, 1) for sign in signs.split()}
_BODIES = ("object", "if_statement", "for_statement")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "'": "'", "\\": "\\", "$": "$"}


def read(path: Path) -> BicepFile:
    """The file's declarations. What cannot be read is in its `errors`, with the line.

    Raises:
        OSError: the file cannot be opened.
    """
    return parse(path.read_bytes(), path)


def parse(source: bytes, path: Path) -> BicepFile:
    """The declarations of a file's text; `path` says its kind and where findings point."""
    file = BicepFile(path)
    if path.suffix == ".bicepparam":
        source = _as_variables(source, file)
    tree = _parser().parse(source)
    decorators: tuple[Call, ...] = ()
    reader = _Reader(path, file.errors)
    for node in tree.root_node.named_children:
        if node.type == "decorators":
            decorators = reader.decorators(node)
            continue
        if node.type in ("comment", "diagnostic_comment"):
            continue
        reader.declare(file, node, decorators)
        decorators = ()
    if tree.root_node.has_error:
        file.errors.extend(_open_text(source, path) or _errors(tree.root_node, path))
    if path.suffix == ".bicepparam":
        file.assigned, file.variables = file.variables, {}
    return file


@cache
def _parser() -> Parser:
    return Parser(Language(tree_sitter_bicep.language()))


def _as_variables(source: bytes, file: BicepFile) -> bytes:
    """A parameter file as Bicep with variables, every byte where it was."""
    if found := _USING.search(source):
        line = source.count(b"\n", 0, found.start()) + 1
        file.using = Literal(found[1].decode(), Place(file.path, line, len(b"using ") + 1))
        source = source[: found.start()] + b" " * len(found[0]) + source[found.end() :]
    else:
        where = Place(file.path, 1)
        what = "names no .bicep file that its parameters are for"
        file.errors.append(Finding(where, what, "begin with: using './main.bicep'", UNREADABLE))
    return _PARAM.sub(b"var  ", source)


def _errors(node: Node, path: Path) -> list[Finding]:
    """Where the text is not Bicep: the innermost places, the first of each line."""
    found: dict[int, Finding] = {}

    def look(one: Node) -> None:
        if one.is_missing or one.is_error:
            line = one.start_point.row + 1
            where = Place(path, line, one.start_point.column + 1)
            text = (one.text or b"").decode(errors="replace").strip().splitlines()
            what = f"cannot be read: {one.type} is missing" if one.is_missing else "cannot be read"
            if text and not one.is_missing:
                what += f" at `{text[0][:60]}`"
            remedy = "mend the syntax here or just before (brackets, quotes, one property a line)"
            found.setdefault(line, Finding(where, what, remedy, UNREADABLE))
        elif one.has_error:
            for child in one.children:
                look(child)

    look(node)
    return list(found.values())


def _open_text(source: bytes, path: Path) -> list[Finding]:
    """Lines on which a text begins and does not end: the parser blames what stands around them."""
    found, inside = [], False
    for number, line in enumerate(source.decode(errors="replace").splitlines(), 1):
        if line.count("'''") % 2:
            inside = not inside
            continue
        quotes = 0
        for position, character in enumerate(line):
            if character == "/" and line[position : position + 2] == "//" and quotes % 2 == 0:
                break
            if character == "'" and line[:position].rstrip("\\") == line[:position]:
                quotes += 1
        if quotes % 2 and not inside:
            where = Place(path, number, line.index("'") + 1)
            what = f"cannot be read: a text does not end: `{line.strip()[:60]}`"
            found.append(Finding(where, what, "write the quotes of both its ends", UNREADABLE))
    return found


class _Reader:
    """Turns tree-sitter's nodes of one file into the tree's parts."""

    def __init__(self, path: Path, errors: list[Finding]) -> None:
        self.path, self.errors = path, errors

    def place(self, node: Node) -> Place:
        return Place(self.path, node.start_point.row + 1, node.start_point.column + 1)

    def decorators(self, node: Node) -> tuple[Call, ...]:
        calls = []
        for decorator in node.named_children:
            for one in decorator.named_children:
                read = self.expression(one)
                if isinstance(read, Call):
                    calls.append(read)
        return tuple(calls)

    def declare(self, file: BicepFile, node: Node, decorators: tuple[Call, ...]) -> None:
        parts = [n for n in node.named_children if n.type != "comment"]
        match node.type:
            case "parameter_declaration" if parts:
                name, kind, default = _text(parts[0]), "any", None
                rest = parts[1:]
                equals = any(c.type == "=" for c in node.children)
                if equals and rest:
                    default = self.expression(rest.pop())
                declared = self.declared(rest[0]) if rest else Declared(kind)
                file.parameters[name] = Parameter(
                    name, declared, default, decorators, self.place(node)
                )
                file.expressions += [default] if default is not None else []
            case "variable_declaration" if len(parts) > 1:
                value = self.expression(parts[-1])
                file.variables[_text(parts[0])] = Variable(_text(parts[0]), value, self.place(node))
                file.expressions.append(value)
            case "output_declaration" if len(parts) > 1:
                value = self.expression(parts[-1])
                declared = self.declared(parts[1]) if len(parts) > 2 else Declared("any")
                file.outputs[_text(parts[0])] = Output(
                    _text(parts[0]), declared, value, decorators, self.place(node)
                )
                file.expressions.append(value)
            case "type_declaration" if len(parts) > 1:
                name = _text(parts[0])
                file.types[name] = TypeName(name, self.declared(parts[-1]), self.place(node))
            case "resource_declaration" if parts:
                if resource := self.resource(node, None):
                    file.resources.append(resource)
                    file.expressions += _expressions_of(resource)
            case "module_declaration" if len(parts) > 2:
                symbol, path = _text(parts[0]), self.expression(parts[1])
                body, condition, loop = self.body(parts[-1])
                module = Module(symbol, _constant(path), body, self.place(node), condition, loop)
                file.modules[symbol] = module
                file.expressions += [x for x in (body, condition, loop and loop.over) if x]
            case "target_scope_assignment" | "assert_statement":
                if node.type == "target_scope_assignment" and parts:
                    file.scope = _constant(self.expression(parts[-1]))
            case _:
                pass

    def resource(self, node: Node, inside: Resource | None) -> Resource | None:
        parts = [n for n in node.named_children if n.type != "comment"]
        if len(parts) < 3:
            return None
        kind, _, version = _constant(self.expression(parts[1])).partition("@")
        if inside is not None:
            kind = f"{inside.type}/{kind}"
            version = version or inside.version or ""
        existing = any(c.type == "existing" for c in node.children)
        body, condition, loop = self.body(parts[-1])
        symbol, place = _text(parts[0]), self.place(node)
        reasons = tuple(_text(n) for n in _walk(parts[-1]) if n.type == "comment")
        first = Resource(
            symbol, kind, version or None, existing, body, place, condition, loop, inside, reasons
        )
        children = [
            child
            for nested in _nested(parts[-1])
            if (child := self.resource(nested, first)) is not None
        ]
        if not children:
            return first
        whole = Object(body.properties, body.place, tuple(children), body.spread)
        return Resource(
            symbol, kind, version or None, existing, whole, place, condition, loop, inside, reasons
        )

    def body(self, node: Node) -> tuple[Object, Expr | None, For | None]:
        """A resource's or module's object, its condition and its loop."""
        condition: Expr | None = None
        loop: For | None = None
        read = self.expression(node)
        if isinstance(read, For):
            loop, condition, read = read, read.condition, read.body
        if isinstance(read, Other) and read.kind == "if_statement" and len(read.parts) > 1:
            condition, read = read.parts[0], read.parts[-1]
        if not isinstance(read, Object):
            read = Object((), self.place(node))
        return read, condition, loop

    def declared(self, node: Node) -> Declared:
        text = re.sub(r"\s+", " ", _text(node)).strip()
        inner = node
        while len(inner.named_children) == 1 and inner.type in ("type", "parenthesized_type"):
            inner = inner.named_children[0]
        if inner.type in ("union_type", "string", "number", "boolean"):
            members = inner.named_children if inner.type == "union_type" else [inner]
            values = [self.expression(n) for n in members]
            if values and all(isinstance(v, Literal) and v.value is not None for v in values):
                choices = tuple(v.value for v in values if isinstance(v, Literal))
                return Declared(text, tuple(c for c in choices if c is not None))
        return Declared(text)

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
                    return Literal(int(_text(node)), place)
                except ValueError:
                    return Other("number", (), place)
            case "boolean":
                return Literal(_text(node) == "true", place)
            case "null":
                return Literal(None, place)
            case "identifier" | "property_identifier" | "loop_variable" | "loop_enumerator":
                return Name(_text(node), place)
            case "array":
                return Array(tuple(self.items(named)), place)
            case "object":
                return self.object(named, place)
            case "parenthesized_expression" if len(named) == 1:
                return self.expression(named[0])
            case _ if node.type in _ACCESS and len(named) >= 2:
                return self.access(node, self.expression(named[0]), place)
            case "resource_expression" if len(named) == 2:
                return Name(_text(named[1]), place)
            case "for_statement" if len(named) >= 3:
                return self.loop(named, place)
            case _:
                return Other(node.type, tuple(self.expression(n) for n in named), place)

    def items(self, named: list[Node]) -> Iterator[Expr]:
        """Values of an array. The grammar splits `f().a` and `a[0]` there; they are put together."""
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
                    Finding(self.place(after[0]), what, "write a comma, or a line each", UNREADABLE)
                )
        for nodes in together:
            if len(nodes) == 1:
                yield self.expression(nodes[0])
                continue
            first = nodes[0].start_point
            text = b"".join(n.text or b"" for n in nodes)
            start = b"var x =" + b"\n" * first.row
            start += b" " * (first.column - (0 if first.row else len(start)))
            root = _parser().parse(start + text).root_node
            declared = root.named_children[0] if root.named_children else None
            if root.has_error or declared is None:
                where = self.place(nodes[0])
                what = f"cannot be read at `{text.decode(errors='replace')[:60]}`"
                self.errors.append(Finding(where, what, "mend the syntax", UNREADABLE))
            else:
                yield self.expression(declared.named_children[-1])

    def operators(self, node: Node, outer: tuple[Node, ...] = ()) -> list[Expr | str]:
        """Operands and operators in the order they are written; a unary one begins with a blank.

        The grammar lets `.`, `[]` and calls bind less than operators: `a && b.c` is `(a && b).c` to it,
        and comparisons follow suit. Only parentheses can be believed.

        Args:
            node: an expression.
            outer: properties, elements and calls of what is last in it, inside out.
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
        """A property, an element or a call of what stands before."""
        named = [n for n in node.named_children if n.type != "comment"]
        if node.type == "member_expression":
            signs = {c.type for c in node.children if not c.is_named}
            return Member(of, _text(named[1]), place, ".?" in signs, "!" in signs)
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
            names = tuple(_text(n) for n in first.named_children)
        else:
            names = (_text(first),)
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
                self.errors.append(Finding(self.place(after), what, remedy, UNREADABLE))
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
                key = _text(parts[0])
            value = self.expression(parts[-1])
            quoted = parts[0].type == "string"
            properties.append(Property(key, value, self.place(parts[0]), computed, quoted))
        return Object(tuple(properties), place, (), spread)

    def string(self, node: Node, place: Place) -> Expr:
        r"""Text, from its bytes: the grammar drops `\\$` and blanks before an interpolation."""
        raw = node.text or b""
        verbatim = raw.startswith(b"'''")
        width = 3 if verbatim else 1
        position, end = width, max(width, len(raw) - width)
        parts: list[str | Expr] = []

        def add(text: bytes) -> None:
            said = text.decode(errors="replace")
            if verbatim:
                said = said.removeprefix("\r").removeprefix("\n") if position == width else said
            if said:
                parts.append(said if verbatim else _unescape(said))

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
    """Whether what a property, an element or a call belongs to is an operation, by the grammar."""
    if node.type not in _ACCESS:
        return False
    while node.type in _ACCESS and node.named_children:
        node = node.named_children[0]
    return node.type in _OPERATIONS


def _with_precedence(tokens: list[Expr | str]) -> Expr:
    """Operands and operators as Bicep binds them; what stands between `?` and `:` is one operand."""
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


def _expressions_of(resource: Resource) -> list[Expr]:
    found: list[Expr] = []
    for one in resource.walk():
        found += [one.body, *[x for x in (one.condition, one.loop and one.loop.over) if x]]
    return found


def _nested(node: Node) -> list[Node]:
    """Resources declared directly in the body that `node` is or holds."""
    found = []
    for child in node.named_children:
        if child.type == "resource_declaration":
            found.append(child)
        elif child.type in _BODIES or (
            child.type == "object_property" and len(child.named_children) == 1
        ):  # a property without a value is a resource
            found += _nested(child)
    return found


def _comma(before: list[Node], after: list[Node]) -> bool:
    one: Node | None = before[-1].next_sibling
    while one is not None and one.start_byte < after[0].start_byte:
        if one.type == ",":
            return True
        one = one.next_sibling
    return False


def _walk(node: Node) -> list[Node]:
    return [node, *[n for child in node.named_children for n in _walk(child)]]


def _text(node: Node) -> str:
    return (node.text or b"").decode(errors="replace")


def _constant(expression: Expr) -> str:
    return str(expression.value) if isinstance(expression, Literal) else ""


def _unescape(text: str) -> str:
    def replace(found: re.Match[str]) -> str:
        if found[1].startswith("u{"):
            return chr(int(found[1][2:-1], 16))
        return _ESCAPES[found[1]]

    return re.sub(r"\\(u\{[0-9a-fA-F]{1,6}\}|[nrt'\\$])", replace, text)
