"""The infrastructure of a generated project, with the real azmcp and the real checkov."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from bicep_reader import read_infrastructure
from bicep_reader.azure_types import azure_types
from modelyard.cli import app
from modelyard.infra import compiler, promises, scan
from modelyard.infra.check import check
from typer.testing import CliRunner

from tests.project import TEMPLATE, part_of_sample
from tests.small_infra import line_of, places


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of the project's infrastructure, with the environments and caches of earlier test runs."""
    part_of_sample(tmp_path, "infra conf requirements")
    environments = TEMPLATE / "build" / "test-environments"
    environments.mkdir(parents=True, exist_ok=True)
    (tmp_path / ".environments").symlink_to(environments, target_is_directory=True)
    return tmp_path


def changed(file: Path, change: Callable[[str], str], marker: str) -> int:
    """Change a file; the line of what was put in."""
    before = file.read_text(encoding="utf-8")
    after = change(before)
    assert after != before
    file.write_text(after, encoding="utf-8")
    return line_of(after, marker)


def test_the_sample_project_passes_and_every_body_is_compared(
    copied: Path, bicep: Path, monkeypatch: pytest.MonkeyPatch
):
    read = read_infrastructure(copied / "infra", lambda names: azure_types(copied, names))
    assert (read.findings, read.not_compared) == ((), ())
    # The stand-in would read each file once more.
    monkeypatch.setattr(compiler, "check", lambda *_: iter(()))
    checked = check(copied)
    assert (checked.findings, checked.left_out, checked.passed) == ((), "", True)


def test_faults_in_the_real_files_are_found_all_at_once(copied: Path):
    infra = copied / "infra"
    wanted = {
        ("infra/modules/storage.bicep", "`allowSharedKey`"): changed(
            infra / "modules" / "storage.bicep",
            lambda t: t.replace("allowSharedKeyAccess: false", "allowSharedKey: false", 1),
            "allowSharedKey:",
        ),
        ("infra/dev.bicepparam", "`clusterMaximum`"): changed(
            infra / "dev.bicepparam",
            lambda t: t.replace("param clusterMaximum = ", "param clusterMaximum = 1000 // "),
            "1000",
        ),
        ("infra/modules/persona-roles.json", "workspaces/*"): changed(
            infra / "modules" / "persona-roles.json",
            lambda t: t.replace(
                '"Microsoft.MachineLearningServices/workspaces/models/read"',
                '"Microsoft.MachineLearningServices/workspaces/*"',
                1,
            ),
            "workspaces/*",
        ),
    }
    read = read_infrastructure(copied / "infra", lambda names: azure_types(copied, names))
    found = list(read.findings)
    said = list(zip(places(copied, found), found, strict=True))
    for (file, words), line in wanted.items():
        assert any(p == (file, line) and words in f.what and f.remedy for p, f in said), (
            file,
            said,
        )


@pytest.mark.parametrize(
    ("name", "value", "fine"),
    [
        ("registryId", "mlr-acme", False),
        ("logAnalyticsId", "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3", False),
        ("keyVaultId", "/subscriptions/S/resourceGroups/G/providers/Microsoft.KeyVault", False),
        ("storageId", "stlake", False),
        ("privateDnsZones", "Policy", False),
        ("privateDnsZones", "policy", True),
        ("privateDnsZones", "/subscriptions/S/resourceGroups/G", True),
        ("hubNetworkId", "/subscriptions/S/resourcegroups/G/providers/N/virtualNetworks/V", True),
    ],
)
def test_what_is_no_resource_id_is_found_before_an_evaluation_stumbles_over_it(
    copied: Path, bicep: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, fine: bool
):
    file = copied / "infra" / "dev.bicepparam"
    said = f"param {name} = '{value}'\n"
    if name == "storageId":
        said = (
            f"param centralData = [\n  {{ name: 'x', storageId: '{value}', container: 'x' }}\n]\n"
        )
    line = changed(file, lambda text: text + said, f"'{value}'")
    assert bool(list(promises.identifiers(file))) is not fine
    if not fine:
        monkeypatch.setattr(scan, "check", lambda *_: iter(()))
        monkeypatch.setattr(compiler, "check", lambda *_: iter(()))
        (found,) = check(copied).findings
        assert (found.place.file, found.place.line) == (file.resolve(), line)
        assert f"{name} is '{value}', which is no resource id" in found.what


