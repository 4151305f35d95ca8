"""The programs that are called, the compiler and the Azure CLI: stand-ins that write down their words."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bicep_reader.evaluate import Scope, at, evaluate
from bicep_reader.stand_in import stand_in
from bicep_reader.syntax import parse
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st
from modelyard.errors import CheckFailed, UsageError
from modelyard.infra import before, compiler, left, scan
from modelyard.infra.check import Checked, check, printed
from modelyard.infra.compiler import NOWHERE, Target
from modelyard.infra.deploy import deploy, deploy_events, remove_left
from modelyard.infra.left import ASSIGNMENTS
from modelyard.infra.snapshot import Planned

from tests import az
from tests.bicep import plan
from tests.editing import edit
from tests.small_infra import places, write

Program = Callable[[str, str], Path]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Program]:
    """Makes a program: the only ones on the PATH are those made, and `cat`. `az` has to know what it is told."""
    folder = tmp_path / "bin"
    folder.mkdir(exist_ok=True)
    (folder / "cat").symlink_to(str(shutil.which("cat")))
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("AZURE_CONFIG_DIR", raising=False)

    def make(name: str, body: str) -> Path:
        file = folder / name
        kept = f'echo "$@" >> "{tmp_path}/words"\necho "$@" >> "{tmp_path}/words-of-{name}"'
        file.write_text(f"#!/bin/sh\n{kept}\n{body}\n")
        file.chmod(0o755)
        return tmp_path / "words"

    yield make
    asked = tmp_path / "words-of-az"
    for line in asked.read_text().splitlines() if asked.exists() else ():
        az.check(line.split())


def compiled(root: Path) -> list[tuple[str, int, str, str]]:
    found = sorted(compiler.check(compiler.required(), *compiler.sources(root / "infra")))
    return [(*place, f.what, f.remedy) for place, f in zip(places(root, found), found, strict=True)]


FORMATTED = 'case "$1" in format) for f in "$@"; do [ -f "$f" ] && cat "$f"; done;; esac'


def test_messages_of_the_compiler_are_findings_with_their_line(tmp_path: Path, program: Program):
    root = write(tmp_path / "project")
    main = root / "infra" / "main.bicep"
    warning = (
        f'{main}(7,9) : Warning no-unused-params: Parameter "x" is never used. [https://aka.ms/b]'
    )
    aged = f"{main}(8,1) : Info use-recent-api-versions: Use a newer version. [https://aka.ms/c]"
    program(
        "bicep",
        f"""[ "$1" = build ] && printf '%s\\n' '{warning}' '{aged}' >&2\n{FORMATTED}\nexit 0""",
    )
    found = list(compiler.check(compiler.required(), *compiler.sources(root / "infra")))
    assert Checked(1, tuple(found)).passed is False
    note = Checked(1, tuple(one for one in found if one.place.line == 8))
    assert note.passed is True and list(printed(note))[-1] == "1 file: fine"
    assert compiled(root)[:1] == [
        (
            "infra/main.bicep",
            7,
            'Parameter "x" is never used (no-unused-params)',
            "see https://aka.ms/b",
        )
    ]


def test_a_module_is_compiled_with_its_callers_only(tmp_path: Path, program: Program):
    root = write(tmp_path / "project")
    words = program("bicep", FORMATTED).resolve()
    assert compiled(root) == []
    infra = root / "infra"
    asked = words.read_text().splitlines()
    assert [line for line in asked if line.startswith("build ")] == [
        f"build {infra / 'main.bicep'} --stdout"
    ]
    assert sum(line.startswith("build-params ") for line in asked) == 2
    assert sum(line.startswith("format ") for line in asked) == 5


def test_a_file_that_the_formatter_would_change_is_found(tmp_path: Path, program: Program):
    root = write(tmp_path / "project")
    program(
        "bicep",
        'case "$1 $2" in "format "*dev.bicepparam) echo other;; *) ' + FORMATTED + ";; esac",
    )
    assert compiled(root) == [
        (
            "infra/dev.bicepparam",
            1,
            "is not as the formatter writes it",
            "run: bicep format dev.bicepparam",
        )
    ]


@pytest.mark.parametrize("config", [".azure", "elsewhere"])
def test_the_compiler_that_the_azure_cli_has_installed_comes_first(
    tmp_path: Path, program: Program, monkeypatch: pytest.MonkeyPatch, config: str
):
    program("bicep", FORMATTED)
    assert compiler.required() == tmp_path / "bin" / "bicep"
    installed = tmp_path / config / "bin" / "bicep"
    installed.parent.mkdir(parents=True)
    installed.touch()
    if config == "elsewhere":  # as a task of Azure Pipelines has it
        monkeypatch.setenv("AZURE_CONFIG_DIR", str(tmp_path / config))
    assert compiler.required() == installed


def test_without_a_compiler_it_is_said_how_one_is_installed(program: Program):
    program("az", "exit 1")
    assert compiler.compiler() is None
    with pytest.raises(UsageError, match="az bicep install --version v"):
        compiler.required()


def evaluated(root: Path, name: str, **given: object) -> list[Planned]:
    return compiler.planned(root / "infra" / name, given)


WRITES = (
    """case "$1" in snapshot) cat "$2" > "{}"; echo '{}' > "${{2%param}}.snapshot.json";; esac"""
)


def test_a_parameter_file_is_evaluated_in_a_copy_with_other_values(
    tmp_path: Path, program: Program
):
    root = write(tmp_path / "project")
    before = sorted(root.rglob("*"))
    one = '{"type": "A/b", "apiVersion": "1", "name": "n", "id": "/n", "tags": {"a": "[x()]"}}'
    asked = tmp_path / "asked"
    words = program("bicep", WRITES.format(asked, f'{{"predictedResources": [{one}]}}'))
    found = evaluated(root, "dev.bicepparam", network="managed-vnet", days=8, unknown=True)
    assert [(p.type, p.name, p.given("tags.a"), p.value("tags.a")) for p in found] == [
        ("A/b", "n", "[x()]", None)
    ]
    assert asked.read_text().splitlines()[-2:] == [
        "param network = 'managed-vnet'",
        "param days = 8",
    ]
    assert asked.read_text().count("param network") == 1
    (line,) = words.read_text().splitlines()
    assert "--mode overwrite" in line and "--resource-group rg-none" in line
    assert str(root) not in line
    assert sorted(root.rglob("*")) == before


def test_values_that_take_several_lines_are_replaced_whole():
    text = "using 'a'\n\nparam a = {\n  b: [\n    1\n  ]\n}\nparam c = [\n  'x'\n]\n// d\nparam d = 1\n"
    assert compiler.with_values(text, {"a": {"b": [True]}, "c": ["it's ${x}"]}) == (
        "using 'a'\n\n// d\nparam d = 1\nparam a = { 'b': [true] }\nparam c = ['it\\'s \\${x}']\n"
    )


@pytest.mark.parametrize(
    "value",
    ["[ // few\n  1\n]", "'''\n{\n'''", "'''\n{ it's '''", "'https://x' // [", "{\n  b: {\n  }\n}"],
)
def test_a_value_is_replaced_however_it_is_written(value: str):
    text = f"using 'a.bicep'\nparam a = {value}\nparam b = 2\n"
    assert not parse(text.encode(), Path("x.bicepparam")).errors
    assert compiler.with_values(text, {"a": 1}) == "using 'a.bicep'\nparam b = 2\nparam a = 1\n"


VALUES = st.recursive(
    st.text() | st.integers(-(2**31), 2**31 - 1) | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None)
@drawn(VALUES, VALUES)
def test_any_value_of_a_parameter_is_read_as_it_was_given(before: Any, after: Any):
    text = compiler.with_values("using 'a.bicep'\n", {"a": before, "kept": 1})
    text = compiler.with_values(text, {"a": after})
    file = parse(text.encode(), Path("x.bicepparam"))
    assert not file.errors, text
    assert evaluate(file.assigned["a"].value, Scope(file)) == after
    assert list(file.assigned) == ["kept", "a"]


def test_a_file_of_a_subscription_is_evaluated_without_a_group(tmp_path: Path, program: Program):
    root = write(tmp_path / "project")
    main = root / "infra" / "main.bicep"
    edit(main, "'resourceGroup'", "'subscription'")
    words = program("bicep", "exit 1")
    with pytest.raises(UsageError, match="cannot be evaluated"):
        evaluated(root, "dev.bicepparam")
    assert "snapshot " in words.read_text() and "--resource-group" not in words.read_text()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("echo 'days is at most 90' >&2; exit 1", "days is at most 90"),
        ("echo 'Unrecognized command snapshot' >&2; exit 1", "older than `snapshot`; az bicep"),
        ("exit 0", "no snapshot was written; az bicep install"),
        ("echo '{}' > \"${2%param}.snapshot.json\"", "has an unknown form"),
    ],
)
def test_a_file_that_is_not_evaluated_is_an_error_with_the_compilers_reason(
    tmp_path: Path, program: Program, body: str, said: str
):
    root = write(tmp_path / "project")
    program("bicep", body)
    with pytest.raises(UsageError, match=said):
        evaluated(root, "prod.bicepparam")


def test_a_value_that_is_refused_is_a_finding_of_its_file(
    tmp_path: Path, program: Program, monkeypatch: pytest.MonkeyPatch
):
    root = write(tmp_path / "project")
    monkeypatch.setattr(scan, "check", lambda *_: iter(()))
    program("bicep", f'[ "$1" = snapshot ] && {{ echo too many >&2; exit 1; }}\n{FORMATTED}')
    checked = check(root)
    assert [(f.place.file.name, "too many" in f.what) for f in checked.findings] == [
        ("dev.bicepparam", True),
        ("prod.bicepparam", True),
    ]


def test_promises_wait_for_the_compilers_errors_to_be_corrected(
    tmp_path: Path, program: Program, monkeypatch: pytest.MonkeyPatch
):
    root = write(tmp_path / "project")
    monkeypatch.setattr(scan, "check", lambda *_: iter(()))
    error = f"{root / 'infra/main.bicep'}(3,1) : Error BCP057: The name is unknown."
    program("bicep", f"echo '{error}' >&2; exit 1")
    checked = check(root)
    assert "The name is unknown (BCP057)" in {f.what for f in checked.findings}
    assert checked.passed is False
    assert checked.left_out == "promises of dev.bicepparam, prod.bicepparam"


def test_a_compiler_that_fails_without_a_known_message_is_an_error(
    tmp_path: Path, program: Program
):
    root = write(tmp_path / "project")
    program("bicep", "echo disk full >&2; exit 7")
    with pytest.raises(UsageError, match="disk full"):
        compiled(root)


AZURE = """case "$1 $2" in
"account show") echo '{"id": "00000000-0000-0000-0000-00000000000a", "tenantId": "t"}';;
"group exists") echo true;;
"rest --method") echo '{}';;
esac"""
NEW = AZURE.replace("echo true", "echo false")
SUBSCRIPTION = "/subscriptions/{subscriptionId}"
ACCOUNT = "providers/Microsoft.Storage/storageAccounts/stacmesmalldev?api-version=2025-01-01"


def read_here(parameters: Path, given: dict[str, Any], target: Target = NOWHERE) -> list[Planned]:
    """Evaluate a parameter file as `planned` does, by the reader and in this process."""
    known = compiler.declared(parameters)
    at(target.subscription, target.tenant, target.group, target.location)
    try:
        return plan(parameters, **{name: one for name, one in given.items() if name in known})
    finally:
        at(NOWHERE.subscription, NOWHERE.tenant, NOWHERE.group, NOWHERE.location)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that can be deployed; a compiler is on the path, and the reader evaluates in its place."""
    root = write(tmp_path / "project")
    stand_in(tmp_path / "bin")
    for module in (before, left):
        monkeypatch.setattr(module, "planned", read_here)
    file = root / "conf" / "project.yml"
    more = "package: p\nowner: a@example.com\nmodel: m\n"
    text = file.read_text().replace(
        "    storage:", "    workspace: w\n    endpoint: e\n    storage:"
    )
    file.write_text(more + text)
    return root


