"""Pipeline step: registers the model as challenger, with its evidence, and says how it stands."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from ..errors import UsageError, guarded
from ..files import digest, read_json, write_json
from ..project import load_gates, read_project
from ..reports.card import write_card
from ..reports.kinds import OF_STEPS
from ..reports.report import about_run, sweep_of_run
from ..runs.record import parent_run_id
from ..tracking import tracking_uri
from .gates import judge
from .registry import Registry


def main(argv: list[str] | None = None) -> int:
    """Register, then write `decision.json`."""
    parser = argparse.ArgumentParser(prog="python -m mlops.models.register", description=__doc__)
    parser.add_argument("--model-name", required=True, help="name of the registered model")
    parser.add_argument("--contract", required=True, type=Path, help="conf/contract.yml")
    parser.add_argument("--gates", required=True, type=Path, help="conf/gates.yml")
    parser.add_argument("--project", required=True, type=Path, help="conf/project.yml")
    for name in ("model", "baseline", "prepared", *OF_STEPS):
        parser.add_argument(f"--{name}", required=True, type=Path, help=f"folder with {name}")
    parser.add_argument("--decision", required=True, type=Path, help="folder to write")
    arguments = parser.parse_args(argv)
    return guarded(lambda: register(arguments))


def register(arguments: argparse.Namespace) -> int:
    """See `main`."""
    evidence = {name: read_json(getattr(arguments, name) / f"{name}.json") for name in OF_STEPS}
    gates = load_gates(arguments.gates)
    run_id = _run_id()
    registry = Registry(arguments.model_name, tracking_uri())
    for name in ("model", "baseline", "prepared", "contract"):
        registry.keep(run_id, getattr(arguments, name), name)
    for name in OF_STEPS:
        registry.keep(run_id, getattr(arguments, name), "evidence")
    if (sweep := sweep_of_run()) is not None:
        registry.keep(run_id, sweep, "evidence")
    version = registry.register(
        run_id=run_id,
        source=registry.source(run_id, "model"),
        tags=_tags(evidence, arguments.model),
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
    with tempfile.TemporaryDirectory(prefix="card-") as folder:
        write_card(
            Path(folder),
            evidence | {"decision": decision.evidence()},
            read_project(arguments.project),
            run_about,
        )
        registry.keep(run_id, Path(folder), "card")
    verdict = "ready to be promoted" if decision.passed else "would be refused"
    print(f"registered {arguments.model_name} v{version.number} as challenger: {verdict}")
    for reason in decision.reasons:
        print(
            f"  {'ok ' if reason.passed else 'NO '} {reason.gate}: {reason.found} ({reason.expected})"
        )
    return 0


def _run_id() -> str:
    """The MLflow run to attach to: the job's own on Azure ML, the pipeline's parent run here."""
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
    }
    if commit := os.environ.get("MLOPS_GIT_COMMIT"):
        tags["git_commit"] = commit
    return tags


if __name__ == "__main__":
    sys.exit(main())
