"""The goals of a project: what conf/gates.yml asks of any model, and what evidence says of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from modelyard.contract.model import Contract
from modelyard.gates import Gates, ServingGate
from modelyard.models.judge import judge
from modelyard.models.reasons import Reason, at_most, figure_text, number

Evidence = Mapping[str, Mapping[str, Any]]
Releases = Sequence[Mapping[str, Any]]
GOOD_ENOUGH = "good enough on its own"


def goals(gates: Gates, contract: Contract, evidence: Evidence, releases: Releases) -> list[Reason]:
    """Return each goal with its figure; `passed` is None where nothing judges it.

    The goals are those of today's files, whatever the evidence was judged by. A comparison with a champion
    is none of them: it changes with the champion.

    Args:
        gates: conf/gates.yml.
        contract: conf/contract.yml.
        evidence: of a version, by kind; empty: there is none.
        releases: details of its releases, oldest first.
    """
    asked, gate = _judged(gates, _nothing(gates, contract)), gates.promotion_of(contract.kind)
    details = evidence.get("evaluation", {}).get("details", {})
    problem = details.get("problem", {})
    same = (problem.get("target"), problem.get("kind")) == (contract.target.column, contract.kind)
    fits = same and gate.metric in details["models"]["challenger"]
    found = {one.gate: one for one in (_judged(gates, evidence) if fits else ())}
    # Whether more or less is better is known from evidence alone.
    better = {GOOD_ENOUGH: f"{gate.metric} {gate.floor:g} or better"}
    nothing = (
        replace(
            one,
            expected=better.get(one.gate, one.expected),
            found="no evidence",
            passed=None,
            advice="",
        )
        for one in asked
    )
    return [*(found.get(one.gate, one) for one in nothing), *_serving(gates.serving, releases)]


def _judged(gates: Gates, evidence: Evidence) -> Sequence[Reason]:
    """Judge evidence as if there were no champion."""
    kinds = ("quality", "evaluation", "fairness", "footprint")
    alone: dict[str, Any] = {
        kind: {"details": {**evidence[kind]["details"], "champion": {}}}
        for kind in kinds
        if kind in evidence
    }
    return judge(gates, model="", version="", **alone).reasons


def _nothing(gates: Gates, contract: Contract) -> Evidence:
    """Make evidence in which no figure is defined: judged, it names every goal."""
    kind, metric = contract.kind, gates.promotion_of(contract.kind).metric
    figure = dict.fromkeys(("value", "difference", "low", "high"))
    columns = [{"column": one, "disparities": {}, "groups": ()} for one in contract.sensitive]
    details: dict[str, dict[str, Any]] = {
        "quality": {"violations": ()},
        "evaluation": {
            "problem": {"kind": kind},
            "models": {"challenger": {metric: figure}},
            "higher_is_better": {metric: True},
            "judged_on": {
                "rows": 0,
                "method": "",
                "classes": {"": 0} if kind != "regression" else {},
            },
            "comparisons": {"baseline": {metric: figure}},
        },
        "fairness": {
            "columns": columns,
            "kind": kind,
            "scale": 1.0 if kind == "regression" else None,
        },
        "footprint": {"models": {}},
    }
    return {name: {"details": one} for name, one in details.items()}


def _serving(limits: ServingGate, releases: Releases) -> Iterator[Reason]:
    """Compare what the last release measured under live requests with the limits of an endpoint."""
    stages = [stage["new"] for one in releases for stage in one["stages"] if stage["new"]]
    new = stages[-1] if stages else {}
    share = new["errors"] / new["requests"] if new.get("requests") else None
    for gate, value, most, unit in (
        ("p95 of a request", new.get("p95_ms"), limits.p95_milliseconds, " ms"),
        ("share of errors", share, limits.error_share, ""),
        (
            "memory",
            None,
            limits.memory_megabytes,
            " MB",
        ),  # tests/test_serving.py has it, and keeps no figure
    ):
        figure = {"value": value, "low": None, "high": None}
        found = figure_text(figure, lambda one: f"{number(one)}{unit}", "no release measured it")  # noqa: B023
        yield Reason(f"endpoint: {gate}", f"≤ {most:g}{unit}", found, at_most(figure, most))
