"""The files of a generated project: which there are, and that each is sound as it stands."""

from __future__ import annotations

import fnmatch
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from modelyard.cli.check import check_files
from modelyard.pipelines.azure_kinds import kind_of

from tests import manifest
from tests.baked import (
    CHOICES,
    COMBINATIONS,
    QUESTIONS,
    ROOT,
    SETTINGS,
    TEMPLATE,
    BakedProject,
    cookiecutter_command,
    files_below,
)

Bake = Callable[..., BakedProject]
JINJA = re.compile(r"\{[{%#]")
BINARY = {".whl"}
# What a project may come to: a person reads its Python, and looks through its files, pipelines aside.
MOST_FILES, MOST_PYTHON, MOST_SCIENCE = 140, 1500, 600

every_combination = pytest.mark.parametrize("name", COMBINATIONS)


def is_copied(file: str) -> bool:
    """Whether Cookiecutter copies a file of the template as it is."""
    names = [file, *map(str, Path(file).parents)]
    return any(fnmatch.filter(names, pattern) for pattern in SETTINGS["_copy_without_render"])


def texts(project: BakedProject) -> dict[str, str]:
    """Every text file that is not empty. Decoding fails for what is not UTF-8."""
    files = {
        file: (project.path / file).read_bytes().decode("utf-8")
        for file in project.files
        if Path(file).suffix not in BINARY
    }
    return {file: text for file, text in files.items() if text}


@every_combination
def test_a_project_has_exactly_the_files_of_the_manifest(baked: Bake, name: str) -> None:
    """`make manifest` writes it anew."""
    assert baked(**COMBINATIONS[name]).files == manifest.expected(COMBINATIONS[name])


def test_every_choice_of_the_manifest_is_one_that_is_asked() -> None:
    for section in manifest.read().keys() - {manifest.ALWAYS}:
        for answer, values in manifest.conditions(section):
            assert set(values) <= set(CHOICES[answer])


@pytest.mark.parametrize("answer", CHOICES)
def test_every_choice_changes_the_project(baked: Bake, answer: str) -> None:
    made = [baked(**{answer: value}).content for value in CHOICES[answer]]
    assert all(content != made[0] for content in made[1:])


def test_the_approval_of_a_release_is_a_value_of_the_gates(baked: Bake) -> None:
    for value in CHOICES["release_approval"]:
        assert baked(release_approval=value).yaml("conf/gates.yml")["release"]["approval"] == value


NOT_ON_A_LAPTOP = r"\b(infra|events)/|infra-check|\.github|\.azuredevops|(delivery|organization|infrastructure)\.md|azureml/(jobs|schedules)|CODEOWNERS"


def test_a_laptop_has_no_infrastructure_events_or_pipelines_and_no_word_of_them(
    baked: Bake,
) -> None:
    """The other answers do not matter, so it is what leaving these out one by one makes, too."""
    project = baked(profile="laptop", network="managed-vnet", ci_provider="azure-devops")
    assert project.content == baked(network="none", ci_provider="none").content
    assert len(project.files) <= 65
    for file, text in texts(project).items():
        if not file.endswith(".txt"):
            found = re.search(NOT_ON_A_LAPTOP, text)
            assert found is None, (file, found)
    assert not any(re.search(NOT_ON_A_LAPTOP, file) for file in project.files)


def test_every_file_that_the_coverage_of_the_guide_names_exists() -> None:
    text = (ROOT / "docs" / "guide-coverage.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([\w.-]+/[\w./-]*|[\w-]+\.(?:md|yml))`", text))
    places = (next(ROOT.glob("{{*}}")), ROOT, ROOT / "toolkit")
    assert len(named) > 30
    assert not {one for one in named if not any((place / one).exists() for place in places)}


@pytest.mark.parametrize("approval", CHOICES["release_approval"])
def test_a_factorys_project_has_approvals_and_a_registry(baked: Bake, approval: str) -> None:
    project = baked(profile="factory", release_approval=approval, organization_code="contos")
    assert project.yaml("conf/gates.yml")["release"]["approval"] == "model-validator"
    assert project.yaml("conf/project.yml")["registry"] == "mlr-contos"
    assert "name: 'mlr-${project.organization}'" in project.text("infra/registry.bicep")
    assert "registry" not in baked().yaml("conf/project.yml")


