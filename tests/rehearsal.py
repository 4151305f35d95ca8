"""Rehearses the workflows of both providers: orders jobs, and runs every command in bash with stubs.

What Azure, the provider and the toolkit would be asked to do is recorded, with the identity that asks.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.baked import BakedProject
from tests.expressions import as_text, evaluate, filled

RUN, VERSION = "42", "7"
SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
# Records its name and words. One that is named in FAIL ends with 1, as does a command whose job failed on Azure.
STUB = """#!/bin/sh
name=$(basename "$0")
printf '%s\\t%s\\n' "$IDENTITY" "$name $*" >> "$RECORD"
case "$name $*" in $FAIL) exit 1 ;; esac
say() {
  if [ -n "$GITHUB_OUTPUT" ]; then echo "$1=$2" >> "$GITHUB_OUTPUT"
  else echo "##vso[task.setvariable variable=$1;isOutput=true]$2"; fi
}
case "$name $*" in
  "mlops ci champion"*) say version 7 ;;
  "mlops ci refresh"*) say new "$NEW" ;;
  "mlops ci kept"*) say kept "$KEPT" ;;
esac
"""
STUBBED = ("make", "az", "gh", "git", "mlops")
# What a command needs of the token that GitHub gives to a job.
NEEDS = {
    "mlops ci comment": {"pull-requests": "write"},
    "mlops ci approval": {"actions": "read", "deployments": "read"},
    "mlops ci update": {"contents": "write", "pull-requests": "write"},
    "gh release create": {"contents": "write"},
}
LEVELS = ("none", "read", "write")


class Call(NamedTuple):
    """A command, and the identity that it has on Azure: an environment's, its reader's, or none."""

    identity: str
    command: str


@dataclass(frozen=True)
class Event:
    """What happens: its name as GitHub calls it, and what differs between two of the same name."""

    name: str
    environments: tuple[str, ...] = ("dev", "test", "prod")
    labels: tuple[str, ...] = ()
    fork: bool = False
    inputs: Mapping[str, str] = field(default_factory=dict)
    run: str = RUN
    fail: str = "-"
    new: str = "data"  # what a refresh finds
    kept: bool = True  # whether a release has left a deployment behind
    superseded: str = ""  # the environment whose turn a later run has taken

    @property
    def reason(self) -> str:
        """What Azure Pipelines calls it."""
        reasons = {"pull_request": "PullRequest", "schedule": "Schedule", "push": "IndividualCI"}
        return reasons.get(self.name, "Manual")


class Missing(Exception):
    """A job has not the permission that a step of it needs."""


class Rehearsal:
    """What both providers have in common: a folder with stubs, in which commands run."""

    def __init__(
        self,
        project: BakedProject,
        folder: Path,
        event: Event,
        stubs: Mapping[str, str] = dict.fromkeys(STUBBED, STUB),
    ) -> None:
        self.project, self.folder, self.event = project, folder, event
        self.commands = folder / ".venv" / "bin"
        self.record = self.commands / "record.txt"
        self.scripts: list[str] = []
        self.commands.mkdir(parents=True, exist_ok=True)
        for name, content in stubs.items():
            stub = self.commands / name
            stub.write_text(content)
            stub.chmod(0o755)

    def surroundings(self, identity: str) -> Mapping[str, str]:
        """What the provider tells a step of a job, beside the step's own variables."""
        return {}

    @property
    def calls(self) -> list[Call]:
        """What was called; a setup of packages is no call of Azure."""
        lines = self.record.read_text().splitlines() if self.record.exists() else []
        return [Call(*line.split("\t", 1)) for line in lines]

    def run(self, script: str, identity: str, variables: Mapping[str, Any], *options: str) -> str:
        """Run a script; returns what it printed.

        Raises:
            subprocess.CalledProcessError: it failed.
        """
        self.scripts.append(script)
        settings = {"PATH": f"{self.commands}:/usr/bin:/bin", "RECORD": str(self.record)}
        settings |= self.surroundings(identity)
        settings |= {name: as_text(value) for name, value in variables.items()}
        settings |= {"IDENTITY": identity, "FAIL": self.event.fail, "NEW": self.event.new}
        settings |= {"KEPT": str(self.event.kept).lower()}
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", *options, "-c", script],
            cwd=self.folder,
            env=settings,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout


@dataclass
class Ended:
    """How a job ended, with its outputs."""

    result: str
    outputs: dict[str, Any] = field(default_factory=dict)


class GitHub(Rehearsal):
    """Runs workflows as GitHub Actions does."""

    def start(self, workflow: str) -> str:
        """Run a workflow for the event; returns its result, or "not started"."""
        content = self._read(f"workflows/{workflow}.yml")
        triggers = content[True]  # `on` is a boolean of YAML 1.1
        if self.event.name not in triggers:
            return "not started"
        given = dict(self.event.inputs)
        return self._workflow(content, given, None)[0]

    def _read(self, path: str) -> dict[Any, Any]:
        content: dict[Any, Any] = self.project.yaml(f".github/{path}")
        return content

    def _workflow(
        self, content: dict[Any, Any], inputs: dict[str, Any], allowed: dict[str, str] | None
    ) -> tuple[str, dict[str, Ended]]:
        assert content["permissions"] == {}
        ended: dict[str, Ended] = {}
        jobs = dict(content["jobs"])
        while jobs:
            name = next(n for n, job in jobs.items() if _listed(job.get("needs")) <= ended.keys())
            job = jobs.pop(name)
            before = [ended[one].result for one in _listed(job.get("needs"))]
            names = self._names(inputs, ended, {})
            # GitHub puts success() before a condition that asks for no job's result.
            asks = re.search(r"\b(failure|cancelled)\(\)", str(job.get("if", "")))
            fine = bool(asks) or all(result == "success" for result in before)
            failed = any(one.result == "failure" for one in ended.values())
            if not fine or not _holds(job.get("if"), names, not failed):
                ended[name] = Ended("skipped")
                continue
            results = [
                self._job(content, job, inputs, ended, one, allowed)
                for one in self._matrix(job, names)
            ]
            ended[name] = Ended(_worst(results), results[-1].outputs if results else {})
        return _worst(ended.values()), ended

    def _matrix(self, job: dict[str, Any], names: dict[str, Any]) -> list[dict[str, Any]]:
        matrix = job.get("strategy", {}).get("matrix")
        if not matrix:
            return [{}]
        [(axis, values)] = matrix.items()
        values = filled(values, "${{", names) if isinstance(values, str) else values
        return [{axis: value} for value in values]

    def _job(
        self,
        content: dict[Any, Any],
        job: dict[str, Any],
        inputs: dict[str, Any],
        ended: dict[str, Ended],
        matrix: dict[str, Any],
        allowed: dict[str, str] | None,
    ) -> Ended:
        permissions = dict(job["permissions"])
        for scope, level in permissions.items():
            if allowed is not None and LEVELS.index(level) > LEVELS.index(
                allowed.get(scope, "none")
            ):
                raise Missing(f"the caller does not give {scope}: {level}")
        names = self._names(inputs, ended, matrix)
        if "uses" in job:
            called = self._read(job["uses"].removeprefix("./.github/"))
            given = {key: _fill(value, names) for key, value in job.get("with", {}).items()}
            assert given.keys() == called[True]["workflow_call"]["inputs"].keys()
            return Ended(self._workflow(called, given, permissions)[0])
        environment = _fill(job.get("environment", ""), names)
        if environment and environment == self.event.superseded:
            return Ended("cancelled")
        names["vars"] |= {"AZURE_CLIENT_ID": environment} if environment else {}
        variables = {key: _fill(value, names) for key, value in job.get("env", {}).items()}
        shell = {**content.get("defaults", {}), **job.get("defaults", {})}.get("run", {}).get(
            "shell"
        )
        identity, failed = variables.get("AZURE_CLIENT_ID", ""), False
        steps: dict[str, Any] = {}
        for step in job["steps"]:
            condition = str(step.get("if", ""))
            if failed and "!cancelled()" not in condition:
                continue
            names["steps"] = steps
            if not _holds(step.get("if"), names):
                continue
            if "uses" in step:
                identity = self._use(step, names, permissions, identity)
                continue
            output = self.commands / "output.txt"
            output.write_text("")
            own = {key: _fill(value, names) for key, value in step.get("env", {}).items()}
            who = str(own.get("AZURE_CLIENT_ID", identity))
            self._check(step["run"], permissions, who, own)
            try:
                options = ["-eo", "pipefail"] if shell == "bash" else ["-e"]
                given = variables | own | {"GITHUB_OUTPUT": output}
                self.run(step["run"], who, given, *options)
            except subprocess.CalledProcessError:
                failed = failed or not step.get("continue-on-error")
            made = dict(line.split("=", 1) for line in output.read_text().splitlines())
            steps[step.get("id", "")] = {"outputs": made}
        names["steps"] = steps
        outputs = {key: _fill(value, names) for key, value in job.get("outputs", {}).items()}
        return Ended("failure" if failed else "success", outputs)

    def _use(
        self,
        step: dict[str, Any],
        names: dict[str, Any],
        permissions: dict[str, str],
        identity: str,
    ) -> str:
        given = {key: _fill(value, names) for key, value in step.get("with", {}).items()}
        action = step["uses"].partition("@")[0]
        if action == "actions/checkout" and permissions.get("contents", "none") == "none":
            raise Missing("actions/checkout needs contents: read")
        if action == "actions/attest-build-provenance":
            goes_on = _fill(step.get("continue-on-error"), names)
            assert goes_on is True, "GitHub attests private repositories of Enterprise Cloud only"
        if action == "azure/login":
            return str(given["client-id"])
        if action.startswith("./"):
            called = self._read(action.removeprefix("./.github/") + "/action.yml")
            defaults = {key: one.get("default") for key, one in called["inputs"].items()}
            inside = {**names, "inputs": defaults | given}
            for one in called["runs"]["steps"]:
                if "run" in one:
                    own = {key: _fill(value, inside) for key, value in one["env"].items()}
                    self.run(one["run"], "", own, "-eo", "pipefail")
        return identity

    def _check(
        self, script: str, permissions: dict[str, str], identity: str, own: Mapping[str, Any]
    ) -> None:
        needed = dict[str, str]()
        for command, levels in NEEDS.items():
            if command in script.replace(".venv/bin/", ""):
                needed |= levels
                if not (own.get("GITHUB_TOKEN") or own.get("GH_TOKEN")):
                    raise Missing(f"{command} is given no token")
        if identity:
            needed["id-token"] = "write"
        for scope, level in needed.items():
            if LEVELS.index(permissions.get(scope, "none")) < LEVELS.index(level):
                raise Missing(f"`{script}` needs {scope}: {level}")

    def _names(
        self, inputs: dict[str, Any], ended: dict[str, Ended], matrix: dict[str, Any]
    ) -> dict[str, Any]:
        event = self.event
        readers = {
            f"AZURE_READER_CLIENT_ID_{one}".upper(): f"{one}-reader" for one in event.environments
        }
        request = {
            "number": 3,
            "labels": [{"name": one} for one in event.labels],
            "head": {"repo": {"full_name": "fork/it" if event.fork else "acme/it"}},
        }
        return {
            "github": {
                "event_name": event.name,
                "repository": "acme/it",
                "token": "token",
                "run_id": event.run,
                "ref": "refs/heads/main",
                "ref_name": "v1.2.0",
                "event": {
                    "pull_request": request if event.name == "pull_request" else None,
                    "repository": {"private": True},
                },
            },
            "vars": {
                "ENVIRONMENTS": json.dumps(event.environments),
                "AZURE_TENANT_ID": "t",
                "AZURE_SUBSCRIPTION_ID": SUBSCRIPTION,
                **readers,
            },
            "inputs": inputs,
            "matrix": matrix,
            "needs": {
                name: {"outputs": one.outputs, "result": one.result} for name, one in ended.items()
            },
            "steps": {},
        }


