"""What a deployment would make, as `bicep snapshot` predicts it for a parameter file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from modelyard.errors import UsageError


@dataclass(frozen=True)
class Planned:
    """A resource as a deployment would make it.

    Attributes:
        type: such as Microsoft.Storage/storageAccounts.
        version: of Azure's API.
        name: with the names of the resources it is part of; None where it is known only then.
        id: its resource id; an expression in brackets where it is known only then.
        body: everything that is said of it.
    """

    type: str
    version: str
    name: str | None
    id: str
    body: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """The type in lower case: Azure does not tell cases apart."""
        return self.type.lower()

    def given(self, path: str) -> Any:
        """Return a property, such as `properties.sku`, be it an expression; None where there is none."""
        found: Any = self.body
        for key in path.split("."):
            found = found.get(key) if isinstance(found, Mapping) else None
        return found

    def value(self, path: str) -> Any:
        """Return a property; None where there is none, or it is known only in a deployment."""
        found = self.given(path)
        return None if is_expression(found) else found

    def each(self, path: str) -> list[Any]:
        """Return a property of every entry of the lists on its path, be it an expression."""
        found: list[Any] = [self.body]
        for key in path.split("."):
            found = [one.get(key) for one in _flat(found) if isinstance(one, Mapping)]
        return [one for one in _flat(found) if one is not None]

    def texts(self) -> Iterator[str]:
        """Yield every text in its body."""
        yield from _texts(self.body)


def is_expression(value: object) -> bool:
    """Whether a value is left to the deployment: `[reference(...)]`; `[[` begins an ordinary text."""
    return isinstance(value, str) and value.startswith("[") and not value.startswith("[[")


def read_snapshot(text: str, source: str) -> list[Planned]:
    """Read the resources of a snapshot.

    Raises:
        UsageError: the text is no snapshot.
    """
    try:
        return [_resource(one) for one in json.loads(text)["predictedResources"]]
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"the snapshot of {source} has an unknown form ({error}); "
            "expected predictedResources with type, apiVersion, name and id"
        ) from None


def _resource(one: Mapping[str, Any]) -> Planned:
    name = None if is_expression(one["name"]) else str(one["name"])
    return Planned(one["type"], one["apiVersion"], name, one["id"], one)


def _flat(values: list[Any]) -> list[Any]:
    return [each for one in values for each in (one if isinstance(one, list) else [one])]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, str):
        yield value
