"""What-if pages, audits, packages of a tag."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from modelyard.cli.delivery import all_options
from modelyard.delivery import lint
from modelyard.delivery.package import write_packages
from modelyard.delivery.references import unknown_references
from modelyard.delivery.what_if import ask_azure, write_page
from modelyard.errors import CheckFailed, UsageError

from tests.project import ROOT


def test_a_page_says_what_would_change_and_what_azure_could_not_tell(tmp_path: Path) -> None:
    group = "/subscriptions/s/resourceGroups/g/providers/"
    changes: list[dict[str, Any]] = [
        {"changeType": "NoChange", "resourceId": f"{group}A/b/c"},
        {"changeType": "Ignore", "resourceId": f"{group}A/b/d"},
        {"changeType": "Unsupported", "resourceId": f"{group}A/b/e"},
        {
            "changeType": "Modify",
            "resourceId": f"{group}A/b/f",
            "delta": [{"path": "properties.size"}],
        },
    ]
    page = tmp_path / "page.md"
    assert write_page(changes, "dev", page) == 1
    text = page.read_text()
    assert "| Modify | A/b/f | `properties.size` |" in text
    assert "could not tell for 1" in text
    assert "A/b/c" not in text
    assert write_page(changes[:2], "dev", page) == 0
    assert "No changes of 2 resources" in page.read_text()


def test_azure_is_asked_by_somebody_who_may_only_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = """#!/bin/sh
echo "$*" >> "$ASKED"
case "$*" in *-prod*) echo "ERROR: InvalidTemplate" >&2; exit 1;; esac
echo '{"changes": [{"changeType": "NoChange", "resourceId": "a"}]}'"""
    (tmp_path / "az").write_text(script)
    (tmp_path / "az").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("ASKED", str(tmp_path / "asked"))
    assert ask_azure(ROOT, "dev") == [{"changeType": "NoChange", "resourceId": "a"}]
    asked = (tmp_path / "asked").read_text()
    assert asked.startswith("deployment group what-if --name what-if-dev --resource-group rg-acme-")
    assert "--validation-level ProviderNoRbac" in asked
    # azure-cli 2.91's own parser has these.
    known = {
        "name",
        "resource-group",
        "no-pretty-print",
        "parameters",
        "validation-level",
        "output",
    }
    assert {word for word in asked.split() if word.startswith("--")} == {
        f"--{one}" for one in known
    }
    with pytest.raises(CheckFailed, match="InvalidTemplate"):
        ask_azure(ROOT, "prod")
    with pytest.raises(UsageError, match="no environment 'stage'"):
        ask_azure(ROOT, "stage")


def tools(folder: Path, monkeypatch: pytest.MonkeyPatch, **scripts: str) -> None:
    """Put scripts into the place of the programs of the environment `delivery`."""
    for name, script in scripts.items():
        file = folder / name.replace("_", "-")
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)
    monkeypatch.setattr(lint, "environment_python", lambda *_: folder / "python")


def test_every_set_of_requirements_is_audited_and_one_weakness_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "requirements").mkdir()
    for name in ("dev", "serve", "modelyard"):
        (tmp_path / "requirements" / f"{name}.txt").write_text("a==1\n")
    script = """for word; do case $previous in --output) echo '{}' > "$word";; esac; previous=$word; done
case "$*" in *serve.txt*) echo "a 1 PYSEC-1"; exit 1;; esac"""
    tools(tmp_path, monkeypatch, pip_audit=script)
    with pytest.raises(CheckFailed, match=r"packages of serve\.txt$"):
        lint.audit_packages(tmp_path, tmp_path / "bill", print)
    assert "PYSEC-1" in capsys.readouterr().out
    bills = sorted(path.name for path in (tmp_path / "bill").iterdir())
    assert bills == ["dev.cdx.json", "serve.cdx.json"]


def test_a_bill_that_cannot_be_written_is_no_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "dev.txt").write_text("a==1\n")
    tools(tmp_path, monkeypatch, pip_audit="exit 0")
    lint.audit_packages(tmp_path, None, print)
    with pytest.raises(CheckFailed, match=r"bill of dev\.txt"):
        lint.audit_packages(tmp_path, tmp_path / "bill", print)


def test_a_tag_that_is_no_version_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"expected vX\.Y\.Z"):
        write_packages(ROOT, "latest", tmp_path)


def test_a_commit_of_the_template_is_no_secret_and_a_key_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lint, "environment_python", lambda *_: Path(sys.executable))
    hexadecimal = "3e7854e0b3d841a2dc117efac294e13f01ec85ab"
    files = {".cruft.json": f'{{"commit": "{hexadecimal}"}}\n', "own.json": "{}\n"}
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    subprocess.run(["git", "add", "."], cwd=tmp_path, check=True)
    lint.check_repository(tmp_path, print, all_options())
    (tmp_path / "own.json").write_text(files[".cruft.json"], encoding="utf-8")
    with pytest.raises(CheckFailed, match="found something: secrets"):
        lint.check_repository(tmp_path, print, all_options())
    assert "own.json:1" in capsys.readouterr().out


CALLER, CALLED = ".github/workflows/infra.yml", ".github/workflows/infra-deploy.yml"
PIPELINE, ACTION = ".azuredevops/infra.yml", ".github/actions/setup/action.yml"
REFERRING = {
    "conf/project.yml": "environments:\n  dev: {}\n  prod: {}\n",
    CALLER: """\
