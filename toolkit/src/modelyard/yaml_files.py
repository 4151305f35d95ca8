"""Reading and writing of YAML 1.2, with the line of every key.

PyYAML's loader follows YAML 1.1, where `no` is false, `0o10` is text and `1e-4` too. The resolvers
here are those of YAML 1.2's core schema (https://yaml.org/spec/1.2.2/#103-core-schema), with dates as
text.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from modelyard.errors import UsageError, first_line, shortened
from modelyard.files import MissingKey, read_text

_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True)
class Problem:
    """A fault in a file, with its line."""

    file: Path
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


class LocatedMapping(dict[Any, Any]):
    """A YAML mapping with the line of each key, and the text of each value that is a plain scalar.

    Attributes:
        bare: keys without quotes.
    """

    path: Path | None = None
    bare: frozenset[Any] = frozenset()
    line: int = 1
    lines: dict[Any, int]
    texts: dict[Any, str]

    def __missing__(self, key: Any) -> Any:
        raise MissingKey(f"{self.path or ''}:{self.line}: the field `{key}` is missing")

    def line_of(self, key: Any) -> int:
        """Return the line of a key, or that of the mapping where the key is missing."""
        return self.lines.get(key, self.line)

    def text_of(self, key: Any) -> str | None:
        """Return a plain scalar as it is written, `007` not 7; None for any other value."""
        return self.texts.get(key)


def located_like(content: Mapping[Any, Any], source: LocatedMapping) -> LocatedMapping:
    """Give a mapping the lines and texts of another one."""
    result = LocatedMapping(content)
    result.line, result.lines, result.texts = source.line, dict(source.lines), dict(source.texts)
    return result


class BareText(str):
    """Text without quotes that YAML 1.1 reads as another type, such as `yes`."""


_YAML_1_1 = yaml.SafeLoader("")


def type_in_1_1(text: str) -> str:
    """Tell what YAML 1.1 reads a text without quotes as, such as `bool`."""
    tag: str = _YAML_1_1.resolve(yaml.ScalarNode, text, (True, False))
    return tag.rpartition(":")[2]


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """A safe loader of YAML 1.2 that keeps line numbers and refuses a key given twice."""

    path: Path | None = None
    yaml_implicit_resolvers: ClassVar[dict[str, list[tuple[str, re.Pattern[str]]]]] = {}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> LocatedMapping:
        """Build a mapping with the lines of its keys."""
        self.flatten_mapping(node)
        result = LocatedMapping()
        result.path = self.path
        result.line = node.start_mark.line + 1
        result.lines, result.texts = {}, {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, (dict, list)):  # `{{name}}` of a template that is not filled in
                raise yaml.constructor.ConstructorError(
                    None, None, "a key must be text or a number", key_node.start_mark
                )
            if key in result:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is given twice", key_node.start_mark
                )
            result.lines[key] = key_node.start_mark.line + 1
            if not key_node.style:
                result.bare |= {key}
            result[key] = self.construct_object(value_node, deep=True)
            if isinstance(value_node, yaml.ScalarNode) and not value_node.style:
                result.texts[key] = str(value_node.value)
        return result

    def construct_text(self, node: yaml.ScalarNode) -> str:
        """Read text, and mark what YAML 1.1 does not read as text."""
        text: str = self.construct_scalar(node)
        return text if node.style or type_in_1_1(text) == "str" else BareText(text)

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
Loader.add_constructor("tag:yaml.org,2002:str", Loader.construct_text)
Loader.add_constructor("tag:yaml.org,2002:int", Loader.construct_int)
Loader.add_constructor("tag:yaml.org,2002:float", Loader.construct_float)
Loader.add_constructor(
    yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG,
    lambda loader, node: loader.construct_mapping(node),
)


class _Dumper(yaml.SafeDumper):
    """Quotes text that YAML 1.1 or 1.2 would read as another type."""


_Dumper.yaml_implicit_resolvers = {
    first: [
        *yaml.SafeDumper.yaml_implicit_resolvers.get(first, ()),
        *Loader.yaml_implicit_resolvers.get(first, ()),
    ]
    for first in {*yaml.SafeDumper.yaml_implicit_resolvers, *Loader.yaml_implicit_resolvers}
}

_Dumper.add_representer(LocatedMapping, yaml.SafeDumper.represent_dict)
_Dumper.add_representer(BareText, yaml.SafeDumper.represent_str)


def dump(content: Any) -> str:
    """Write YAML that reads the same by the rules of 1.1 and of 1.2, keys in the order given."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def parse(text: str, path: Path | None = None) -> Any:
    """Read YAML.

    Args:
        text: to read.
        path: of its file, for the messages about fields that it lacks.

    Raises:
        ValueError: ":LINE: what is wrong", to be put after the file's name.
    """
    try:
        loader = Loader(text)
        loader.path = path
        return loader.get_single_data()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        what = shortened(str(getattr(error, "problem", None) or error).splitlines()[0], 200)
        raise ValueError(f":{mark.line + 1 if mark else 1}: not valid YAML: {what}") from None
    except (ValueError, AttributeError, RecursionError) as error:  # of a tag, such as !!timestamp
        raise ValueError(f":1: not valid YAML: {first_line(error)}") from None


def read_yaml(path: Path, missing: str = "restore it from git") -> Any:
    """Read a YAML file; `missing` says what to do where there is none.

    Raises:
        UsageError: it is missing, is not UTF-8 text, or is not YAML.
    """
    text = read_text(path, missing)
    try:
        return parse(text, path)
    except ValueError as error:
        raise UsageError(f"{path}{error}") from None


