"""Holds the content of a file against the fields of `azure_fields`."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from modelyard.errors import shortened
from modelyard.pipelines.azure_fields import (
    Either,
    Fields,
    Flag,
    ListOf,
    Local,
    MapOf,
    Named,
    Number,
    OneOf,
    Reference,
    Text,
)
from modelyard.pipelines.azure_schemas import fields_of
from modelyard.pipelines.documents import Problems
from modelyard.yaml_files import (
    BareText,
    LocatedMapping,
    Problem,
    did_you_mean,
    nearest,
    type_in_1_1,
)

_REGISTRY = r"azureml://registries/[^/]+/[a-zA-Z]+/[\w.-]+(?:/(?:versions/[^/]+|labels/latest))?"
ASSET = re.compile(  # `mlops release` puts a version in the place of the champion
    r"azureml:[\w.-]+(?::[\w.-]+|@(?:latest|default|champion))"
    rf"|azureml:/(?:/(?:subscriptions|jobs|locations|feeds)|subscriptions)/.+|{_REGISTRY}"
)
_REFERENCES = {  # kind → pattern, and what would pass
    "arm": (re.compile(r"azureml:(?:[^:/]+|/.+)"), "azureml:NAME"),
    "asset": (ASSET, "azureml:NAME:VERSION or azureml:NAME@latest"),
    "asset or newest": (
        re.compile(rf"azureml:AzureML-[\w.-]+(?:@\w+)?|{ASSET.pattern}"),
        "azureml:NAME:VERSION or azureml:NAME@latest",
    ),
    "registry": (
        re.compile(_REGISTRY),
        "azureml://registries/REGISTRY/KIND/NAME/versions/VERSION",
    ),
    "url": (re.compile(r"(?!azureml:)\w+://.+"), "an address"),
    "git": (re.compile(r"git\+.+"), "git+ and an address"),
    "binding": (re.compile(r".*\$\{\{.+\}\}.*", re.DOTALL), "${{ }} with what is bound"),
}
_PLACE = re.compile(
    r"azureml://(?:datastores/(?:[^/\s]+/paths/.*|workspacemanaged(?:data)?store/?)|jobs/[^/]+/outputs/.+|(?:registries|subscriptions|locations|feeds)/.+)"
)
_SCHEME = re.compile(r"(?:azureml|https?|wasbs|abfss|adl|file|git\+\w+)://|runs:/(?!/)")
_BOUND = re.compile(r"\$\{\{\s*parent\..+\}\}")
_FLAGS = re.compile(r"(?i)true|false|yes|no|on|off|[tfyn01]")
_EMPTY = "it is empty; give it a value, or leave it out"
_MAY_BE_EMPTY = {  # mappings whose names may have no value
    "environment_variables", "hyperparameters", "outputs", "parameters", "properties", "tags"
}  # fmt: skip
_PORT = Named("OutputPort")  # of a component, which says what it writes
_DISCRIMINATORS = ("type", "task", "spark_job_entry_type")


class Checker:
    """Notes everything in one file that Azure ML would refuse."""

    def __init__(self, file: Path, root: Path, problems: Problems) -> None:
        self.file, self.root, self.problems = file, root, problems
        self.known: list[Problem] = []

    def already(self, found: list[Problem]) -> None:
        """Take what another check has found in this file; it is not said again in other words."""
        here = self.file.resolve()
        self.known = [one for one in found if one.file.resolve() == here]

    def wrong(self, line: int, where: str, message: str) -> None:
        """Note a problem at a line."""
        key = re.sub(r"\[\d+\]$", "", where.rpartition(".")[2])
        missing = re.search(r"`(\w+)` is missing", message)
        names = {key, missing[1] if missing else key, message} - {""}
        names |= set(re.findall(r"\$\{\{[^}]*\}\}", message))
        if any(one.line == line and any(n in one.message for n in names) for one in self.known):
            return
        self.problems.add(self.file, line, f"{where}: {message}" if where else message)

    def fields(self, content: LocatedMapping, rule: Fields, where: str = "") -> None:
        """Check a mapping and everything below it."""
        misspelt = set()
        for key in content:
            place = f"{where}.{key}" if where else str(key)
            line, text = content.line_of(key), content.text_of(key)
            if key == "$schema":
                continue
            if key not in rule.fields:
                misspelt.add(nearest(str(key), rule.fields))
                hint = did_you_mean(str(key), rule.fields)
                self.wrong(line, place, f"there is no such field{hint}")
            elif content[key] is None:
                if rule.fields[key] is not None and key not in rule.empty:
                    self.wrong(line, place, _EMPTY)
            elif (
                key == "version"
                and isinstance(content[key], (int, float))
                and (str(read := yaml.safe_load(str(text))) != text)
            ):
                self.wrong(line, place, f'Azure ML reads {text} as {read}; write "{text}"')
            else:
                self.value(content[key], rule.fields[key], place, line, text)
        for key in rule.needed:
            if key not in content and key not in misspelt:
                self.wrong(content.line, where, f"`{key}` is missing")

    def value(self, value: Any, rule: Any, where: str, line: int, text: str | None = None) -> None:
        """Check one value."""

        def wrong(message: str) -> None:
            self.wrong(line, where, message)

        if where.startswith("jobs.") and isinstance(value, str) and _BOUND.fullmatch(value):
            return  # azure_nodes.py says what cannot be bound
        match rule:
            case None:
                return
            case Either():
                self.either(value, rule, where, line, text)
            case Named() if isinstance(value, str) and value.startswith("file:"):
                self.local(value, Local("file"), wrong)
            case Fields() | Named() | MapOf() if not isinstance(value, LocatedMapping):
                wrong(f"expected a mapping, found {value!r}")
            case Fields():
                self.fields(value, rule, where)
            case Named():
                self.fields(value, fields_of(rule.schema), where)
            case MapOf():
                for key in value if rule.keys else ():
                    if message := scalar_mismatch(key, rule.keys):
                        self.wrong(value.line_of(key), f"{where}.{key}", message)
                for key, one in value.items() if rule.rule else ():
                    if one is not None:
                        line_of, text_of = value.line_of(key), value.text_of(key)
                        self.value(one, rule.rule, f"{where}.{key}", line_of, text_of)
                    elif where.rpartition(".")[2] not in _MAY_BE_EMPTY or rule.rule == _PORT:
                        self.wrong(value.line_of(key), f"{where}.{key}", _EMPTY)
            case ListOf() if not isinstance(value, list):
                wrong(f"expected a list, found {value!r}")
            case ListOf():
                for index, one in enumerate(value):
                    at = one.line if isinstance(one, LocatedMapping) else line
                    if one is None:
                        wrong(f"[{index}]: {_EMPTY}")
                    else:
                        self.value(one, rule.rule, f"{where}[{index}]", at)
            case Local() if not isinstance(value, (dict, list)):
                self.local(str(value), rule, wrong)
            case _ if message := scalar_mismatch(value, rule, text):
                wrong(message)

    def either(self, value: Any, rule: Either, where: str, line: int, text: str | None) -> None:
        """Check a value that follows one of several rules; says what the nearest of them has against it."""
        in_file = isinstance(value, str) and value.startswith("file:")
        rules = [
            one
            for one in rule.rules
            if _shape(one) == _shape_of(value) or (in_file and isinstance(one, Named))
        ]
        if None in rule.rules:
            return
        if not rules:
            message = f"expected {_choices(rule.rules)}; found {_shown(value)}"
            self.wrong(line, where, message)
        elif isinstance(value, LocatedMapping):
            rules = self.of_kind(value, rules, where)
            if rules:
                best = min(rules, key=lambda one: len(self.against(value, one, where, line)))
                self.value(value, best, where, line)
        elif isinstance(value, list):
            best = min(rules, key=lambda one: len(self.against(value, one, where, line)))
            self.value(value, best, where, line, text)
        elif not any(not self.against(value, one, where, line, text) for one in rules):
            local = [one for one in rules if isinstance(one, (Local, Named))]
            if len(rules) == 1 or (local and not re.match(r"azureml:|git\+|\w+://", str(value))):
                self.value(value, (local or rules)[0], where, line, text)
            elif (quotes := _unquoted(value, text)) and any(
                scalar_mismatch(value, one, text) == quotes for one in rules
            ):
                self.wrong(line, where, quotes)
            else:
                self.wrong(line, where, f"expected {_choices(rules)}; found {text or value!r}")

    def of_kind(self, value: LocatedMapping, rules: list[Any], where: str) -> list[Any]:
        """The rules that are for the `type` of a mapping; notes where there is none."""
        for key in _DISCRIMINATORS:
            words = {
                index: one.fields[key]
                for index, one in enumerate(map(_fields, rules))
                if one and isinstance(one.fields.get(key), OneOf)
            }
            if key not in value or len(words) < 2:
                continue
            kept = [
                one
                for index, one in enumerate(rules)
                if index not in words or scalar_mismatch(value[key], words[index]) is None
            ]
            if all(_fields(one) is None for one in kept) or not (
                {id(rules[i]) for i in words} & {id(one) for one in kept}
            ):
                names = sorted({word for one in words.values() for word in one.words})
                hint = did_you_mean(str(value[key]), names) if len(names) > 8 else ""
                message = f"expected one of {', '.join(names)}; found {value[key]!r}{hint}"
                self.wrong(value.line_of(key), f"{where}.{key}", message)
                return []
            rules = kept
        return rules

    def against(
        self, value: Any, rule: Any, where: str, line: int, text: str | None = None
    ) -> list[Problem]:
        """What a rule has against a value."""
        scratch = Checker(self.file, self.root, Problems())
        scratch.value(value, rule, where, line, text)
        return scratch.problems.found

    def local(self, place: str, rule: Local, wrong: Callable[[str], None]) -> None:
        """Check a path; what is missing below the project's data folder may be written later."""
        if re.match("azureml:(?!//)", place) and not ASSET.fullmatch(place):
            wrong(
                f"expected azureml:NAME:VERSION, azureml:NAME@latest or azureml://…; found {place!r}"
            )
        if place.startswith("azureml://") and not _PLACE.fullmatch(place):
            wrong(
                f"expected azureml://datastores/NAME/paths/PATH, or another address of Azure ML; found {place!r}"
            )
        is_elsewhere = "://" in place or place.startswith(("azureml:", "git+", "runs:"))
        if is_elsewhere and not _SCHEME.match(place) and not place.startswith(("azureml:", "git+")):
            wrong(
                f"expected a path or an address of azureml, https, wasbs, abfss or adl; found {place!r}"
            )
        if re.match(r"abfss://[^@]*$", place):
            wrong(f"expected abfss://CONTAINER@ACCOUNT…/PATH, found {place!r}")
        if is_elsewhere or "${{" in place:
            return
        path = (self.file.parent / place.removeprefix("file:")).resolve()
        if not path.exists():
            if any(c in place for c in "*?"):
                if not any(self.file.parent.glob(place)):
                    wrong(f"nothing fits {place}")
                return
            siblings = [one.name for one in path.parent.iterdir()] if path.parent.is_dir() else []
            near = nearest(path.name, siblings)
            if near is None and path.is_relative_to(self.root / "data"):
                return
            wrong(f"{place} does not exist" + (f"; did you mean `{near}`?" if near else ""))
        elif rule.kind == "folder" and path.is_file():
            wrong(f"expected a folder, {place} is a file")
        elif rule.kind == "file" and path.is_dir():
            wrong(f"expected a file, {place} is a folder")