def test_a_deployment_goes_to_the_group_of_its_environment(project: Path, program: Program):
    words = program("az", AZURE)
    deploy(project, "dev")
    assert words.read_text().splitlines() == [
        "account show",
        "group exists --name rg-acme-small-dev",
        f"rest --method get --url {SUBSCRIPTION}/resourceGroups/rg-acme-small-dev/{ACCOUNT}",
        f"rest --method get --url {SUBSCRIPTION}/resourceGroups/rg-acme-small-dev/{ASSIGNMENTS}",
        "deployment group create --name infra-dev --resource-group rg-acme-small-dev"
        f" --parameters {project / 'infra' / 'dev.bicepparam'} --query properties.outputs",
    ]


def test_an_administrator_creates_the_group_with_its_tags_first(project: Path, program: Program):
    words = program("az", NEW)
    deploy(project, "dev", as_administrator=True)
    assert words.read_text().splitlines()[-2:] == [
        "group create --name rg-acme-small-dev --location westeurope"
        " --tags cost_center=acme project=small environment=dev",
        "deployment group create --name infra-dev --resource-group rg-acme-small-dev"
        f" --parameters {project / 'infra' / 'dev.bicepparam'}"
        " --parameters asAdministrator=true --query properties.outputs",
    ]


def test_the_group_of_an_environment_with_a_region_of_its_own_is_made_there(
    project: Path, program: Program
):
    file = project / "conf" / "project.yml"
    dev = "resource_group: rg-acme-small-dev"
    edit(file, dev, f"{dev}\n    region: northeurope")
    words = program("az", NEW)
    deploy(project, "dev", as_administrator=True)
    assert "group create --name rg-acme-small-dev --location northeurope" in words.read_text()


