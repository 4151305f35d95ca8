"""Replacing values in a YAML text: comments, order and layout of everything else stay."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import yaml

from modelyard.contract.yaml_lines import entry, flow
from modelyard.yaml_files import parse

Where = tuple[str | int, ...]
KEEP = object()
WIDTH = 120
Edit = Callable[[Where, Any], Any]


def replaced(text: str, edit: Edit) -> str:
    """Replace values.

    Args:
        text: YAML of one document.
        edit: takes the keys down to a value and the value; returns the new one, or KEEP.

    Raises:
        ValueError: ":LINE: what is wrong", to be put after the file's name.
    """
    content = parse(text)
    root = yaml.compose(text, yaml.SafeLoader)
    spans = []
    seen: set[int] = set()

    def visit(node: Any, value: Any, where: Where) -> None:
        if isinstance(node, yaml.SequenceNode):
            for place, item in enumerate(node.value):
                visit(item, value[place], (*where, place))
        if not isinstance(node, yaml.MappingNode):
            return
        for (key, item), name in zip(node.value, list(value), strict=False):
            new = edit((*where, name), value[name])
            if new is KEEP or new == value[name]:
                visit(item, value[name], (*where, name))
                continue
            value[name] = new
            if id(item) not in seen:  # else an alias of what is replaced already
                spans.append((*_span(text, key, item), _written(key, item, new, node.flow_style)))
                seen.add(id(item))

    visit(root, content, ())
    result = text
    for start, end, new in sorted(spans, reverse=True):
        result = result[:start] + new + result[end:]
    if parse(result) != content:
        line = text.count("\n", 0, min(start for start, *_ in spans)) + 1
        raise ValueError(
            f":{line}: cannot be changed without changing more: write it without an alias"
        )
    return result


def _span(text: str, key: Any, node: Any) -> tuple[int, int]:
    """Return where the value begins, right after its key's colon or its anchor, and where it ends."""
    colon = text.index(":", key.end_mark.index) + 1
    anchor = re.match(r"[ ]*&\S+", text[colon:])
    begin = colon + (anchor.end() if anchor else 0)
    last = node
    while not isinstance(last, yaml.ScalarNode) and not last.flow_style and last.value:
        last = last.value[-1][1] if isinstance(last, yaml.MappingNode) else last.value[-1]
    end = last.end_mark.index
    return begin, len(text[:end].rstrip()) if getattr(last, "style", None) in ("|", ">") else end


def _written(key: Any, node: Any, new: Any, in_flow: bool) -> str:
    indent = key.start_mark.column
    if isinstance(node, yaml.ScalarNode) and node.style in ("|", ">"):
        return " >-\n" + _folded(new, " " * (indent + 2))
    return f" {flow(new)}" if in_flow else entry(key.value, new, indent=indent).partition(":")[2]


def _folded(text: str, margin: str) -> str:
    """Write a text of one line as a folded block: a line breaks at a blank between two words."""
    lines = [margin]
    for word in re.split(r"(?<=\S) (?=\S)", text):
        if len(lines[-1]) + len(word) >= WIDTH and lines[-1] != margin:
            lines.append(margin)
        lines[-1] += word if lines[-1] == margin else f" {word}"
    return "\n".join(lines)
