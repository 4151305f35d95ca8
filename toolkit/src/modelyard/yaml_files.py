"""YAML 1.2 files, read once for all uses: typed, and with the line of every key.

PyYAML's loader follows YAML 1.1, where `no` is false, `0o10` is text and `1e-4` too. The resolvers
here are those of YAML 1.2's core schema (https://yaml.org/spec/1.2.2/#103-core-schema), with dates as
text: whoever wants a date validates one.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from modelyard.errors import UsageError

_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, and where."""

    file: Path
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


class LocatedMapping(dict[Any, Any]):
    """A YAML mapping that knows on which line each key stands."""

    line: int = 1
    lines: dict[Any, int]

    def line_of(self, key: Any) -> int:
        """The line of a key, or that of the mapping where the key is missing."""
        return self.lines.get(key, self.line)


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """A safe loader of YAML 1.2 that keeps line numbers and refuses a key given twice."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> LocatedMapping:
        """Build a mapping with the lines of its keys."""
        self.flatten_mapping(node)
        result = LocatedMapping()
        result.line = node.start_mark.line + 1
        result.lines = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in result:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is given twice", key_node.start_mark
                )
            result.lines[key] = key_node.start_mark.line + 1
            result[key] = self.construct_object(value_node, deep=True)
        return result

    def construct_int(self, node: yaml.ScalarNode) -> int:
        """Read a whole number: decimal, 0o octal or 0x hexadecimal."""
        text = self.construct_scalar(node)
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)

    def construct_float(self, node: yaml.ScalarNode) -> float:
        """Read a number with a fraction or an exponent."""
        return float(
            self.construct_scalar(node).lower().replace(".inf", "inf").replace(".nan", "nan")
        )


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+0123456789."),
    ),
    ("merge", r"<<", ["<"]),
):
    Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first
    )
Loader.add_constructor("tag:yaml.org,2002:int", Loader.construct_int)
Loader.add_constructor("tag:yaml.org,2002:float", Loader.construct_float)
Loader.add_constructor(
    yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG,
    lambda loader, node: loader.construct_mapping(node),
)


class _Dumper(yaml.SafeDumper):
    """Quotes what YAML 1.1 or 1.2 would read as something else than text."""


_Dumper.yaml_implicit_resolvers = {
    first: [
        *yaml.SafeDumper.yaml_implicit_resolvers.get(first, ()),
        *Loader.yaml_implicit_resolvers.get(first, ()),
    ]
    for first in {*yaml.SafeDumper.yaml_implicit_resolvers, *Loader.yaml_implicit_resolvers}
}


def dump(content: Any) -> str:
    """Write YAML that reads the same by the rules of 1.1 and of 1.2, keys in the order given."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def parse(text: str) -> Any:
    """Read YAML.

    Raises:
        ValueError: ":LINE: what is wrong", to be put after the file's name.
    """
    try:
        return yaml.load(text, Loader)  # noqa: S506 (derived from the safe loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        what = str(getattr(error, "problem", None) or error).splitlines()[0]
        raise ValueError(f":{mark.line + 1 if mark else 1}: not valid YAML: {what}") from None


def read_yaml(path: Path, missing: str = "restore it from git") -> Any:
    """Read a YAML file.

    Args:
        path: of the file.
        missing: what to do where there is none.

    Raises:
        UsageError: it is missing, is not UTF-8 text, or is not YAML.
    """
    try:
        return parse(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise UsageError(f"{path} does not exist; {missing}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text ({error.reason} at {error.start}).") from None
    except ValueError as error:
        raise UsageError(f"{path}{error}") from None


def read_model(path: Path, model: type[_Model]) -> _Model:
    """Read a YAML file as a pydantic model.

    Raises:
        UsageError: as of `read_yaml`; or naming line, key and value of all that does not hold.
    """
    content = read_yaml(path, "every project has one, restore it from git")
    try:
        return model.model_validate(content)
    except ValidationError as error:
        problems = [
            f"{path}:{line_of(content, one['loc'])}: {'.'.join(map(str, one['loc'])) or 'file'}: "
            f"{one['msg']}, found {one['input']!r}"
            for one in error.errors()
        ]
        raise UsageError("\n".join(problems)) from None


def line_of(content: Any, where: Iterable[Any]) -> int:
    """The line of a key below nested mappings, or of the nearest mapping above it."""
    line = 1
    for key in where:
        if isinstance(content, LocatedMapping):
            line = content.line_of(key)
            content = content.get(key)
        elif isinstance(content, list) and isinstance(key, int) and key < len(content):
            content = content[key]
            line = content.line if isinstance(content, LocatedMapping) else line
        else:
            break
    return line


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """The end of a message about an unknown name: the nearest known one, or all of a few."""
    names = [str(choice) for choice in choices]
    close = difflib.get_close_matches(str(name), names, n=1)
    if close:
        return f"; did you mean `{close[0]}`?"
    return f"; there is: {', '.join(names)}" if 0 < len(names) <= 8 else ""