def test_everyone_may_compare_with_prod(project: Path, program: Program):
    words = program("az", AZURE)
    deploy(project, "prod", what_if=True)
    assert "deployment group what-if --name infra-prod" in words.read_text()


def test_whether_somebody_may_deploy_to_prod_is_left_to_azure(
    project: Path, program: Program, monkeypatch: pytest.MonkeyPatch
):
    """Azure Pipelines sets no CI=true, and anybody can."""
    monkeypatch.delenv("CI", raising=False)
    words = program("az", AZURE)
    deploy(project, "prod")
    assert "deployment group create --name infra-prod" in words.read_text()
    program("az", f'[ "$1" = deployment ] && exit 1\n{AZURE}')
    with pytest.raises(CheckFailed, match="Azure refused"):
        deploy(project, "prod")


def test_an_administrator_confirms_prod_with_the_groups_name(project: Path, program: Program):
    words = program("az", AZURE)
    for given in (None, "rg-acme-small-dev"):
        with pytest.raises(UsageError, match=r"confirm with .* rg-acme-small-prod"):
            deploy(project, "prod", as_administrator=True, confirm=given)
    assert not words.exists()
    deploy(project, "prod", as_administrator=True, confirm="rg-acme-small-prod")
    assert "asAdministrator=true" in words.read_text()


@pytest.mark.parametrize(
    ("azure", "error", "message"),
    [
        ('[ "$1" = account ] && exit 1', UsageError, "az login"),
        (f'[ "$1" = deployment ] && exit 1\n{AZURE}', CheckFailed, "Azure refused"),
        (None, UsageError, "aka.ms/azure-cli"),
    ],
)
def test_a_failure_of_azure_or_its_cli_is_a_message(
    project: Path, program: Program, azure: str | None, error: type[Exception], message: str
):
    if azure:
        program("az", f"{azure}\nexit 0")
    with pytest.raises(error, match=message):
        deploy(project, "dev")


