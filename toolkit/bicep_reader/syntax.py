"""Declarations of .bicep and .bicepparam files, parsed with tree-sitter."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from modelyard.infra.findings import Finding, Place
from tree_sitter import Node

from bicep_reader.expressions import CHECK, Expressions, parser, text_of
from bicep_reader.tree import (
    BicepFile,
    Call,
    Declared,
    Expr,
    For,
    Literal,
    Module,
    Object,
    Other,
    Output,
    Parameter,
    Resource,
    TypeName,
    Variable,
)

_USING = re.compile(rb"^using[ \t]+'([^'\n]+)'", re.MULTILINE)
_PARAM = re.compile(rb"^param(?=[ \t])", re.MULTILINE)
_BODIES = ("object", "if_statement", "for_statement")


def read(path: Path) -> BicepFile:
    """Parse a file; its syntax errors are in the result's `errors`.

    Raises:
        OSError: the file cannot be opened.
    """
    return parse(path.read_bytes(), path)


@lru_cache(maxsize=256)
def parse(source: bytes, path: Path) -> BicepFile:
    """Parse the text of a file; the suffix of `path` says of which kind it is."""
    file = BicepFile(path)
    if path.suffix == ".bicepparam":
        source = _as_variables(source, file)
    tree = parser().parse(source)
    decorators: tuple[Call, ...] = ()
    reader = _Declarations(path, file.errors)
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


def _as_variables(source: bytes, file: BicepFile) -> bytes:
    """Rewrite a parameter file as Bicep with variables, which keeps every byte's position."""
    if found := _USING.search(source):
        line = source.count(b"\n", 0, found.start()) + 1
        file.using = Literal(found[1].decode(), Place(file.path, line, len(b"using ") + 1))
        source = source[: found.start()] + b" " * len(found[0]) + source[found.end() :]
    else:
        where = Place(file.path, 1)
        what = "does not name the .bicep file of its parameters"
        file.errors.append(Finding(where, what, "begin with: using './main.bicep'", CHECK))
    return _PARAM.sub(b"var  ", source)


def _errors(node: Node, path: Path) -> list[Finding]:
    """Return the innermost syntax errors, the first of each line."""
    found: dict[int, Finding] = {}

    def look(one: Node) -> None:
        if one.is_missing or one.is_error:
            line = one.start_point.row + 1
            where = Place(path, line, one.start_point.column + 1)
            text = (one.text or b"").decode(errors="replace").strip().splitlines()
            what = f"syntax error: {one.type} is missing" if one.is_missing else "syntax error"
            if text and not one.is_missing:
                what += f" at `{text[0][:60]}`"
            remedy = (
                "correct the syntax here or just before (brackets, quotes, one property a line)"
            )
            found.setdefault(line, Finding(where, what, remedy, CHECK))
        elif one.has_error:
            for child in one.children:
                look(child)

    look(node)
    return list(found.values())


def _open_text(source: bytes, path: Path) -> list[Finding]:
    """Return the lines with an open string; the parser reports the lines around them instead."""
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
            what = f"syntax error: a string without its end: `{line.strip()[:60]}`"
            found.append(Finding(where, what, "write the closing quote", CHECK))
    return found


class _Declarations(Expressions):
    """The declarations of one file."""

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
                name, kind, default = text_of(parts[0]), "any", None
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
                file.variables[text_of(parts[0])] = Variable(
                    text_of(parts[0]), value, self.place(node)
                )
                file.expressions.append(value)
            case "output_declaration" if len(parts) > 1:
                value = self.expression(parts[-1])
                declared = self.declared(parts[1]) if len(parts) > 2 else Declared("any")
                file.outputs[text_of(parts[0])] = Output(
                    text_of(parts[0]), declared, value, decorators, self.place(node)
                )
                file.expressions.append(value)
            case "type_declaration" if len(parts) > 1:
                name = text_of(parts[0])
                file.types[name] = TypeName(name, self.declared(parts[-1]), self.place(node))
            case "resource_declaration" if parts:
                if resource := self.resource(node, None):
                    file.resources.append(resource)
                    file.expressions += _expressions_of(resource)
            case "module_declaration" if len(parts) > 2:
                symbol, path = text_of(parts[0]), self.expression(parts[1])
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
        symbol, place = text_of(parts[0]), self.place(node)
        reasons = tuple(text_of(n) for n in _walk(parts[-1]) if n.type == "comment")
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
        """Return the object, the condition and the loop of a resource or module."""
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
        text = re.sub(r"\s+", " ", text_of(node)).strip()
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


def _expressions_of(resource: Resource) -> list[Expr]:
    found: list[Expr] = []
    for one in resource.walk():
        found += [one.body, *[x for x in (one.condition, one.loop and one.loop.over) if x]]
    return found


def _nested(node: Node) -> list[Node]:
    """Return the resources declared directly in a body."""
    found = []
    for child in node.named_children:
        if child.type == "resource_declaration":
            found.append(child)
        elif child.type in _BODIES or (
            child.type == "object_property" and len(child.named_children) == 1
        ):  # a property without a value is a resource
            found += _nested(child)
    return found


def _walk(node: Node) -> list[Node]:
    return [node, *[n for child in node.named_children for n in _walk(child)]]


def _constant(expression: Expr) -> str:
    return str(expression.value) if isinstance(expression, Literal) else ""
