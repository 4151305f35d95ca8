"""Holds the content of a file against the fields of `azure_fields`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from modelyard.pipelines.azure_fields import (
    Asset,
    Either,
    Fields,
    Flag,
    ListOf,
    Local,
    MapOf,
    Number,
    OneOf,
    Text,
)
from modelyard.pipelines.documents import Problems
from modelyard.yaml_files import LocatedMapping, did_you_mean

REFERENCE = re.compile(r"azureml:(?:/.+|[A-Za-z0-9_.-]+(?::[A-Za-z0-9_.-]+|@[A-Za-z0-9_.-]+))")


class Checker:
    """Notes everything in one file that Azure ML would refuse."""

    def __init__(self, file: Path, root: Path, problems: Problems) -> None:
        self.file, self.root, self.problems = file, root, problems

    def wrong(self, line: int, where: str, message: str) -> None:
        self.problems.add(self.file, line, f"{where}: {message}" if where else message)

    def fields(self, content: LocatedMapping, rule: Fields, where: str = "") -> None:
        """Check a mapping and everything below it."""
        for key in content:
            place = f"{where}.{key}" if where else str(key)
            line = content.line_of(key)
            if key not in rule.fields:
                self.wrong(
                    line, place, f"there is no such field{did_you_mean(str(key), rule.fields)}"
                )
            elif content[key] is None and key in rule.needed:
                self.wrong(line, place, "it is empty")
            elif content[key] is not None:
                self.value(content[key], rule.fields[key], place, line, content.text_of(key))
        for key in rule.needed:
            if key not in content:
                self.wrong(content.line, where, f"`{key}` is missing")

    def value(self, value: Any, rule: Any, where: str, line: int, text: str | None = None) -> None:
        """Check one value."""

        def wrong(message: str) -> None:
            self.wrong(line, where, message)

        match rule:
            case Fields() | Either() | MapOf() if not isinstance(value, LocatedMapping):
                wrong(f"expected a mapping, found {value!r}")
            case Fields():
                self.fields(value, rule, where)
            case Either():
                kind = str(value.get("type", "")).lower()
                if kind in rule.by_type:
                    self.fields(value, rule.by_type[kind], where)
                else:
                    found = repr(value["type"]) if "type" in value else "none"
                    expected = ", ".join(rule.by_type)
                    self.wrong(
                        value.line_of("type"),
                        f"{where}.type",
                        f"expected one of {expected}; found {found}",
                    )
            case MapOf():
                for key in value if rule.rule else ():
                    self.value(
                        value[key],
                        rule.rule,
                        f"{where}.{key}",
                        value.line_of(key),
                        value.text_of(key),
                    )
            case ListOf():
                self.list(value, rule, where, line)
            case Asset() if isinstance(value, LocatedMapping):
                self.fields(value, Fields(rule.full or {}), where)
            case Asset():
                place = str(value)
                if not REFERENCE.fullmatch(place) and not place.startswith("azureml://"):
                    wrong(
                        f"expected azureml:NAME:VERSION, azureml:NAME@latest or a mapping; found {place}"
                    )
            case Local() if not isinstance(value, (dict, list)):
                self.local(str(value), rule, wrong)
            case _ if message := scalar_mismatch(value, rule, text):
                wrong(message)

    def list(self, value: Any, rule: ListOf, where: str, line: int) -> None:
        """Check a list, and each of its elements."""
        if not isinstance(value, list):
            if rule.single and not isinstance(value, dict):
                self.value(value, rule.rule, where, line)
            else:
                self.wrong(line, where, f"expected a list, found {value!r}")
            return
        for index, one in enumerate(value):
            if rule.rule is not None:
                self.value(one, rule.rule, f"{where}[{index}]", line)

    def local(self, place: str, rule: Local, wrong: Any) -> None:
        """Check a path; what is missing below the project's data folder may be written later."""
        if place.startswith("azureml:") or "://" in place:
            return
        path = (self.file.parent / place.removeprefix("file:")).resolve()
        if not path.exists():
            siblings = [one.name for one in path.parent.iterdir()] if path.parent.is_dir() else []
            near = did_you_mean(path.name, siblings)
            if "did you mean" not in near and path.is_relative_to(self.root / "data"):
                return
            wrong(f"{place} does not exist{near if 'did you mean' in near else ''}")
        elif rule.kind == "folder" and path.is_file():
            wrong(f"expected a folder, {place} is a file")
        elif rule.kind == "file" and path.is_dir():
            wrong(f"expected a file, {place} is a folder")


def scalar_mismatch(value: Any, rule: Any, text: str | None = None) -> str | None:
    """Why a value without parts does not follow its rule; None where it does."""
    shown = text if isinstance(value, (int, float)) and text else value
    match rule:
        case Text() if isinstance(value, (dict, list)):
            return f"expected {rule.means}, found {value!r}"
        case Text():
            if rule.pattern and not re.fullmatch(rule.pattern, str(shown)):
                return f"expected {rule.means}; found {shown!r}"
            if rule.longest and len(str(shown)) > rule.longest:
                return f"expected at most {rule.longest} characters, found {len(str(shown))}"
        case Flag() if not isinstance(value, bool):
            return f"expected true or false, found {value!r}"
        case Number():
            return _number_mismatch(value, rule)
        case OneOf():
            expected = ", ".join(rule.words)
            if isinstance(value, (dict, list)) or str(shown).lower() not in rule.words:
                return f"expected one of {expected}; found {shown!r}"
    return None


def _number_mismatch(value: Any, rule: Number) -> str | None:
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", value):
        value = float(value) if "." in value else int(value)
    kinds = (int,) if rule.whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds):
        return f"expected a {'whole ' if rule.whole else ''}number, found {value!r}"
    if rule.least is not None and value < rule.least:
        return f"expected at least {rule.least:g}, found {value}"
    if rule.most is not None and value > rule.most:
        return f"expected at most {rule.most:g}, found {value}"
    return None
