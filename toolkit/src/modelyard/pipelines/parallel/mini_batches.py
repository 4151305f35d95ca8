"""Runs the entry script of a parallel step over mini-batches, one after another.

It is started as a file, with the Python of the step: it imports nothing of this toolkit. What counts as
failed: https://learn.microsoft.com/azure/machine-learning/how-to-use-parallel-job-in-pipeline
"""

from __future__ import annotations

import argparse
import importlib.util
import inspect
import json
import multiprocessing
import os
import re
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

DEFAULT_NAME = "parallel_run_step.txt"  # in a folder that `append_row_to` names
READERS = ("read_delimited", "read_parquet", "read_json_lines")
UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30}


class Failed(Exception):
    """The step has failed for a reason that needs no traceback."""


@dataclass
class Batch:
    """A mini-batch.

    Attributes:
        items: paths, or a table.
        key: value of each partition key.
    """

    items: Any
    key: dict[str, Any] | None = None


@dataclass
class Counts:
    """What has come of the mini-batches so far."""

    batches: int = 0
    failed: int = 0
    items: int = 0
    failed_items: int = 0


def main() -> int:
    """Run the step; returns its exit code."""
    parser = argparse.ArgumentParser(prog="parallel step")
    parser.add_argument("--settings", type=json.loads, required=True)
    parser.add_argument("--input-data", required=True)
    parser.add_argument("--append-row-to")
    end = sys.argv.index("--")  # the arguments of the entry script follow
    options, given = parser.parse_args(sys.argv[1:end]), sys.argv[end + 1 :]
    limits = _limits(given, options.settings)
    sys.path[0] = str(Path.cwd())
    try:
        counts = _run(options, given)
        _judge(counts, limits)
    except Failed as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _limits(given: list[str], settings: dict[str, Any]) -> argparse.Namespace:
    """The thresholds, of the fields and of the arguments that Azure ML takes out of the program's."""
    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False)
    parser.add_argument("--error_threshold", type=int, default=settings["error_threshold"])
    parser.add_argument("--allowed_failed_percent", type=float, default=100)
    found, _ = parser.parse_known_args(given)
    found.mini_batches = settings["mini_batch_error_threshold"]
    return found


def _run(options: argparse.Namespace, given: list[str]) -> Counts:
    settings, counts = options.settings, Counts()
    worker = _Worker(settings["entry_script"], given)
    rows = _output(options.append_row_to)
    tries = settings["max_retries"] + 1
    for index, batch in enumerate(_batches(Path(options.input_data), settings)):
        size, count, why = len(batch.items), 0, ""
        lines: list[str] = []
        for attempt in range(1, tries + 1):
            worker.start()
            count, lines, why = worker.run(batch, index, settings["timeout"])
            if not why and count < size:
                why = f"run() returned {count} of {size} items"
            if not why:
                break
            print(f"mini-batch {index}: try {attempt} of {tries} failed: {why}", flush=True)
        counts.batches, counts.items = counts.batches + 1, counts.items + size
        counts.failed += bool(why)
        counts.failed_items += max(0, size - count)
        if rows is not None:
            with rows.open("a", encoding="utf-8") as file:
                file.writelines(f"{line}\n" for line in lines)
    worker.close()
    if not counts.batches:
        raise Failed(f"{options.input_data} has nothing to make mini-batches of")
    print(
        f"{counts.batches} mini-batches of {counts.items} items, one after another in one process: "
        f"{counts.failed} failed, with {counts.failed_items} items",
        flush=True,
    )
    return counts


def _judge(counts: Counts, limits: argparse.Namespace) -> None:
    share = 100 * counts.failed / counts.batches
    for found, most, what in (
        (counts.failed, limits.mini_batches, "mini_batch_error_threshold"),
        (counts.failed_items, limits.error_threshold, "error_threshold"),
        (share, limits.allowed_failed_percent, "allowed_failed_percent"),
    ):
        if most >= 0 and found > most:
            raise Failed(f"{found:g} failed, {what} allows {most:g}")


def _output(place: str | None) -> Path | None:
    if place is None:
        return None
    path = Path(place)
    path = path / DEFAULT_NAME if path.is_dir() else path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


