"""A breach of every rule of a policy is found, and what an exception does."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from contextlib import nullcontext
from datetime import date
from pathlib import Path

import pytest
from modelyard.errors import CheckFailed, UsageError
from modelyard.git import git
from modelyard.policy.check import Verdict, check_project
from modelyard.policy.model import policy_file, read_policy

from tests.command import Mlops
from tests.project import ROOT, part_of_sample

TODAY = date(2026, 11, 28)
Check = Callable[..., Verdict]
# The sample project as it is keeps to it.
POLICY = """\
owner: platform@acme.example
owners: {sizes: costs@acme.example, gates.promotion: science@acme.example}
regions: [westeurope, northeurope]
organization_codes: [acme]
required_tags: [cost_center, owner]
choices:
  problem_type: [classification]
  serving: [online]
  network: [public]
  production_data: [approved-access]
  ci_provider: [github-actions]
  release_approval: [automatic]
sizes: ["Standard_D?ds_v4", Standard_D4as_v4, Standard_E4s_v3]
classifications:
  internal: {}
  confidential:
    choices: {network: [managed-vnet], release_approval: [model-validator]}
    log_days: 60
gates:
  promotion.binary.floor: {at_least: 0.55}
  promotion.regression.floor: {at_least: 0.9}
  release.more_errors: {at_most: 0.01}
  fairness.binary.selection_rate.ratio: {at_least: 0.8}
  footprint.model_megabytes.most: {at_most: 500}
