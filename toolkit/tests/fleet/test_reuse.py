"""What is found of other projects."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.command import Mlops
from tests.fleet.small_template import write
from tests.project import ROOT


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    """Two projects, and a repository that cannot be read."""
    for name in ("flights", "churn"):
        for folder in ("conf", "azureml"):
            shutil.copytree(ROOT / folder, tmp_path / name / folder)
    text = (ROOT / "conf/project.yml").read_text(encoding="utf-8")
    write(tmp_path, {
        "churn/conf/project.yml": text.replace('name: "flight-delay"', "name: churn"),
        "churn/azureml/components/enrich.yml": "$schema: https://x/commandComponent.schema.json\nname: enrich_weather\n"
        "type: command\ndescription: Joins the weather of an airport.\n",
        "churn/azureml/data/rain.yml": "$schema: https://x/data.schema.json\nname: rain\ntype: uri_file\npath: rain.csv\n",
        "churn/conf/contract.yml": "version: 1\ntarget: {column: left, kind: binary}\ncolumns:\n"
        "  weather_days: {type: integer}\n  weather_id: {type: text, role: identifier}\n  left: {type: boolean, role: target}\n",
        "fleet.txt": "flights\nchurn\n",
    })  # fmt: skip
    return tmp_path / "fleet.txt"


def test_parts_are_found_by_name_and_by_what_is_said_of_them(fleet: Path, mlops: Mlops) -> None:
    def find(*words: str) -> Any:
        return json.loads(mlops("reuse", *words, "--json", "--fleet", str(fleet)).out)["found"]

    found = [(one["kind"], one["name"], one["project"], one["line"]) for one in find("WEATHER")]
    assert found == [
        ("component", "enrich_weather", "churn", 2),
        ("feature", "weather_days", "churn", 4),
    ]
    said = mlops("reuse", "weather", "airport", "--fleet", str(fleet)).text
    assert "enrich_weather" in said and "weather_days" not in said
    said = mlops("reuse", "rain", "data", "--fleet", str(fleet)).text
    assert "churn/azureml/data/rain.yml:2" in said.replace("\n", "")
    assert [one["repository"] for one in find("carrier", "feature")] == ["flights"]
    found = find("environment", "serve")
    assert {one["project"] for one in found} == {"flight-delay", "churn"}


def test_nothing_found_and_what_could_not_be_read_are_told(fleet: Path, mlops: Mlops) -> None:
    words = ("reuse", "submarine", "--fleet", str(fleet))
    assert mlops(*words).text == "nothing in 2 repositories has all of: submarine\n"
    fleet.write_text("flights\nmissing\n")
    assert "missing does not exist" in mlops(*words, code=1).text
