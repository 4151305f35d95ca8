"""What has to be true of a version before it answers anybody, and of its deployment when asked."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from modelyard.models.reasons import Reason
from modelyard.models.version import CHAMPION, Version
from modelyard.releases.rollout import Answer, Endpoint, EndpointError, Limits, State
from modelyard.serving.sample_rows import Rows
from modelyard.yaml_files import read_yaml

INTEGRATION_ROWS = 100
SINGLE_REQUESTS = 30
_WARM_UP = 3
TOLERANCE = 1e-6
_LOG = "the log of the deployment says more"

# Predictions that the model itself makes for records: labels or numbers, one per record.
Ask = Callable[[Sequence[Mapping[str, Any]]], Sequence[Any]]


def registration(version: Version, approval: str, approved_by: str | None) -> tuple[Reason, ...]:
    """A version is released when it was promoted, and approved where that is asked for."""
    name = f"{version.name} v{version.number}"
    decision = version.tags.get("decision", "not judged")
    promoted = version.tags.get("role") == CHAMPION or decision == "promoted"
    reasons = [
        Reason(
            "register: the version was promoted",
            "promoted",
            decision,
            promoted,
            "" if promoted else f"mlops promote --version {version.number}",
        )
    ]
    if approval == "model-validator":
        reasons.append(
            Reason(
                "register: a model validator approved",
                "a name",
                approved_by or "nobody",
                approved_by is not None,
                ""
                if approved_by
                else f"whoever validated {name} runs: mlops release --approved-by NAME",
            )
        )
    return tuple(reasons)


def smoke(endpoint: Endpoint, state: State, rows: Rows) -> tuple[Reason, ...]:
    """It answers a real row, as the version it should be, and refuses what is no request."""
    try:
        one = endpoint.invoke(state.new, {"input_data": list(rows.records[:1])})
        broken = endpoint.invoke(state.new, b"{")
    except EndpointError as error:
        return (Reason("smoke tests: answers a real row", "200", str(error), False, _LOG),)
    predictions = _field(one, "predictions")
    answered = one.status == 200 and isinstance(predictions, list) and len(predictions) == 1
    model = _field(one, "model")
    version = str(model.get("version")) if isinstance(model, dict) else "unknown"
    return (
        Reason(
            "smoke tests: answers a real row",
            "one prediction",
            "one prediction" if answered else _said(one),
            answered,
            "" if answered else _LOG,
        ),
        Reason(
            "smoke tests: is the version it should be",
            f"v{state.version}",
            f"v{version}",
            version == state.version,
            ""
            if version == state.version
            else "another process has its port, or the model's name is unset",
        ),
        Reason(
            "smoke tests: refuses a broken request",
            "4xx",
            str(broken.status),
            400 <= broken.status < 500,
            "" if 400 <= broken.status < 500 else _LOG,
        ),
    )


def integration(
    endpoint: Endpoint, state: State, rows: Rows, ask: Ask, limits: Limits
) -> tuple[Reason, ...]:
    """It says what the model says, and soon enough."""
    records = list(rows.records[:INTEGRATION_ROWS])
    try:
        answer = endpoint.invoke(state.new, {"input_data": records})
        singles = [
            endpoint.invoke(state.new, {"input_data": [records[at % len(records)]]})
            for at in range(_WARM_UP + SINGLE_REQUESTS)
        ]
    except EndpointError as error:
        return (Reason("integration tests: answers", "200", str(error), False, _LOG),)
    found = _field(answer, "predictions")
    wrong: int | None = None
    if answer.status == 200 and isinstance(found, list) and len(found) == len(records):
        pairs = zip(found, ask(records), strict=True)
        wrong = sum(not _same(one, other) for one, other in pairs)
    reasons = [
        Reason(
            "integration tests: same answers as the model",
            f"{len(records)} of {len(records)} rows",
            _said(answer) if wrong is None else f"{len(records) - wrong} of {len(records)} rows",
            wrong == 0,
            ""
            if wrong == 0
            else "features or versions of libraries differ between serving and training",
        )
    ]
    if limits.p95_ms is not None:
        times = sorted(one.milliseconds for one in singles[_WARM_UP:])
        p95 = times[math.ceil(0.95 * len(times)) - 1]
        reasons.append(
            Reason(
                "integration tests: fast enough",
                f"p95 ≤ {limits.p95_ms:g} ms",
                f"{p95:.1f} ms",
                p95 <= limits.p95_ms,
                "" if p95 <= limits.p95_ms else "a smaller model, or more room in conf/gates.yml",
            )
        )
    return tuple(reasons)


def asking(model_folder: Path) -> Ask:
    """The model's own predictions for records, made here, without any server."""

    def ask(records: Sequence[Mapping[str, Any]]) -> Sequence[Any]:
        import mlflow.sklearn
        import pandas as pd

        contract = read_yaml((model_folder / "contract.yml"))
        table = pd.DataFrame(list(records))
        for name in table:
            kind = contract["columns"][name]["type"]
            if kind == "datetime":
                table[name] = pd.to_datetime(table[name], format="ISO8601")
            elif kind in ("number", "integer"):
                table[name] = table[name].astype(float)
        return list(mlflow.sklearn.load_model(str(model_folder)).predict(table).tolist())

    return ask


def _field(answer: Answer, name: str) -> Any:
    return answer.body.get(name) if isinstance(answer.body, dict) else None


def _said(answer: Answer) -> str:
    return f"{answer.status}: {str(answer.body)[:200]}"


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) or isinstance(other, float):
        try:
            return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
        except TypeError:
            return False
    return bool(one == other)
