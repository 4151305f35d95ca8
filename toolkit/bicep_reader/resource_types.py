"""Azure's resource types: the properties that a body may have, and the type of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelyard.yaml_files import read_yaml

PRIMITIVES = {"string", "int", "bool", "any", "null", "object", "array"}


@dataclass(frozen=True, slots=True)
class Field:
    """A property of a type. `type` is azmcp's: string, int, a name, `X[]`, or `A | B | string`."""

    name: str
    type: str
    required: bool = False
    read_only: bool = False
    limits: str = ""  # such as `minLength: 3, maxLength: 24`, or `pattern: ^…$`


@dataclass(frozen=True, slots=True)
class Shape:
    """An object type. With `variants`, the value of `discriminator` says which of them it is."""

    name: str
    fields: dict[str, Field]
    others: str | None = None  # type of properties that are not named
    discriminator: str | None = None
    variants: dict[str, Shape] = field(default_factory=dict)


@dataclass(frozen=True)
class ResourceType:
    """The shape of a resource's body, and the shapes that it refers to."""

    name: str
    version: str
    body: Shape
    shapes: dict[str, Shape]


class Types:
    """Resource types by name, ignoring case.

    Args:
        answers: azmcp's answer for each type, by its name in lower case: `{"types": [...]}`, or
            `{"error": "..."}`.
    """

    def __init__(self, answers: Mapping[str, Mapping[str, Any]]) -> None:
        self._answers = answers
        self._read: dict[str, ResourceType | None] = {}

    def get(self, name: str) -> ResourceType | None:
        """Return the type; None where its shape is not known."""
        key = name.lower()
        if key not in self._read:
            answer = self._answers.get(key, {})
            self._read[key] = read_type(answer["types"]) if "types" in answer else None
        return self._read[key]

    def unknown(self, name: str) -> bool:
        """Whether Azure has no such type, as opposed to one whose shape is not published."""
        return "not found" in self._answers.get(name.lower(), {}).get("error", "")


def read_type(listed: list[dict[str, Any]]) -> ResourceType | None:
    """Read the resource type and the shapes it refers to from azmcp's list of types."""
    resource = next((t for t in listed if t["$type"] == "Resource"), None)
    if resource is None:
        return None
    shapes = {
        t["name"]: _shape(t) for t in listed if t["$type"] in ("Object", "DiscriminatedObject")
    }
    name, _, version = resource["name"].partition("@")
    return ResourceType(name, version, _shape(resource["bodyType"]), shapes)


def _shape(given: dict[str, Any], chosen_by: str | None = None) -> Shape:
    if given["$type"] == "DiscriminatedObject":
        key = given["discriminator"]
        base = _fields(given.get("baseProperties"))
        variants = {}
        for element in given["elements"]:
            inner = _shape(element, key)
            if key in inner.fields:
                merged = Shape(inner.name, base | inner.fields, inner.others)
                variants[inner.fields[key].type] = merged
        return Shape(given["name"], base, None, key, variants)
    fields = _fields(given.get("properties"))
    for name, one in fields.items():
        if (
            one.type == given["name"] and name != chosen_by
        ):  # two types of one name, of which azmcp kept the wrong one
            fields[name] = Field(name, "any", one.required, one.read_only)
    return Shape(given["name"], fields, given.get("additionalPropertiesType"))


def _fields(given: list[dict[str, Any]] | None) -> dict[str, Field]:
    found = {}
    for one in given or []:
        flags = one.get("flags") or ""
        found[one["name"]] = Field(
            one["name"],
            one["type"],
            "Required" in flags,
            "ReadOnly" in flags,
            one.get("modifiers") or "",
        )
    return found


def recorded() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the types of types.yml, whose shapes azmcp does not have, as azmcp would answer."""
    for name, given in read_yaml(Path(__file__).with_name("types.yml")).items():
        yield name.partition("@")[0].lower(), {"types": _expand(name, given)}


def _expand(name: str, given: dict[str, Any]) -> list[dict[str, Any]]:
    """Expand the compact notation of types.yml into azmcp's list of types."""
    listed: list[dict[str, Any]] = []
    body = _written(name.partition("@")[0], given, listed)
    return [{"$type": "Resource", "name": name, "bodyType": body}, *listed]


def _written(title: str, given: dict[str, Any], listed: list[dict[str, Any]]) -> dict[str, Any]:
    properties, more = [], {}
    kind: dict[str, Any] = {"$type": "Object", "name": title}
    for key, value in given.items():
        if key.startswith("<"):
            elements = [
                _written(f"{title}.{choice}", {f"{key[1:-1]}!": choice} | shape, listed)
                for choice, shape in value.items()
            ]
            more = {"discriminator": key[1:-1], "elements": elements}
            kind["$type"] = "DiscriminatedObject"
            continue
        bare = key.rstrip("!-")
        inner, many = (value[0], "[]") if isinstance(value, list) else (value, "")
        if isinstance(inner, dict):
            listed.append(_written(f"{title}.{bare}", inner, listed))
            inner = f"{title}.{bare}"
        text, _, longest = str(inner).partition(", maxLength ")
        flags = "Required" if "!" in key else "ReadOnly" if key.endswith("-") else ""
        one = {"name": bare, "type": text + many, "flags": flags}
        if bare == "*":
            more = {"additionalPropertiesType": text}
        else:
            properties.append(one | ({"modifiers": f"maxLength: {longest}"} if longest else {}))
    where = "baseProperties" if "discriminator" in more else "properties"
    return kind | {where: properties} | more