packages: [de*, ip*, mat*, mypy, nb*, p*, r*, uv]
toolkit: ">=0.1"
"""


@pytest.fixture
def check(tmp_path: Path) -> Check:
    """Check a copy of the sample project, in a file of which a text is replaced."""
    root = part_of_sample(tmp_path / "project", "conf azureml infra .github")
    shutil.copytree(ROOT / "requirements", root / "requirements", ignore=lambda *_: ["wheels"])
    edit(
        root,
        "conf/project.yml",
        "  template: ai",
        "  cost_center: x\n  data: internal\n  template: ai",
    )

    def checked(file: str = "", old: str = "", new: str = "", policy: str = POLICY) -> Verdict:
        if file:
            edit(root, file, old, new)
        path = tmp_path / "policy.yml"
        path.write_text(policy, encoding="utf-8")
        return check_project(root, read_policy(path), path, TODAY)

    return checked


def edit(root: Path, file: str, old: str, new: str) -> None:
    text = (root / file).read_text(encoding="utf-8") if (root / file).exists() else ""
    assert old in text
    (root / file).parent.mkdir(exist_ok=True)
    (root / file).write_text(text.replace(old, new, 1) if old else new, encoding="utf-8")


def test_a_project_within_the_policy_has_no_breach(check: Check) -> None:
    assert check() == Verdict((), ())


@pytest.mark.parametrize(
    ("rule", "file", "old", "new"),
    [
        ("regions", "conf/project.yml", 'region: "westeurope"', "region: eastus"),
        (
            "regions",
            "conf/project.yml",
            "resource_group: rg-acme-flight-delay-prod",
            "resource_group: rg-acme-flight-delay-prod\n    region: eastus",
        ),
        ("regions", "infra/registry.bicepparam", "Regions = []", "Regions = [\n  'eastus'\n]"),
        ("regions", "infra/dev.bicepparam", "", "param trainingLocation = 'eastus'\n"),
        ("regions", "infra/prod.bicepparam", "", "param location = 'eastus'\n"),
        ("regions", "infra/dev.bicepparam", "", "param trainingLocation = where\n"),
        ("regions", "infra/registry.bicepparam", "Regions = []", "Regions = union(common, [])"),
        ("organization_codes", "conf/project.yml", 'organization: "acme"', "organization: other"),
        ("required_tags", "conf/project.yml", "  cost_center: x\n", ""),
        ("required_tags", "conf/project.yml", "cost_center: x", "cost_center: ''"),
        ("choices.problem_type", "conf/contract.yml", "kind: binary", "kind: regression"),
        ("choices.serving", "azureml/endpoints/nightly.yml", "", "name: b\nauth_mode: key\ndefaults: {deployment_name: d}\n"),
        ("choices.network", "infra/prod.bicepparam", "'public'", "'managed-vnet'"),
        ("choices.network", "infra/prod.bicepparam", "'public'", "readEnvironmentVariable('N')"),
        ("choices.production_data", "infra/dev.bicepparam", "'approved-access'", "'masked-replica'"),
        ("choices.ci_provider", ".azuredevops/check.yml", "", "steps: []\n"),
        ("choices.release_approval", "conf/gates.yml", "approval: automatic", "approval: model-validator"),
        ("sizes", "infra/test.bicepparam", "Standard_D4ds_v4", "Standard_NC24ads_A100_v4"),
        ("sizes", "infra/test.bicepparam", "'Standard_D4ds_v4'", "readEnvironmentVariable('SIZE')"),
        ("sizes", "infra/main.bicep", "Standard_D2ds_v4", "Standard_F2s_v2"),
        ("sizes", "azureml/endpoints/online-deployment.yml", "Standard_D4as_v4", "Standard_DS3_v2"),
        ("sizes", "conf/project.yml", "  prod:\n", "  prod:\n    instance_type: Standard_M8ms\n"),
        ("sizes", "azureml/pipelines/train.yml", "jobs:\n  prepare:\n", "jobs:\n  prepare:\n    resources: {instance_type: STANDARD_NC6}\n"),
        ("sizes", "azureml/pipelines/train.yml", "jobs:\n  prepare:\n", "jobs:\n  prepare:\n    resources: {instance_type: [small, Standard_D4ds_v4]}\n"),
        ("classifications", "conf/project.yml", "data: internal", "data: secret"),
        ("classifications", "conf/project.yml", "  data: internal\n", ""),
        ("classifications.confidential.network", "conf/project.yml", "data: internal", "data: confidential"),
        ("classifications.confidential.release_approval", "conf/project.yml", "data: internal", "data: confidential"),
        ("classifications.confidential.log_days", "conf/project.yml", "data: internal", "data: confidential"),
        ("gates.promotion.binary.floor", "conf/gates.yml", "floor: 0.55", "floor: 0.5"),
        ("gates.release.more_errors", "conf/gates.yml", "more_errors: 0.01", "more_errors: 0.2"),
        ("gates.fairness.binary.selection_rate.ratio", "conf/gates.yml", "selection_rate: {ratio: 0.8}", "accuracy: {ratio: 0.8}"),
        ("gates.fairness.binary.selection_rate.ratio", "conf/gates.yml", "selection_rate: {difference: 0.95}", "selection_rate: {ratio: 0.1}"),
        ("gates.footprint.model_megabytes.most", "conf/gates.yml", "footprint:\n  model_megabytes: {most: 500, growth: 3, negligible: 5}\n", "footprint:\n"),
        ("packages", "requirements/train.in", "modelyard[train]", "modelyard[train]\nXGBoost>=2"),
        ("packages", "requirements/train.in", "modelyard[train]", "modelyard[train]\n-e git+https://git.example/torch"),
        ("packages", "requirements/train.in", "modelyard[train]", "modelyard[train]\n-r ../more.txt"),
        ("packages", "requirements/train.in", "modelyard[train]", "modelyard[train]\n./torch.whl"),
        ("packages", "requirements/train.dockerfile", "FROM", "RUN pip install -U --no-cache-dir \\\n  -i https://x 'torch>=2'\nFROM"),
        ("packages", "azureml/environments/own/Dockerfile", "", "FROM x\nRUN apt-get update && uv pip install -r more.in torch"),
        ("packages", "azureml/environments/own.yml", "", "name: own\nimage: x\nconda_file:\n  dependencies: [python=3.11, {pip: ['torch==2']}]\n"),
        ("toolkit", "requirements/modelyard.txt", "modelyard==0.1.0", "modelyard==0.0.9"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 40 and "\n" not in value else "",
)  # fmt: skip
def test_a_breach_of_a_rule_is_found(
    check: Check, rule: str, file: str, old: str, new: str
) -> None:
    found = check(file, old, new).breaches
    assert rule in [one.rule for one in found]
    [breach] = [one for one in found if one.rule == rule][:1]
    assert breach.line >= 1
    if not rule.startswith(("classifications.", "choices.serving", "choices.ci")):
        assert breach.file == file
        text = (ROOT / file).read_text("utf-8") if (ROOT / file).exists() else ""
        if old and "\n" not in old and old in text:
            before = text.partition(old)[0].count("\n") + 1
            assert abs(breach.line - before) <= 3


def test_comments_and_addresses_of_a_dockerfile_are_no_packages(check: Check) -> None:
    text = "# pip install torch\nRUN pip install -i https://x mypy  # not torch\nFROM"
    assert not check("requirements/train.dockerfile", "FROM", text).breaches


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("conf/project.yml", "tags:", "tags: [a]\nother:", r":\d+: tags: .*found \['a'\]"),
        ("conf/project.yml", "environments:", "environments: []\nother:", "environments: expected"),
        ("conf/project.yml", "  prod:", "  prod:\n  other:", r":\d+: prod: .*found None"),
        ("conf/gates.yml", "release:", "release: x\nother:", "release: expected names"),
        ("conf/contract.yml", "target:", "target: late\nother:", "target: .*found 'late'"),
    ],
)
def test_a_file_of_another_form_is_named_with_its_line(
    check: Check, file: str, old: str, new: str, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        check(file, f"\n{old}", f"\n{new}")


def test_a_kind_of_target_that_there_is_not_leaves_no_gate_out(check: Check) -> None:
    policy = "gates: {promotion.binary.floor: {at_least: 0.9}}"
    [breach] = check("conf/contract.yml", "kind: binary", "kind: Binary", policy).breaches
    assert breach.rule == "gates.promotion.binary.floor"


def test_a_breach_names_the_owner_of_its_rule(check: Check) -> None:
    sizes = check("infra/prod.bicepparam", "Standard_D4ds_v4", "Standard_L8s").breaches
    assert [one.owner for one in sizes] == ["costs@acme.example"]
    found = check("conf/gates.yml", "floor: 0.55", "floor: 0.1").breaches
    assert {one.rule: one.owner for one in found} == {
        "sizes": "costs@acme.example",
        "gates.promotion.binary.floor": "science@acme.example",
    }


EXCEPTION = """\
exceptions:
  - {{rule: {rule}, project: {project}, owner: team@acme.example, until: {until}, why: a trial}}
