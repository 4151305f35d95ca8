"""What is found of other projects."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
from modelyard.cli import main

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


def call(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fleet: Path, *words: str
) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["mlops", "reuse", *words, "--fleet", str(fleet)])
    with pytest.raises(SystemExit) as leaving:
        main()
    said = capsys.readouterr()
    return int(str(leaving.value.code)), said.out + said.err


def test_parts_are_found_by_name_and_by_what_is_said_of_them(
    fleet: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = call(monkeypatch, capsys, fleet, "WEATHER", "--json")
    assert code == 0
    found = [
        (one["kind"], one["name"], one["project"], one["line"]) for one in json.loads(said)["found"]
    ]
    assert found == [
        ("component", "enrich_weather", "churn", 2),
        ("feature", "weather_days", "churn", 4),
    ]
    code, said = call(monkeypatch, capsys, fleet, "weather", "airport")
    assert code == 0 and "enrich_weather" in said and "weather_days" not in said
    code, said = call(monkeypatch, capsys, fleet, "rain", "data")
    assert "churn/azureml/data/rain.yml:2" in said.replace("\n", "")
    code, said = call(monkeypatch, capsys, fleet, "carrier", "feature", "--json")
    assert [one["repository"] for one in json.loads(said)["found"]] == ["flights"]
    code, said = call(monkeypatch, capsys, fleet, "environment", "serve", "--json")
    assert {one["project"] for one in json.loads(said)["found"]} == {"flight-delay", "churn"}


def test_nothing_found_and_what_could_not_be_read_are_told(
    fleet: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = call(monkeypatch, capsys, fleet, "submarine")
    assert (code, said) == (0, "nothing in 2 repositories has all of: submarine\n")
    fleet.write_text("flights\nmissing\n")
    code, said = call(monkeypatch, capsys, fleet, "submarine")
    assert code == 1 and "missing does not exist" in said