def test_failed_rules_unparsed_files_and_unexplained_exceptions_are_found(copied: Path):
    shutil.rmtree(copied / "infra")
    (copied / "infra").mkdir()
    account = "resource a 'Microsoft.Storage/storageAccounts@2025-01-01' = {\n"
    body = "  name: 'a'\n  properties: {\n    supportsHttpsTrafficOnly: false\n  }\n}\n"
    skip = "  // checkov:skip=CKV_AZURE_3\n"
    for name, text in {
        "unsafe.bicep": account + body,
        "unread.bicep": "var a = {\n  ...b\n}\n" + account + body,
        "unexplained.bicep": account + skip + body,
        "explained.bicep": account + skip.replace("_3", "_3:nobody is there") + body,
    }.items():
        (copied / "infra" / name).write_text(text, encoding="utf-8")
    found = list(scan.check(copied, lambda _: None))
    named = ("(CKV_AZURE_3)", "CKV_AZURE_3 is")
    names = {f.place.file.name: f for f in found if any(words in f.what for words in named)}
    assert set(names) == {"unsafe.bicep", "unexplained.bicep"}
    assert "checkov:skip=CKV_AZURE_3:reason" in names["unsafe.bicep"].remedy
    assert "without a reason" in names["unexplained.bicep"].what
    assert ("unread.bicep", "checkov cannot parse it, so none of its rules is checked") in {
        (f.place.file.name, f.what) for f in found
    }


def test_the_command_prints_file_line_and_remedy_and_fails(copied: Path, bicep: Path, monkeypatch):
    monkeypatch.chdir(copied)
    shutil.rmtree(copied / "infra")
    (copied / "infra").mkdir()
    (copied / "infra" / "main.bicep").write_text("param a string\n", encoding="utf-8")
    monkeypatch.setattr(scan, "check", lambda *_: iter(()))
    plain = CliRunner().invoke(app, ["infra", "check"])
    assert plain.exit_code == 1
    assert "infra/main.bicep:1: parameter `a` is not used; remove it, or use it" in plain.output
    assert plain.output.splitlines()[-1] == "1 file: 2 findings"
    read = json.loads(CliRunner().invoke(app, ["infra", "check", "--json"]).stdout)
    assert (read["passed"], read["files"]) == (False, 1)
    assert read["findings"][0] | {"line": 1} == read["findings"][0]
    assert {"file", "line", "column", "what", "remedy", "check"} == set(read["findings"][0])


def test_without_a_compiler_nothing_is_judged_and_the_last_line_says_what_is_missing(
    copied: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(copied)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("HOME", str(copied))
    monkeypatch.setattr(scan, "check", lambda *_: iter(()))
    plain = CliRunner().invoke(app, ["infra", "check"])
    assert plain.exit_code == 1
    last = plain.output.splitlines()[-1]
    assert "not judged: build, lint, format, evaluation, promises" in last
    assert last.endswith("az bicep install --version v0.49.2")
    assert "fine" not in plain.output
    read = json.loads(CliRunner().invoke(app, ["infra", "check", "--json"]).stdout)
    assert read["passed"] is None and read["left_out"]


def test_a_project_without_infrastructure_says_that_nothing_was_checked(copied: Path, monkeypatch):
    monkeypatch.chdir(copied)
    shutil.rmtree(copied / "infra")
    done = CliRunner().invoke(app, ["infra", "check"])
    assert done.exit_code == 0 and "nothing was checked" in done.output
    (copied / "infra").mkdir()
    failed = CliRunner().invoke(app, ["infra", "check"])
    assert "has no .bicep file" in str(failed.exception)
