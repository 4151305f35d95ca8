"""What every step shares: exit codes, atomic files, and the evidence a step leaves behind."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

OK, REFUSED, BROKEN = 0, 1, 2


class StepError(Exception):
    """Wrong usage or broken input: what was expected, what came, what to do (exit code 2)."""


class CheckFailed(Exception):
    """A check looked at good input and said no (exit code 1)."""


def run(function: Callable[..., None], *args: Any, **options: Any) -> int:
    """Call a step's function and turn what it raises into an exit code.

    Returns:
        0 when it returned, 1 for CheckFailed, 2 for anything else. A user's mistake is
        printed as one message; only a fault of the step itself shows a traceback.
    """
    try:
        function(*args, **options)
    except CheckFailed as refusal:
        print(refusal, file=sys.stderr)
        return REFUSED
    except StepError as error:
        print(f"error: {error}", file=sys.stderr)
        return BROKEN
    except OSError as error:
        print(f"error: {_readable(error)}", file=sys.stderr)
        return BROKEN
    except Exception:
        traceback.print_exc()
        print("error: this is a fault of the step, not of your input.", file=sys.stderr)
        return BROKEN
    return OK


# What steps read, and what it is.
PATHS = {
    "contract": "conf/contract.yml",
    "gates": "conf/gates.yml",
    "prepared": "folder written by prepare",
    "model": "the challenger's folder",
    "baseline": "the baseline's folder",
    "champion": "folder with champion.json and, where there is a champion, model/",
}


def add_paths(parser: argparse.ArgumentParser, *names: str) -> None:
    """Give a step's command line an option for each of these paths, which are all required."""
    for name in names:
        parser.add_argument(f"--{name}", type=Path, required=True, help=PATHS[name])


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
        params: what the step was told.
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
        _log(run_id, evidence | {"series": {}} if series_logged else evidence)
    return path


def read_evidence(folder: Path | str, kind: str) -> dict[str, Any]:
    """Read `<folder>/<kind>.json`.

    Raises:
        StepError: when the file is missing, unreadable, or evidence of another kind.
    """
    path = Path(folder) / f"{kind}.json"
    try:
        evidence = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StepError(f"{path} is missing: run the step that writes it first.") from None
    except (ValueError, OSError) as error:
        raise StepError(f"{path} cannot be read as JSON ({error}): run its step again.") from None
    if not isinstance(evidence, dict) or evidence.get("evidence") != kind:
        raise StepError(f'{path} is not evidence of kind "{kind}": run its step again.')
    return evidence


def plain(value: Any) -> Any:
    """Turn numpy, pandas and Python values into what JSON can say; NaN and infinity into None."""
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


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path` that takes its place only if the block succeeds."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        partial.chmod(0o666 & ~_umask())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path | str, text: str) -> None:
    """Write a UTF-8 file with Unix line ends, whole or not at all."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _readable(error: OSError) -> str:
    if error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _log(run_id: str, evidence: dict[str, Any]) -> None:
    """Log to MLflow; a tracking server that is away costs a warning, not the step's work."""
    try:
        import mlflow.entities

        client = mlflow.MlflowClient()
        entities: Any = mlflow.entities
        now = _milliseconds()
        numbers = [(key, value, 0) for key, value in evidence["metrics"].items()]
        for key, values in evidence["series"].items():
            numbers += [(key, value, step) for step, value in enumerate(values)]
        metrics = [
            entities.Metric(key, float(n), now, step) for key, n, step in numbers if n is not None
        ]
        params = [entities.Param(key, str(value)) for key, value in evidence["params"].items()]
        tags = [entities.RunTag(key, str(value)) for key, value in evidence["tags"].items()]
        for start in range(0, max(len(metrics), len(params), len(tags)), 100):
            part = slice(start, start + 100)
            client.log_batch(run_id, metrics[part], params[part], tags[part])
    except Exception as error:
        print(f"warning: not logged to MLflow: {error}", file=sys.stderr)


def _milliseconds() -> int:
    import time

    return int(time.time() * 1000)