def test_an_unknown_environment_is_named_with_the_known_ones(project: Path):
    with pytest.raises(UsageError, match="no environment 'stage'; it has: dev, prod"):
        deploy(project, "stage")


def test_an_option_that_the_cli_does_not_know_is_found(project: Path, program: Program):
    words = program("az", AZURE)
    deploy(project, "dev", what_if=True)
    (line,) = [one for one in words.read_text().splitlines() if one.startswith("deployment")]
    with pytest.raises(AssertionError, match="what-if` does not know --validation-levle"):
        az.check(line.replace("--validation-level", "--validation-levle").split())


# --- what Azure would refuse late ---


def answering(**answers: str) -> str:
    """Body of a stand-in for `az`: `rest` prints the answer whose name is in the address, words with _ for /."""
    cases = "".join(
        f"*{name.replace('_', '/')}*) printf \"%s\" '{answer}'; exit 0;;\n"
        for name, answer in answers.items()
    )
    missing = 'echo "ERROR: Not Found({})" >&2; exit 1'
    return (
        f'case "$1" in rest) case "$*" in\n{cases}*) {missing};; esac;; esac\n'
        'case "$1 $2" in "group exists") echo true;; "provider list") echo "[]";; esac'
    )


def test_a_group_that_is_not_there_is_an_administrators_affair(project: Path, program: Program):
    words = program("az", NEW)
    with pytest.raises(CheckFailed, match="a deployment as administrator creates it"):
        deploy(project, "dev")
    assert "deployment" not in words.read_text()


def test_an_administrator_registers_the_providers_that_are_missing(project: Path, program: Program):
    known = AZURE.replace("esac", '"provider list") echo \'["microsoft.STORAGE"]\';;\nesac')
    words = program("az", known)
    deploy(project, "dev", as_administrator=True)
    registered = [
        line.split()[3] for line in words.read_text().splitlines() if "provider register" in line
    ]
    assert {"Microsoft.Insights", "Microsoft.Consumption"} <= set(registered)
    # Of no resource of the files: Flex Consumption's subnet, and what Azure wants for a first online endpoint.
    assert {"Microsoft.App", "Microsoft.Cdn", "Microsoft.PolicyInsights"} <= set(registered)
    assert "Microsoft.Storage" not in registered
    assert all("--wait" in line for line in words.read_text().splitlines() if "register -" in line)


def test_a_comparison_registers_nothing_and_says_what_is_missing(
    project: Path, program: Program, capsys: pytest.CaptureFixture[str]
):
    words = program("az", AZURE)
    deploy(project, "dev", as_administrator=True, what_if=True)
    assert "provider register" not in words.read_text()
    assert "Microsoft.App is not registered yet" in capsys.readouterr().out


def test_ci_registers_no_provider(project: Path, program: Program):
    words = program("az", AZURE)
    deploy(project, "dev")
    assert not [line for line in words.read_text().splitlines() if line.startswith("provider")]


def test_a_name_that_somebody_else_has_is_found_before_the_deployment(
    project: Path, program: Program
):
    taken = '{"nameAvailable": false, "reason": "AlreadyExists", "message": "it is taken"}'
    words = program("az", answering(checkNameAvailability=taken))
    with pytest.raises(CheckFailed, match=r"stacmesmalldev .* is not free: it is taken"):
        deploy(project, "dev", what_if=True)
    assert "deployment" not in words.read_text()


def test_a_name_that_may_not_be_asked_for_is_said(
    project: Path, program: Program, capsys: pytest.CaptureFixture[str]
):
    body = 'case "$*" in *checkName*) echo Forbidden >&2; exit 1;; esac\n' + answering()
    program("az", body)
    deploy(project, "dev")
    said = capsys.readouterr().out
    assert "not asked whether the name stacmesmalldev is free: Forbidden" in said


@pytest.mark.parametrize(
    ("there", "wanted", "refused"),
    [
        ("Standard_LRS", "Standard_ZRS", True),
        ("Standard_GZRS", "Standard_GRS", True),
        ("Standard_LRS", "Standard_GRS", False),
        ("Standard_ZRS", "Standard_GZRS", False),
        ("Standard_RAGZRS", "Standard_ZRS", False),
    ],
)
def test_replication_changes_between_zones_and_none_are_refused_early(
    project: Path, program: Program, there: str, wanted: str, refused: bool
):
    store = project / "infra" / "modules" / "store.bicep"
    edit(store, "'Standard_LRS'", f"'{wanted}'")
    words = program("az", answering(storageAccounts=f'{{"sku": {{"name": "{there}"}}}}'))
    if refused:
        with pytest.raises(CheckFailed, match=f"is {there} and cannot become {wanted}"):
            deploy(project, "dev")
    else:
        deploy(project, "dev")
    assert ("deployment group create" in words.read_text()) is not refused


