"""Expressions of GitHub Actions and Azure Pipelines, as far as the project's workflows use them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>\d+)|(?P<sign>==|!=|&&|\|\||[!()\[\],.*])"
    r"|(?P<name>[A-Za-z_][\w-]*))"
)


def evaluate(text: str, names: Mapping[str, Any], succeeded: bool = True) -> Any:
    """Evaluate an expression.

    Raises:
        ValueError: it has something that is not known here, such as a misspelt context or function.
    """
    return _Reader(text, names, succeeded).whole()


def filled(text: str, opening: str, names: Mapping[str, Any], closing: str = "}}") -> Any:
    """Replace expressions between `opening` and `closing` by their values; one alone keeps its type."""
    pattern = re.escape(opening) + r"(.*?)" + re.escape(closing)
    if (alone := re.fullmatch(rf"\s*{pattern}\s*", text, re.DOTALL)) and opening not in alone[1]:
        return evaluate(alone[1], names)
    return re.sub(pattern, lambda found: as_text(evaluate(found[1], names)), text, flags=re.DOTALL)


def as_text(value: Any) -> str:
    """Write a value as the providers put it into a text."""
    return "" if value is None else str(value)


class _Reader:
    def __init__(self, text: str, names: Mapping[str, Any], succeeded: bool) -> None:
        self.names, self.text = names, text
        self.tokens: list[tuple[str, str]] = []
        at = 0
        while text[at:].strip():
            found = TOKEN.match(text, at)
            if not found:
                raise ValueError(f"cannot read {text[at:]!r} of {text!r}")
            self.tokens.append((str(found.lastgroup), found[0].strip()))
            at = found.end()
        self.functions: dict[str, Callable[..., Any]] = {
            "contains": lambda inside, one: one in (inside or ""),
            "containsValue": lambda values, one: any(_same(value, one) for value in values),
            "format": lambda form, *values: form.format(*values),
            "fromJSON": json.loads,
            "split": lambda value, by: value.split(by),
            "cancelled": lambda: False,
            "canceled": lambda: False,
            "succeeded": lambda: succeeded,
            "failure": lambda: not succeeded,
            "not": lambda one: not one,
            "and": lambda *all_: all(all_),
            "or": lambda *all_: any(all_),
            "eq": _same,
            "ne": lambda one, other: not _same(one, other),
        }

    def whole(self) -> Any:
        value = self._either()
        if self.tokens:
            raise ValueError(f"{self.tokens[0][1]!r} is too much in {self.text!r}")
        return value

    def _next(self, *wanted: str) -> str | None:
        if self.tokens and self.tokens[0][1] in wanted and self.tokens[0][0] == "sign":
            return self.tokens.pop(0)[1]
        return None

    def _either(self) -> Any:
        value = self._both()
        while self._next("||"):
            other = self._both()
            value = value or other
        return value

    def _both(self) -> Any:
        value = self._compared()
        while self._next("&&"):
            other = self._compared()
            value = value and other
        return value

    def _compared(self) -> Any:
        value = self._single()
        if sign := self._next("==", "!="):
            return _same(value, self._single()) == (sign == "==")
        return value

    def _single(self) -> Any:
        if self._next("!"):
            return not self._single()
        if self._next("("):
            value = self._either()
            self._close(")")
            return value
        kind, word = self.tokens.pop(0)
        if kind == "text":
            return word[1:-1].replace("''", "'")
        if kind == "number":
            return int(word)
        if word in ("true", "false"):
            return word == "true"
        if self._next("("):
            return self._call(word)
        if word not in self.names:
            raise ValueError(f"{word!r} of {self.text!r} is not known")
        return self._parts(self.names[word])

    def _call(self, name: str) -> Any:
        values = []
        while not self._next(")"):
            values.append(self._either())
            self._next(",")
        if name not in self.functions:
            raise ValueError(f"the function {name!r} of {self.text!r} is not known")
        return self.functions[name](*values)

    def _parts(self, value: Any) -> Any:
        while sign := self._next(".", "["):
            if sign == "[":
                key = self._either()
                self._close("]")
            elif self._next("*"):
                value, key = [*(value.values() if isinstance(value, dict) else value or [])], "*"
            else:
                key = self.tokens.pop(0)[1]
            if key == "*":
                continue
            if isinstance(value, list):
                value = [one.get(key) for one in value]
            else:
                value = next((v for k, v in (value or {}).items() if _same(k, key)), None)
        return value

    def _close(self, sign: str) -> None:
        if not self._next(sign):
            raise ValueError(f"{sign!r} is missing in {self.text!r}")


def _same(one: Any, other: Any) -> bool:
    return as_text(one).lower() == as_text(other).lower()
