"""The steps of a tour, and which of them a role takes."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from modelyard.contract.model import load_contract
from modelyard.tour import checks

RUN = "mlops run azureml/pipelines/train.yml"
ANSWER = "mlops tour --answer"


@dataclass(frozen=True)
class Step:
    """A step: what to do and why, what to type, and how it is known to be done.

    Attributes:
        command: may name {contract}, see `words`.
        left: finds what the step leaves behind.
        answers: of a question, instead: the right ones, as evidence has them.
        needs: a path of the project without which the step does not apply.
    """

    title: str
    what: str
    command: str
    left: Callable[[Path], Path | None] | None = None
    answers: Callable[[Path], set[str]] | None = None
    needs: str = ""


FLOOR = (
    "Set the floor of the metric that decides (`promotion` in conf/gates.yml) to a value that no model reaches, and "
    "ask for promotion. The gate says what it expected and what it found; the exit code is 1. Then put the floor back."
)
ONLINE = "azureml/endpoints/online-deployment.yml"

STEPS: Mapping[str, Step] = {
    "run": Step(
        "Your first report",
        "Run the pipeline that Azure ML runs, here. It prints the path of a report: open it in a browser.",
        RUN,
        left=checks.report,
    ),
    "matters": Step(
        "Read what matters",
        "Which column matters most to the model? The report says so under Importance.",
        f"{ANSWER} COLUMN",
        answers=checks.most_important,
    ),
    "missing": Step(
        "Read the data",
        "Which column has the most missing values? The report says so under Data.",
        f"{ANSWER} COLUMN",
        answers=checks.most_missing,
    ),
    "groups": Step(
        "Read the groups",
        "Name one of the two groups of the first sensitive column that are furthest apart: report, Fairness.",
        f"{ANSWER} GROUP",
        answers=checks.group_apart,
        needs="sensitive",
    ),
    "promote": Step(
        "Promote a champion",
        "Every gate of conf/gates.yml says yes or no to the newest challenger. Read the table that it prints.",
        "mlops promote",
        left=partial(checks.decided, stage="promoted"),
    ),
    "leak": Step(
        "Find a leak",
        "data/planted.parquet is the table with one column more, which nobody knows before the outcome. Infer the "
        "contract, read the warnings, find the column; then give it `role: ignored` and a `why` in conf/contract.yml. "
        "`mlops monitor --follow-contract` lets the monitor follow.",
        "{contract}",
        left=checks.ignored_leak,
    ),
    "rule": Step(
        "See bad data refused",
        "Break a rule of conf/contract.yml on purpose, such as the `max` of a number, and run. The run ends before it "
        "trains, names rule and rows, and leaves a report. Then put the rule back.",
        RUN,
        left=checks.refused_table,
    ),
    "file": Step(
        "See a broken pipeline refused",
        "Misspell the input of a node in azureml/pipelines/train.yml and check. The finding names file and line, and "
        "is kept for code scanning. Then put it back.",
        "mlops check --sarif check.sarif",
        left=checks.refused_files,
    ),
    "feature": Step(
        "Add a feature",
        "Let add_features in src/{package}/features.py return one column more, computed from a row's own columns "
        "(its docstring has an example), and run. Only the steps that it touches run again.",
        RUN,
        left=checks.own_feature,
    ),
    "second": Step(
        "Train another model",
        "Train with another learning rate: an input of the pipeline, so that no file changes.",
        f"{RUN} --input learning_rate=0.08",
        left=partial(checks.report, count=2),
    ),
    "refuse": Step(
        "See a gate refuse",
        FLOOR,
        "mlops promote",
        left=partial(checks.decided, stage="refused"),
    ),
    "again": Step(
        "Replace the champion",
        "With the floor as it was, the newest challenger is compared with the champion on the same rows. "
        "Is it refused for being worse? Find out why; and in this copy you may also move a gate.",
        "mlops promote",
        left=partial(checks.decided, stage="promoted", versions=2),
    ),
    "explain": Step(
        "Explain a prediction",
        "Ask why the champion says what it says of one row: each column's part, which add up to the prediction.",
        "mlops explain --data data/planted.parquet --row 1 --json > data/explained.json",
        left=partial(checks.any_file, pattern="data/explained.json"),
    ),
    "score": Step(
        "Score a table",
        "Score rows in a batch, as the batch endpoint does. A killed job resumes with the part where it stopped.",
        "mlops score --data data/planted.parquet --output scored",
        left=partial(checks.any_file, pattern="scored/*.parquet"),
    ),
    "reproduce": Step(
        "Reproduce a version",
        "Train version 1 again from its commit, contract and table. Every figure is compared; a certificate stays.",
        "mlops reproduce 1",
        left=partial(checks.any_file, pattern=".mlflow/decisions/*/reproduction.json"),
    ),
    "release": Step(
        "Release the champion",
        "It goes to the endpoint of this machine: tested, then all requests, since no other version answers. "
        "`mlops endpoint status` shows it.",
        "mlops release --fast{approved}",
        left=partial(checks.releases, stage="released"),
        needs=ONLINE,
    ),
    "release-again": Step(
        "Release beside the old version",
        "The new champion gets mirrored requests first, then more and more of them, while the old one still answers.",
        "mlops release --fast{approved}",
        left=partial(checks.releases, stage="released", versions=2),
        needs=ONLINE,
    ),
    "drift": Step(
        "See drift",
        "Compare what the endpoint was asked with the table of the training (exit code 1: a breach). Then say which "
        "column drifted most for its threshold, or `none`.",
        f"mlops monitor; {ANSWER} COLUMN",
        answers=checks.drifted,
        needs=ONLINE,
    ),
    "undo": Step(
        "Undo a release",
        "The old deployment answers everything again, at once.",
        "mlops release --rollback",
        left=partial(checks.releases, stage="rolled back"),
        needs=ONLINE,
    ),
    "rollback": Step(
        "Roll back the champion",
        "The champion before is the champion again. `mlops models` shows both.",
        "mlops rollback",
        left=checks.rolled_back,
    ),
}  # fmt: skip

ROLES: Mapping[str, tuple[str, ...]] = {
    "data-scientist": ("run", "matters", "promote", "leak", "feature", "refuse", "again", "release", "drift", "rollback"),
    "ml-engineer": ("run", "promote", "release", "file", "second", "refuse", "again", "release-again", "drift", "undo", "rollback"),
    "data-engineer": ("run", "missing", "promote", "rule", "leak", "feature", "refuse", "again", "score", "release", "drift", "rollback"),
    "ai-engineer": ("run", "promote", "release", "explain", "score", "feature", "refuse", "again", "release-again", "drift", "undo"),
    "model-validator": ("run", "matters", "groups", "refuse", "promote", "explain", "reproduce", "release", "drift", "second", "again", "rollback"),
    "domain-expert": ("run", "matters", "groups", "leak", "rule", "promote", "release", "drift", "second", "again", "rollback"),
}  # fmt: skip


def words(copy: Path) -> dict[str, str]:
    """Return what the steps name: the package, the command that infers the contract, and who approves releases."""
    from modelyard.console import shown
    from modelyard.gates import load_gates
    from modelyard.project import load_project

    contract = load_contract(copy / "conf" / "contract.yml")
    target = contract.target
    command = ["mlops", "contract", "--data", "data/planted.parquet", "--target", target.column]
    if contract.time:
        command += ["--time", contract.time]
    if contract.sensitive:
        command += ["--sensitive", ",".join(contract.sensitive)]
    if target.positive is not None:
        command += ["--positive", shown(target.positive)]
    command += ["--kind", target.kind, "--force"]
    gates = load_gates(copy / "conf" / "gates.yml")
    is_approved = gates.release.approval == "model-validator"
    return {
        "contract": shlex.join(command),
        "package": load_project(copy).package,
        "approved": " --approved-by NAME" if is_approved else "",
    }


def why_not(copy: Path, step: Step) -> str | None:
    """Say why a step does not apply to a project; None where it does."""
    if step.needs == "sensitive":
        named = load_contract(copy / "conf" / "contract.yml").sensitive
        return None if named else "conf/contract.yml names no sensitive column"
    return None if not step.needs or (copy / step.needs).exists() else f"there is no {step.needs}"