@every_combination
def test_every_link_of_a_page_leads_to_a_file(baked: Bake, name: str) -> None:
    project = baked(**COMBINATIONS[name])
    for file, text in texts(project).items():
        if file.endswith(".md"):
            for link in re.findall(r"\]\((?![a-z]+:|#)([^)#]+)", text):
                assert (project.path / file).parent.joinpath(link).exists(), (file, link)


@every_combination
def test_a_project_stays_as_small_as_a_person_can_read(baked: Bake, name: str) -> None:
    project = baked(**COMBINATIONS[name])
    python = {
        file: project.text(file).count("\n") for file in project.files if file.endswith(".py")
    }
    science = {
        file: lines for file, lines in python.items() if file.startswith("src/flight_delay/")
    }
    pipelines = fnmatch.filter(project.files, ".github/*/*.yml") + fnmatch.filter(
        project.files, ".azuredevops/*.yml"
    )
    assert len(project.files) - len(pipelines) <= MOST_FILES
    assert sum(python.values()) <= MOST_PYTHON, python
    assert sum(science.values()) <= MOST_SCIENCE, science


@every_combination
def test_no_folder_is_left_empty(baked: Bake, name: str) -> None:
    project = baked(**COMBINATIONS[name])
    assert [
        path for path in project.path.rglob("*") if path.is_dir() and not any(path.iterdir())
    ] == []


@every_combination
def test_every_file_ends_in_one_newline_and_no_line_in_a_blank(baked: Bake, name: str) -> None:
    for file, text in texts(baked(**COMBINATIONS[name])).items():
        assert text.endswith("\n"), file
        assert not text.endswith("\n\n"), file
        assert not re.search(r"[ \t\r]$", text, re.MULTILINE), file
        assert "\n\n\n\n" not in text, file


@every_combination
def test_python_compiles(baked: Bake, name: str) -> None:
    for file, text in texts(baked(**COMBINATIONS[name])).items():
        if file.endswith(".py"):
            compile(text, file, "exec")


@every_combination
def test_yaml_toml_and_json_parse(baked: Bake, name: str) -> None:
    for file, text in texts(baked(**COMBINATIONS[name])).items():
        if file.endswith((".yml", ".yaml")):
            assert list(yaml.safe_load_all(text)), file
        elif file.endswith(".toml"):
            tomllib.loads(text)
        elif file.endswith((".json", ".ipynb")):
            json.loads(text)


@every_combination
def test_azure_ml_has_nothing_against_its_files(baked: Bake, name: str) -> None:
    project = baked(**COMBINATIONS[name])
    files = sorted((project.path / "azureml").rglob("*.yml"))
    found = check_files(project.path, files)
    assert (found.problems, found.warnings) == ((), ())
    assert list(found.files) == files
    for file in files:  # an editor finds the fields by it
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        assert content["$schema"].startswith("https://azuremlschemas.azureedge.net/latest/")
        assert kind_of(Path("elsewhere.yml"), content) == found.files[file]


@every_combination
def test_no_jinja_of_the_template_is_left_over(baked: Bake, name: str) -> None:
    """`${{ }}` is Azure ML's and GitHub's own, and a .j2 is a template of the project."""
    for file, text in texts(baked(**COMBINATIONS[name])).items():
        assert not re.search(r"\{[{%]-?[^{}]*cookiecutter", text), file
        source = file.replace("flight_delay", "{{cookiecutter.package_name}}")
        if not is_copied(source) and not file.endswith(".j2"):
            assert not re.search(r"(?<!\$)\{\{|\{%|(?<!\$)\{#", text), file


@every_combination
@pytest.mark.parametrize("command", [["check"], ["format", "--check"]], ids=" ".join)
def test_ruff_has_no_wish(baked: Bake, name: str, command: list[str]) -> None:
    project = baked(**COMBINATIONS[name])
    ran = project.run(sys.executable, "-m", "ruff", *command, "--no-cache", ".")
    assert ran.returncode == 0, ran.stdout


def test_ruff_has_no_wish_for_other_names_either(baked: Bake) -> None:
    """The order of imports and the length of lines depend on the package's name."""
    for package in ("a", "zz_" + "x" * 27):
        project = baked(package_name=package, project_slug=package[:2])
        for command in (["check"], ["format", "--check"]):
            ran = project.run(sys.executable, "-m", "ruff", *command, "--no-cache", ".")
            assert ran.returncode == 0, ran.stdout