"""


@pytest.mark.parametrize(
    ("rule", "project", "until", "breaches"),
    [
        ("regions", "flight-delay", TODAY, []),
        ("regions", "another", TODAY, ["regions"]),
        ("sizes", "flight-delay", TODAY, ["regions"]),
        ("regions", "flight-delay", date(2026, 11, 27), ["regions", "regions"]),
    ],
)
def test_an_exception_covers_its_rule_of_its_project_until_its_day(
    check: Check, rule: str, project: str, until: date, breaches: list[str]
) -> None:
    policy = POLICY + EXCEPTION.format(rule=rule, project=project, until=until)
    found = check("conf/project.yml", 'region: "westeurope"', "region: eastus", policy)
    assert [one.rule for one in found.breaches] == breaches
    assert len(found.excepted) == (not breaches)


def test_an_exception_that_has_ended_is_a_breach_with_its_owner_and_line(check: Check) -> None:
    policy = POLICY + EXCEPTION.format(rule="sizes", project="flight-delay", until="2026-11-27")
    [breach] = check(policy=policy).breaches
    assert "ended on 2026-11-27; team@acme.example answers for it" in breach.message
    assert breach.file.endswith("policy.yml") and breach.line == policy.count("\n")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("region: [westeurope]", "region: no such field; did you mean `regions`?"),
        ("gates: {promotion.binary.floor: {}}", "expected at_least or at_most"),
        ("gates: {promotion.binry.floor: {at_least: 0.9}}", "gates.promotion.binry.floor: expected the path of a number in conf/gates.yml"),
        ("gates: {fairness.binary: {at_least: 0.9}}", "expected the path of a number in conf/gates.yml"),
        ("gates: {promotion.binary.floor: {at_least: 0.9, at_most: 0.1}}", "no value is between them"),
        ("toolkit: new", "expected versions such as"),
        ("owners: {size: x}", "expected a rule of"),
        ("exceptions: [{rule: sizes, project: a, owner: b, why: c}]", "until: this field is missing"),
        ("packages: [no]", "read differently by YAML 1.1 and 1.2"),
    ],
)  # fmt: skip
def test_a_policy_with_a_slip_is_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "policy.yml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UsageError) as refused:
        read_policy(path)
    assert message in str(refused.value)


def test_a_policy_comes_from_a_git_repository_with_its_commit(tmp_path: Path) -> None:
    (tmp_path / "policy.yml").write_text("regions: [westeurope]", encoding="utf-8")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x")
    commit = git(tmp_path, "log", "-1", "--format=%h").strip()
    with policy_file(f"{tmp_path}#policy.yml") as found:
        assert found is not None
        assert read_policy(found[0]).regions == ["westeurope"]
        assert found[1] == f"policy.yml at commit {commit}"


def test_the_command_says_what_is_found_and_that_there_is_no_policy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mlops: Mlops
) -> None:
    check = ("policy", "check", str(ROOT))
    monkeypatch.delenv("AI_FACTORY_POLICY", raising=False)
    assert "no policy is configured, nothing was checked" in mlops(*check).out
    path = tmp_path / "policy.yml"
    path.write_text("regions: [northeurope]", encoding="utf-8")
    monkeypatch.setenv("AI_FACTORY_POLICY", str(path))
    assert "conf/project.yml:10: regions: found westeurope" in mlops(*check, code=1).err
    [breach] = json.loads(mlops(*check, "--json", code=1).out)["breaches"]
    assert (breach["rule"], breach["line"]) == ("regions", 10)


@pytest.fixture
def signed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Commit a policy, signed by a key or not; `platform` is the signer that the file names."""
    monkeypatch.setenv("HOME", str(tmp_path))  # no settings of this machine's user
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.delenv("AI_FACTORY_POLICY_SIGNERS", raising=False)
    for name in ("platform", "stranger"):
        key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(tmp_path / name)]
        subprocess.run(key, check=True)
    key = (tmp_path / "platform.pub").read_text().strip()
    (tmp_path / "signers").write_text(f"platform@acme.example {key}\n")
    repository = tmp_path / "policy"
    repository.mkdir()
    git(repository, "init", "-q")

    def committed(commit: str = "", tag: str = "", text: str = "") -> Path:
        (repository / "policy.yml").write_text(f"regions: [westeurope] {text}")
        git(repository, "add", ".")
        settings = ["user.name=ada", "user.email=a@b", "gpg.format=ssh"]
        words = [word for one in settings for word in ("-c", one)]

        def key(name: str) -> list[str]:
            return ["-c", f"user.signingkey={tmp_path / name}"]

        git(repository, *words, *key(commit), "commit", "-qm", "x", *["-S"] * bool(commit))
        if tag:
            git(repository, *words, *key(tag), "tag", "-s", "v1", "-m", "x")
        return repository

    return committed


