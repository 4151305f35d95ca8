"""The reader against the official compiler: two stored snapshots of an earlier state of the infrastructure.

official.tar.xz has its files, a filled-in parameter file each, and what `bicep snapshot` of the Bicep CLI 0.49.2 made of it:
managed-vnet with masked replica as administrator (prod), public with approved access not as administrator (dev).
"""

from __future__ import annotations

import json
import tarfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bicep_reader import evaluate
from bicep_reader.snapshot import differences, snapshot
from modelyard.infra import promises
from modelyard.infra.costs import costs_of
from modelyard.infra.diagram import diagram
from modelyard.infra.snapshot import Planned, read_snapshot

CASES = {"managed-vnet-prod": "prod", "public-dev": "dev"}
NOBODY = "00000000-0000-0000-0000-00000000000"
# What the reader does not compute: a hash of its own of Azure; names in Azure's clouds, which the compiler leaves to the deployment.
UNIQUE = "abcdef"
CLOUD = ("core.windows.net", "azurecr.io")
# Faults that those files had, and that were found by reading then.
FAULTS = {
    "managed-vnet-prod": [
        "does not hold its principal",
        "Standard_DS3_v2",
        "properties.subnets",
        "ftpsState",
    ],
    "public-dev": ["Standard_DS3_v2", "properties.subnets", "ftpsState"],
}


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("official")
    with tarfile.open(Path(__file__).with_name("official.tar.xz")) as stored:
        stored.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def parameters(official: Path, case: str) -> Iterator[Path]:
    """The parameter file, evaluated for the subscription and group of the stored snapshot."""
    evaluate.at(f"{NOBODY}1", f"{NOBODY}2", "rg-x", "westeurope")
    yield official / case / "infra" / f"{CASES[case]}.filled.bicepparam"
    evaluate.at(f"{NOBODY}0", f"{NOBODY}0", "rg-none", "westeurope")


@pytest.fixture(scope="module")
def both(parameters: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The compiler's snapshot, and the reader's."""
    stored = parameters.parents[1] / parameters.name.replace(".filled.bicepparam", ".snapshot.json")
    return json.loads(stored.read_text(encoding="utf-8")), snapshot(parameters)


@pytest.fixture(scope="module")
def plans(both: tuple[dict[str, Any], dict[str, Any]]) -> list[list[Planned]]:
    return [read_snapshot(json.dumps(one), "stored") for one in both]


def test_the_reader_deploys_what_the_compiler_deploys(
    both: tuple[dict[str, Any], dict[str, Any]], case: str
) -> None:
    theirs, ours = ([one["type"].lower() for one in s["predictedResources"]] for s in both)
    assert len(theirs) == {"managed-vnet-prod": 178, "public-dev": 80}[case]
    assert Counter(ours) == Counter(theirs)


def test_ids_and_every_value_that_the_reader_knows_are_the_compilers(
    both: tuple[dict[str, Any], dict[str, Any]], case: str
) -> None:
    theirs, ours = ({one["id"]: one for one in s["predictedResources"]} for s in both)
    alone = [
        key
        for key in ours.keys() - theirs.keys()
        if UNIQUE not in key and not any(host in key for host in CLOUD)
    ]
    assert len(alone) == {"managed-vnet-prod": 1, "public-dev": 0}[case], alone
    both_have = ours.keys() & theirs.keys()
    assert len(both_have) > {"managed-vnet-prod": 130, "public-dev": 60}[case]
    found = [one for key in both_have for one in differences(key, ours[key], theirs[key])]
    assert [one for one in found if UNIQUE not in one] == []


def test_both_sources_give_the_same_verdicts(
    plans: list[list[Planned]], parameters: Path, case: str
) -> None:
    theirs, ours = (
        sorted((f.check, f.place, f.what) for f in promises.check(parameters, plan))
        for plan in plans
    )
    assert ours == theirs
    assert len(theirs) == len(FAULTS[case])
    for fault in FAULTS[case]:
        assert sum(fault in what for _, _, what in theirs) == 1, (fault, theirs)


def test_both_sources_cost_the_same_and_are_drawn_alike(plans: list[list[Planned]]) -> None:
    theirs, ours = plans
    assert costs_of(ours) == costs_of(theirs) != {}
    drawn = diagram(theirs, theirs)
    assert diagram(ours, ours) == drawn
    assert "Azure_ML_workspace --> storage_account" in drawn


def test_a_value_that_differs_is_found() -> None:
    assert list(differences("a", {"b": [1, {"c": 2}]}, {"b": [1, {"c": 3}]})) == [
        "a.b[1].c: 2, officially 3"
    ]
    assert (
        list(differences("a", {"b": "[unknown]", "c": 1}, {"b": 1, "c": "[reference('x')]"})) == []
    )