def test_git_keeps_every_file(baked: Bake, tmp_path: Path) -> None:
    """None is caught by the project's own .gitignore."""
    project = baked()
    git = ["git", f"--git-dir={tmp_path}/git", f"--work-tree={project.path}"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "add", "--all"], check=True, cwd=project.path)
    kept = subprocess.run([*git, "ls-files", "-z"], check=True, capture_output=True, text=True)
    assert sorted(kept.stdout.rstrip("\0").split("\0")) == project.files


def test_linting_leaves_nothing_that_cookiecutter_would_take_for_a_part_of_the_template() -> None:
    done = subprocess.run(["make", "lint"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not list(ROOT.glob("{{*}}/**/.ruff_cache"))


def test_the_toolkit_has_the_version_that_the_project_names(baked: Bake) -> None:
    wheels = [file for file in baked().files if file.endswith(".whl")]
    version = re.search(
        r'__version__ = "(.+)"', (ROOT / "toolkit/src/modelyard/__init__.py").read_text()
    )
    assert version
    assert wheels == [f"requirements/wheels/modelyard-{version[1]}-py3-none-any.whl"]
    assert f"modelyard=={version[1]} --hash=sha256:" in baked().text("requirements/modelyard.txt")


def test_resources_are_tagged_with_the_version_of_the_template(baked: Bake) -> None:
    newest = re.search(
        r"^## (\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE
    )
    assert newest
    tags = yaml.safe_load(baked().text("conf/project.yml"))["tags"]
    assert tags["template_version"] == newest[1]


def test_no_endpoint_serves_the_latest_version_which_may_be_a_refused_one(baked: Bake) -> None:
    project = baked(serving="online-and-batch")
    files = sorted((project.path / "azureml" / "endpoints").glob("*-deployment.yml"))
    models = [yaml.safe_load(file.read_text("utf-8"))["model"] for file in files]
    assert models == ["azureml:flight-delay@champion"] * 2


def test_images_are_one_digest_and_packages_are_pinned_by_hash_from_one_index(baked: Bake) -> None:
    project = baked(serving="online-and-batch")
    bases = set()
    for file in sorted((project.path / "azureml" / "environments").glob("*.yml")):
        build = yaml.safe_load(file.read_text(encoding="utf-8"))["build"]
        folder = (file.parent / build["path"]).resolve()
        lines = (folder / build["dockerfile_path"]).read_text(encoding="utf-8").splitlines()
        words = [line for line in lines if not line.startswith("#")]
        bases |= {line for line in words if line.startswith("FROM ")}
        # conda has hosts of its own, which a closed network does not let through.
        assert not any("conda " in line or "apt-get" in line for line in words), file.name
        (install,) = [line for line in words if "pip install" in line]
        assert "--require-hashes" in install
        (copied,) = [line for line in words if line.startswith("COPY") and ".txt" in line]
        assert all((folder / name).is_file() for name in copied.split()[1:-1])
    (base,) = bases  # a model holds functions compiled by the Python that trained it
    assert re.search(r"@sha256:[0-9a-f]{64}$", base)


def test_a_file_is_rendered_exactly_if_it_holds_a_value_of_the_template() -> None:
    """What holds none is copied byte for byte: see `_copy_without_render` in cookiecutter.json."""
    for file in files_below(TEMPLATE):
        if Path(file).suffix in BINARY:
            continue
        text = (TEMPLATE / file).read_text(encoding="utf-8")
        holds_value = bool(re.search(r"\{[{%][^{}]*cookiecutter\.", text))
        assert is_copied(file) != holds_value, file


def test_every_pattern_of_what_is_copied_is_a_folder_or_matches_files_only() -> None:
    """A wildcard that matches a folder would leave the names below it unrendered."""
    files = files_below(TEMPLATE)
    folders = {str(folder) for file in files for folder in Path(file).parents}
    for pattern in SETTINGS["_copy_without_render"]:
        if pattern not in folders:
            assert fnmatch.filter(files, pattern), pattern
            assert not fnmatch.filter(folders, pattern), pattern


def test_no_name_in_a_folder_that_is_copied_holds_a_value() -> None:
    for folder in SETTINGS["_copy_without_render"]:
        for file in files_below(TEMPLATE / folder):
            assert not JINJA.search(file), f"{folder}/{file}"


def test_the_template_reads_like_a_project() -> None:
    """At most 3 % of the lines hold Jinja; what tools wrote into requirements does not count."""
    jinja: dict[str, int] = {}
    lines = 0
    for file in files_below(TEMPLATE):
        if Path(file).suffix in BINARY or fnmatch.fnmatch(file, "requirements/*.txt"):
            continue
        text = (TEMPLATE / file).read_text(encoding="utf-8")
        lines += text.count("\n")
        if not is_copied(file):
            jinja[file] = sum(bool(JINJA.search(line)) for line in text.splitlines())
    assert sum(jinja.values()) <= 0.03 * lines, (lines, jinja)


@pytest.mark.parametrize(
    "file", [f for f in files_below(TEMPLATE) if f.endswith((".py", ".bicep"))]
)
def test_no_code_of_the_template_holds_a_condition(file: str) -> None:
    text = (TEMPLATE / file).read_text(encoding="utf-8")
    assert not re.search(r"\{%-? *(if|for)\b", text)


@pytest.mark.parametrize("file", ["conf/project.yml", "pyproject.toml"])
def test_what_holds_values_parses_before_it_is_rendered(file: str) -> None:
    text = (TEMPLATE / file).read_text(encoding="utf-8")
    assert yaml.safe_load(text) if file.endswith(".yml") else tomllib.loads(text)


@pytest.fixture(scope="module")
def default_content(baked: Bake) -> dict[str, tuple[bytes, int]]:
    """The project that the API makes of the defaults."""
    return baked().content


@pytest.mark.parametrize("seed", ["0", "4711"])
def test_the_same_answers_give_the_same_bytes(
    tmp_path: Path, default_content: dict[str, tuple[bytes, int]], seed: str
) -> None:
    made = made_by(tmp_path, "--no-input", PYTHONHASHSEED=seed, TZ="Asia/Tokyo")
    assert made.content == default_content


def test_answering_every_question_with_enter_gives_the_defaults(
    tmp_path: Path, default_content: dict[str, tuple[bytes, int]]
) -> None:
    made = made_by(tmp_path, typed="\n" * len(QUESTIONS))
    assert made.content == default_content


def test_typing_the_answers_gives_the_same_as_passing_them(tmp_path: Path, baked: Bake) -> None:
    answers = {
        "profile": "factory",
        "project_name": 'Bike "demand"',
        "project_slug": "bikes",
        "package_name": "bikes",
        "description": "How many bikes are rented: \\ {x}?",
        "team_email": "bikes@example.org",
        "problem_type": "regression",
        "organization_code": "contos",
        "azure_region": "northeurope",
        "serving": "batch",
        "network": "managed-vnet",
        "production_data": "masked-replica",
        "ci_provider": "azure-devops",
        "release_approval": "model-validator",
    }
    assert list(answers) == QUESTIONS
    typed = [
        str(CHOICES[name].index(value) + 1) if name in CHOICES else value
        for name, value in answers.items()
    ]
    made = made_by(tmp_path, typed="\n".join(typed) + "\n")
    assert made.content == baked(**answers).content


def test_four_answers_make_a_laptops_project(tmp_path: Path, baked: Bake) -> None:
    """Whatever is asked after them is answered by Enter."""
    given = {
        "profile": "laptop",
        "project_name": "Bikes",
        "description": "How many bikes are rented.",
        "team_email": "bikes@example.org",
        "problem_type": "regression",
    }
    assert [name for name in QUESTIONS if name in given] == list(given)
    last = QUESTIONS.index("problem_type")
    typed = [
        str(CHOICES[name].index(given[name]) + 1) if name in CHOICES else given.get(name, "")
        for name in QUESTIONS[: last + 1]
    ]
    made = made_by(tmp_path, typed="\n".join(typed) + "\n" * (len(QUESTIONS) - last))
    assert made.content == baked(**given).content


def test_a_configuration_file_gives_the_same_as_the_command_line(
    tmp_path: Path, baked: Bake
) -> None:
    config = tmp_path / "config.yml"
    config.write_text(
        "default_context: {azure_region: eastus2, _tags: cost_center=4711}\n"
        f"replay_dir: {tmp_path}/replay\ncookiecutters_dir: {tmp_path}/cookiecutters\n"
    )
    made = made_by(tmp_path / "made", "--no-input", f"--config-file={config}")
    assert made.content == baked(azure_region="eastus2", _tags="cost_center=4711").content


def made_by(into: Path, *arguments: str, typed: str = "", **environment: str) -> BakedProject:
    """The one project that the command line makes in the folder `into`."""
    into.mkdir(exist_ok=True)
    ran = cookiecutter_command(into, *arguments, typed=typed, **environment)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    [project] = into.iterdir()
    return BakedProject(project)
