"""docs/infrastructure.md: its picture and its table follow from the files."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from bicep_reader.policy import OPERATIONS
from modelyard.errors import UsageError
from modelyard.infra.compiler import planned
from modelyard.infra.costs import INSTANCE, costs_of, prices, table
from modelyard.infra.diagram import diagram
from modelyard.infra.document import CAPABILITIES, LEAST, MOST, PAGE, documented, rights

from tests.bicep import plan
from tests.editing import edit
from tests.project import ROOT, part_of_sample

PERSONAS = json.loads((ROOT / "infra" / "modules" / "persona-roles.json").read_text("utf-8"))


pytestmark = pytest.mark.usefixtures("bicep")


def test_the_page_is_up_to_date() -> None:
    page = (ROOT / PAGE).read_text(encoding="utf-8")
    assert page == documented(ROOT), "run `.venv/bin/mlops infra document`"


def test_without_a_compiler_the_page_is_not_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UsageError, match="the Bicep compiler is not installed: az bicep install"):
        documented(ROOT)


def test_a_new_resource_is_a_new_box_and_arrow(tmp_path: Path) -> None:
    part_of_sample(tmp_path, "infra conf")
    main, file = (tmp_path / "infra" / name for name in ("main.bicep", "dev.bicepparam"))
    main.write_text(
        main.read_text(encoding="utf-8")
        + "\nresource search 'Microsoft.Search/searchServices@2025-05-01' = if (batchScoring) {\n"
        "  name: 'search'\n  tags: tags\n  properties: {\n    workspace: workspace.outputs.id\n  }\n}\n",
        encoding="utf-8",
    )
    drawn = diagram(plan(file, **LEAST), plan(file, **LEAST, **{"makeEndpoint": True}))
    assert "search_services" not in drawn
    more = diagram(plan(file, **LEAST), plan(file, **LEAST | {"batchScoring": True}))
    assert 'search_services["search services"]' in more
    assert "search_services --> Azure_ML_workspace" in more
    assert re.search("class .*search_services.* conditional", more)


def test_every_kind_of_resource_has_a_box_in_a_section() -> None:
    file = ROOT / "infra" / "prod.bicepparam"
    drawn = diagram(plan(file, **LEAST), plan(file, **LEAST | MOST))
    assert drawn.count("subgraph") == 7
    for label in ("data factory", "private DNS zones", "locks", "online endpoints"):
        assert f'["{label}"]' in drawn


def test_a_new_operation_of_a_persona_is_in_the_table() -> None:
    table = rights(PERSONAS)
    assert table.count("**approve models**") == 2
    more = json.loads(json.dumps(PERSONAS))
    more["domainExperts"]["prod"].append(CAPABILITIES["**approve models**"])
    assert rights(more).count("**approve models**") == 3


def test_the_operation_of_every_capability_exists() -> None:
    known = OPERATIONS.read_text(encoding="utf-8").lower().splitlines()
    for operation in CAPABILITIES.values():
        assert any(line.startswith(operation.lower()) for line in known), operation


def test_a_missing_mark_of_the_page_is_named(tmp_path: Path) -> None:
    part_of_sample(tmp_path, "conf infra docs")
    page = tmp_path / PAGE
    edit(page, "<!-- rights: end -->", "")
    with pytest.raises(UsageError, match="rights: begin"):
        documented(tmp_path)


def test_costs_follow_from_what_is_deployed(tmp_path: Path) -> None:
    part_of_sample(tmp_path, "infra conf")
    file = tmp_path / "infra" / "dev.bicepparam"
    public, private = {"network": "public"}, {"network": "managed-vnet"}

    def monthly(file: Path, given: dict[str, object]) -> dict[str, float]:
        return costs_of(planned(file, given))

    before = monthly(file, public)
    assert before["container registry"] == 5
    assert before["private endpoints of the managed network"] == pytest.approx(3 * 7.3)
    assert "firewall of the managed network" not in monthly(file, private)
    hosts = monthly(file, private | {"outboundHosts": ["a.example", "b.example"]})
    assert hosts["firewall of the managed network"] == 290
    batch = monthly(file, public | {"batchScoring": True})
    assert batch["private endpoints of the managed network"] == pytest.approx(5 * 7.3)
    edit(file, "'Basic'", "'Standard'")
    assert monthly(file, public)["container registry"] == 20


def test_the_table_of_costs_has_an_instance_that_answers_requests(tmp_path: Path) -> None:
    part_of_sample(tmp_path, "infra conf azureml")
    file = tmp_path / "azureml" / "endpoints" / "online-deployment.yml"
    edit(file, "instance_count: 1", "instance_count: 3")
    assert f"| {INSTANCE} | 510 |" in table(tmp_path)  # 170 each


def test_what_costs_most_by_the_hour_has_a_price() -> None:
    priced = {price.type.lower() for price in prices()}
    made = {
        one.type.lower()
        for network in ("public", "managed-vnet")
        for one in plan(ROOT / "infra" / "prod.bicepparam", network=network, asAdministrator=True)
    }
    by_the_hour = {
        one for one in made if re.search("privateendpoints$|gateways$|publicip|firewall", one)
    }
    assert by_the_hour <= priced
