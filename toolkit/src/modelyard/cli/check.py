"""The command that checks all files of Azure ML."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelyard.console import counted
from modelyard.errors import CheckFailed, UsageError
from modelyard.files import project_root, relative, write_text

if TYPE_CHECKING:  # every command imports this module; few need a YAML reader
    from modelyard.pipelines.azure_check import Checked
    from modelyard.yaml_files import Problem


def check(
    files: Annotated[
        list[Path] | None, typer.Argument(help="YAML files; default: all below azureml/.")
    ] = None,
    sarif: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the findings for code scanning, in SARIF 2.1.0."),
    ] = None,
    azure: Annotated[
        bool,
        typer.Option("--azure", help="Load every file with azure-ai-ml as well, without Azure."),
    ] = False,
) -> None:
    """Check all files of Azure ML without Azure. And that the project imports public names only."""
    from modelyard.imports import check_imports
    from modelyard.pipelines.azure_names import regions_of
    from modelyard.pipelines.documents import PipelineError
    from modelyard.pipelines.sarif import sarif as as_sarif
    from modelyard.project import unknown_keys

    root = project_root()
    folder = root / "azureml"
    everything = sorted(p for p in folder.rglob("*.y*ml") if p.suffix in (".yml", ".yaml"))
    if not (files or everything):
        raise UsageError(f"{folder} has no file")
    siblings = {one for file in files or () for one in file.parent.glob("*.y*ml")}
    beside = [*everything, *sorted(siblings)]
    found = check_files(root, files or everything, beside=beside, azure=azure)
    if not files:
        unread = unknown_keys(root)
        wrong, unsure = regions_of(root)
        problems, warnings = (*found.problems, *wrong), (*found.warnings, *unread, *unsure)
        found = replace(found, problems=problems, warnings=warnings)
    for file, kind in found.files.items():
        if file in found.steps:
            print(f"{relative(file)}: {counted(found.steps[file], 'step')}, fine")
        elif not any(problem.file == file for problem in found.problems):
            print(f"{relative(file)}: {kind}, fine")
    for name, some in (("note", found.notes), ("warning", found.warnings)):
        for one in some:
            print(f"{name}: {relative(one.file)}:{one.line}: {one.message}")
    wrong_imports = check_imports(root)
    if sarif is not None:
        errors = [*found.problems, *wrong_imports]
        write_text(sarif, as_sarif({"error": errors, "warning": found.warnings}, root))
    if found.problems:
        raise PipelineError([replace(one, file=relative(one.file)) for one in found.problems])
    if wrong_imports:
        raise CheckFailed("\n".join(map(str, wrong_imports)))


def check_files(
    root: Path, paths: Iterable[Path], *, beside: Iterable[Path] = (), azure: bool = False
) -> Checked:
    """Check files with every check there is; one finding for each fault of a line.

    Args:
        root: of the project.
        paths: YAML files.
        beside: further files, which these may refer to.
        azure: ask azure-ai-ml as well.
    """
    from modelyard.pipelines.azure_check import check_azure_files
    from modelyard.pipelines.azure_sdk import ask_azure_sdk

    found = check_azure_files(root, paths, beside=beside)
    problems, notes = list(found.problems), list(found.notes)
    for file, kind in found.files.items():
        if kind == "monitor":
            refused, unknown = _monitor_problems(file)
            notes += unknown
            lines = {one.line for one in refused}
            problems = [one for one in problems if one.file != file or one.line not in lines]
            problems += refused
    if azure:
        said = {(one.file.resolve(), one.line) for one in problems}
        asked = ask_azure_sdk(root, found.files)
        problems += [one for one in asked if (one.file.resolve(), one.line) not in said]
    problems.sort(key=lambda one: (str(one.file), one.line))
    return replace(found, problems=tuple(dict.fromkeys(problems)), notes=tuple(notes))


def _monitor_problems(file: Path) -> tuple[list[Problem], list[Problem]]:
    """What `mlops monitor` would refuse, and what Azure ML takes and it does not."""
    from modelyard.monitoring.monitor_file import MonitorError, load_monitor, only_azure_monitors

    if notes := only_azure_monitors(file):
        return [], notes
    try:
        load_monitor(file)
    except MonitorError as error:
        return list(error.problems), []
    return [], []