permissions: {}
jobs:
  dev:
    permissions: {contents: read, id-token: write}
    uses: ./.github/workflows/infra-deploy.yml
    with:
      environment: dev
  prod:
    needs: [dev]
    permissions: {contents: read, id-token: write}
    uses: ./.github/workflows/infra-deploy.yml
    with:
      environment: prod
""",
    CALLED: """\
on:
  workflow_call:
    inputs:
      environment: {type: string, required: true}
jobs:
  deploy:
    environment: ${{ inputs.environment }}
    concurrency:
      group: infra
      cancel-in-progress: false
    permissions:
      contents: read
      id-token: write
    steps:
      - uses: ./.github/actions/setup
      - uses: azure/login@f5d393ae46f8fde4be8b75f32e3fc50e654ad0ca
      # .venv/bin/mlops never
      - run: .venv/bin/mlops infra deploy "$ENVIRONMENT" # --wipe
      - run: .venv/bin/mlops tidy --endpoint prod --json
""",
    ACTION: "runs:\n  using: composite\n  steps:\n    - run: make setup\n",
    PIPELINE: """\
stages:
  - template: templates/deploy.yml
    parameters:
      environment: prod
""",
    ".azuredevops/templates/deploy.yml": """\
parameters:
  - name: environment
    type: string
  - name: packages
    default: cloud
steps:
  - bash: .venv/bin/mlops infra deploy ${{ parameters.environment }}
""",
}


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        (CALLER, "", "", None),
        (CALLED, "--json", "--json || true # mlops:skip=hidden:it only tells", None),
        (CALLER, "[dev]", "[dve]", "9: there is no job that prod needs `dve`; did you mean `dev`?"),
        (CALLER, "environment: prod", "environment: live", "13: there is no environment `live`"),
        (CALLER, "environment: prod", "enviroment: prod", "13: there is no input of ./.github"),
        (CALLER, "    with:\n      environment: prod\n", "", "takes an input `environment`"),
        (CALLER, "infra-deploy.yml", "infra-depoly.yml", "5: there is no ./.github/workflows/"),
        (CALLER, ", id-token: write", "", "5: this takes `id-token: write`"),
        (CALLED, "      id-token: write\n", "", "15: this takes `id-token: write`"),
        (CALLED, "progress: false", "progress: true", "10: deploy works on an environment"),
        (CALLED, "actions/setup", "actions/set-up", "15: there is no ./.github/actions/set-up"),
        (CALLED, "infra deploy", "infra deplyo", "18: there is no command `infra deplyo`"),
        (CALLED, "--json", "--jsno", "19: there is no option of mlops tidy `--jsno`"),
        (CALLED, "--endpoint prod", "--endpoint prdo", "19: there is no environment `prdo`"),
        (CALLED, "--json", "--json || true", "19: the job passes although mlops has failed"),
        (CALLED, "--json\n", "--json\n        continue-on-error: true\n", "20: the job passes"),
        (PIPELINE, "deploy.yml", "depoly.yml", "2: there is no templates/depoly.yml"),
        (
            PIPELINE,
            "environment: prod",
            "enviroment: prod",
            "4: there is no parameter of templates",
        ),
        (
            PIPELINE,
            "    parameters:\n      environment: prod\n",
            "",
            "2: templates/deploy.yml takes",
        ),
        (ACTION, "make setup", ".venv/bin/mlops set-up", "4: there is no command `set-up`"),
        (CALLED, "jobs:\n", "jobs: [\n", ""),
        (CALLER, "  prod:\n    needs: [dev]\n", "  prod: x\n  test:\n    needs: dev\n", None),
    ],
)
def test_what_a_workflow_refers_to_is_there(
    tmp_path: Path, file: str, old: str, new: str, said: str | None
) -> None:
    for name, text in REFERRING.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace(old, new, 1) if name == file else text, encoding="utf-8")
    commands = all_options()
    found = [str(one) for one in unknown_references(tmp_path, commands)]
    if said:
        assert [one for one in found if one.startswith(f"{tmp_path / file}:") and said in one]
    else:
        assert said == "" or found == []
