"""What an organization's policy allows and refuses, and what happens to a policy that is wrong."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from modelyard.policy.model import Choices, Policy, read_policy
from pydantic import ValidationError

from tests.baked import CHOICES, ROOT, bake, cookiecutter_command, hook

Refusal = Callable[..., str]
ANSWERS = {
    "project_name": "Late",
    "project_slug": "late",
    "package_name": "late",
    "description": "How late",
    "team_email": "late@example.com",
    "organization_code": "acme",
    "azure_region": "westeurope",
    **{name: values[0] for name, values in CHOICES.items()},
    "_tags": "",
}
pre_gen = hook("pre_gen_project")

POLICY = """
regions: [northeurope, westeurope]
organization_codes: [acme, acmeit]
required_tags: [cost_center, owner]
choices:
  ci_provider: [azure-devops]
"""


@pytest.fixture
def policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Set a policy with the given content."""

    def written(content: str) -> Path:
        path = tmp_path / "policy.yml"
        path.write_text(content, encoding="utf-8")
        monkeypatch.setenv("AI_FACTORY_POLICY", str(path))
        return path

    return written


def test_answers_within_the_policy_pass(policy: Callable[[str], Path], tmp_path: Path) -> None:
    policy(POLICY)
    project = bake(tmp_path, ci_provider="azure-devops", _tags="Cost_Center=4711")
    assert project.yaml("conf/project.yml")["tags"]["Cost_Center"] == "4711"


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        (
            {"azure_region": "eastus"},
            "azure_region: 'eastus' must be one of northeurope, westeurope, "
            "as AI_FACTORY_POLICY says.\n    Would pass: westeurope\n",
        ),
        (
            {"organization_code": "acmei"},
            "organization_code: 'acmei' must be one of acme, acmeit, as AI_FACTORY_POLICY says."
            "\n    Would pass: acmeit\n",
        ),
        (
            {"ci_provider": "github-actions"},
            "ci_provider: 'github-actions' must be one of azure-devops, as AI_FACTORY_POLICY says."
            "\n    Would pass: azure-devops\n",
        ),
        (
            {"_tags": "data=internal"},
            "_tags: 'data=internal' must give the tag cost_center, which AI_FACTORY_POLICY "
            "requires.\n    Would pass: cost_center=tbd, data=internal\n",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_an_answer_outside_the_policy_is_refused(
    policy: Callable[[str], Path], refusal: Refusal, answers: dict[str, str], message: str
) -> None:
    policy(POLICY)
    within = {"ci_provider": "azure-devops", "_tags": "cost_center=4711"}
    assert message in refusal(**(within | answers))


def test_everything_outside_the_policy_is_refused_at_once(
    policy: Callable[[str], Path], refusal: Refusal
) -> None:
    policy(POLICY)
    message = refusal(azure_region="eastus", organization_code="other", team_email="A")
    named = re.findall(r"^(\w+): ", message, re.MULTILINE)
    assert named == ["organization_code", "team_email", "azure_region", "ci_provider", "_tags"]


def test_a_policy_may_allow_regions_that_the_template_does_not_know(
    policy: Callable[[str], Path], tmp_path: Path
) -> None:
    policy("regions: [usgovvirginia]")
    project = bake(tmp_path, azure_region="usgovvirginia")
    assert project.yaml("conf/project.yml")["region"] == "usgovvirginia"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "region: [westeurope]",
            "must not have the key region; the keys are regions, organization_codes",
        ),
        ("- westeurope", "must be a mapping with some of the keys regions, organization_codes"),
        ("", "must be a mapping with some of the keys regions"),
        ("regions: westeurope", "must have in regions a list of at least one value"),
        ("regions: []", "must have in regions a list of at least one value"),
        ("regions: [West Europe]", "must not have 'West Europe' in regions"),
        ("organization_codes: [no]", "must not have False in organization_codes"),
        ("organization_codes: [contoso]", "must not have 'contoso' in organization_codes"),
        ("required_tags: [cost center]", "must not have 'cost center' in required_tags"),
        ("required_tags: [azure_owner]", "must not have 'azure_owner' in required_tags"),
        (
            "choices: [azure-devops]",
            "must have in choices a mapping with some of the keys problem_type",
        ),
        ("choices: {ci: [azure-devops]}", "must not have the key choices.ci;"),
        ("choices: {ci_provider: [gitlab]}", "must not have 'gitlab' in choices.ci_provider"),
        ("choices: {ci_provider: azure-devops}", "must have in choices.ci_provider a list"),
        ("regions: [westeurope", "cannot be read: while parsing a flow sequence"),
        ("regions: \x00", "cannot be read: unacceptable character"),
    ],
)
def test_a_policy_that_is_wrong_is_refused(
    policy: Callable[[str], Path], refusal: Refusal, content: str, message: str
) -> None:
    path = policy(content)
    said = refusal()
    assert (
        f"AI_FACTORY_POLICY: '{path}' " in said or f"AI_FACTORY_POLICY: '{str(path)[:60]}" in said
    )
    assert message in said
    assert "Would pass: a file like the example in docs/policy.md" in said