MORE = """
resource vault 'Microsoft.KeyVault/vaults@2024-11-01' = {
  name: 'kv-small'
  properties: {
    softDeleteRetentionInDays: 90
  }
}

resource workspace 'Microsoft.MachineLearningServices/workspaces@2025-06-01' = {
  name: 'mlw'
  properties: {
    hbiWorkspace: true
    keyVault: '/kv-hub'
    managedNetwork: {
      isolationMode: 'AllowInternetOutbound'
    }
  }

  resource cluster 'computes' = {
    name: 'cpu'
    location: 'westeurope'
    properties: {
      properties: {
        vmSize: 'Standard_D4ds_v4'
      }
    }
  }
}

resource factory 'Microsoft.DataFactory/factories@2018-06-01' = {
  name: 'adf'
}

resource trigger 'Microsoft.DataFactory/factories/triggers@2018-06-01' = {
  parent: factory
  name: 'weekly'
}
"""


@pytest.fixture
def larger(project: Path) -> Path:
    main = project / "infra" / "main.bicep"
    main.write_text(main.read_text() + MORE)
    return project


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        (
            {"vaults_kv-small": '{"properties": {"softDeleteRetentionInDays": 7}}'},
            "softDeleteRetentionInDays is 7 and cannot become 90",
        ),
        (
            {"workspaces_mlw": '{"properties": {"hbiWorkspace": false}}'},
            "hbiWorkspace is False and cannot become True",
        ),
        (
            {"workspaces_mlw": '{"properties": {"keyVault": "/kv-small"}}'},
            "keyVault is /kv-small and cannot become /kv-hub",
        ),
        (
            {
                "workspaces_mlw": '{"properties": {"managedNetwork": {"isolationMode": "AllowOnlyApprovedOutbound"}}}'
            },
            "isolationMode is AllowOnlyApprovedOutbound and cannot become AllowInternetOutbound",
        ),
        (
            {"workspaces_mlw": '{"properties": {"managedNetwork": {"isolationMode": "Disabled"}}}'},
            "isolationMode is Disabled and cannot become AllowInternetOutbound",
        ),
        (
            {"computes_cpu": '{"properties": {"properties": {"vmSize": "STANDARD_DS3_V2"}}}'},
            "az ml compute delete",
        ),
        (
            {"computes_cpu": '{"location": "North Europe"}'},
            "location is North Europe and cannot become westeurope; .* az ml compute delete",
        ),
    ],
)
def test_what_a_deployment_cannot_change_is_refused_with_its_reason(
    larger: Path, program: Program, answers: dict[str, str], message: str
):
    words = program("az", answering(**answers))
    with pytest.raises(CheckFailed, match=message):
        deploy(larger, "dev")
    assert "deployment group" not in words.read_text()


def test_what_is_as_it_was_is_deployed(larger: Path, program: Program):
    same = {
        "vaults_kv-small": '{"properties": {"softDeleteRetentionInDays": 90}}',
        "computes_cpu": '{"location": "West Europe", "properties": {"properties": {"vmSize": "STANDARD_D4DS_V4"}}}',
    }
    words = program("az", answering(**same))
    deploy(larger, "dev")
    assert "deployment group create" in words.read_text()


def test_a_deleted_vault_is_brought_back(
    larger: Path, program: Program, capsys: pytest.CaptureFixture[str]
):
    words = program("az", answering(deletedVaults='{"value": [{"name": "kv-small"}]}'))
    deploy(larger, "dev")
    assert "--parameters recoverVault=true" in words.read_text()
    assert "kv-small is brought back" in capsys.readouterr().out


@pytest.mark.parametrize("fails", [False, True])
def test_a_started_trigger_is_stopped_for_the_deployment_and_started_again(
    larger: Path, program: Program, fails: bool
):
    body = answering(triggers_weekly='{"properties": {"runtimeState": "Started"}}')
    words = program("az", body + ('\n[ "$1" = deployment ] && exit 1\nexit 0' if fails else ""))
    if fails:
        with pytest.raises(CheckFailed, match="Azure refused"):
            deploy(larger, "dev")
    else:
        deploy(larger, "dev")
    done = [
        next(word for word in ("/stop?", "deployment group", "/start?") if word in line)
        for line in words.read_text().splitlines()
        if "/stop?" in line or "deployment group" in line or "/start?" in line
    ]
    assert done == ["/stop?", "deployment group", "/start?"]


def test_a_comparison_stops_no_trigger(larger: Path, program: Program):
    words = program("az", answering(triggers_weekly='{"properties": {"runtimeState": "Started"}}'))
    deploy(larger, "dev", what_if=True)
    assert "/stop?" not in words.read_text()


@pytest.mark.parametrize("refused", [False, True])
def test_the_code_of_the_function_app_is_brought_to_the_one_of_the_environment(
    project: Path, program: Program, refused: bool
):
    words = program("az", f'[ "$1" = functionapp ] && exit {int(refused)}\n' + AZURE)
    if refused:
        with pytest.raises(CheckFailed, match="Runners in the network"):
            deploy_events(project, "dev", project / "events.zip")
    else:
        deploy_events(project, "dev", project / "events.zip")
    last = words.read_text().splitlines()[-1]
    assert " --resource-group rg-acme-small-dev --name func-w --src " in last