def _worst(ended: Iterable[Ended]) -> str:
    results = {one.result for one in ended}
    return next((one for one in ("failure", "cancelled") if one in results), "success")


def _listed(value: Any) -> set[str]:
    return {value} if isinstance(value, str) else set(value or ())


def _holds(condition: Any, names: dict[str, Any], succeeded: bool = True) -> bool:
    if condition is None:
        return True
    text = re.sub(r"^\s*\$\{\{(.*)\}\}\s*$", r"\1", str(condition), flags=re.DOTALL)
    return bool(evaluate(text, names, succeeded))


def _fill(value: Any, names: dict[str, Any]) -> Any:
    return filled(value, "${{", names) if isinstance(value, str) else value


class AzureDevOps(Rehearsal):
    """Runs pipelines as Azure Pipelines does: templates are expanded first, then stages are ordered."""

    def start(self, pipeline: str) -> str:
        """Run a pipeline for the event; returns its result, or "not started"."""
        content = self.project.yaml(f".azuredevops/{pipeline}.yml")
        names = self.project.yaml("conf/azure-devops.yml")["variables"]
        names |= {
            "environments": ",".join(self.event.environments),
            "Build.Reason": self.event.reason,
        }
        self.variables = {
            "Build.BuildId": self.event.run,
            "Build.SourceBranchName": "v1.2.0",
            "Build.Reason": self.event.reason,
            "System.AccessToken": "token",
            "System.PullRequest.IsFork": str(self.event.fork),
        }
        given = {one["name"]: one.get("default", "") for one in content.get("parameters", [])}
        given = {
            key: {"true": True, "false": False}.get(value, value) for key, value in given.items()
        }
        self.place = Path(".azuredevops")
        scope = {"parameters": given | dict(self.event.inputs), "variables": names}
        started = {
            "push": isinstance(content["trigger"], dict),
            "schedule": "schedules" in content,
        }
        if not started.get(self.event.name, True):
            return "not started"
        expanded = dict(_expand(content, scope, self))
        stages = expanded.get("stages") or [
            {"stage": "only", "jobs": expanded.get("jobs") or [expanded]}
        ]
        if any("deployment" in job for stage in stages for job in stage["jobs"]):
            # Without it a run that waits for an environment's lock is cancelled by the next one.
            assert expanded.get("lockBehavior") == "sequential", pipeline
        return self._stages(stages)

    def _stages(self, stages: list[dict[str, Any]]) -> str:
        ended: dict[str, Ended] = {}
        outputs: dict[str, Any] = {}
        for at, stage in enumerate(stages):
            before = stage.get("dependsOn", [stages[at - 1]["stage"]] if at else [])
            before = [before] if isinstance(before, str) else before
            assert set(before) <= ended.keys(), f"{stage['stage']} depends on a later stage"
            fine = all(ended[one].result == "success" for one in before)
            condition = stage.get("condition", "succeeded()")
            if not evaluate(condition, self._names(outputs, before), fine):
                ended[stage["stage"]] = Ended("skipped")
                continue
            results = []
            for job in stage["jobs"]:
                result, made = self._job(job, self._names(outputs, before))
                results.append(result)
                name = job.get("deployment") or job.get("job", "")
                outputs.setdefault(stage["stage"], {})[name] = {"outputs": made}
            ended[stage["stage"]] = Ended(_worst(map(Ended, results)))
        return _worst(ended.values())

    def _names(self, outputs: dict[str, Any], before: list[str]) -> dict[str, Any]:
        known = {name: one for name, one in outputs.items() if name in before}
        flat = {  # as conditions of stages name them
            name: {
                "outputs": {
                    f"{job}.{key}": value
                    for job, made in one.items()
                    for key, value in made["outputs"].items()
                }
            }
            for name, one in known.items()
        }
        return {"variables": self.variables, "stageDependencies": known, "dependencies": flat}

    def _job(self, job: dict[str, Any], names: dict[str, Any]) -> tuple[str, dict[str, str]]:
        assert job.get("deployment") != "deploy", "a keyword: Azure Pipelines takes no such name"
        environment = str(job.get("environment", "")).removeprefix("flight-delay-")
        if environment and environment == self.event.superseded:
            return "cancelled", {}
        variables: dict[str, Any] = {}
        for one in job.get("variables", []):
            if "group" in one:
                variables["AZURE_SUBSCRIPTION_ID"] = SUBSCRIPTION
            else:
                value = (
                    filled(str(one["value"]), "$[", names, "]")
                    if "$[" in str(one["value"])
                    else one["value"]
                )
                variables[one["name"]] = self._fill(value)
        steps = (
            job["strategy"]["runOnce"]["deploy"]["steps"] if "deployment" in job else job["steps"]
        )
        failed, made = False, dict[str, str]()
        for step in steps:
            script, identity = step.get("bash"), ""
            if step.get("task") == "AzureCLI@2":
                script = step["inputs"]["inlineScript"]
                identity = step["inputs"]["azureSubscription"].removeprefix("flight-delay-")
            condition = step.get("condition", "succeeded()")
            if script is None or not evaluate(condition, names, not failed):
                continue
            own = {key: self._fill(value) for key, value in step.get("env", {}).items()}
            if "mlops" in script and "what-if" not in script and identity:
                assert "AZURE_SUBSCRIPTION_ID" in variables, f"`{script}` is told no subscription"
            if any(one in script for one in ("ci comment", "ci approval", "ci update")):
                assert own.get("SYSTEM_ACCESSTOKEN") == "token", f"`{script}` is given no token"
            try:
                printed = self.run(script, identity, variables | own)
            except subprocess.CalledProcessError as error:
                failed, printed = failed or not step.get("continueOnError"), error.stdout
            for name, value in re.findall(
                r"##vso\[task.setvariable variable=(\w+);isOutput=true](.*)", printed
            ):
                place = f"{job['deployment']}." if "deployment" in job else ""
                made[f"{place}{step['name']}.{name}"] = value
                names["variables"] = names["variables"] | {f"{step['name']}.{name}": value}
        return ("failure" if failed else "success"), made

    def _fill(self, value: Any) -> Any:
        def known(found: re.Match[str]) -> str:
            return as_text(self.variables[found[1]])

        return re.sub(r"\$\(([\w.]+)\)", known, value) if isinstance(value, str) else value

    def template(self, path: str, given: dict[str, Any], scope: dict[str, Any]) -> Iterator[Any]:
        """Yield the items of a template: stages, jobs or steps."""
        kept, place = self.place, (self.place / path)
        content = yaml.safe_load((self.project.path / place).read_text(encoding="utf-8"))
        declared = {one["name"]: one for one in content["parameters"]}
        assert given.keys() <= declared.keys(), f"{path} has no {given.keys() - declared.keys()}"
        filled_in = {key: given.get(key, one.get("default")) for key, one in declared.items()}
        assert None not in filled_in.values(), f"{path} is not given all of {declared.keys()}"
        self.place = place.parent
        [kind] = content.keys() - {"parameters"}
        yield from _expand(content[kind], {**scope, "parameters": filled_in}, self)
        self.place = kept