@pytest.mark.parametrize("keys", [{"commit": "platform"}, {"tag": "platform"}])
@pytest.mark.parametrize("address", ["{}#policy.yml", "file://{}#policy.yml", "{}/policy.yml"])
def test_a_policy_is_signed_by_its_commit_or_a_tag(
    tmp_path: Path, signed: Callable[..., Path], keys: dict[str, str], address: str
) -> None:
    place = address.format(signed(**keys))
    with policy_file(place, tmp_path / "signers") as found:
        assert found is not None and found.signer == "platform@acme.example"
    with policy_file(place) as found:
        assert str(found).endswith("signature not checked")


def test_keys_without_a_policy_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AI_FACTORY_POLICY", raising=False)
    with (
        pytest.raises(UsageError, match="no effect without a policy: give --policy"),
        policy_file(None, tmp_path),
    ):
        pass


@pytest.mark.parametrize(
    ("keys", "change", "message"),
    [
        ({}, "", "by ada <a@b> is not signed by an SSH key, expected a key of"),
        ({"commit": "stranger"}, "", "is signed by SHA256:"),
        ({"commit": "stranger", "tag": "stranger"}, "", "is signed by SHA256:"),
        ({"commit": "platform"}, "policy.yml", "is not as the commit"),
        ({"commit": "platform"}, "more.yml", "is not as the commit"),
    ],
)
def test_a_policy_that_nobody_of_the_signers_has_signed_is_refused(
    tmp_path: Path, signed: Callable[..., Path], keys: dict[str, str], change: str, message: str
) -> None:
    repository = signed(**keys)
    if change:
        (repository / change).write_text("regions: [eastus]")
    path = str(repository / (change or "policy.yml"))
    with pytest.raises(CheckFailed, match=message), policy_file(path, tmp_path / "signers"):
        pass