@pytest.mark.parametrize("exists", [False, True])
def test_the_endpoint_is_made_while_there_is_none(project: Path, program: Program, exists: bool):
    main = project / "infra" / "main.bicep"
    main.write_text(
        main.read_text()
        + "\nresource endpoint 'Microsoft.MachineLearningServices/workspaces/onlineEndpoints@2025-06-01' = {\n"
        "  name: 'mlw/small'\n}\n"
    )
    words = program("az", answering(**({"onlineEndpoints_small": "{}"} if exists else {})))
    deploy(project, "dev")
    assert ("--parameters makeEndpoint=true" in words.read_text()) is not exists


# --- what a deployment leaves behind ---

ACCESS = """
resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: 'id-ci'
}

resource credential 'Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials@2024-11-30' = {
  parent: identity
  name: 'github-actions'
}

resource role 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid('role')
  properties: {
    roleName: 'Small: Judge'
    description: 'Judges.'
  }
}

resource held 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (asAdministrator) {
  name: guid('group-a')
  properties: {
    principalId: 'group-a'
    principalType: 'Group'
    description: 'Judges.'
  }
}

resource pulls 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (asAdministrator) {
  name: guid(identity.id)
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    description: 'Pulls images.'
  }
}

// As prod gives its factory rights in dev, and dev the jobs of prod.
resource retrains 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (network == 'managed-vnet') {
  name: guid('retrainer')
  properties: {
    principalId: 'retrainer'
    principalType: 'ServicePrincipal'
    description: 'Retrains.'
  }
}

module there 'modules/there.bicep' = if (environment == 'prod') {
  name: 'there'
  scope: resourceGroup('rg-acme-small-dev')
}

resource closed 'Microsoft.Network/privateEndpoints@2024-07-01' = {
  name: 'pep-shared-registry'
  properties: {
    privateLinkServiceConnections: [
      {
        name: 'registry'
        properties: {
          privateLinkServiceId: '/subscriptions/s/resourceGroups/platform/providers/registries/shared'
        }
      }
    ]
  }
}

resource factory 'Microsoft.DataFactory/factories@2018-06-01' = {
  name: 'adf'

  resource managedNetwork 'managedVirtualNetworks' = {
    name: 'default'

    resource replica 'managedPrivateEndpoints' = {
      name: 'replica-now'
      properties: {
        privateLinkResourceId: '/subscriptions/s/resourceGroups/platform/providers/stores/now'
      }
    }
  }
}

resource workspace 'Microsoft.MachineLearningServices/workspaces@2025-06-01' = {
  name: 'mlw'

  resource host 'outboundRules' = {
    name: 'host-a'
    properties: {
      type: 'FQDN'
      destination: 'packages.example.com'
    }
  }

  resource target 'outboundRules' = {
    name: 'storage-blob'
    properties: {
      type: 'PrivateEndpoint'
      destination: {}
    }
  }
}
"""

THERE = """
resource writes 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(resourceGroup().id)
  properties: {
    principalId: reference('factory').principalId
    principalType: 'ServicePrincipal'
    description: 'Writes the replica.'
  }
}
"""
GROUP = "/subscriptions/s/resourceGroups/rg-acme-small-dev"
ELSEWHERE = "/subscriptions/s/resourceGroups/platform/providers"


@pytest.fixture
def shared(project: Path) -> Path:
    main = project / "infra" / "main.bicep"
    main.write_text(main.read_text() + ACCESS)
    (main.parent / "modules" / "there.bicep").write_text(THERE)
    return project


def _assignment(who: str, what: str, kind: str = "Group", scope: str = GROUP) -> str:
    place = f'"id": "{scope}/providers/{who}", "scope": "{scope}"'
    said = f'"principalId": "{who}", "description": "{what}", "principalType": "{kind}"'
    return f'{{{place}, {said}, "roleDefinitionName": "AcrPull", "properties": {{{said}}}}}'


def _target(name: str, category: str = "UserDefined") -> str:
    return f'{{"name": "{name}", "properties": {{"type": "PrivateEndpoint", "category": "{category}", "destination": {{}}}}}}'


def _endpoint(name: str, target: str, card: str) -> str:
    link = f'[{{"properties": {{"privateLinkServiceId": "{target}"}}}}]'
    return (
        f'{{"name": "{name}", "properties": {{"customNetworkInterfaceName": "{card}",'
        f' "privateLinkServiceConnections": {link}}}}}'
    )


def _replica(name: str) -> str:
    target = f"/subscriptions/s/resourceGroups/platform/providers/stores/{name}"
    return f'{{"name": "replica-{name}", "properties": {{"privateLinkResourceId": "{target}"}}}}'


def _rule(host: str, category: str = "UserDefined") -> str:
    return (
        f'{{"name": "rule-{host}", "properties": {{"type": "FQDN", "category": "{category}",'
        f' "destination": "{host}"}}}}'
    )


