"""Azure's resource types, read from Microsoft's MCP server for Azure (azmcp).

azmcp answers offline, with the newest API version that it has of each type. Answers are cached per
version of azmcp: it is installed and started only for types that are not in the cache.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from modelyard.environments import packages_python
from modelyard.errors import UsageError
from modelyard.files import write_text

PINNED = Path(__file__).with_name("azmcp.txt")
TIMEOUT = 180  # seconds for all answers


def azure_types(
    root: Path, names: Iterable[str], say: Callable[[str], object] = lambda _: None
) -> dict[str, dict[str, Any]]:
    """Return azmcp's answers for resource types, by name in lower case, from the cache or from azmcp.

    Args:
        root: of the project; the cache is in its `.environments`.
        names: such as `Microsoft.Storage/storageAccounts`.
        say: takes a line before azmcp is started, which takes seconds.

    Returns:
        `{"types": [...]}` per type, or `{"error": "..."}` where Azure has no such type or azmcp lacks it.

    Raises:
        UsageError: azmcp cannot be installed or started, or its answer has an unknown format.
    """
    cache = root / ".environments" / "azure-types" / _azmcp_version()
    answers: dict[str, dict[str, Any]] = {}
    missing = []
    for key, name in sorted({name.lower(): name for name in names}.items()):
        try:
            answers[key] = json.loads(_cached(cache, key).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            missing.append(name)
    if missing:
        say(f"reading Azure's types of {len(missing)} resources; they are cached")
        for name, answer in _ask(_server(root, say), missing):
            write_text(_cached(cache, name.lower()), json.dumps(answer))
            answers[name.lower()] = answer
    return answers


def _azmcp_version() -> str:
    found = re.search(r"^msmcp-azure==([\w.]+)", PINNED.read_text(encoding="utf-8"), re.MULTILINE)
    if not found:
        raise UsageError(f"{PINNED} pins no msmcp-azure; restore it from git")
    return found[1]


def _cached(cache: Path, name: str) -> Path:
    return cache / (re.sub(r"[^a-z0-9.]+", "_", name) + ".json")


def _server(root: Path, say: Callable[[str], object]) -> list[str]:
    """Return the command that starts azmcp with its tool for resource types only."""
    lines = PINNED.read_text(encoding="utf-8").splitlines()
    program = "azmcp.exe" if os.name == "nt" else "azmcp"
    command = [str(packages_python(root, lines, say=say).with_name(program))]
    return [*command, "server", "start", "--mode", "all", "--namespace", "bicepschema"]


def _ask(command: list[str], names: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield azmcp's answer for each type; one server answers all, because starting takes longest."""
    settings = os.environ | {
        "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1",
        "AZURE_MCP_COLLECT_TELEMETRY": "false",
        "DOTNET_CLI_TELEMETRY_OPTOUT": "1",
    }
    with subprocess.Popen(  # noqa: S603 (a program of the environment `infra`)
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=settings,
        text=True,
        encoding="utf-8",
    ) as server:
        timer = threading.Timer(TIMEOUT, server.kill)
        timer.daemon = True
        timer.start()
        try:
            about = {"name": "mlops", "version": "1"}
            hello = {"protocolVersion": "2024-11-05", "capabilities": {}, "clientInfo": about}
            _call(server, 0, "initialize", hello)
            _send(server, {"jsonrpc": "2.0", "method": "notifications/initialized"})
            for number, name in enumerate(names, 1):
                call = {"name": "bicepschema_get", "arguments": {"resource-type": name}}
                yield name, _answer(_call(server, number, "tools/call", call), name)
        finally:
            timer.cancel()
            if server.stdin:
                server.stdin.close()
            try:
                server.wait(5)
            except subprocess.TimeoutExpired:
                server.kill()


def _answer(reply: dict[str, Any], name: str) -> dict[str, Any]:
    try:
        answer = json.loads(reply["result"]["content"][0]["text"])
        if answer["status"] == 200:
            return {"types": answer["results"]["BicepSchemaResult"]}
        if "not found" in answer["message"] or "not supported" in answer["message"]:
            return {"error": answer["message"]}
        raise UsageError(f"azmcp has no answer about {name}: {answer['message']}")
    except (KeyError, IndexError, TypeError, ValueError):
        raise UsageError(
            f"azmcp's answer about {name} has an unknown format: {str(reply)[:300]}"
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
        f"azmcp stopped without an answer (exit code {server.wait()}); delete .environments and try again"
    )


def _send(server: subprocess.Popen[str], message: object) -> None:
    assert server.stdin is not None  # noqa: S101 (a pipe)
    try:
        server.stdin.write(json.dumps(message) + "\n")
        server.stdin.flush()
    except OSError:
        raise UsageError("azmcp does not start; delete .environments and try again") from None
