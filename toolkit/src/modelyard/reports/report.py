"""Writes the report of a run: one HTML file made from the evidence its steps left behind."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from modelyard.errors import UsageError, guarded
from modelyard.files import write_text
from modelyard.project import read_project
from modelyard.reports.kinds import KINDS
from modelyard.reports.pages import page


def render(evidence: Mapping[str, Mapping[str, Any] | None], run: Mapping[str, Any]) -> str:
    """Make the report: the same input gives the same text.

    Args:
        evidence: what the steps wrote, by kind (`KINDS`). What is absent, None or empty is left
            out of the report; nulls inside are shown as a dash.
        run: what is known of the run besides: title, run_id, pipeline, git_commit, started,
            finished, mlflow_run_id and any other name; all optional.

    Returns:
        A whole HTML page that loads nothing: no script, no font, no image from elsewhere.
    """
    from modelyard.reports.report_sections import sections

    return page("report.html.j2", **sections(evidence, run))


def read_evidence(folders: Mapping[str, Path | None]) -> dict[str, dict[str, Any]]:
    """Read `<folder>/<kind>.json` of every kind that has a folder.

    Raises:
        UsageError: a file is missing, is not JSON, or is evidence of another kind.
    """
    return {kind: _read(folder, kind) for kind, folder in folders.items() if folder is not None}


def about_run() -> dict[str, str | None]:
    """What the runner tells its steps; nothing of it is known outside a run."""
    folder = os.environ.get("MLOPS_RUN")
    return {
        "run_id": Path(folder).name if folder else None,
        "git_commit": os.environ.get("MLOPS_GIT_COMMIT"),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; see `--help`."""
    parser = argparse.ArgumentParser(
        prog="python -m mlops.reports.report",
        description="Write report.html from the evidence of a run's steps; with --project also the "
        "model card, card.md and card.html.",
    )
    for kind in KINDS:
        parser.add_argument(
            f"--{kind}", type=Path, metavar="DIR", help=f"folder that holds {kind}.json"
        )
    parser.add_argument("--output", type=Path, metavar="DIR", required=True)
    parser.add_argument(
        "--project", type=Path, metavar="FILE", help="conf/project.yml, whose title is the heading"
    )
    options = vars(parser.parse_args(argv))
    return guarded(lambda: _write(options))


def _write(options: Mapping[str, Any]) -> int:
    folders = {kind: options[kind] for kind in KINDS}
    folders["sweep"] = folders["sweep"] or sweep_of_run()
    if not any(folders.values()):
        wanted = ", ".join(f"--{kind}" for kind in KINDS)
        raise UsageError(f"expected the evidence of at least one step, found none: give {wanted}")
    evidence = read_evidence(folders)
    project = read_project(options["project"]) if options["project"] else None
    report = render(evidence, {"title": project.title if project else None, **about_run()})
    path = options["output"] / "report.html"
    try:
        write_text(path, report)
        if project is not None:
            from modelyard.reports.card import write_card

            write_card(path.parent, evidence, project, about_run())
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None
    print(path)
    return 0


def sweep_of_run() -> Path | None:
    """The folder with sweep.json of the run around this step, if the run has swept.

    On Azure ML a sweep node has the outputs of its best trial and no others, so there is none.
    """
    run = os.environ.get("MLOPS_RUN")
    found = sorted(Path(run).glob("[!.]*/sweep/sweep.json")) if run else []
    return found[0].parent if found else None


def _read(folder: Path, kind: str) -> dict[str, Any]:
    path = folder / f"{kind}.json"
    again = f"run the step that writes it again, or leave --{kind} out"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"expected {path}, there is no such file: {again}") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"expected JSON in {path}, found something else ({error}): {again}"
        ) from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}): {again}") from None
    found = content.get("evidence") if isinstance(content, dict) else type(content).__name__
    if found != kind:
        raise UsageError(f"expected evidence of kind {kind} in {path}, found {found}: {again}")
    return dict(content)


if __name__ == "__main__":
    sys.exit(main())