@pytest.mark.parametrize(
    ("there", "command"),
    [
        (
            {"roleAssignments": _assignment("group-b", "Judges.")},
            f"the group group-b is Small: Judge and in no file: az role assignment delete --ids {GROUP}/providers/group-b",
        ),
        ({"roleAssignments": _assignment("group-a", "Judges.")}, None),
        ({"roleAssignments": _assignment("GROUP-A", "Judges.")}, None),
        ({"roleAssignments": _assignment("group-b", "of a platform team")}, None),
        ({"roleAssignments": _assignment("user-b", "Judges.", "User")}, None),
        ({"roleAssignments": _assignment("group-b", "Judges.", scope="/subscriptions/s")}, None),
        ({"roleAssignments": _assignment("a-job", "Pulls images.", "ServicePrincipal")}, None),
        (
            {"roleAssignments": _assignment("retrainer", "Retrains.", "ServicePrincipal", f"{GROUP}/providers/mlw")},
            f"the identity retrainer has a role that no file gives it (Retrains.): az role assignment delete --ids {GROUP}/providers/mlw",
        ),
        ({"roleAssignments": _assignment("factory", "Writes the replica.", "ServicePrincipal")}, None),
        (
            {"id-ci_federated": '{"name": "azure-devops"}'},
            "--identity-name id-ci --name azure-devops",
        ),
        ({"id-ci_federated": '{"name": "github-actions"}'}, None),
        ({"id-ci_federated": '{"name": "github-actions-audit"}'}, None),
        (
            {"mlw_outbound": _rule("old.example")},
            "rest --method delete --url '/subscriptions/{subscriptionId}/resourceGroups/rg-acme-small-dev/providers/"
            "Microsoft.MachineLearningServices/workspaces/mlw/outboundRules/rule-old.example?api-version=2025-06-01'",
        ),
        ({"mlw_outbound": _rule("packages.example.com")}, None),
        ({"mlw_outbound": _rule("needed.example", "Required")}, None),
        (
            {"mlw_outbound": _target("registry")},
            "jobs still have the outbound rule registry, which no file has: az rest --method delete",
        ),
        ({"mlw_outbound": _target("storage-blob")}, None),
        ({"mlw_outbound": _target("made-by-azure", "Required")}, None),
        (
            {"privateEndpoints?": _endpoint("pep-old-registry", f"{ELSEWHERE}/registries/old", "nic-old-registry")},
            f"the private endpoint pep-old-registry reaches {ELSEWHERE}/registries/old, which is in no file, and is billed: "
            "az rest --method delete --url '/subscriptions/{subscriptionId}/resourceGroups/rg-acme-small-dev/providers/"
            "Microsoft.Network/privateEndpoints/pep-old-registry?api-version=2024-07-01'",
        ),
        ({"privateEndpoints?": _endpoint("pep-shared-registry", f"{ELSEWHERE}/registries/shared", "nic-shared-registry")}, None),
        ({"privateEndpoints?": _endpoint("pep-old-blob", f"{GROUP}/providers/old", "nic-old-blob")}, None),
        ({"privateEndpoints?": _endpoint("pep-by-hand", f"{ELSEWHERE}/registries/old", "card")}, None),
        ({"managedPrivateEndpoints?": _replica("old")}, "the private endpoint replica-old reaches"),
        ({"managedPrivateEndpoints?": _replica("now")}, None),
    ],
)  # fmt: skip
def test_what_no_file_has_any_more_is_listed_with_the_command_that_removes_it(
    shared: Path,
    program: Program,
    capsys: pytest.CaptureFixture[str],
    there: dict[str, str],
    command: str | None,
):
    rest = {name: f'{{"value": [{one}]}}' for name, one in there.items()}
    words = program("az", answering(**rest))
    deploy(shared, "dev", what_if=bool(command))
    said = capsys.readouterr().out
    assert ("left as it was" in said) is (command is not None)
    assert command is None or command in said
    assert " delete " not in words.read_text() and " remove " not in words.read_text()


@pytest.mark.parametrize("apply", [False, True])
def test_what_is_left_is_removed_where_somebody_says_so(
    shared: Path, program: Program, capsys: pytest.CaptureFixture[str], apply: bool
):
    first, second = _assignment("group-a", "Judges."), _assignment("group-b", "Judges.")
    rest = {
        "roleAssignments": f'{{"value": [{first}], "nextLink": "https://page-2"}}',
        "page-2": f'{{"value": [{second}]}}',
        "mlw_outbound": f'{{"value": [{_rule("old.example")}]}}',
        "id-ci?api": '{"properties": {"principalId": "ci"}}',
    }
    registry = "/subscriptions/s/resourceGroups/platform/providers/registries/shared"
    store = "/subscriptions/s/resourceGroups/platform/providers/stores/then"
    outside = [
        _assignment("ci", "Pulls images.", "ServicePrincipal", registry),
        _assignment("ci", "Writes the replica.", "ServicePrincipal", store),  # in a file, not dev's
        _assignment("ci", "by hand", "ServicePrincipal", registry),
        _assignment("of-another-project", "Pulls images.", "ServicePrincipal", registry),
        _assignment("ci", "Pulls images.", "ServicePrincipal", GROUP),
    ]
    words = program(
        "az",
        f'case "$3 $4" in "list --all") echo \'[{", ".join(outside)}]\'; exit 0;; "delete --ids") exit 0;; esac\n'
        'case "$3" in delete) exit 0;; esac\n' + answering(**rest),
    )
    assert remove_left(shared, "dev", apply=apply) == (0 if apply else 4)
    said = capsys.readouterr().out
    assert said.count("\n- ") + 1 == 4
    assert f"id-ci is AcrPull of {registry}, which is in no file" in said
    removed = [line for line in words.read_text().splitlines() if " delete " in line]
    assert [line.split()[-1] for line in removed] == (
        [
            f"{GROUP}/providers/group-b",
            f"{registry}/providers/ci",
            f"{store}/providers/ci",
            removed[-1].split()[-1],
        ]
        if apply
        else []
    )
    assert not apply or "old.example" in removed[-1]


