"""Pipeline step: register the model as challenger, with its evidence, and judge it."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from modelyard.errors import UsageError, guarded
from modelyard.evidence import read_evidence
from modelyard.files import digest, write_json, write_text
from modelyard.gates import load_gates
from modelyard.models.judge import Decision, judge
from modelyard.models.registry import Registry
from modelyard.models.version import CHALLENGER, DATA_FILE, PULL_REQUEST
from modelyard.pipelines.record import parent_run_id
from modelyard.principles import load_principles
from modelyard.project import read_project
from modelyard.reports.card import write_card
from modelyard.reports.kinds import OF_STEPS
from modelyard.reports.report import about_run, render, sweep_of_run
from modelyard.tracking import tracking_uri


def main(argv: list[str] | None = None) -> int:
    """Register, then write `decision.json`."""
    parser = argparse.ArgumentParser(prog="register", description=__doc__)
    parser.add_argument("--model-name", required=True, help="name of the registered model")
    parser.add_argument("--contract", required=True, type=Path, help="conf/contract.yml")
    parser.add_argument("--gates", required=True, type=Path, help="conf/gates.yml")
    parser.add_argument("--project", required=True, type=Path, help="conf/project.yml")
    parser.add_argument("--principles", type=Path, help="conf/principles.yml, for the model card")
    for name in ("model", "baseline", "prepared"):
        parser.add_argument(f"--{name}", required=True, type=Path, help=f"folder with {name}")
    for step in OF_STEPS:
        parser.add_argument(
            f"--{step}-evidence", required=True, type=Path, help=f"evidence of the step {step}"
        )
    parser.add_argument("--pull-request", default="none", help="its number; it has no challenger")
    parser.add_argument("--decision", required=True, type=Path, help="folder for decision.json")
    parser.add_argument("--page", required=True, type=Path, help="folder for report and model card")
    arguments = parser.parse_args(argv)
    return guarded(register, arguments)


def register(arguments: argparse.Namespace) -> int:
    """Register the model, judge it, and write decision.json, report and model card."""
    gates = load_gates(arguments.gates)
    folders = {step: getattr(arguments, f"{step}_evidence") for step in OF_STEPS}
    evidence = {
        kind: read_evidence(folders[step], kind)
        for step, kinds in OF_STEPS.items()
        for kind in kinds
    }
    run_id = _run_id()
    registry = Registry(arguments.model_name, tracking_uri())
    for name in ("model", "baseline", "prepared", "contract"):
        registry.keep(run_id, getattr(arguments, name), name)
    for folder in folders.values():
        registry.keep(run_id, folder, "evidence")
    if (sweep := sweep_of_run()) is not None:
        registry.keep(run_id, sweep, "evidence")
        evidence["sweep"] = read_evidence(sweep, "sweep")
    number = arguments.pull_request
    role = CHALLENGER if number == "none" else f"{PULL_REQUEST} {number}"
    version = registry.register(
        run_id=run_id,
        source=registry.source(run_id, "model"),
        tags=_tags(evidence, arguments.model),
        role=role,
    )
    decision = judge(
        gates,
        model=arguments.model_name,
        version=version.number,
        quality=evidence["quality"],
        evaluation=evidence["evaluation"],
        fairness=evidence["fairness"],
        footprint=evidence["footprint"],
    )
    write_json(arguments.decision / "decision.json", decision.evidence())
    registry.keep(run_id, arguments.decision, "evidence")
    run_about = about_run() | {"mlflow_run_id": run_id}
    evidence["decision"] = decision.evidence()
    project = read_project(arguments.project)
    principles = load_principles(arguments.principles)
    page = arguments.page / "report.html"
    write_text(page, render(evidence, {"title": project.title, **about_run()}))
    with tempfile.TemporaryDirectory(prefix="card-") as folder:
        write_card(Path(folder), evidence, project, run_about, principles)
        registry.keep(run_id, Path(folder), "card")
    write_card(arguments.page, evidence, project, about_run(), principles)
    print(f"registered {arguments.model_name} v{version.number} as {role}: {said(decision)}")
    marks = {True: "ok  ", False: "NO  ", None: "open"}
    for reason in decision.reasons:
        print(f"  {marks[reason.passed]} {reason.gate}: {reason.found} ({reason.expected})")
    return 0


def said(decision: Decision) -> str:
    """Say in a few words what `mlops promote` would do."""
    if decision.is_asked:
        return "open, somebody has to accept what could not be judged (mlops promote --accepted-by)"
    if decision.verdict == "open":
        return "open, would be refused until every gate can be judged"
    return "ready to be promoted" if decision.passed else "would be refused"


def _run_id() -> str:
    """Return the MLflow run: the job's own on Azure ML, the pipeline's parent run here."""
    if run_id := os.environ.get("MLFLOW_RUN_ID"):
        return run_id
    folder = os.environ.get("MLOPS_RUN")
    run_id = parent_run_id(Path(folder)) if folder else None
    if run_id is None:
        raise UsageError("there is no MLflow run to register from; run this step with `mlops run`")
    return run_id


def _tags(evidence: dict[str, Any], model: Path) -> dict[str, str]:
    data = evidence["data"]["details"]
    tags = {
        "model_digest": digest(model),
        "dataset_digest": str(data["digest"]),
        "dataset": str(data["source"]["file"]),
        DATA_FILE: str(data["source"]["sha256"]),
    }
    if commit := os.environ.get("MLOPS_GIT_COMMIT"):
        tags["git_commit"] = commit
    return tags


if __name__ == "__main__":
    sys.exit(main())
