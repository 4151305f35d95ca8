"""The zip file that the function app runs."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from modelyard.events import package

from tests.project import ROOT


def names(file: Path) -> set[str]:
    with zipfile.ZipFile(file) as archive:
        return set(archive.namelist())


def test_the_package_is_what_azure_functions_and_the_jobs_look_for(tmp_path: Path) -> None:
    file = tmp_path / "new" / "events.zip"
    assert package.main(["--output", str(file), "--without-dependencies"]) == 0
    found = names(file)
    assert {"host.json", "function_app.py", "requirements.txt", "events/receive.py"} <= found
    pipelines = ROOT / "azureml" / "pipelines"
    assert {f"project/azureml/pipelines/{path.name}" for path in pipelines.iterdir()} <= found
    assert {f"project/{name}" for name in ("conf/project.yml", "mlops/cli.py")} <= found
    assert {"project/src/score.py", "project/.gitignore"} <= found
    # Nothing that only tests or people need, and nothing that is only here.
    parts = {part for name in found for part in name.split("/")}
    assert not parts & {"tests", "__pycache__", ".venv", ".mlflow", "package.py"}


def test_the_same_files_make_the_same_package(tmp_path: Path) -> None:
    files = [tmp_path / "one.zip", tmp_path / "two.zip"]
    for file in files:
        package.main(["--output", str(file), "--without-dependencies"])
    assert files[0].read_bytes() == files[1].read_bytes()


def test_without_what_installs_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(package.shutil, "which", lambda *_, **__: None)
    assert package.main(["--output", str(tmp_path / "events.zip")]) == 2
    assert "uv is missing" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_package_is_made_for_the_python_that_the_function_app_has() -> None:
    module = (ROOT / "infra" / "modules" / "events.bicep").read_text(encoding="utf-8")
    assert f"version: '{package.PYTHON}'" in module


def test_the_host_reports_what_the_alerts_count() -> None:
    alerts = (ROOT / "infra" / "modules" / "alerts.bicep").read_text(encoding="utf-8")
    host = json.loads((ROOT / "events" / "host.json").read_text(encoding="utf-8"))
    levels = host["logging"]["logLevel"]
    assert "AppRequests" in alerts
    assert levels["Host.Results"] == "Information"  # else AppRequests stays empty
    assert levels["Function"] == "Information"
    assert (
        f"tried {['no', 'one', 'two', 'three', 'four', 'five'][host['extensions']['queues']['maxDequeueCount']]} times"
        in alerts
    )