def test_what_azure_refuses_to_remove_is_said_after_the_rest(shared: Path, program: Program):
    held = f"{_assignment('group-b', 'Judges.')}, {_assignment('group-c', 'Judges.')}"
    words = program(
        "az",
        f'[ "$5" = {GROUP}/providers/group-b ] && {{ echo ScopeLocked >&2; exit 1; }}\n'
        + answering(roleAssignments=f'{{"value": [{held}]}}'),
    )
    with pytest.raises(CheckFailed, match=r"a lock holds what it is on .*\n.*ScopeLocked"):
        remove_left(shared, "dev", apply=True)
    assert f"delete --ids {GROUP}/providers/group-c" in words.read_text()


def test_who_may_still_ask_for_production_data_is_listed(shared: Path, program: Program) -> None:
    condition = "... StringEquals " + r"\u0027stacmesmallprod\u0027"
    role = "/providers/Microsoft.Authorization/roleDefinitions/2a2b9908-6ea1-4ae2-8e65-a410df84e7d1"

    def schedule(who: str, condition: str = condition, role: str = role) -> str:
        return f'{{"properties": {{"principalId": "{who}", "roleDefinitionId": "{role}", "condition": "{condition}"}}}}'

    main = shared / "infra" / "main.bicep"
    main.write_text(
        main.read_text()
        + "\nresource asks 'Microsoft.Authorization/roleEligibilityScheduleRequests@2020-10-01' = {\n"
        "  name: guid('asks')\n  properties: {\n    principalId: 'group-a'\n  }\n}\n"
    )
    there = f"{schedule('group-a')}, {schedule('GROUP-A')}, {schedule('group-b')}, {schedule('group-c', '')}, {schedule('group-d', role='/x')}"
    words = program("az", answering(roleEligibilitySchedules=f'{{"value": [{there}]}}'))
    with pytest.raises(CheckFailed, match="the group group-b may ask for production data"):
        remove_left(shared, "prod", apply=True)  # what answers here refuses to remove it
    [asked] = [line for line in words.read_text().splitlines() if "--method put" in line]
    assert (
        "rg-acme-small-prod/providers/Microsoft.Authorization/roleEligibilityScheduleRequests/"
        in asked
    )
    assert '"principalId": "group-b"' in asked and '"requestType": "AdminRemove"' in asked


REGIONS = '{"value": [{"name": "westeurope", "availabilityZoneMappings": MAPPINGS}]}'


@pytest.mark.parametrize(
    ("sku", "mappings", "refused"),
    [
        ("Standard_ZRS", "[]", True),
        ("Standard_GZRS", "null", True),
        ("Standard_ZRS", '[{"logicalZone": "1"}]', False),
        ("Standard_LRS", "[]", False),
    ],
)
def test_zones_are_refused_in_a_region_without_them(
    project: Path, program: Program, sku: str, mappings: str, refused: bool
):
    store = project / "infra" / "modules" / "store.bicep"
    edit(store, "'Standard_LRS'", f"'{sku}'")
    words = program("az", answering(locations=REGIONS.replace("MAPPINGS", mappings)))
    if refused:
        with pytest.raises(CheckFailed, match="over availability zones, and westeurope has none"):
            deploy(project, "dev")
    else:
        deploy(project, "dev")
    assert ("deployment group create" in words.read_text()) is not refused
    assert ("/locations?" in words.read_text()) is (sku != "Standard_LRS")


def test_an_output_that_the_user_has_set_is_that_of_the_deployment_only(
    project: Path, program: Program, capfd: pytest.CaptureFixture[str]
):
    words = program("az", f'[ "$AZURE_CORE_OUTPUT" = json ] || {{ echo a table; exit; }}\n{AZURE}')
    deploy(project, "dev")
    assert "deployment group create" in words.read_text()
    assert "a table" in capfd.readouterr().out


def test_what_may_not_be_looked_at_is_said(
    shared: Path, program: Program, capsys: pytest.CaptureFixture[str]
):
    refused = 'case "$*" in *roleAssignments*) echo Forbidden >&2; exit 1;; esac\n'
    program("az", refused + answering())
    deploy(shared, "dev")
    assert "not looked at assignments: Forbidden" in capsys.readouterr().out
    with pytest.raises(CheckFailed, match="more may be left: not everything could be looked at"):
        remove_left(shared, "dev", apply=False)
    assert "not looked at assignments: Forbidden" in capsys.readouterr().out


def test_names_are_asked_for_before_the_first_deployment_too(project: Path, program: Program):
    taken = '{"nameAvailable": false, "message": "it is taken"}'
    new = answering(checkNameAvailability=taken).replace("echo true", "echo false")
    words = program("az", new)
    with pytest.raises(CheckFailed, match="is not free: it is taken"):
        deploy(project, "dev", as_administrator=True, what_if=True)
    program("az", new.replace("false,", "true,"))
    with pytest.raises(CheckFailed, match="nothing to compare with"):
        deploy(project, "dev", as_administrator=True, what_if=True)
    assert "group create" not in words.read_text()
