"""Keys and secrets, and operations of roles, as the files write them.

What a deployment would make of the files is held against promises by the toolkit (modelyard/infra/promises.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from modelyard.infra.findings import Finding, Place

from bicep_reader.sources import Sources
from bicep_reader.tree import (
    BicepFile,
    Call,
    Literal,
    Object,
    Text,
    walk,
)

CHECK = "policy"
OPERATIONS = Path(__file__).with_name("operations.txt")
OPERATION = re.compile(r"^[A-Za-z]+(\.[A-Za-z]+)+/[\w./*-]+/(read|write|delete|action|\*)$", re.I)
SECRET_NAME = re.compile(
    r"(password|secret|token|connectionstring|(account|api|access|sas|shared|primary|storage)key)$",
    re.I,
)
SECRET_TEXT = re.compile(r"(AccountKey|SharedAccessKey|SharedAccessSignature|InstrumentationKey)=")


def check(sources: Sources) -> Iterator[Finding]:
    """Check every file."""
    for file in sources.bicep:
        yield from _secrets(file)
    yield from _role_operations(sources)


def _secrets(file: BicepFile) -> Iterator[Finding]:
    for parameter in file.parameters.values():
        if SECRET_NAME.search(parameter.name) and parameter.type.kind in (None, "string"):
            what = f"parameter `{parameter.name}` looks like a secret"
            remedy = "use an identity instead; if it is no secret, rename it"
            yield Finding(parameter.place, what, remedy, CHECK)
    for expression in file.expressions:
        for node in walk(expression):
            texts: tuple[object, ...] = ()
            if isinstance(node, Literal):
                texts = (node.value,)
            elif isinstance(node, Text):
                texts = node.parts
            elif isinstance(node, Call) and _reads_secret(node):
                remedy = "give the identity a role instead"
                yield Finding(node.place, f"{node.function}() reads keys", remedy, CHECK)
            if any(isinstance(t, str) and SECRET_TEXT.search(t) for t in texts):
                remedy = "connect with an identity"
                yield Finding(node.place, "a connection string with a key", remedy, CHECK)


def _reads_secret(call: Call) -> bool:
    return call.function == "getSecret" or call.function.lower().startswith("list")


def _role_operations(sources: Sources) -> Iterator[Finding]:
    """Check that operations of roles exist and have no wildcard."""
    own = sources.folder / "operations.txt"
    known = _operations(OPERATIONS) | (_operations(own) if own.is_file() else set())
    for place, operation in _operations_of_roles(sources):
        if "*" in operation:
            remedy = "list the operations that are needed one by one"
            yield Finding(place, f"the role has a wildcard: {operation}", remedy, CHECK)
        elif operation.lower() not in known:
            what = f"the operation {operation} is unknown"
            remedy = "correct it; or look it up (az provider operation show) and add it to operations.txt"
            yield Finding(place, what, remedy, CHECK)


def _operations(path: Path) -> set[str]:
    """Read a list of operations, in lower case."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return {line.split("#")[0].strip().lower() for line in lines} - {""}


def _operations_of_roles(sources: Sources) -> Iterator[tuple[Place, str]]:
    for path in sorted(sources.folder.rglob("*roles*.json")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            for found in re.finditer(r'"([^"]+)"(?!\s*:)', line):
                if OPERATION.match(found[1]) or found[1] == "*":
                    yield Place(path, number, found.start() + 1), found[1]
    for file in sources.bicep:
        for resource in file.every_resource():
            if resource.type.lower() != "microsoft.authorization/roledefinitions":
                continue
            for node in walk(resource.body):
                if isinstance(node, Object):
                    for key in ("actions", "dataActions"):
                        given = node.value(key)
                        for one in walk(given) if given is not None else ():
                            if isinstance(one, Literal) and isinstance(one.value, str):
                                yield one.place, one.value
        for module in file.modules.values():
            for node in walk(module.body):
                if isinstance(node, Literal) and OPERATION.match(str(node.value)):
                    yield node.place, str(node.value)