def test_an_older_policy_is_refused_where_its_signer_is_valid_from_a_later_day_on(
    tmp_path: Path, signed: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    signers = tmp_path / "signers"
    who, key = signers.read_text().split(" ", 1)
    signers.write_text(f'{who} valid-after="20261101" {key}')
    for day, is_refused in (("2026-10-31", True), ("2026-11-02", False)):
        monkeypatch.setenv("GIT_COMMITTER_DATE", f"{day}T12:00:00Z")
        place = str(signed(commit="platform", text=f"# of {day}") / "policy.yml")
        refused = pytest.raises(CheckFailed, match="valid on the day of the commit")
        with refused if is_refused else nullcontext(), policy_file(place, signers):
            pass


def test_what_a_signature_cannot_be_checked_with_is_said(
    tmp_path: Path, signed: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(signed(commit="platform") / "policy.yml")
    with pytest.raises(UsageError, match="does not exist"), policy_file(path, tmp_path / "none"):
        pass
    (tmp_path / "policy.yml").touch()
    outside = str(tmp_path / "policy.yml")
    with pytest.raises(CheckFailed, match="in no git"), policy_file(outside, tmp_path / "signers"):
        pass
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "ssh-keygen" else name)
    with (
        pytest.raises(UsageError, match="ssh-keygen is not"),
        policy_file(path, tmp_path / "signers"),
    ):
        pass


def test_the_command_says_who_has_signed(
    tmp_path: Path,
    signed: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    mlops: Mlops,
) -> None:
    place = f"{signed(commit='platform')}#policy.yml"
    check = ("policy", "check", str(ROOT), "--policy", place)
    assert "signature not checked" in mlops(*check).text
    monkeypatch.setenv("AI_FACTORY_POLICY_SIGNERS", str(tmp_path / "signers"))
    assert json.loads(mlops(*check, "--json").out)["signer"] == "platform@acme.example"
    assert "signed by platform@acme.example" in mlops(*check).text
    monkeypatch.setenv(
        "AI_FACTORY_POLICY_SIGNERS", ""
    )  # as in a pipeline whose variable is not set
    assert json.loads(mlops(*check, "--json").out)["signer"] is None
    (tmp_path / "signers").write_text(
        f"other@acme.example {(tmp_path / 'stranger.pub').read_text()}"
    )
    mlops(*check, "--signers", str(tmp_path / "signers"), code=1)
