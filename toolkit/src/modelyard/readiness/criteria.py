"""The criteria of Azure's MLOps maturity model, and how each is known to be met.

After "MLOps maturity model" of the Azure Architecture Center (2025-10): four areas, levels 0 to 4.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from modelyard.console import counted
from modelyard.evidence import Evidence
from modelyard.files import has_file, read_json
from modelyard.git import head
from modelyard.models.version import CHAMPION
from modelyard.project import GIVEN
from modelyard.readiness.evidence import (
    Found,
    Monitored,
    Rehearsed,
    Reproduced,
    Seen,
    says_something,
)

PEOPLE, CREATION, RELEASE, APPLICATION = "people", "model creation", "model release", "application"
TRAIN = "mlops run azureml/pipelines/train.yml"
ADD = "mlops add infrastructure"
ONE_ANSWER = 1  # minutes


@dataclass(frozen=True)
class Criterion:
    """A criterion of a level.

    Attributes:
        level: None of a principle and of a responsibility.
        minutes: what it takes at least, to find the cheapest next step.
        remedy: a command; None where there is none but that of what was found.
        check: looks at a project; None: only people know.
    """

    name: str
    level: int | None
    area: str
    what: str
    minutes: int
    remedy: str | None
    check: Callable[[Seen], Found] | None = None


def _asked(name: str, level: int, area: str, what: str) -> Criterion:
    remedy = f'mlops readiness --answer {name}=yes --why "…"'
    return Criterion(name, level, area, what, ONE_ANSWER, remedy)


def _there(said: str, *paths: str) -> Callable[[Seen], Found]:
    def check(seen: Seen) -> Found:
        lacking = seen.lacks(*paths)
        return Found(
            lacking is None, f"there is no {lacking}, or nothing in it" if lacking else said
        )

    return check


def _pipeline(name: str, said: str) -> Callable[[Seen], Found]:
    def check(seen: Seen) -> Found:
        if seen.pipelines is None or not says_something(seen.pipelines / f"{name}.yml"):
            remedy = ADD if seen.pipelines else "mlops add pipelines github-actions"
            return Found(False, f"no pipeline `{name}` of GitHub Actions or Azure DevOps", remedy)
        if not seen.has_remote:
            return Found(None, f"{said}, but the repository has no remote: it never ran")
        return Found(True, f"{said}: {seen.pipelines.name}/{name}.yml")

    return check


def _code(seen: Seen) -> Found:
    commit = head(seen.root)
    return Found(commit is not None, f"git, at {commit[:7]}" if commit else "there is no commit")


def _tests(seen: Seen) -> Found:
    count = sum(map(says_something, (seen.root / "tests").glob("test_*.py")))
    return Found(count > 0, f"{counted(count, 'file')} of tests" if count else "there are no tests")


def _trained(seen: Seen) -> Found:
    number = len(seen.versions)
    return Found(
        number > 0,
        f"{counted(number, 'version')} registered" if number else "nothing was trained yet",
    )


def _traced(seen: Seen) -> Found:
    if not seen.versions:
        return Found(None, "no version is registered yet")
    tags = seen.versions[0].tags
    lacking = [one for one in ("git_commit", "dataset_digest", "model_digest") if not tags.get(one)]
    said = f"v{seen.versions[0].number}"
    if lacking:
        return Found(False, f"{said} does not name its {', '.join(lacking)}")
    return Found(True, f"{said} names its commit, data set and files")


def _reproduced(seen: Seen) -> Found:
    file = seen.newest(".mlflow/decisions/*/reproduction.json")
    number = seen.versions[0].number if seen.versions else None
    remedy = f"mlops reproduce {number}" if number else TRAIN
    if file is None:
        return Found(None, "no version was trained again and compared", remedy)
    content = read_json(file, Reproduced)
    differing = [name for name, one in content["evidence"].items() if one != "equal"]
    said = f"v{content['version']} on {content['at'][:10]}"
    if differing:
        return Found(False, f"{said}: {', '.join(differing)} differ", remedy)
    return Found(True, f"{said}: every figure equal")


def _committed(seen: Seen) -> Found:
    if seen.champion is None:
        return Found(None, "there is no champion", "mlops promote")
    commit = seen.champion.tags.get("git_commit", "")
    number = seen.champion.number
    if not commit or commit.endswith("-dirty"):
        said = "names no commit" if not commit else "was trained with changes that are in no commit"
        return Found(
            False, f"champion v{number} {said}", f"git commit --all && {TRAIN} && mlops promote"
        )
    return Found(True, f"champion v{number} leads to commit {commit[:10]} and its data set")


def _released(seen: Seen) -> Found:
    files = seen.root.glob(".endpoints/*/releases/*/release.json")
    if any(read_json(one, Evidence)["details"]["stage"] == "released" for one in files):
        return Found(True, "a release passed smoke and integration tests on this machine")
    if any("released" in one.tags.get("release", "") for one in seen.versions):
        return Found(True, "a version was released")
    return Found(None, "no release is recorded here")


def _stages(seen: Seen) -> Found:
    release = seen.gates.release
    if len(release.traffic) < 2 and not release.mirror:
        return Found(False, "conf/gates.yml sends all traffic to a new version at once")
    shares = ", ".join(f"{one}%" for one in release.traffic)
    return Found(True, f"{release.mirror}% mirrored, then {shares}; `mlops ab-report` compares")


def _environments(seen: Seen) -> Found:
    wanted = dict.fromkeys((*GIVEN, *seen.project.environments))
    lacking = [
        name
        for name in wanted
        if name not in seen.project.environments or seen.lacks(f"infra/{name}.bicepparam")
    ]
    if lacking:
        return Found(False, f"not described: {', '.join(lacking)}")
    return Found(True, f"{', '.join(wanted)} in conf/project.yml and infra/")


def _registry(seen: Seen) -> Found:
    name = seen.project.registry
    return Found(
        bool(name),
        name or "conf/project.yml names no registry: files are copied between workspaces",
    )


def _collected(seen: Seen) -> Found:
    from modelyard.yaml_files import read_mapping

    file = seen.root / "azureml" / "endpoints" / "online-deployment.yml"
    if not has_file(file):
        said = "there is no online deployment whose requests are collected"
        return Found(False, said, "mlops add endpoint online")
    collections = (read_mapping(file).get("data_collector") or {}).get("collections") or {}
    enabled = [
        name for name, one in collections.items() if str(one.get("enabled")).lower() == "true"
    ]
    said = f"collects {', '.join(enabled)}" if enabled else "collects nothing"
    return Found({"model_inputs", "model_outputs"} <= set(enabled), f"online-deployment.yml {said}")


def _monitored(seen: Seen) -> Found:
    file = seen.newest(".monitor/*/monitor.json")
    if file is None:
        return Found(None, "no monitor has run on this machine")
    details = read_json(file, Monitored)["details"]
    judged = [name for name, one in details["signals"].items() if one["verdict"] != "not judged"]
    said = f"on {details['at'][:10]}: {', '.join(judged) or 'nothing could be judged'}"
    return Found(bool(judged) or None, said)


def _policy(seen: Seen) -> Found:
    approval = seen.gates.release.approval
    if seen.champion is None:
        return Found(None, f"there is no {CHAMPION} that the gates promoted", "mlops promote")
    stage = (seen.evidence.get("decision") or {}).get("details", {}).get("stage")
    if stage != "promoted":
        return Found(None, f"the decision on v{seen.champion.number} is not on this machine")
    return Found(True, f"v{seen.champion.number} was promoted by its gates; release: {approval}")


def _rehearsed(seen: Seen) -> Found:
    file = seen.root / ".drill" / "drill.json"
    if not has_file(file):
        return Found(None, "a breach, a retraining and a rollback were never rehearsed here")
    periods = read_json(file, Rehearsed)["periods"]
    failed = sum(one["failed"] for one in periods)
    said = f"{counted(len(periods), 'period')} replayed, {counted(failed, 'failed request')}"
    return Found(failed == 0, said)


CRITERIA: tuple[Criterion, ...] = (
    Criterion("code-versioned", 1, CREATION, "Code is in version control", 5, "git init && git add --all && git commit --message 'The project'", _code),
    Criterion("builds-automated", 1, APPLICATION, "Every change is built and tested", 30, "mlops connect", _pipeline("check", "checks every change")),
    Criterion("code-tested", 1, APPLICATION, "Code has automated tests", 60, "make test", _tests),
    _asked("data-gathered", 1, CREATION, "A pipeline gathers the data; nobody copies files by hand"),
    Criterion("training-automated", 2, CREATION, "Training is a pipeline, and ran", 5, TRAIN, _trained),
    Criterion("versions-traced", 2, CREATION, "Code, data and models are versioned together", 5, TRAIN, _traced),
    Criterion("reproducible", 2, CREATION, "A model can be reproduced", 5, "mlops reproduce 1", _reproduced),
    Criterion("environments-defined", 2, CREATION, "Environments of jobs and endpoints are defined and pinned", 30, "make lock", _there("Azure ML environments, with packages pinned by hash", "azureml/environments/train.yml", "requirements/train.txt", "requirements/serve.txt")),
    Criterion("compute-managed", 2, CREATION, "Compute is described as code", 60, ADD, _there("a cluster in infra/", "infra/modules/compute.bicep")),
    Criterion("training-recurs", 2, CREATION, "A schedule of the training is described", 15, ADD, _there("azureml/schedules/retrain.yml", "azureml/schedules/retrain.yml")),
    Criterion("features-shared", 2, CREATION, "Training and serving share one definition of the features", 60, "make test", lambda seen: _there("features.py, for training, serving and monitoring; no managed feature store", f"src/{seen.project.package}/features.py")(seen)),
    Criterion("scoring-tested", 2, RELEASE, "The scoring script is versioned and tested", 30, "make test", _there("src/score.py or src/batch_score.py, and tests/test_serving.py", "tests/test_serving.py")),
    _asked("deployed", 2, CREATION, "Workspace, cluster and schedules are deployed as described"),
    _asked("scientists-with-engineers", 2, PEOPLE, "Data scientists and data engineers turn experiments into repeatable jobs together"),
    Criterion("release-automated", 3, RELEASE, "A pipeline releases", 30, "mlops connect", _pipeline("deliver", "delivers to every environment")),
    Criterion("release-tested", 3, APPLICATION, "Every release is tested before it answers requests", 5, "mlops release", _released),
    Criterion("release-compared", 3, RELEASE, "A new version is compared with the old one under live traffic", 5, "mlops release", _stages),
    Criterion("champion-traced", 3, CREATION, "What serves leads back to commit and data", 10, "mlops promote", _committed),
    Criterion("environments-alike", 3, RELEASE, "Development, test and production are managed alike", 60, ADD, _environments),
    Criterion("registry", 3, RELEASE, "Versions reach other workspaces through a registry", 30, "az deployment group create --resource-group GROUP --parameters infra/registry.bicepparam", _registry),
    _asked("engineers-integrate", 3, PEOPLE, "Software engineers automate how the model gets into the application"),
    Criterion("metrics-collected", 4, APPLICATION, "The deployed model's inputs and outputs are collected", 10, "mlops check", _collected),
    Criterion("monitored", 4, APPLICATION, "Drift and quality are monitored", 5, "mlops monitor", _monitored),
    Criterion("monitor-scheduled", 4, APPLICATION, "A schedule of the monitor is described", 15, ADD, _there("azureml/schedules/monitor.yml", "azureml/schedules/monitor.yml")),
    Criterion("breach-retrains", 4, CREATION, "What retrains after a breach is described", 60, ADD, _there("events/ and azureml/jobs/retrain.yml", "events/function_app.py", "azureml/jobs/retrain.yml")),
    Criterion("promotion-by-policy", 4, RELEASE, "Promotion follows a policy", 5, "mlops promote", _policy),
    Criterion("rehearsed", 4, RELEASE, "Breach, retraining and rollback are rehearsed, without failed requests", 10, "mlops drill", _rehearsed),
    _asked("metrics-used", 4, PEOPLE, "What production tells about the model reaches those who improve it"),
)  # fmt: skip
