"""What a parameter file deploys, in the form of `bicep snapshot`.

A value that this reader cannot tell is `[unknown]`: an expression, like what the compiler leaves to the deployment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from modelyard.errors import UsageError

from bicep_reader.deployment import deployed
from bicep_reader.evaluate import Later, Scope, Unknown, evaluate, full_name, identifier
from bicep_reader.sources import load
from bicep_reader.tree import Resource

OF_BICEP = {"name", "parent", "scope", "dependsOn"}


def snapshot(parameters: Path, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the resources that a parameter file deploys, with the values `given` instead of its own.

    Raises:
        UsageError: the file does not exist, is not valid, or its values are refused.
    """
    sources = load(parameters.parent)
    file = sources.files.get(parameters.resolve())
    if file is None:
        raise UsageError(f"{parameters} does not exist; restore it from git")
    for error in (e for one in sources.files.values() for e in one.errors):
        raise UsageError(f"{error.place.file}:{error.place.line}: {error.what}; {error.remedy}")
    resources = [
        _resource(one.declared, one.scope)
        for one in deployed(file, sources, given)
        if isinstance(one.declared, Resource)
    ]
    return {"predictedResources": resources, "outputs": {}, "diagnostics": []}


def _resource(declared: Resource, scope: Scope) -> dict[str, Any]:
    body = {
        one.key: _value(evaluate(one.value, scope))
        for one in declared.body.properties
        if one.key is not None and one.key not in OF_BICEP
    }
    return body | {
        "id": _value(identifier(declared, scope)),
        "type": declared.type,
        "name": _value(full_name(declared, scope)),
        "apiVersion": declared.version or "",
    }


def _value(value: Any) -> Any:
    match value:
        case Later():
            return f"[{value.text}]"
        case Unknown():
            return "[unknown]"
        case dict():
            return {key: _value(one) for key, one in value.items()}
        case list():
            return [_value(one) for one in value]
        case _:
            return value


def differences(path: str, ours: Any, theirs: Any) -> Iterator[str]:
    """Yield where two values differ; what either side leaves to the deployment is equal to anything."""
    if any(isinstance(one, str) and one.startswith("[") for one in (ours, theirs)):
        return
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted(ours.keys() | theirs.keys()):
            yield from differences(f"{path}.{key}", ours.get(key), theirs.get(key))
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from differences(f"{path}[{number}]", one, other)
    elif ours != theirs:
        yield f"{path}: {ours!r}, officially {theirs!r}"
