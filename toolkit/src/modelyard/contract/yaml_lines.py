"""YAML in flow style that reads the same by the rules of 1.1 and 1.2."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Mapping
from datetime import datetime
from typing import Any

WIDTH = 100
LONGEST_KEY = 1_000
PLAIN = re.compile(r"[^\W\d](\w|[ .-](?=\w))*", re.UNICODE)
RESERVED = frozenset(("true", "false", "yes", "no", "on", "off", "y", "n", "null", "nan", "inf"))
UNPRINTABLE = re.compile(
    r"[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)


def scalar(value: Any) -> str:
    """Write a value; text is quoted unless it can only be read as text."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float):
        digits, exponent, power = repr(value).partition("e")
        return f"{digits if '.' in digits else digits + '.0'}{exponent}{power}"
    if isinstance(value, int):
        return str(value)
    if PLAIN.fullmatch(value) and value.lower() not in RESERVED:
        return str(value)
    return UNPRINTABLE.sub(_escape, json.dumps(value, ensure_ascii=False))


def flow(value: Any) -> str:
    """Write a value on one line."""
    return "".join(_tokens(value))


def entry(key: str, value: Any, *, indent: int) -> str:
    """Write `key: value` at this indent, wrapped at 100 characters."""
    line, lines = f"{' ' * indent}{scalar(key)}:", []
    if len(line) > LONGEST_KEY:  # YAML looks no further for the colon
        lines, line = [f"{' ' * indent}? {scalar(key)}"], f"{' ' * indent}:"
    inner = " " * (indent + 2)
    for token in _tokens(value):
        if len(line) + len(token.rstrip()) >= WIDTH and line != inner:
            lines.append(line.rstrip())
            line = inner + token
        else:
            line += token if line.endswith(" ") else f" {token}"
    return "\n".join([*lines, line])


def comment(text: str, *, indent: int) -> str:
    """Write a comment at this indent, wrapped at 100 characters."""
    prefix = " " * indent + "# "
    words = UNPRINTABLE.sub("?", " ".join(text.split()))
    return textwrap.fill(
        words, WIDTH, initial_indent=prefix, subsequent_indent=prefix, break_on_hyphens=False
    )


def _tokens(value: Any) -> list[str]:
    """Split a value into pieces between which a line may break."""
    if isinstance(value, Mapping):
        tokens = []
        for key, item in value.items():
            inner = _tokens(item)
            name = scalar(key)
            name = f"? {name} " if len(name) > LONGEST_KEY else name
            tokens += [f"{name}: {inner[0]}", *inner[1:]]
            tokens[-1] += ", "
        return _wrapped(tokens, "{", "}")
    if isinstance(value, (list, tuple)):
        tokens = []
        for item in value:
            tokens += _tokens(item)
            tokens[-1] += ", "
        return _wrapped(tokens, "[", "]")
    return [scalar(value)]


def _wrapped(tokens: list[str], opening: str, closing: str) -> list[str]:
    if not tokens:
        return [opening + closing]
    tokens[0] = opening + tokens[0]
    tokens[-1] = tokens[-1].removesuffix(", ") + closing
    return tokens


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\U{code:08x}" if code > 0xFFFF else f"\\u{code:04x}"
