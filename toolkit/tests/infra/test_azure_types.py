"""Azure's resource types, read from azmcp and cached."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from bicep_reader import azure_types as client
from bicep_reader.azure_types import azure_types
from bicep_reader.resource_types import Types, recorded

from tests.small_infra import ANSWERS

STORAGE = "Microsoft.Storage/storageAccounts"
# A program with azmcp's protocol that records the types it is asked for.
SERVER = """\
import json, pathlib, sys
asked = pathlib.Path(__file__).with_name("asked")
answers = json.loads(pathlib.Path(__file__).with_name("answers.json").read_text())
for line in sys.stdin:
    message = json.loads(line)
    if message["method"] == "initialize":
        print("not json", flush=True)
        print(json.dumps({"id": message["id"], "result": {}}), flush=True)
    elif message["method"] == "tools/call":
        name = message["params"]["arguments"]["resource-type"]
        asked.open("a").write(name + "\\n")
        known = answers.get(name.lower())
        said = (
            {"status": 200, "message": "", "results": {"BicepSchemaResult": known["types"]}}
            if known and "types" in known
            else {"status": 500, "message": f"Resource type {name} not found."}
        )
        text = json.dumps(said)
        print(json.dumps({"id": message["id"], "result": {"content": [{"text": text}]}}), flush=True)
"""


@pytest.fixture
def azmcp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose azmcp is the program above; returns the file with its record."""
    monkeypatch.setattr(client, "PINNED", tmp_path / "azmcp.txt")
    client.PINNED.write_text("msmcp-azure==9.9.9 \\\n", "ascii")
    program = tmp_path / "bin" / "azmcp"
    program.parent.mkdir()
    program.write_text(SERVER, "ascii")
    (program.parent / "answers.json").write_text(json.dumps(ANSWERS), "ascii")
    monkeypatch.setattr(client, "_server", lambda _root, _say: [sys.executable, str(program)])
    return program.with_name("asked")


def test_azmcp_is_asked_for_a_type_once(tmp_path: Path, azmcp: Path):
    said: list[str] = []
    first = azure_types(tmp_path, [STORAGE, "microsoft.storage/STORAGEACCOUNTS"], said.append)
    again = azure_types(tmp_path, [STORAGE], said.append)
    assert first == again == {STORAGE.lower(): ANSWERS[STORAGE.lower()]}
    assert [line.lower() for line in azmcp.read_text().splitlines()] == [STORAGE.lower()]
    assert len(said) == 1


def test_a_type_that_azure_does_not_have_is_unknown(tmp_path: Path, azmcp: Path):
    types = Types(azure_types(tmp_path, ["Microsoft.Storage/moons"]))
    assert types.get("Microsoft.Storage/moons") is None
    assert types.unknown("Microsoft.Storage/moons")


def test_types_that_azmcp_lacks_are_in_the_toolkit():
    alerts = Types(dict(recorded())).get("microsoft.insights/metricalerts")
    criteria = alerts.shapes["Microsoft.Insights/metricAlerts.properties.criteria"]
    assert criteria.discriminator == "odata.type"
    single = criteria.variants["Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria"]
    assert alerts.shapes[single.fields["allOf"].type[:-2]].fields["threshold"].required
