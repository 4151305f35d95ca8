"""Promotion and rollback of the champion."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from modelyard.errors import UsageError
from modelyard.evidence import Evidence, read_anonymity
from modelyard.files import new_id, read_json, write_json, write_text
from modelyard.gates import load_gates
from modelyard.models.judge import Decision, judge
from modelyard.models.registry import Registry, RegistryError, promotion_lock, registry_of
from modelyard.models.version import CHALLENGER, CHAMPION, Version
from modelyard.own_code import own_module
from modelyard.principles import Principles, load_principles
from modelyard.project import Project, author, load_project
from modelyard.reports import report
from modelyard.reports.card import write_card
from modelyard.tracking import tracking_uri

# Evidence that depends on the champion.
COMPARED = ("evaluation", "fairness", "footprint")
ROLLED_BACK = "rolled back"  # a version's tag `decision`
NEW_LINE = "new_line"  # tag of a version: why the champion before it was no rival


class IsChampion(UsageError):
    """The version is the champion already: there is nothing to judge."""

    def __init__(self, model: str, number: str) -> None:
        super().__init__(f"{model} v{number} is the champion already")
        self.number = number


@dataclass(frozen=True)
class Promotion:
    """The result of `mlops promote`.

    Attributes:
        folder: holds decision.json, report.html, card.md and card.html.
        compared_again: the challenger was assessed again, since the champion had changed or evidence
            was missing.
    """

    decision: Decision
    folder: Path
    compared_again: bool


def promote(
    root: Path,
    number: str | None = None,
    *,
    dry_run: bool = False,
    accepted_by: str | None = None,
) -> Promotion:
    """Judge a challenger by the gates and against the champion, and promote it if it passes.

    Args:
        root: the project.
        number: version to judge; default: the newest challenger.
        dry_run: judge only.
        accepted_by: who accepts gates that could not be judged, where conf/gates.yml asks.

    Raises:
        IsChampion: the version is the champion.
        UsageError: there is no such version.
    """
    project = load_project(root)
    gates = load_gates(root / "conf" / "gates.yml")
    os.environ["MLFLOW_TRACKING_URI"] = tracking_uri(root)
    with promotion_lock(root):
        registry = registry_of(root)
        registry.reconcile()
        challenger = registry.version(number) if number else registry.holder(CHALLENGER)
        if challenger is None:
            raise UsageError(
                f"model `{project.model}` has no challenger; `mlops run azureml/pipelines/train.yml` registers one"
            )
        champion = registry.holder(CHAMPION)
        if champion is not None and champion.number == challenger.number:
            raise IsChampion(project.model, champion.number)
        folder = root / ".mlflow" / "decisions" / f"{project.model}-v{challenger.number}"
        evidence_folder = registry.fetch(challenger, "evidence", folder)
        evidence = {file.stem: read_json(file, Evidence) for file in evidence_folder.glob("*.json")}
        seen = evidence["evaluation"]["details"].get("champion") or {}
        compared = seen.get("version") or (seen.get("former") or {}).get("version")
        current = champion.number if champion else None
        optional = {"fairness": gates.fairness, "footprint": gates.footprint}
        missing = [kind for kind, gate in optional.items() if gate and kind not in evidence]
        again = compared != current or bool(missing)
        if again:
            evidence |= _compare_again(root, registry, challenger, champion)
        decision = judge(
            gates,
            model=project.model,
            version=challenger.number,
            quality=evidence["quality"],
            evaluation=evidence["evaluation"],
            fairness=evidence.get("fairness"),
            footprint=evidence.get("footprint"),
        )
        if decision.is_asked:
            decision = replace(decision, accepted_by=accepted_by)
        if not dry_run:
            otherwise = "open" if decision.is_asked else "refused"
            decision = replace(
                decision,
                stage="promoted" if decision.promotable else otherwise,
                decided={
                    "by": author(root),
                    "at": datetime.now(UTC).isoformat(timespec="seconds"),
                },
            )
        evidence["decision"] = decision.evidence()
        for kind in {*COMPARED, "decision"} & evidence.keys():
            write_json(evidence_folder / f"{kind}.json", evidence[kind])
        principles = load_principles(root / "conf" / "principles.yml")
        shown = evidence | read_anonymity(root)
        cards = _write_pages(folder, shown, project, principles, registry, challenger)
        if not dry_run:
            former = (evidence["evaluation"]["details"].get("champion") or {}).get("former")
            _record(decision, registry, challenger, champion, former, [evidence_folder, *cards])
    return Promotion(decision, folder, again)


def _record(
    decision: Decision,
    registry: Registry,
    challenger: Version,
    champion: Version | None,
    former: Mapping[str, str] | None,
    evidence: list[Path],
) -> None:
    # Each decision has a folder of its own, since Azure ML does not replace artifacts.
    place = f"decision/{new_id()}"
    try:
        # The champion comes last: a promotion that was killed before is made anew, and leaves nothing out.
        for one in evidence:
            registry.keep(challenger.run_id, one, place)
        if decision.promotable:
            if champion is not None and former is not None:
                registry.tag(challenger, NEW_LINE, former["why"])
            registry.set_champion(challenger, champion)
        else:
            registry.tag(challenger, "decision", decision.stage)
    except RegistryError as error:
        raise RegistryError(
            f"{error}\nv{challenger.number} was to be {decision.stage}, which may have happened in part: "
            f"`mlops models` shows the champion. The decision is in {evidence[0]}"
        ) from error


def retire(root: Path) -> Version:
    """Leave the project without a champion; return the one that was.

    Raises:
        UsageError: there is no champion.
    """
    with _champion_held(root, "retire") as (registry, champion, _):
        registry.retire_champion(champion)
        registry.tag(champion, "decision", "retired")
    return champion


def rollback(root: Path) -> tuple[Version, Version]:
    """Make the previous champion the champion again, or end a rollback that was killed.

    Returns:
        The restored version, and the replaced one.

    Raises:
        UsageError: there is no champion, or no champion before it.
    """
    nothing = "roll back: `mlops promote --version N` judges a version again"
    with _champion_held(root, nothing) as (registry, champion, retired):
        for version in retired:
            if version.tags.get("decision") == ROLLED_BACK:
                return champion, version
        if champion.previous_champion is None:
            raise UsageError(
                f"{registry.model} v{champion.number} is the first champion; there is no champion before it. "
                "`mlops retire` leaves the project without one"
            )
        previous = registry.version(champion.previous_champion)
        registry.tag(champion, "decision", ROLLED_BACK)
        registry.set_champion(previous)
    return previous, champion


@contextlib.contextmanager
def _champion_held(root: Path, nothing: str) -> Iterator[tuple[Registry, Version, list[Version]]]:
    """Lock promotion, read the champion, and those that a killed command has replaced.

    `nothing` ends the message where there is no champion.
    """
    with promotion_lock(root):
        registry = registry_of(root)
        retired = registry.reconcile()
        champion = registry.holder(CHAMPION)
        if champion is None:
            raise UsageError(f"model `{registry.model}` has no champion; nothing to {nothing}")
        yield registry, champion, retired


def _compare_again(
    root: Path, registry: Registry, challenger: Version, champion: Version | None
) -> dict[str, dict[str, object]]:
    """Assess the challenger against the present champion, on the challenger's held-out rows.

    Returns:
        The evidence of `COMPARED`, by kind.
    """
    # They import scikit-learn, which the other ways to promote do without.
    from modelyard.evaluation.held_out import held_out
    from modelyard.steps.assess import assess

    with tempfile.TemporaryDirectory(prefix="promote-") as temporary:
        place = Path(temporary)
        inputs = {
            name: registry.fetch(challenger, name, place / "challenger")
            for name in ("model", "baseline", "prepared")
        }
        inputs["contract"] = next(registry.fetch(challenger, "contract", place).iterdir())
        rival = place / "champion"
        rival.mkdir()
        if champion is not None:
            registry.fetch(champion, "model", rival)
        number = champion.number if champion else None
        write_json(rival / "champion.json", {"name": registry.model, "version": number})
        inputs["gates"] = root / "conf" / "gates.yml"
        # Its tables would stand between the lines of `--json`, and the report shows them.
        with contextlib.redirect_stdout(io.StringIO()):
            held = held_out(
                champion=rival,
                metrics=own_module(root, "metrics"),
                training=own_module(root, "train"),
                **inputs,
            )
            assess(held, inputs["model"], rival, place)
        return {kind: read_json(place / f"{kind}.json", Evidence) for kind in COMPARED}


def _write_pages(
    folder: Path,
    evidence: dict[str, dict[str, object]],
    project: Project,
    principles: Principles,
    registry: Registry,
    version: Version,
) -> list[Path]:
    """Write report and model card; return the files of the card."""
    about = {
        "title": project.title,
        "run_id": registry.run_tags(version).get("mlops.runs.run"),
        "mlflow_run_id": version.run_id,
        "git_commit": version.tags.get("git_commit"),
        "pipeline": "train",
    }
    write_text(folder / "report.html", report.render(evidence, about))
    return write_card(folder, evidence, project, about, principles)
