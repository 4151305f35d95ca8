"""Running a monitor: plan, measure, judge, write the result."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from modelyard.console import listed
from modelyard.contract.model import Contract, load_contract
from modelyard.errors import UsageError
from modelyard.evidence import plain
from modelyard.files import has_file, write_json, write_text
from modelyard.models.registry import Located, locate
from modelyard.monitoring import performance
from modelyard.monitoring.follow_contract import check_agreement
from modelyard.monitoring.judge import (
    BREACH,
    FINE,
    NOT_JUDGED,
    Breach,
    add_trends,
    breaches_of,
    judge_signal,
    past_results,
)
from modelyard.monitoring.measure import measure
from modelyard.monitoring.monitor_file import load_monitor
from modelyard.monitoring.monitor_report import render
from modelyard.monitoring.plan import Attribution, Performance, Plan, make_plan
from modelyard.monitoring.sources import Sources
from modelyard.project import Project, load_project
from modelyard.serving.collected_files import contract_digest
from modelyard.tracking import tracking_uri

COLLECTED, RESULTS = ".collected", ".monitor"


@dataclass(frozen=True)
class MonitorResult:
    """Result of a monitor's run.

    Attributes:
        verdict: breach; not judged, where a signal that decides could not be judged whole; else fine.
        breaches: those of signals with `alert_enabled`, which alone decide.
        unjudged: of these signals, the ones that were not judged, or not whole.
        evidence: path of monitor.json.
        report: path of report.html.
    """

    verdict: str
    breaches: tuple[Breach, ...]
    unjudged: tuple[str, ...]
    notes: tuple[str, ...]
    evidence: Path
    report: Path

    @property
    def signals(self) -> tuple[str, ...]:
        """Names of the signals with a breach."""
        return tuple(dict.fromkeys(breach.signal for breach in self.breaches))


def run_monitor(
    root: Path,
    file: Path,
    *,
    at: datetime,
    collected: Path | None = None,
    reference: Path | None = None,
    output: Path | None = None,
    target: tuple[str, str] | None = None,
    champion: Located | None = None,
) -> MonitorResult:
    """Measure every signal of a monitor's file on collected data, judge it, and write the result.

    Args:
        root: the project.
        file: the monitor's YAML.
        at: when the monitor runs; windows end then, and later ground truth is not known.
        collected: collected data; default: `.collected` of the project.
        reference: training data, a table or a folder of prepared parts; default: that of the
            champion, without a champion the file of the data asset.
        output: folder for monitor.json and report.html; default: `.monitor/<time>` of the project.
            Earlier results beside it give the trend.
        target: endpoint and deployment, instead of those of the file.
        champion: as the caller has found it; default: it is looked up.

    Raises:
        UsageError: the file has problems, it does not fit the contract, or data is damaged.
    """
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    project = load_project(root)
    monitor = load_monitor(file)
    if target is not None:
        monitor = replace(monitor, endpoint=target[0], deployment=target[1])
    with tempfile.TemporaryDirectory(prefix="monitor-") as temporary:
        champion = champion or locate_champion(root, project, Path(temporary))
        rules = _contract_file(root, champion)
        sources = Sources(
            root,
            monitor,
            at,
            collected or root / COLLECTED,
            reference,
            champion,
            load_contract(rules),
            contract_digest(rules),
        )
        check_agreement(monitor, sources.contract, root / "conf" / "contract.yml")
        plan = make_plan(sources)
        measured = _measure(plan, champion, sources.contract)
    alone = [name for name, one in measured.items() if one["measures"] and not one.get("grouped")]
    if (group := sources.contract.group) and alone:
        sources.notes.append(
            f"{listed(alone)}: rows of one {group} count as independent, so what moved may be few of them"
        )
    folder = output or root / RESULTS / at.strftime("%Y%m%dT%H%M%SZ")
    signals = {
        name: judge_signal(name, signal, plan, measured.get(name, {}))
        for name, signal in monitor.signals.items()
    }
    add_trends(signals, past_results(folder, sources), at)
    return _write(folder, project, sources, signals)


def locate_champion(root: Path, project: Project, place: Path) -> Located | None:
    """Find the champion with its table and evidence; a remote one is copied to `place`."""
    wanted = ("model", "prepared", "evidence")
    return locate(project.model, tracking_uri(root), None, wanted, place)


def _contract_file(root: Path, champion: Located | None) -> Path:
    """Return the file of the champion's contract, without one the project's."""
    own = champion.paths["model"] / "contract.yml" if champion is not None else None
    return own if own and has_file(own) else root / "conf" / "contract.yml"


def _measure(plan: Plan, champion: Located | None, contract: Contract) -> dict[str, Any]:
    """Measure all signals; NaN and infinity become None."""
    found = measure(plan)
    for name, signal in plan.signals.items():
        if isinstance(signal, Performance):
            found[name] = performance.measure(signal, plan.types, plan.group)
    attributions = {k: s for k, s in plan.signals.items() if isinstance(s, Attribution)}
    if attributions and champion is not None:
        from modelyard.modelling.saving import load_model
        from modelyard.monitoring import attribution

        model = load_model(champion.paths["model"])
        for name, compared in attributions.items():
            found[name] = attribution.measure(compared, model, contract)
    result: dict[str, Any] = plain(found)
    return result


def _write(
    folder: Path, project: Project, sources: Sources, signals: Mapping[str, Any]
) -> MonitorResult:
    """Judge the whole, and write report.html before monitor.json, which makes the result count."""
    monitor, champion = sources.monitor, sources.champion
    breaches = breaches_of(signals)
    deciding = [signal["verdict"] for signal in signals.values() if signal["alert"]]
    is_fine = bool(deciding) and all(verdict == FINE for verdict in deciding)
    verdict = BREACH if breaches else FINE if is_fine else NOT_JUDGED
    evidence = {
        "evidence": "monitor",
        "params": {"monitor": monitor.name, "at": sources.at.isoformat()},
        "metrics": {"breaches": len(breaches)},
        "series": {},
        "tags": {"verdict": verdict},
        "details": {
            "verdict": verdict,
            "monitor": monitor.name,
            "endpoint": monitor.endpoint,
            "deployment": monitor.deployment,
            "model": {"name": project.model, "version": champion.number if champion else None},
            "contract": sources.digest,
            "at": sources.at.isoformat(),
            "file": monitor.file.name,
            "notes": sources.notes,
            "signals": signals,
        },
    }
    report, file = folder / "report.html", folder / "monitor.json"
    write_text(report, render(evidence, title=project.title))
    write_json(file, evidence)
    notes = list(sources.notes)
    for name, signal in signals.items():
        notes += [
            f"{name}, {m['feature']}: {m['reason']}"
            for m in signal["measures"]
            if m["verdict"] == BREACH and m["reason"]
        ]
        if signal["reason"]:
            part = "in part " if any(m["verdict"] != NOT_JUDGED for m in signal["measures"]) else ""
            notes.append(f"{name} was {part}not judged: {signal['reason']}")
    unjudged = tuple(name for name, s in signals.items() if s["alert"] and s["reason"])
    return MonitorResult(verdict, breaches, unjudged, tuple(notes), file, report)


def parse_time(text: str | None) -> datetime:
    """Read a time such as 2026-05-01 or 2026-05-01T06:00+02:00; without a zone UTC, without text now.

    Raises:
        UsageError: the text is no time.
    """
    if text is None:
        return datetime.now(UTC).replace(microsecond=0)
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"--at expects a time such as 2026-05-01 or 2026-05-01T06:00, found {text!r}"
        ) from None
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
