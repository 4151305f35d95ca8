"""The zip package of the function app."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from modelyard import environments
from modelyard.errors import UsageError
from modelyard.events import package

from tests.project import ROOT, part_of_sample

FEW = ("pydantic", "pyyaml", "annotated-types", "typing-")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The sample project, with no requirements for events but those of the toolkit itself."""
    root = part_of_sample(
        tmp_path / "project", "azureml conf events requirements src tests pyproject.toml"
    )
    pinned = re.split(r"\n(?=\S)", (root / "requirements" / "events.txt").read_text("utf-8"))
    few = [one for one in pinned if one.startswith(FEW)]
    (root / "requirements" / "events.txt").write_text("\n".join(few) + "\n")
    (root / "src" / "__pycache__").mkdir(exist_ok=True)
    (root / "src" / "__pycache__" / "score.pyc").touch()
    return root


def test_the_package_has_what_azure_functions_and_the_jobs_need(
    project: Path, tmp_path: Path
) -> None:
    output = tmp_path / "new" / "events.zip"
    package.write_package(project, output)
    first = output.read_bytes()
    with zipfile.ZipFile(output) as archive:
        found = set(archive.namelist())
        archive.extractall(tmp_path / "app")
    pipelines = (project / "azureml" / "pipelines").iterdir()
    assert {f"project/azureml/pipelines/{path.name}" for path in pipelines} <= found
    wanted = {"conf/project.yml", "src/score.py", "pyproject.toml", "requirements/modelyard.txt"}
    assert {"host.json", "function_app.py", *(f"project/{name}" for name in wanted)} <= found
    parts = {part for name in found for part in name.split("/")}
    assert not parts & {"__pycache__", ".venv", ".mlflow"}
    assert not any(name.startswith("project/tests/") for name in found)
    # The toolkit in it is the project's, and can be imported.
    code = "import importlib.util as u; print(u.find_spec('modelyard.events.triggers').origin)"
    packages = tmp_path / "app" / package.PACKAGES
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(packages)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith(str(packages)), done.stderr
    package.write_package(project, output)
    assert output.read_bytes() == first


def test_requirements_that_cannot_be_installed_leave_the_old_package(
    project: Path, tmp_path: Path
) -> None:
    output = tmp_path / "events.zip"
    output.write_bytes(b"old")
    (wheel,) = (project / "requirements" / "wheels").glob("*.whl")
    wheel.write_bytes(b"other")
    with pytest.raises(UsageError, match=r"uv cannot install events\.txt and modelyard\.txt"):
        package.write_package(project, output)
    assert output.read_bytes() == b"old"
    assert not list(tmp_path.glob(".events.zip*"))


def test_a_missing_uv_is_named(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environments.shutil, "which", lambda *_, **__: None)
    with pytest.raises(UsageError, match="uv is not installed"):
        package.write_package(project, tmp_path / "events.zip")
    assert not (tmp_path / "events.zip").exists()


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