def _expand(content: Any, scope: dict[str, Any], pipelines: AzureDevOps) -> Any:
    """Expand templates, conditions, loops and expressions of a pipeline."""
    if isinstance(content, str):
        return filled(content, "${{", scope)
    if isinstance(content, dict):
        made: dict[str, Any] = {}
        for key, value in content.items():
            for inside in _inside(key, scope, value):
                expanded = _expand(value, inside, pipelines)
                made |= expanded if key.startswith("${{") else {key: expanded}
        return made
    if not isinstance(content, list):
        return content
    items: list[Any] = []
    for item in content:
        keys = list(item) if isinstance(item, dict) else []
        if len(keys) == 1 and keys[0].startswith("${{"):
            for inside in _inside(keys[0], scope, item[keys[0]]):
                expanded = _expand(item[keys[0]], inside, pipelines)
                items += expanded if isinstance(expanded, list) else [expanded]
        elif "template" in keys and not item["template"].startswith("/"):
            given = _expand(item.get("parameters", {}), scope, pipelines)
            items += pipelines.template(item["template"], given, scope)
        else:
            items.append(_expand(item, scope, pipelines))
    return items


def _inside(key: str, scope: dict[str, Any], value: Any) -> Iterator[dict[str, Any]]:
    """Yield the scopes in which the value of a key counts: none, one, or one for each turn of a loop."""
    if found := re.fullmatch(r"\$\{\{ if (.*) }}", key):
        if evaluate(found[1], scope):
            yield scope
    elif found := re.fullmatch(r"\$\{\{ each (\w+) in (.*) }}", key):
        turns = evaluate(found[2], scope)
        if isinstance(turns, dict):
            turns = [{"key": name, "value": one} for name, one in turns.items()]
        for one in turns or []:
            yield {**scope, found[1]: one}
    else:
        yield scope


def rehearse(
    kind: type[GitHub | AzureDevOps],
    project: BakedProject,
    folder: Path,
    workflow: str,
    event: Event,
) -> tuple[str, list[Call]]:
    """Run one workflow of a provider; returns its result and what it called."""
    folder.mkdir()
    played = kind(project, folder, event)
    return played.start(workflow), played.calls


def failing(event: Event, command: str) -> Event:
    """Return the event, where a command fails: a pattern of the shell."""
    return replace(event, fail=command)