def _fields(rule: Any) -> Fields | None:
    if isinstance(rule, Named):
        return fields_of(rule.schema)
    return rule if isinstance(rule, Fields) else None


def _shape_of(value: Any) -> str:
    return "map" if isinstance(value, dict) else "list" if isinstance(value, list) else "scalar"


def _shape(rule: Any) -> str:
    match rule:
        case Fields() | Named() | MapOf():
            return "map"
        case ListOf():
            return "list"
    return "scalar"


def _shown(value: Any) -> str:
    return {"map": "a mapping", "list": "a list"}.get(_shape_of(value), shortened(repr(value)))


def _choices(rules: Any) -> str:
    return " or ".join(dict.fromkeys(map(_means, rules)))


def _means(rule: Any) -> str:
    match rule:
        case Text():
            return rule.means
        case Number():
            return "a whole number" if rule.whole else "a number"
        case OneOf():
            return f"one of {', '.join(rule.words)}"
        case Flag():
            return "true or false"
        case Reference():
            return _REFERENCES[rule.kind][1]
        case Local():
            return f"a {rule.kind}"
    return {"map": "a mapping", "list": "a list"}[_shape(rule)]


def scalar_mismatch(value: Any, rule: Any, text: str | None = None) -> str | None:
    """Why a value without parts does not follow its rule; None where it does."""
    shown = text if isinstance(value, (int, float)) and text else value
    match rule:
        case Flag() if _FLAGS.fullmatch(str(value)) is None or isinstance(value, (dict, list)):
            return f"expected true or false, found {value!r}"
        case Flag():
            return None
        case Number():
            read = yaml.safe_load(text) if isinstance(value, int) and text else value
            if read != value:  # 010 is octal in YAML 1.1
                return f"Azure ML reads {text} as {read}; write {value}"
            return _number_mismatch(value, rule)
        case Text() | OneOf() | Reference() | Local() if isinstance(value, (dict, list)):
            return f"expected {_means(rule)}; found {value!r}"
        case Text():
            if rule.pattern and not re.fullmatch(rule.pattern, str(shown)):
                return f"expected {rule.means}; found {shown!r}"
            if rule.longest and len(str(shown)) > rule.longest:
                return f"expected at most {rule.longest} characters, found {len(str(shown))}"
            return _unquoted(value, text)
        case OneOf():
            if not is_word(str(shown), rule):
                hint = did_you_mean(str(shown), rule.words) if len(rule.words) > 8 else ""
                return f"expected one of {', '.join(rule.words)}; found {shown!r}{hint}"
            return _unquoted(value, text)
        case Reference():
            pattern, means = _REFERENCES[rule.kind]
            if not isinstance(value, str) or not pattern.fullmatch(value):
                return f"expected {means}; found {shown!r}"
    return None


