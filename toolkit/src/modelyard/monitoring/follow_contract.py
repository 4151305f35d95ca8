"""Agreement of a monitor's file with the contract: the check, and writing it into the file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from modelyard.console import listed
from modelyard.contract.model import Contract, load_contract
from modelyard.contract.yaml_edit import KEEP, Where, replaced
from modelyard.errors import UsageError
from modelyard.files import relative, write_text
from modelyard.monitoring.monitor_file import LOCAL_PERFORMANCE, Monitor, load_monitor, refusal
from modelyard.monitoring.plan import task_of
from modelyard.monitoring.schedule import DataDrift, DataQuality, ModelPerformance
from modelyard.serving.collect import collected_features, output_names
from modelyard.yaml_files import Problem, did_you_mean

MOSTLY = 0.5  # a share of missing values


def follow_contract(root: Path, file: Path) -> tuple[list[str], list[str]]:
    """Write the contract's target, task and features into a monitor's file.

    Only these words change; thresholds, windows and comments stay. Times and free text are left
    out of the features: their values are new in every window. So are features that are called like
    columns of collected data, and, where drift is measured, those that are mostly missing: Azure ML
    compares the rows that are complete.

    Returns:
        The lines that changed; what a person has to know and change.
    """
    contract = load_contract(root / "conf" / "contract.yml")
    taken = {*contract.features} - {*collected_features(contract)} | {*output_names(contract)}
    compared: list[str] = []
    left_out: list[str] = []
    for name in contract.features:
        if contract.columns[name].type not in ("datetime", "text"):
            (left_out if name in taken else compared).append(name)
    sparse = [name for name in compared if (contract.columns[name].nulls or 0) > MOSTLY]
    task = task_of(contract)
    before = file.read_text(encoding="utf-8-sig")
    judged = _performance(load_monitor(file))
    text = _rewritten(before, file, contract, compared, sparse)
    if text != before:
        write_text(file, text)
    monitor = load_monitor(file)
    known = set(before.splitlines())
    lines = enumerate(text.splitlines(), 1)
    changed = [f"{file}:{i}: {line.strip()}" for i, line in lines if line not in known]
    said = []
    if left_out:
        said.append(
            f"{listed(left_out)}: not monitored, collected data has own columns of this name"
        )
    if sparse:
        said.append(f"{listed(sparse)}: mostly missing, so left out where drift is measured")
    for name, (signal, target) in _performance(monitor).items():
        kinds, (_, was) = signal.metric_thresholds.thresholds(), judged[name]
        where = f"{relative(file)}:{monitor.lines[name]}: {name} has"
        if kinds and task not in kinds:
            said.append(
                f"{where} thresholds for {', '.join(kinds)} only; `mlops docs monitoring` shows those for {task}"
            )
        elif kinds and task == "regression" and was != target:
            limits = ", ".join(f"{metric} {limit:g}" for metric, limit in kinds[task].items())
            said.append(f"{where} {limits}, errors of {was}: say what {target} may have")
    return changed, said


def _performance(monitor: Monitor) -> dict[str, tuple[ModelPerformance, str | None]]:
    """Find the signals that measure a model's performance, each with the target it is measured on."""
    return {
        name: (signal, signal.reference_data.data_column_names.get("actual"))
        for name, signal in monitor.signals.items()
        if isinstance(signal, ModelPerformance)
    }


