"""Commands for predictions: a server, and batch scoring."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from modelyard.cli.terminal import JsonOption, VersionOption
from modelyard.console import console as open_console
from modelyard.files import project_root, relative


def serve(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for any that is free.")
    ] = 5001,
    version: VersionOption = None,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Worker processes.")] = 1,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 accepts other machines.")
    ] = "127.0.0.1",
    collect: Annotated[bool, typer.Option(help="Collect inputs and outputs in .collected.")] = True,
    once: Annotated[
        bool, typer.Option("--once", help="Send the model's own example, print the answer, stop.")
    ] = False,
) -> None:
    """Serve a model with Azure ML's inference server."""
    from modelyard.serving.server import serve as run_server

    run_server(
        project_root(),
        port=port,
        version=version,
        workers=workers,
        host=host,
        collect=collect and not once,
        once=once,
    )


def score(
    data: Annotated[
        Path, typer.Option(help="The table, CSV or Parquet, or a folder of such tables.")
    ],
    output: Annotated[Path, typer.Option(help="Folder for the scored rows, this job's only.")],
    version: VersionOption = None,
    part_rows: Annotated[
        int | None,
        typer.Option(min=1, help="Rows of the table per file of the output; default: 1,000,000."),
    ] = None,
    max_rejected: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="Share of rows that may break the contract; more: exit code 1."
        ),
    ] = 0.0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Delete results of another job in the output.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Score tables as the batch endpoint does. They may have any size; an interrupted job resumes."""
    from modelyard.scoring.local_batch import ScoreProgress
    from modelyard.scoring.local_batch import score as score_tables

    console = open_console(stderr=as_json)
    with ScoreProgress(console) as progress:
        result = score_tables(
            project_root(),
            data,
            output,
            version=version,
            part_rows=part_rows,
            max_rejected=max_rejected,
            overwrite=overwrite,
            progress=progress,
        )
    if as_json:
        print(json.dumps(result.summary))
    else:
        result.print(console, str(relative(output)))
    raise typer.Exit(1 if result.complaint else 0)
