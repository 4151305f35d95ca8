"""The programs that are called, the compiler and the Azure CLI: stand-ins that write down their words."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from modelyard.errors import CheckFailed, UsageError
from modelyard.infra import compiler
from modelyard.infra.deploy import deploy
from modelyard.infra.reader import read_infrastructure

from tests.small_infra import places, write

Program = Callable[[str, str], Path]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Makes a program: the only ones on the PATH are those made, and `cat`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "cat").symlink_to(str(shutil.which("cat")))
    monkeypatch.setenv("PATH", str(folder))

    def make(name: str, body: str) -> Path:
        file = folder / name
        file.write_text(f'#!/bin/sh\necho "$@" >> "{tmp_path}/words"\n{body}\n')
        file.chmod(0o755)
        return tmp_path / "words"

    return make


def compiled(root: Path) -> list[tuple[str, int, str, str]]:
    said: list[str] = []
    found = sorted(compiler.check(read_infrastructure(root / "infra"), said.append))
    return [(*place, f.what, f.remedy) for place, f in zip(places(root, found), found, strict=True)]


FORMATTED = 'case "$1" in format) for f in "$@"; do [ -f "$f" ] && cat "$f"; done;; esac'


def test_messages_of_the_compiler_are_findings_with_their_line(tmp_path: Path, program: Program):
    root = write(tmp_path / "project")
    main = root / "infra" / "main.bicep"
    warning = (
        f'{main}(7,9) : Warning no-unused-params: Parameter "x" is never used. [https://aka.ms/b]'
    )
    program("bicep", f"""[ "$1" = build ] && echo '{warning}' >&2\n{FORMATTED}\nexit 0""")
    assert compiled(root) == [
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


def test_the_azure_cli_compiles_where_it_has_the_compiler(tmp_path: Path, program: Program):
    root = write(tmp_path / "project")
    error = f"ERROR: {root / 'infra/main.bicep'}(3,1) : Error BCP057: The name is unknown."
    program("az", f"""[ "$2" = build ] && {{ echo '{error}' >&2; exit 1; }}\nexit 0""")
    assert compiled(root) == [
        ("infra/main.bicep", 3, "The name is unknown (BCP057)", "correct it as the compiler says")
    ]


def test_an_azure_cli_without_the_compiler_installs_none(tmp_path: Path, program: Program):
    root = write(tmp_path / "project")
    words = program("az", "exit 1")
    said: list[str] = []
    assert list(compiler.check(read_infrastructure(root / "infra"), said.append)) == []
    assert words.read_text().splitlines() == ["bicep version"]
    assert "not compiled" in said[0]


def test_a_compiler_that_fails_without_a_known_message_is_an_error(
    tmp_path: Path, program: Program
):
    root = write(tmp_path / "project")
    program("bicep", "echo disk full >&2; exit 7")
    with pytest.raises(UsageError, match="disk full"):
        compiled(root)


AZURE = """case "$1 $2" in
"group exists") echo false;;
"group create") echo '{"id": "made"}';;
esac"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project that can be deployed."""
    root = write(tmp_path / "project")
    file = root / "conf" / "project.yml"
    more = "package: p\nowner: a@example.com\nmodel: m\n"
    text = file.read_text().replace(
        "    storage:", "    workspace: w\n    endpoint: e\n    storage:"
    )
    file.write_text(more + text)
    return root


def test_a_deployment_goes_to_the_group_of_its_environment(project: Path, program: Program):
    words = program("az", AZURE)
    deploy(project, "dev", settings={})
    assert words.read_text().splitlines() == [
        "account show",
        "deployment group create --name infra-dev --resource-group rg-acme-small-dev"
        f" --parameters {project / 'infra' / 'dev.bicepparam'} --query properties.outputs",
    ]


def test_an_administrator_creates_the_group_with_its_tags_first(project: Path, program: Program):
    words = program("az", AZURE)
    deploy(project, "dev", as_administrator=True, settings={})
    assert words.read_text().splitlines()[2:] == [
        "group create --name rg-acme-small-dev --location westeurope"
        " --tags cost_center=acme project=small environment=dev",
        "deployment group create --name infra-dev --resource-group rg-acme-small-dev"
        f" --parameters {project / 'infra' / 'dev.bicepparam'}"
        " --parameters asAdministrator=true --query properties.outputs",
    ]


def test_everyone_may_compare_with_prod(project: Path, program: Program):
    words = program("az", AZURE)
    deploy(project, "prod", what_if=True, settings={})
    assert "deployment group what-if --name infra-prod" in words.read_text()


def test_prod_is_deployed_by_the_pipeline_only(project: Path, program: Program):
    words = program("az", AZURE)
    with pytest.raises(UsageError, match="deployed by the pipeline"):
        deploy(project, "prod", settings={})
    assert not words.exists()
    deploy(project, "prod", settings={"CI": "true"})
    assert "deployment group create --name infra-prod" in words.read_text()


def test_an_administrator_confirms_prod_with_the_groups_name(project: Path, program: Program):
    words = program("az", AZURE)
    for given in (None, "rg-acme-small-dev"):
        with pytest.raises(UsageError, match=r"confirm with .* rg-acme-small-prod"):
            deploy(project, "prod", as_administrator=True, confirm=given, settings={})
    assert not words.exists()
    deploy(project, "prod", as_administrator=True, confirm="rg-acme-small-prod", settings={})
    assert "asAdministrator=true" in words.read_text()


@pytest.mark.parametrize(
    ("azure", "error", "message"),
    [
        ('[ "$1" = account ] && exit 1', UsageError, "az login"),
        ('[ "$1" = deployment ] && exit 1', CheckFailed, "Azure refused"),
        (None, UsageError, "aka.ms/azure-cli"),
    ],
)
def test_a_failure_of_azure_or_its_cli_is_a_message(
    project: Path, program: Program, azure: str | None, error: type[Exception], message: str
):
    if azure:
        program("az", f"{azure}\nexit 0")
    with pytest.raises(error, match=message):
        deploy(project, "dev", settings={})


def test_an_unknown_environment_is_named_with_the_known_ones(project: Path):
    with pytest.raises(UsageError, match="no environment 'stage'; it has: dev, prod"):
        deploy(project, "stage", settings={})
