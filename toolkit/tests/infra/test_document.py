"""docs/infrastructure.md: its picture and its table follow from the files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from modelyard.errors import UsageError
from modelyard.infra.diagram import diagram
from modelyard.infra.document import CAPABILITIES, PAGE, documented, rights
from modelyard.infra.reader import read_infrastructure
from modelyard.infra.reader.policy import OPERATIONS

from tests.project import ROOT

PERSONAS = json.loads((ROOT / "infra" / "modules" / "persona-roles.json").read_text("utf-8"))


def test_the_page_is_up_to_date() -> None:
    page = (ROOT / PAGE).read_text(encoding="utf-8")
    assert page == documented(ROOT), "run `.venv/bin/mlops infra document`"


def test_a_new_module_is_a_new_box_and_arrow(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "infra", tmp_path / "infra")
    main = tmp_path / "infra" / "main.bicep"
    main.write_text(
        main.read_text(encoding="utf-8")
        + "\n// --- search ---\n\nmodule search 'modules/vault.bicep' = {\n  name: 'search'\n"
        "  params: {\n    vaultName: workspace.outputs.name\n  }\n}\n",
        encoding="utf-8",
    )
    drawn = diagram(read_infrastructure(main.parent), main)
    assert '["search"]' in drawn
    assert 'search["<b>search</b><br/>key vault"]' in drawn
    assert "search --> workspace" in drawn


def test_the_box_of_every_module_lists_what_it_deploys() -> None:
    drawn = diagram(read_infrastructure(ROOT / "infra"), (ROOT / "infra" / "main.bicep").resolve())
    assert "<br/>" in drawn
    assert '</b><br/>"]' not in drawn


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
    for name in ("infra", "docs"):
        shutil.copytree(ROOT / name, tmp_path / name)
    page = tmp_path / PAGE
    page.write_text(page.read_text(encoding="utf-8").replace("<!-- rights: end -->", ""))
    with pytest.raises(UsageError, match="rights: begin"):
        documented(tmp_path)