class _Worker:
    """A process that has called `init` and calls `run`; one that takes too long is replaced."""

    def __init__(self, script: str, arguments: list[str]) -> None:
        self.argv = [script, *arguments]
        self.process: Any = None

    def start(self) -> None:
        if self.process is not None and self.process.is_alive():
            return
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, self.argv), daemon=True)
        self.process.start()
        theirs.close()
        try:
            problem = self.pipe.recv()
        except EOFError:
            problem = "its process ended"
        if problem:
            raise Failed(f"{self.argv[0]}: init() failed: {problem}")

    def run(self, batch: Batch, index: int, seconds: float) -> tuple[int, list[str], str]:
        """Run one mini-batch; returns the number of items, their lines, and why it has failed."""
        try:
            self.pipe.send((batch.items, batch.key, index))
            if self.pipe.poll(seconds):
                count, lines, why = self.pipe.recv()
                return count, lines, why
            why = f"no result after {seconds:g} s (retry_settings.timeout)"
        except (EOFError, OSError):
            why = "its process ended"
        self.close()
        return 0, [], why

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.join()


def _work(pipe: Any, argv: list[str]) -> None:
    """The worker's process: import the entry script, call `init` once and `run` as often as asked."""
    sys.argv, sys.path[0] = argv, str(Path.cwd())
    try:
        module = _imported(Path(argv[0]))
        getattr(module, "init", lambda: None)()
        run = module.run
        takes_context = len(inspect.signature(run).parameters) > 1
    except BaseException as error:
        traceback.print_exc()
        pipe.send(f"{type(error).__name__}: {error}")
        return
    pipe.send("")
    while True:
        try:
            items, key, index = pipe.recv()
        except EOFError:
            return
        context = SimpleNamespace(partition_key_value=key, minibatch_index=index, dataset=items)
        try:
            answer = run(items, context) if takes_context else run(items)
            result = (*_lines(answer), "")
        except BaseException as error:
            traceback.print_exc()
            result = (0, [], f"{type(error).__name__}: {error}")
        sys.stdout.flush()
        pipe.send(result)


def _imported(file: Path) -> Any:
    if not file.is_file():  # named as a module: package.main
        file = Path(f"{str(file).replace('.', '/')}.py")
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module
    spec.loader.exec_module(module)
    return module


def _lines(answer: Any) -> tuple[int, list[str]]:
    """The items that `run` returned, each as a line: those of a table between blanks, without a header."""
    if hasattr(answer, "to_csv") and hasattr(answer, "columns"):
        text = answer.to_csv(sep=" ", header=False, index=False)
        return len(answer), text.splitlines()
    if isinstance(answer, (str, bytes)) or not hasattr(answer, "__len__"):
        kind = type(answer).__name__
        raise TypeError(f"run() has to return a DataFrame, a list or a tuple, found {kind}")
    return len(answer), [str(one) for one in answer]


def _batches(place: Path, settings: dict[str, Any]) -> Iterator[Batch]:
    description = place / "MLTable"
    if description.is_file():
        paths, steps = _mltable(description)
        if settings["direct"] and any(step in READERS for step, _ in steps):
            yield from _tables(paths, steps, settings)
            return
        if steps:
            names = ", ".join(step for step, _ in steps)
            raise Failed(
                f"{description}: {names} makes a table of the files; bind it in mode direct"
            )
    else:
        paths = [place] if place.is_file() else sorted(p for p in place.rglob("*") if p.is_file())
    if settings["partition_keys"]:
        raise Failed("partition_keys needs a table; the input is files")
    size = str(settings["mini_batch_size"] or 1)
    if not size.isdigit():
        raise Failed(f"mini_batch_size: the input is files, so expected their number, found {size}")
    for start in range(0, len(paths), int(size)):
        yield Batch([str(path) for path in paths[start : start + int(size)]])


