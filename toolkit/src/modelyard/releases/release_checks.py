"""Checks of a release: of the registered version, then smoke and integration tests of its deployment."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from modelyard.errors import UsageError
from modelyard.files import has_file, read_json
from modelyard.models.adoption import DIGEST
from modelyard.models.reasons import Reason
from modelyard.models.version import CHAMPION, Version
from modelyard.releases.endpoint import Answer, Endpoint, EndpointError
from modelyard.releases.rollout import Limits, State
from modelyard.serving.sample_rows import Rows
from modelyard.yaml_files import read_mapping

INTEGRATION_ROWS = 100
SINGLE_REQUESTS = 30
_WARM_UP = 3
TOLERANCE = 1e-6
_LOG = "read the log of the deployment"

# Predicts with the model itself: labels or numbers, one per record.
Predict = Callable[[Sequence[Mapping[str, Any]]], Sequence[Any]]


def read_approval(file: Path) -> Mapping[str, str]:
    """Read who approved which digest, as `mlops ci approval` writes it.

    Raises:
        UsageError: the file is missing, or lacks a field.
    """
    found = read_json(file) if has_file(file) else {}
    if not all(found.get(key) for key in ("by", "at", "digest")):
        raise UsageError(
            f"{file} is no approval: expected JSON with by, at and digest, from the API of the CI provider"
        )
    return {key: str(value) for key, value in found.items() if value is not None}


def registration(
    version: Version,
    approval: str,
    approved_by: str | None,
    given: Mapping[str, str] | None = None,
) -> tuple[Reason, ...]:
    """Check that a version was promoted and, where the gates require it, approved.

    Args:
        version: to release.
        approval: `automatic` or `model-validator`, of conf/gates.yml.
        approved_by: who approved it.
        given: the approval of the CI provider, which names a digest.
    """
    name = f"{version.name} v{version.number}"
    decision = version.tags.get("decision", "not judged")
    promoted = version.tags.get("role") == CHAMPION or decision == "promoted"
    remedy = f"mlops promote --version {version.number}"
    reasons = [
        _reason("register: the version was promoted", "promoted", decision, promoted, remedy)
    ]
    if approval == "model-validator":
        who, remedy = (
            approved_by or "nobody",
            f"after validating {name}, run: mlops release --approved-by NAME",
        )
        gate = "register: a model validator approved"
        reasons.append(_reason(gate, "a name", who, approved_by is not None, remedy))
    if given is not None:
        wanted, found = version.tags.get(DIGEST, "none"), given["digest"]
        gate = "register: what was approved is this version"
        remedy = f"approve {name} again: another model was approved"
        reasons.append(_reason(gate, wanted[:12], found[:12], wanted == found, remedy))
    return tuple(reasons)


def smoke(endpoint: Endpoint, state: State, rows: Rows) -> tuple[Reason, ...]:
    """Check that a deployment answers a real row, with its version, and refuses an invalid request."""
    try:
        one = endpoint.invoke(state.new, {"input_data": list(rows.records[:1])})
        invalid = endpoint.invoke(state.new, b"{")
    except EndpointError as error:
        return (Reason("smoke tests: answers a real row", "200", str(error), False, _LOG),)
    predictions = _field(one, "predictions")
    answered = one.status == 200 and isinstance(predictions, list) and len(predictions) == 1
    model = _field(one, "model")
    version = str(model.get("version")) if isinstance(model, dict) else "unknown"
    return (
        _reason(
            "smoke tests: answers a real row",
            "one prediction",
            "one prediction" if answered else _shown(one),
            answered,
            _LOG,
        ),
        _reason(
            "smoke tests: serves the released version",
            f"v{state.version}",
            f"v{version}",
            version == state.version,
            "another process has its port, or MODEL_VERSION is not set there",
        ),
        _reason(
            "smoke tests: refuses an invalid request",
            "4xx",
            str(invalid.status),
            400 <= invalid.status < 500,
            _LOG,
        ),
    )


def integration(
    endpoint: Endpoint, state: State, rows: Rows, predict: Predict, limits: Limits
) -> tuple[Reason, ...]:
    """Check that a deployment predicts what the model predicts, within the limit of latency."""
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
        pairs = zip(found, predict(records), strict=True)
        wrong = sum(not _same(one, other) for one, other in pairs)
    reasons = [
        _reason(
            "integration tests: same predictions as the model",
            f"{len(records)} of {len(records)} rows",
            _shown(answer) if wrong is None else f"{len(records) - wrong} of {len(records)} rows",
            wrong == 0,
            "features or versions of libraries differ between serving and training",
        )
    ]
    if limits.p95_ms is not None:
        trip = endpoint.round_trip()
        times = sorted(max(0.0, one.milliseconds - trip) for one in singles[_WARM_UP:])
        p95 = times[math.ceil(0.95 * len(times)) - 1]
        reasons.append(
            _reason(
                "integration tests: fast enough",
                f"p95 ≤ {limits.p95_ms:g} ms",
                f"{p95:.1f} ms" + (f", without a round trip of {trip:.1f} ms" if trip else ""),
                p95 <= limits.p95_ms,
                "use a smaller model, or raise serving.p95_milliseconds in conf/gates.yml",
            )
        )
    return tuple(reasons)


def predictor(model_folder: Path) -> Predict:
    """Return a function that predicts with the model in this process, without a server."""

    def predict(records: Sequence[Mapping[str, Any]]) -> Sequence[Any]:
        import pandas as pd

        from modelyard.modelling.saving import load_model

        contract = read_mapping(model_folder / "contract.yml")
        table = pd.DataFrame(list(records))
        for name in table:
            kind = contract["columns"][name]["type"]
            if kind == "datetime":
                table[name] = pd.to_datetime(table[name], format="ISO8601")
            elif kind in ("number", "integer"):
                table[name] = table[name].astype(float)
        return list(load_model(model_folder).predict(table).tolist())

    return predict


def _reason(gate: str, expected: str, found: str, passed: bool, advice: str) -> Reason:
    return Reason(gate, expected, found, passed, "" if passed else advice)


def _field(answer: Answer, name: str) -> Any:
    return answer.body.get(name) if isinstance(answer.body, dict) else None


def _shown(answer: Answer) -> str:
    return f"{answer.status}: {str(answer.body)[:200]}"


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) or isinstance(other, float):
        try:
            return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
        except TypeError:
            return False
    return bool(one == other)
