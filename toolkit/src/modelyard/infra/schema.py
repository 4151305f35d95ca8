"""Azure's own types of resources, as Microsoft's MCP server for Azure (azmcp) ships them.

azmcp answers offline, with the newest API version that it knows of each resource type. Its answers
are kept per version of azmcp, so it is installed and started only where a new type is asked for.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from modelyard.environments import environment_python
from modelyard.errors import UsageError
from modelyard.files import write_text

SECONDS_TO_ANSWER = 180
UNKNOWN = "not found"
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
    """What may be written in the body of a resource of one type."""

    name: str
    version: str
    body: Shape
    shapes: dict[str, Shape]

    @cached_property
    def limits_of_name(self) -> str:
        """What the type says about the name's length and characters."""
        name = self.body.fields.get("name")
        return name.limits if name else ""


class Types:
    """Resource types by name, in any case; None where a type has no published shape."""

    def __init__(self, answers: dict[str, dict[str, Any]]) -> None:
        self._answers = answers
        self._read: dict[str, ResourceType | None] = {}

    def get(self, name: str) -> ResourceType | None:
        key = name.lower()
        if key not in self._read:
            answer = self._answers.get(key, {})
            self._read[key] = read_type(answer["types"]) if "types" in answer else None
        return self._read[key]

    def unknown(self, name: str) -> bool:
        """Whether Azure has no such type at all, as opposed to one whose shape is not published."""
        return bool(self._answers.get(name.lower(), {}).get("error", "").find(UNKNOWN) >= 0)


def read_type(listed: list[dict[str, Any]]) -> ResourceType | None:
    """The resource type in an answer of azmcp, with the types that it refers to."""
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


def load_types(
    root: Path, names: Iterable[str], say: Callable[[str], object] = lambda _: None
) -> Types:
    """The types of those names: kept ones from disk, the others from azmcp.

    Args:
        root: of the project.
        names: of resource types, such as `Microsoft.Storage/storageAccounts`.
        say: takes a line where this takes long.

    Raises:
        UsageError: azmcp cannot be installed, started or understood.
    """
    home = root / ".environments" / "azure-types" / _azmcp_version(root)
    answers: dict[str, dict[str, Any]] = dict(recorded())
    missing = []
    for name in sorted({n.lower(): n for n in names}.items()):
        if name[0] in answers:
            continue
        try:
            answers[name[0]] = json.loads(_kept(home, name[0]).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            missing.append(name[1])
    if missing:
        say(f"reading Azure's types of {len(missing)} resources; they are kept")
        home.mkdir(parents=True, exist_ok=True)
        for name_, answer in _ask(_server(root, say), missing):
            write_text(_kept(home, name_.lower()), json.dumps(answer))
            answers[name_.lower()] = answer
    return Types(answers)


def recorded() -> Iterator[tuple[str, dict[str, Any]]]:
    """Types that azmcp does not have, written down from Azure's published ones."""
    text = (Path(__file__).parent / "types.yml").read_text(encoding="utf-8")
    for name, given in yaml.safe_load(text).items():
        yield name.partition("@")[0].lower(), {"types": _expand(name, given)}


def _expand(name: str, given: dict[str, Any]) -> list[dict[str, Any]]:
    """The compact notation of types.yml, as azmcp would have answered."""
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


def _azmcp_version(root: Path) -> str:
    file = root / "requirements" / "infra.txt"
    try:
        found = re.search(r"^msmcp-azure==([\w.]+)", file.read_text(encoding="utf-8"), re.MULTILINE)
    except FileNotFoundError:
        raise UsageError(f"{file} does not exist; restore it from git") from None
    if not found:
        raise UsageError(f"{file} pins no msmcp-azure; restore it from git")
    return found[1]


def _kept(home: Path, name: str) -> Path:
    return home / (re.sub(r"[^a-z0-9.]+", "_", name) + ".json")


def _server(root: Path, say: Callable[[str], object]) -> list[str]:
    """How azmcp is started, with nothing but its types."""
    program = "azmcp.exe" if os.name == "nt" else "azmcp"
    command = [str(environment_python(root, "infra", say).with_name(program))]
    return [*command, "server", "start", "--mode", "all", "--namespace", "bicepschema"]


def _ask(command: list[str], names: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Azmcp's answer for each type. One server answers all: its start takes longer than they do."""
    settings = os.environ | {
        "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1",
        "AZURE_MCP_COLLECT_TELEMETRY": "false",
        "DOTNET_CLI_TELEMETRY_OPTOUT": "1",
    }
    with subprocess.Popen(  # noqa: S603 (our own environment's program)
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=settings,
        text=True,
        encoding="utf-8",
    ) as server:
        watchdog = threading.Timer(SECONDS_TO_ANSWER, server.kill)
        watchdog.daemon = True
        watchdog.start()
        try:
            about = {"name": "mlops", "version": "1"}
            hello = {"protocolVersion": "2024-11-05", "capabilities": {}, "clientInfo": about}
            _call(server, 0, "initialize", hello)
            _send(server, {"jsonrpc": "2.0", "method": "notifications/initialized"})
            for number, name in enumerate(names, 1):
                asked = {"name": "bicepschema_get", "arguments": {"resource-type": name}}
                yield name, _answer(_call(server, number, "tools/call", asked), name)
        finally:
            watchdog.cancel()
            if server.stdin:
                server.stdin.close()
            try:
                server.wait(5)
            except subprocess.TimeoutExpired:
                server.kill()


def _answer(reply: dict[str, Any], name: str) -> dict[str, Any]:
    try:
        said = json.loads(reply["result"]["content"][0]["text"])
        if said["status"] == 200:
            return {"types": said["results"]["BicepSchemaResult"]}
        if UNKNOWN in said["message"] or "not supported" in said["message"]:
            return {"error": said["message"]}
        raise UsageError(f"azmcp cannot say what {name} looks like: {said['message']}")
    except (KeyError, IndexError, TypeError, ValueError):
        raise UsageError(
            f"azmcp's answer about {name} is not understood: {str(reply)[:300]}"
        ) from None


def _call(server: subprocess.Popen[str], number: int, method: str, given: object) -> dict[str, Any]:
    _send(server, {"jsonrpc": "2.0", "id": number, "method": method, "params": given})
    assert server.stdout is not None  # noqa: S101 (a pipe)
    for line in server.stdout:
        try:
            reply = json.loads(line)
        except ValueError:
            continue
        if isinstance(reply, dict) and reply.get("id") == number:
            return reply
    raise UsageError(
        f"azmcp stopped without an answer (exit code {server.wait()}); delete .environments/infra and try again"
    )


def _send(server: subprocess.Popen[str], message: object) -> None:
    assert server.stdin is not None  # noqa: S101 (a pipe)
    try:
        server.stdin.write(json.dumps(message) + "\n")
        server.stdin.flush()
    except OSError:
        raise UsageError("azmcp does not start; delete .environments/infra and try again") from None