@lru_cache(maxsize=4096)
def snake_case(word: str) -> str:
    """A word as Azure ML compares it: `SystemAssigned` is `system_assigned`."""
    word = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", word)
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", word).lower()


def is_word(word: str, rule: OneOf) -> bool:
    """Whether a word is one of a rule's."""
    if rule.exact:
        return word in rule.words
    words = {one.lower() for one in rule.words}
    if rule.lower:
        return word.lower() in words
    return bool({word.lower(), snake_case(word)} & (words | set(map(snake_case, rule.words))))


def _unquoted(value: Any, text: str | None) -> str | None:
    """Azure ML reads YAML 1.1 and wants text as text: `1`, `true` and `yes` need quotes."""
    if value is None:
        return None
    if text is None and isinstance(value, BareText):  # one of a list
        text = value
    if text is None:  # in quotes, or one of a list
        return None if isinstance(value, str) else f'expected text, found {value}; write "{value}"'
    tag = type_in_1_1(text)
    if tag == "str" and isinstance(value, str):
        return None
    words = {"bool": "true or false", "timestamp": "a date", "null": "nothing"}
    return f'expected text, Azure ML reads {text} as {words.get(tag, "a number")}; write "{text}"'


def _number_mismatch(value: Any, rule: Number) -> str | None:
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", value):
        value = float(value) if "." in value else int(value)
    kinds = (int,) if rule.whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not abs(value) < math.inf:
        return f"expected a {'whole ' if rule.whole else ''}number, found {value!r}"
    if rule.above is not None and value <= rule.above:
        return f"expected more than {rule.above:g}, found {value}"
    if rule.least is not None and value < rule.least:
        return f"expected at least {rule.least:g}, found {value}"
    if rule.most is not None and value > rule.most:
        return f"expected at most {rule.most:g}, found {value}"
    return None