def test_every_fault_of_a_policy_and_of_the_answers_is_told_at_once(
    policy: Callable[[str], Path], refusal: Refusal
) -> None:
    policy("regions: westeurope\ncode: [acme]\n")
    message = refusal(team_email="nobody")
    assert "must have in regions a list" in message
    assert "must not have the key code" in message
    assert "team_email: 'nobody' must be an e-mail address" in message


@pytest.mark.parametrize("kind", ["missing", "folder", "not text"])
def test_a_policy_that_cannot_be_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: Refusal, kind: str
) -> None:
    path = tmp_path / "policy.yml"
    if kind == "folder":
        path.mkdir()
    elif kind == "not text":
        path.write_bytes(b"\xff\xfe\x00")
    monkeypatch.setenv("AI_FACTORY_POLICY", str(path))
    assert " cannot be read: " in refusal()


@pytest.mark.parametrize("by", ["the shell's folder", "the folder that projects go into"])
def test_a_relative_path_is_found_from(by: str, tmp_path: Path) -> None:
    (tmp_path / "policy.yml").write_text("regions: [northeurope]", encoding="utf-8")
    environment = {"AI_FACTORY_POLICY": "policy.yml", "PWD": ""}
    arguments = ["--no-input"]
    if by == "the shell's folder":
        environment["PWD"] = str(tmp_path)
        arguments += ["--output-dir", str(tmp_path / "elsewhere")]
    tried = cookiecutter_command(tmp_path, *arguments, **environment)
    assert tried.returncode == 1
    assert "azure_region: 'westeurope' must be one of northeurope" in tried.stderr


def test_an_empty_setting_is_no_policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AI_FACTORY_POLICY", "")
    assert bake(tmp_path).has("conf/project.yml")


def test_the_documented_example_is_a_policy_that_uses_every_key(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "policy.md").read_text(encoding="utf-8")
    example = re.search(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert example
    content = yaml.safe_load(example.group(1))
    assert list(pre_gen.policy_faults(content)) == []
    (tmp_path / "policy.yml").write_text(example.group(1), encoding="utf-8")
    read_policy(tmp_path / "policy.yml")
    keys = {*pre_gen.Policy._fields, *pre_gen.FOR_LIFE}
    assert set(content) == keys == set(Policy.model_fields)


NAMES = "westeurope West-Europe acme login no azure_x cost_center public managed-vnet online"
VALUES = st.sampled_from([*NAMES.split(), "none", "laptop", False, 1, None])
LISTS = st.lists(VALUES, max_size=2) | VALUES
ASKED = (
    st.dictionaries(st.sampled_from(["network", "serving", "profile", "net"]), LISTS, max_size=2)
    | VALUES
)


@given(
    st.dictionaries(
        st.sampled_from(["regions", "organization_codes", "required_tags", "region"]), LISTS
    ),
    st.none() | ASKED,
    st.none()
    | st.dictionaries(
        st.sampled_from(["internal", 7]), st.fixed_dictionaries({"choices": ASKED}) | VALUES
    ),
)
def test_the_hook_and_the_toolkit_refuse_the_same_policies(
    lists: dict[str, object], choices: object, classifications: object
) -> None:
    given = {"choices": choices, "classifications": classifications}
    agree(lists | {key: value for key, value in given.items() if value is not None})


@pytest.mark.parametrize("key", ["regions", "organization_codes", "required_tags"])
@pytest.mark.parametrize("name", NAMES.split())
def test_the_hook_and_the_toolkit_refuse_the_same_values(key: str, name: str) -> None:
    agree({key: [name]})


def test_the_hook_and_the_toolkit_know_the_same_choices() -> None:
    for question, values in pre_gen.CHOICES.items():
        for value in (*values, "another"):
            agree({"choices": {question: [value]}})
    assert set(pre_gen.CHOICES) == set(Choices.model_fields)


def agree(content: dict[str, object]) -> None:
    """Assert that both readers of a policy accept it, or both refuse it."""
    try:
        Policy.model_validate(content)
        accepted = True
    except ValidationError:
        accepted = False
    assert accepted == (list(pre_gen.policy_faults(content)) == []), content


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        (
            "cost=1",
            "must give the tag data one of internal, secret, as AI_FACTORY_POLICY classifies",
        ),
        ("data=public", "must give the tag data one of internal, secret"),
        ("data=secret", "network: 'public' must be one of managed-vnet, as AI_FACTORY_POLICY says"),
    ],
)
def test_the_classification_of_the_data_decides_what_is_allowed(
    policy: Callable[[str], Path], refusal: Refusal, tags: str, message: str
) -> None:
    policy("classifications: {internal: {}, secret: {choices: {network: [managed-vnet]}}}")
    assert message in refusal(_tags=tags)


