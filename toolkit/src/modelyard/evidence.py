"""Evidence: small JSON files with the results of a step."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from modelyard.errors import UsageError
from modelyard.files import has_file, read_json, write_text

__all__ = ["read_evidence", "write_evidence"]

PARAM_LENGTH = 6000  # MLflow refuses longer values
ANONYMITY = "anonymity"  # of the project's table, not of a run


class Evidence(BaseModel):
    """The content of a file, whatever its kind."""

    params: dict[str, Any] = {}
    metrics: dict[str, float | None] = {}
    tags: dict[str, str] = {}
    series: dict[str, list[float | None]] = {}
    details: dict[str, Any]


def write_evidence(
    folder: Path | str,
    kind: str,
    *,
    params: Mapping[str, Any] | None = None,
    metrics: Mapping[str, float | None] | None = None,
    tags: Mapping[str, str] | None = None,
    series: Mapping[str, list[float]] | None = None,
    details: Mapping[str, Any] | None = None,
    series_logged: bool = False,
) -> Path:
    """Write `<folder>/<kind>.json`: the same input gives the same bytes.

    NaN and infinities become null. Inside a run that MLflow knows (MLFLOW_RUN_ID, as on
    Azure ML) params, metrics, tags and series are logged there too.

    Args:
        folder: made if it does not exist.
        kind: the evidence's name, such as "quality".
        params: settings of the step.
        metrics: flat numbers.
        tags: short texts.
        series: one number per iteration, from 0.
        details: everything else, as deep as needed.
        series_logged: the series went to MLflow while they grew.

    Returns:
        The path of the file.
    """
    evidence = {
        "evidence": kind,
        "params": plain(params or {}),
        "metrics": plain(metrics or {}),
        "tags": plain(tags or {}),
        "series": plain(series or {}),
        "details": plain(details or {}),
    }
    path = Path(folder) / f"{kind}.json"
    text = json.dumps(evidence, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")
    run_id = os.environ.get("MLFLOW_RUN_ID")
    if run_id:
        _log(run_id, evidence, series=not series_logged)
    return path


def read_evidence(folder: Path | str, kind: str) -> dict[str, Any]:
    """Read `<folder>/<kind>.json`.

    Raises:
        UsageError: when the file is missing, unreadable, or evidence of another kind.
    """
    path = Path(folder) / f"{kind}.json"
    if not has_file(path):
        raise UsageError(f"{path} is missing: run the step that writes it first.")
    evidence: dict[str, Any] = read_json(path)
    if evidence.get("evidence") != kind:
        raise UsageError(f'{path} is not evidence of kind "{kind}": run its step again.')
    return evidence


def anonymity_folder(root: Path) -> Path:
    """Folder of what `mlops anonymity` has found of the project's table."""
    return root / ".mlflow" / ANONYMITY


def read_anonymity(root: Path) -> dict[str, Any]:
    """Read what `mlops anonymity` has found, as evidence by its kind; empty where there is none.

    Raises:
        UsageError: the file is damaged.
    """
    folder = anonymity_folder(root)
    is_there = has_file(folder / f"{ANONYMITY}.json")
    return {ANONYMITY: read_evidence(folder, ANONYMITY)} if is_there else {}


def plain(value: Any) -> Any:
    """Convert numpy, pandas and Python values to those of JSON; NaN and infinity to None."""
    if value is None or isinstance(value, (bool, str, int)):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(plain(item) for item in value)
    if hasattr(value, "tolist"):  # numpy arrays and scalars, pandas series
        return plain(value.tolist())
    if hasattr(value, "isoformat"):
        text = value.isoformat()
        return None if text == "NaT" else text
    return str(value)


def plain_name(kind: str, name: str, *, of: Literal["metric", "param", "tag", "series"]) -> str:
    """Return the name of an evidence's number or text in MLflow.

    One run holds several kinds, which may use the same name for different things: so `<kind>.<name>`,
    but for what runs are compared by (the evaluation's metrics) and stopped by (series).
    """
    return name if of == "series" or (kind, of) == ("evaluation", "metric") else f"{kind}.{name}"


def mlflow_entities(
    content: Mapping[str, Any], at: int, *, series: bool = True
) -> tuple[list[Any], list[Any], list[Any]]:
    """Turn evidence into MLflow's metrics, params and tags, by the names of `plain_name`.

    Args:
        content: as `read_evidence` gives it.
        at: time of the metrics, milliseconds since 1970.
        series: include a metric for each iteration.
    """
    from mlflow.entities import Metric, Param, RunTag

    kind = content["evidence"]
    numbers = [
        (plain_name(kind, key, of="metric"), value, 0) for key, value in content["metrics"].items()
    ]
    for key, values in content["series"].items() if series else ():
        numbers += [(key, value, step) for step, value in enumerate(values)]
    return (
        [Metric(key, float(n), at, step) for key, n, step in numbers if n is not None],
        [
            Param(plain_name(kind, key, of="param"), str(value)[:PARAM_LENGTH])
            for key, value in content["params"].items()
        ],
        [
            RunTag(plain_name(kind, key, of="tag"), str(value))
            for key, value in content["tags"].items()
        ],
    )


def _log(run_id: str, evidence: dict[str, Any], *, series: bool) -> None:
    """Log to MLflow; a failure is a warning."""
    try:
        import mlflow

        client = mlflow.MlflowClient()
        entities = mlflow_entities(evidence, int(time.time() * 1000), series=series)
        for start in range(0, max(map(len, entities)), 100):
            metrics, params, tags = (part[start : start + 100] for part in entities)
            client.log_batch(run_id, metrics, params, tags)
    except Exception as error:
        print(f"warning: not logged to MLflow: {error}", file=sys.stderr)