def _tables(
    paths: list[Path], steps: list[tuple[str, Any]], settings: dict[str, Any]
) -> Iterator[Batch]:
    import pandas as pd

    keys = settings["partition_keys"]
    if keys:
        table = pd.concat([_table(path, steps) for path in paths], ignore_index=True)
        if missing := [key for key in keys if key not in table.columns]:
            raise Failed(f"partition_keys: the table has no column {', '.join(missing)}")
        for values, part in table.groupby(keys, dropna=False):
            yield Batch(part, dict(zip(keys, values)))  # noqa: B905 (Python 3.8 may run this)
        return
    size = _bytes(str(settings["mini_batch_size"] or "1mb"))
    for path in paths:
        table = _table(path, steps)
        rows = max(1, len(table) * size // max(1, path.stat().st_size))
        for start in range(0, len(table), rows):
            yield Batch(table.iloc[start : start + rows])


def _bytes(size: str) -> int:
    size = size.lower().strip().rstrip("b")
    number, unit = size.rstrip("kmg").strip(), size[-1:] if size[-1:] in UNITS else ""
    return int(number) * UNITS[unit]


def _mltable(file: Path) -> tuple[list[Path], list[tuple[str, Any]]]:
    """The files that an MLTable names, in order, and what it does with them."""
    import yaml

    content = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    paths: list[Path] = []
    for one in content.get("paths") or []:
        kind, place = next(iter(one.items()))
        if "://" in str(place):
            raise Failed(f"{file}: {place} is not on this machine")
        at = file.parent / str(place)
        if kind == "folder":
            found = sorted(p for p in at.rglob("*") if p.is_file())
        elif kind == "pattern":
            found = sorted(p for p in file.parent.glob(os.path.normpath(place)) if p.is_file())
        else:
            found = [at]
        if missing := [path for path in found or [at] if not path.is_file()]:
            raise Failed(f"{file}: {missing[0]} does not exist")
        paths += found
    steps = []
    for one in content.get("transformations") or []:
        steps.append((one, None) if isinstance(one, str) else next(iter(one.items())))
    return paths, steps


def _table(path: Path, steps: list[tuple[str, Any]]) -> Any:
    """Read a file as an MLTable says.

    Raises:
        Failed: it says something that is not known here.
    """
    import pandas as pd

    table: Any = None
    for name, how in steps:
        options = how if isinstance(how, dict) else {}
        if name == "read_delimited":
            header = options.get("header", "all_files_same_headers")
            encoding = str(options.get("encoding", "utf8"))
            table = pd.read_csv(
                path,
                sep=options.get("delimiter", ","),
                encoding="utf-8" if encoding == "utf8" else encoding,
                header=None if header in ("no_header", False) else 0,
                keep_default_na=not options.get("empty_as_string", False),
                dtype=dict.fromkeys(_text_columns(steps), str),
            )
            if header in ("no_header", False):
                table.columns = [f"Column{number}" for number in range(1, len(table.columns) + 1)]
            if options.get("include_path_column"):
                table.insert(0, "Path", str(path))
        elif name == "read_parquet":
            table = pd.read_parquet(path)
        elif name == "read_json_lines":
            table = pd.read_json(path, lines=True)
        elif name == "extract_columns_from_partition_format":
            table = table.assign(**_columns_of(path, str(options.get("partition_format"))))
        elif name == "convert_column_types":
            for column, kind in _conversions(how):
                table[column] = _converted(table[column], kind)
        elif name == "keep_columns":
            table = table[[how] if isinstance(how, str) else how]
        elif name == "drop_columns":
            table = table.drop(columns=how)
        else:
            known = "convert_column_types, extract_columns_from_partition_format, keep_columns, drop_columns"
            raise Failed(
                f"MLTable: {name} is not done here; known are {', '.join(READERS)}, {known}"
            )
    return table


def _conversions(how: Any) -> list[tuple[str, Any]]:
    named = [(one["columns"], one["column_type"]) for one in how]
    return [
        (column, kind)
        for columns, kind in named
        for column in ([columns] if isinstance(columns, str) else columns)
    ]


def _text_columns(steps: list[tuple[str, Any]]) -> list[str]:
    """Columns that become text, and so are read as text: 007 is not 7."""
    conversions = [how for name, how in steps if name == "convert_column_types"]
    return [column for how in conversions for column, kind in _conversions(how) if kind == "string"]


def _converted(values: Any, kind: Any) -> Any:
    """A column as the type that an MLTable names; what is no such value is missing, as there."""
    import pandas as pd

    if isinstance(kind, dict) and "datetime" in kind:
        formats = (kind["datetime"] or {}).get("formats") or [None]
        dates = [pd.to_datetime(values, format=one, errors="coerce") for one in formats]
        result = dates[0]
        for other in dates[1:]:
            result = result.fillna(other)
        return result
    if kind in ("int", "float"):
        numbers = pd.to_numeric(values, errors="coerce")
        return numbers.astype("Int64") if kind == "int" else numbers.astype(float)
    if kind == "string":
        return values.map(str, na_action="ignore")
    raise Failed(f"MLTable: convert_column_types to {kind!r} is not done here")


def _columns_of(path: Path, pattern: str) -> dict[str, str]:
    """The values that a path has in the places of `/{column}/{column}/file`."""
    parts = re.split(r"\{(\w+)\}", pattern.strip("/"))
    regular = "".join(
        f"(?P<{part}>[^/]+)" if index % 2 else re.escape(part) for index, part in enumerate(parts)
    )
    found = re.search(f"/{regular}$", path.as_posix())
    if found is None:
        raise Failed(f"MLTable: {path} has not the form of partition_format, {pattern}")
    return found.groupdict()


if __name__ == "__main__":
    sys.exit(main())