def test_a_laptop_is_refused_where_what_it_leaves_out_is_required(
    policy: Callable[[str], Path], refusal: Refusal
) -> None:
    policy("choices: {network: [public]}")
    message = "profile: 'laptop' must be one of team, factory, as AI_FACTORY_POLICY says"
    assert message in refusal(profile="laptop")


@pytest.mark.parametrize(
    ("signed_by", "change", "message"),
    [
        ("platform", "", ""),
        (
            "stranger",
            "",
            "as AI_FACTORY_POLICY_SIGNERS asks (Good",
        ),
        ("", "", "asks (its commit has no signature)"),
        ("platform", "# changed", "must be as its commit has it"),
    ],
)
def test_a_policy_is_signed_where_the_organization_names_who_signs(
    tmp_path: Path,
    policy: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    signed_by: str,
    change: str,
    message: str,
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))  # no settings of this machine's user
    path = policy("choices: {ci_provider: [github-actions]}\n")
    for name in ("platform", "stranger"):
        run(tmp_path, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", name)
    (tmp_path / "signers").write_text(f"platform {(tmp_path / 'platform.pub').read_text()}")
    settings = (
        "user.name=a",
        "user.email=a@b",
        "gpg.format=ssh",
        f"user.signingkey={tmp_path / signed_by}",
    )
    run(tmp_path, "git", "init", "-q")
    run(tmp_path, "git", "add", "policy.yml")
    options = [word for one in settings for word in ("-c", one)]
    run(tmp_path, "git", *options, "commit", "-qm", "x", *["-S"] * bool(signed_by))
    path.write_text(path.read_text() + change)
    monkeypatch.setenv("AI_FACTORY_POLICY_SIGNERS", "signers")
    faults = [one.rule for one in pre_gen.read_policy("policy.yml", str(tmp_path))[1]]
    assert [message in fault for fault in faults] == [True] * bool(message), faults
    if not message:
        monkeypatch.setenv("AI_FACTORY_POLICY_SIGNERS", str(tmp_path / "signers"))
        assert bake(tmp_path / "made").has("conf/project.yml")


def run(folder: Path, *words: str) -> None:
    subprocess.run(words, cwd=folder, check=True, capture_output=True)


def test_what_is_about_a_projects_life_refuses_no_answer(
    policy: Callable[[str], Path], tmp_path: Path
) -> None:
    policy("sizes: [Standard_M8ms]\ngates: {promotion.binary.floor: {at_least: 1}}\n")
    assert bake(tmp_path).has("conf/project.yml")


ALLOWED = st.fixed_dictionaries(
    {},
    optional={name: st.lists(st.sampled_from(CHOICES[name]), min_size=1) for name in CHOICES},
)
POLICIES = st.builds(
    pre_gen.Policy,
    regions=st.lists(st.from_regex(r"[a-z]{3,9}[0-9]?", fullmatch=True), max_size=4),
    organization_codes=st.lists(st.from_regex(r"[a-z]{2,6}", fullmatch=True), max_size=4).map(
        lambda codes: [code for code in codes if code != "login"]
    ),
    required_tags=st.lists(
        st.sampled_from(["Owner", "cost", "Cost", "data", "x:y"]) | st.text("abc", min_size=1),
        max_size=9,
    ),
    choices=ALLOWED,
    classifications=st.dictionaries(
        st.sampled_from(["internal", "secret"]), st.builds(dict, choices=ALLOWED), max_size=2
    ),
)


@given(
    POLICIES, st.sampled_from(["", "cost=1", "data=x, b=2", "data=secret", "b=2, B=3, owner=me, c"])
)
def test_what_is_offered_instead_is_within_the_policy(policy: object, tags: str) -> None:
    answers = {**ANSWERS, "_tags": tags}
    problems = pre_gen.find_problems(answers, policy)
    cured = answers | {problem.answer: problem.instead for problem in problems}
    assert pre_gen.find_problems(cured, policy) == []