def _rewritten(
    text: str, file: Path, contract: Contract, compared: list[str], sparse: list[str]
) -> str:
    """Replace target, task and features in the text of a monitor's file; all else stays."""
    dense = [name for name in compared if name not in sparse] or compared
    words, words_of_drift = _words(contract, compared), _words(contract, dense)
    types: dict[str | int, Any] = {}  # of signals: a signal comes before what it holds

    def edit(where: Where, found: Any) -> Any:
        if where == ("properties", LOCAL_PERFORMANCE):
            return replaced(found, edit)
        *above, last = where
        if above == ["create_monitor", "monitoring_signals"] and isinstance(found, dict):
            types[last] = found.get("type")
        of_signal = above[:2] == ["create_monitor", "monitoring_signals"] and len(above) == 3
        if of_signal and last == "features" and not isinstance(found, list):
            return KEEP  # the most important ones, or all
        if of_signal and types.get(above[-1]) != "data_quality":
            return words_of_drift.get(str(last), KEEP)
        is_target = above[-2:] == ["reference_data", "data_column_names"] and len(above) in (2, 5)
        is_task = above == ["create_monitor", "monitoring_target"]
        if of_signal or is_target or is_task:
            return words.get(str(last), KEEP)
        return KEEP

    try:
        return replaced(text, edit)
    except ValueError as error:
        raise UsageError(f"{file}{error}") from None


def _words(contract: Contract, features: list[str]) -> dict[str, Any]:
    """What stands behind the keys that follow a contract."""
    whole = [name for name in features if contract.columns[name].type == "integer"]
    return {
        "ml_task": task_of(contract),
        "target_column": contract.target.column,
        "actual": contract.target.column,
        "features": features,
        "feature_type_override": dict.fromkeys(whole, "numerical"),
    }


def check_agreement(monitor: Monitor, contract: Contract, own: Path | None = None) -> None:
    """Check that task, target and features are those of the contract: Azure ML's run would fail.

    Args:
        monitor: to check.
        contract: of the champion.
        own: the project's contract, which the next version follows.

    Raises:
        UsageError: with every difference and its line.
    """
    problems = list(_differences(monitor, contract))
    if problems:
        hint = "`mlops monitor --follow-contract` writes the contract's columns into the file"
        if own is not None and not any(_differences(monitor, load_contract(own))):
            hint = (
                f"The file follows {relative(own)}, and the champion was trained under another contract: promote a "
                "version of this one; `mlops retire` ends that champion at once"
            )
        raise refusal(problems, hint)


def _differences(monitor: Monitor, contract: Contract) -> Iterator[Problem]:
    if monitor.task != task_of(contract):
        line = monitor.line("create_monitor", "monitoring_target", "ml_task")
        said = f"ml_task: the contract's problem is {task_of(contract)}, found {monitor.task}"
        yield Problem(monitor.file, line, said)
    for name, signal in monitor.signals.items():
        where = ("create_monitor", "monitoring_signals", name)
        if isinstance(signal, (DataDrift, DataQuality)):
            yield from _unknown_features(monitor, name, signal, contract)
        data = signal.reference_data
        for key in ("target_column", "actual"):
            found = data.data_column_names.get(key) if data is not None else None
            if found not in (None, contract.target.column):
                line = monitor.line(*where, "reference_data", "data_column_names", key)
                yield Problem(
                    monitor.file,
                    max(line, monitor.lines[name]),
                    f"{name}: {key}: the contract's target is `{contract.target.column}`, "
                    f"found `{found}`",
                )


def _unknown_features(
    monitor: Monitor, name: str, signal: DataDrift | DataQuality, contract: Contract
) -> Iterator[Problem]:
    where = ("create_monitor", "monitoring_signals", name)
    listed = signal.features if isinstance(signal.features, list) else []
    lines = [(feature, monitor.line(*where, "features")) for feature in listed]
    lines += [
        (feature, monitor.line(*where, "feature_type_override", feature))
        for feature in signal.feature_type_override
    ]
    for feature, line in lines:
        if feature not in contract.features:
            hint = did_you_mean(feature, contract.features)
            said = f"{name}: the contract has no feature `{feature}`{hint}"
            yield Problem(monitor.file, line, said)
    for feature, kind in signal.feature_type_override.items():
        if kind != "numerical" or feature not in contract.features:
            continue
        if feature not in contract.columns_of("number", "integer"):
            line = monitor.line(*where, "feature_type_override", feature)
            of_type = contract.columns[feature].type
            said = f"{name}: `{feature}` is {of_type} in the contract, not numerical"
            yield Problem(monitor.file, line, said)