def read_mapping(
    path: Path, missing: str = "restore it from git", expected: str = "a mapping"
) -> LocatedMapping:
    """Read a YAML file that is a mapping; a key that it lacks is an error with file and line.

    Raises:
        UsageError: as of `read_yaml`; or it is no mapping.
    """
    content = read_yaml(path, missing)
    if not isinstance(content, LocatedMapping):
        found = "nothing" if content is None else type(content).__name__
        raise UsageError(f"{path}: expected {expected}, found {found}; {missing}")
    return content


def read_model(
    path: Path, model: type[_Model], missing: str = "every project has one, restore it from git"
) -> _Model:
    """Read a YAML file as a pydantic model.

    Raises:
        UsageError: as of `read_mapping`; or naming line, field and value of all that does not hold.
    """
    fields = ", ".join(field.alias or name for name, field in model.model_fields.items())
    content = read_mapping(path, missing, f"a mapping with the fields {fields}")
    try:
        return model.model_validate(content)
    except ValidationError as error:
        problems = model_problems(path, content, error, model)
        raise UsageError("\n".join(map(str, problems))) from None


class LocatedError(ValueError):
    """Problems that a model's validator found, with the path of keys to each."""

    def __init__(self, problems: Iterable[tuple[Sequence[str], str]]) -> None:
        """Keep the problems; the text of the error joins them."""
        self.problems = [(tuple(where), shortened(what, 500)) for where, what in problems]
        super().__init__("; ".join(f"{'.'.join(where)}: {what}" for where, what in self.problems))


def model_problems(
    path: Path, content: Any, error: ValidationError, model: type[BaseModel]
) -> list[Problem]:
    """Turn pydantic's errors into problems with the line of the file; `content` is as `read_yaml` gave it."""
    found = []
    for one in error.errors():
        located: list[tuple[tuple[int | str, ...], str]]
        cause = one.get("ctx", {}).get("error")
        if isinstance(cause, LocatedError):
            located = [(where, f"{'.'.join(where)}: {what}") for where, what in cause.problems]
        else:
            keys = _keys_in_file(content, one["loc"])
            located = [(tuple(keys), _message(keys, one, model))]
        found += [Problem(path, line_of(content, where), message) for where, message in located]
    # Every branch of a union complains, often in the same words.
    return list({(problem.line, problem.message): problem for problem in found}.values())


def _keys_in_file(content: Any, location: Sequence[int | str]) -> list[int | str]:
    """Leave out of a location the names that pydantic gives to the branches of a union and to a key itself."""
    place, keys = content, []
    for index, key in enumerate(location):
        is_last = index == len(location) - 1 and key != "[key]"
        if isinstance(place, dict) and (key in place or is_last):
            keys.append(key)
            place = place.get(key)
        elif isinstance(place, list) and isinstance(key, int) and key < len(place):
            keys.append(key)
            place = place[key]
    return keys


def _message(keys: Sequence[int | str], error: Any, model: type[BaseModel]) -> str:
    place = ".".join(shortened(str(key)) for key in keys) or "file"
    kind = error["type"]
    if kind == "extra_forbidden":
        return f"{place}: no such field{did_you_mean(str(keys[-1]), _fields(model, error['loc']))}"
    if kind == "missing":
        return f"{place}: this field is missing"
    if kind == "union_tag_invalid":
        expected, tag = error["ctx"]["expected_tags"], error["ctx"]["tag"]
        return f"{place}.type: expected one of {expected}, found {shortened(repr(tag))}"
    if kind == "union_tag_not_found":
        return f"{place}.type: this field is missing"
    text, value = error["msg"].removeprefix("Value error, "), error["input"]
    is_said = isinstance(value, (dict, list)) or "found" in text
    return f"{place}: {text[0].lower()}{text[1:]}" + (
        "" if is_said else f", found {shortened(repr(value))}"
    )


def _fields(model: type[BaseModel], location: Sequence[int | str]) -> list[str]:
    """Return the names of the fields at a location."""
    place: Any = model
    for key in location[:-1]:
        place = _model_at(place, str(key))
    return [
        field.alias or name for one in _models(place) for name, field in one.model_fields.items()
    ]


def _model_at(annotation: Any, key: str) -> Any:
    for model in _models(annotation):
        if key == model.__name__:
            return model
        tag = model.model_fields.get("type")
        if tag is not None and key in getattr(tag.annotation, "__args__", ()):
            return model
        if key in model.model_fields:
            return model.model_fields[key].annotation
    return annotation  # a key of a mapping or a place in a list


def _models(annotation: Any) -> list[Any]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in _models(part)]


def line_of(content: Any, where: Iterable[Any]) -> int:
    """Return the line of a key below nested mappings, or of the nearest mapping above it."""
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


def nearest(name: str, choices: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the known name that an unknown one is most like; None where none is like it, by a cutoff up to 1."""
    lowered = {str(choice).lower(): str(choice) for choice in choices}
    close = difflib.get_close_matches(str(name).lower(), lowered, n=1, cutoff=cutoff)
    return lowered[close[0]] if close else None


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """Return the end of a message about an unknown name: the nearest known one, or all of a few."""
    names = [str(choice) for choice in choices]
    if near := nearest(name, names):
        return f"; did you mean `{near}`?"
    return f"; there is: {', '.join(names)}" if 0 < len(names) <= 8 else ""
