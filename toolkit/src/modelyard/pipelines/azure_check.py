"""Checks every file below azureml/ without Azure: fields, values, and references across files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from modelyard.pipelines.azure_across import check_across
from modelyard.pipelines.azure_fields_check import Checker, snake_case
from modelyard.pipelines.azure_files import AzureFile
from modelyard.pipelines.azure_kinds import (
    ELSEWHERE,
    FAMILIES,
    RESOURCE_FOLDERS,
    kind_of,
    schema_mismatch,
    words_of,
)
from modelyard.pipelines.azure_names import unknown_in
from modelyard.pipelines.azure_nodes import check_steps
from modelyard.pipelines.azure_rules import check_rules
from modelyard.pipelines.azure_schemas import fields_of, schema_of
from modelyard.pipelines.components import read_component, with_limits
from modelyard.pipelines.documents import PipelineError, Problems
from modelyard.pipelines.model import LITERAL_TYPES, Port
from modelyard.pipelines.reader import check_pipeline_component, load_pipeline
from modelyard.pipelines.retired import retired_in
from modelyard.yaml_files import LocatedMapping, Problem, did_you_mean

_EXACT = ("automl", "distillation", "finetuning", "spark", "sweep")


@dataclass(frozen=True)
class Checked:
    """What a check found.

    Attributes:
        files: kind of each file that was read.
        steps: number of steps of each pipeline that is fine.
        warnings: what will be retired, and names that are not known.
    """

    files: Mapping[Path, str]
    steps: Mapping[Path, int]
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    notes: tuple[Problem, ...]


def check_azure_files(
    root: Path, paths: Iterable[Path], today: date | None = None, *, beside: Iterable[Path] = ()
) -> Checked:
    """Check files, and what they say of each other.

    Args:
        root: of the project.
        paths: YAML files.
        today: the day that dates of retirement are compared with; default: this one.
        beside: further files, which the named ones may refer to; what is wrong in them is not looked for.
    """
    problems = Problems()
    files = [file for path in paths if (file := _read(path, problems))]
    steps: dict[Path, int] = {}
    # A pipeline reads its components: what it finds in them is not said again in other words.
    for file in sorted(files, key=lambda one: "pipeline" not in one.kind):
        _check(file, root, problems, steps)
    known = {file.path.resolve() for file in files}
    others = [
        file for path in beside if path.resolve() not in known and (file := _read(path, Problems()))
    ]
    across = Problems()
    check_across([*others, *files], root, across)
    problems.found += [one for one in across.found if one.file.resolve() in known]
    problems.notes += [one for one in across.notes if one.file.resolve() in known]
    warnings: list[Problem] = []
    for file in files:
        for wrong, unsure in (
            retired_in(file, today or datetime.now(UTC).date()),
            unknown_in(file),
        ):
            problems.found += wrong
            warnings += unsure
    seen: dict[tuple[Path, int, str], Problem] = {}
    for problem in problems.found:
        seen.setdefault((problem.file.resolve(), problem.line, problem.message), problem)
    found = sorted(seen.values(), key=lambda p: (str(p.file), p.line))
    kinds = {file.path: file.kind for file in files}
    notes = tuple(dict.fromkeys(problems.notes))
    return Checked(kinds, steps, tuple(found), tuple(dict.fromkeys(warnings)), notes)


def _read(path: Path, problems: Problems) -> AzureFile | None:
    content = problems.mapping(path)
    if content is None:
        return None
    if mismatch := schema_mismatch(path, content):
        problems.add(path, content.line_of("$schema"), mismatch)
    kind = kind_of(path, content)
    if kind is None:
        expected = (
            "data, environments, models, schedules, monitoring, components, pipelines, endpoints"
        )
        message = f"what it describes cannot be told; add `$schema` or `type`, or put it in one of {expected}"
        is_azure = path.parent.name in RESOURCE_FOLDERS or (
            "$schema" not in content and isinstance(content.get("type"), str)
        )
        (problems.add if is_azure else problems.note)(path, 1, message)
        return None
    if kind == ELSEWHERE:
        problems.note(path, 1, "not checked: it is no file of Azure ML's")
        return None
    return AzureFile(path, kind, content) if problems.keys_are_text(content, path) else None


def _check(file: AzureFile, root: Path, problems: Problems, steps: dict[Path, int]) -> None:
    checker = Checker(file.path, root, problems)
    content, path = file.content, file.path
    if file.kind in ("pipeline", "command job"):
        try:
            found = load_pipeline(path, data_assets=root / "azureml" / "data", need_data=False)
            steps[path] = len(found.steps)
            problems.notes += found.notes
        except PipelineError as error:
            problems.found += error.problems
    elif file.kind == "command component":
        read_component(content, path, problems)
    elif file.kind == "pipeline component":
        in_it = check_pipeline_component(path)
        problems.found += in_it.found
        problems.notes += in_it.notes
    elif file.kind in ("spark component", "parallel component"):
        for name, port in file.below("inputs").items():
            if isinstance(port, LocatedMapping) and str(port.get("type")) in LITERAL_TYPES:
                with_limits(Port(name, port["type"]), port, path, problems)
    checker.already(problems.found)
    schema = schema_of(file.kind)
    if schema is not None:
        checker.fields(content, fields_of(schema))
    elif file.kind in FAMILIES:
        key = FAMILIES[file.kind]
        expected = words_of(file.kind)
        shown = repr(content[key]) if key in content else "none"
        hint = did_you_mean(str(content.get(key, "")), expected) if len(expected) > 8 else ""
        message = f"expected one of {', '.join(expected)}; found {shown}{hint}"
        checker.wrong(content.line_of(key), key, message)
    kind = "" if file.kind.endswith(" component") else file.kind.partition(" ")[0]
    # By these words Azure ML looks for what a file is; it does so as they are written.
    exact = ("type", "task") if kind == "automl" else ("type",)
    for key in exact if kind in _EXACT or file.kind.endswith(" datastore") else ():
        word = content.get(key)
        if isinstance(word, str) and word != snake_case(word):
            checker.wrong(content.line_of(key), key, f"expected {snake_case(word)}, found {word}")
    check_steps(file, checker)
    check_rules(file, checker)
