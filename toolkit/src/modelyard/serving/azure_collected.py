"""Rows that the deployments of an Azure ML endpoint have collected, copied to this machine.

The collector writes JSON lines to the workspace's blob storage (how-to-collect-production-data):
`modelDataCollector/<endpoint>/<deployment>/<collection>/<yyyy>/<MM>/<dd>/<HH>/<instance>.jsonl`. They are
read with the identity of whoever runs this, without any key. Here they get the folders and types of
`.collected`. Ground truth is Parquet below `ground_truth/` of the same container.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from modelyard.azure import Workspace, azure_errors, storage_container
from modelyard.contract.model import Contract
from modelyard.errors import UsageError
from modelyard.serving.collect import COLLECTED_AT, ID, OWN_ID
from modelyard.serving.receiver import schemas, table_of

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient

COLLECTOR, GROUND_TRUTH = "modelDataCollector", "ground_truth"


@dataclass
class Copied:
    """Collected rows on this machine.

    Attributes:
        folder: as `.collected` of a project.
        rows: number of rows, by deployment and collection.
        notes: what could not be read.
    """

    folder: Path
    rows: dict[tuple[str, str], int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def copy_collected(
    workspace: Workspace,
    endpoint: str,
    deployments: Iterable[str] | None,
    contract: Contract,
    folder: Path,
    since: datetime | None,
    until: datetime,
) -> Copied:
    """Copy the rows that deployments collected in a time, and all ground truth.

    Args:
        workspace: of the endpoint.
        endpoint: its name.
        deployments: names of the deployments; None: all that have ever collected.
        contract: gives the types of the columns.
        folder: to write to.
        since: rows collected earlier are left out, by the hour; None: none are.
        until: likewise rows collected later.

    Raises:
        AzureFailed: the storage cannot be read.
        UsageError: a row does not have the contract's types.
    """
    container = _container(workspace)
    copied = Copied(folder)
    with azure_errors():
        for deployment in deployments or _collecting(container, endpoint):
            for collection, schema in schemas(contract).items():
                place = f"{endpoint}/{deployment}/{collection}"
                copied.rows[deployment, collection] = 0
                for hour, name in _hours(container, f"{COLLECTOR}/{place}/", since, until):
                    content = container.download_blob(name).readall()
                    records = list(_records(content, name, copied))
                    if not records:
                        continue
                    target = folder / place / hour / f"{PurePosixPath(name).stem}.parquet"
                    _write(records, schema, target, name)
                    copied.rows[deployment, collection] += len(records)
        for name in container.list_blob_names(name_starts_with=f"{GROUND_TRUTH}/"):
            if name.endswith(".parquet"):
                target = (
                    folder / GROUND_TRUTH / name.removeprefix(f"{GROUND_TRUTH}/").replace("/", "-")
                )
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(container.download_blob(name).readall())
    return copied


def _container(workspace: Workspace) -> ContainerClient:
    from azure.storage.blob import ContainerClient

    return ContainerClient.from_container_url(storage_container(workspace), workspace.credential)


def _hours(
    container: ContainerClient, prefix: str, since: datetime | None, until: datetime
) -> Iterator[tuple[str, str]]:
    """Yield hour and name of the files of a collection in a time, asking day by day."""
    last = f"{until.astimezone(UTC):%Y/%m/%d/%H}"
    first = f"{since.astimezone(UTC):%Y/%m/%d/%H}" if since else ""
    days = [""]
    if since:
        begin = since.astimezone(UTC).date()
        count = (until.astimezone(UTC).date() - begin).days + 1
        days = [f"{begin + timedelta(days=n):%Y/%m/%d}/" for n in range(count)]
    for day in days:
        for name in container.list_blob_names(name_starts_with=f"{prefix}{day}"):
            hour = "/".join(name.removeprefix(prefix).split("/")[:4])
            if first <= hour <= last and name.endswith(".jsonl"):
                yield hour, name


def _collecting(container: ContainerClient, endpoint: str) -> list[str]:
    """List the deployments of an endpoint that have ever collected rows."""
    prefix = f"{COLLECTOR}/{endpoint}/"
    names = container.list_blob_names(name_starts_with=prefix)
    return sorted({name.removeprefix(prefix).partition("/")[0] for name in names})


def _records(content: bytes, name: str, copied: Copied) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file; the row at position n of an event is called <its id>_<n>."""
    for number, line in enumerate(content.splitlines(), 1):
        if not line.strip():
            continue
        try:
            event = json.loads(line)
            rows, time = event.get("data"), datetime.fromisoformat(event["time"])
            batch = str(event.get("correlationid") or event["xrequestid"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            copied.notes.append(
                f"{name}, line {number} is no event of the data collector: {error!r}"
            )
            continue
        if not isinstance(rows, list):  # above 4 MB an event points to another file
            copied.notes.append(
                f"{name}, line {number}: its rows are in a file of their own, not read"
            )
            continue
        for place, row in enumerate(rows):
            yield {**row, ID: row.get(OWN_ID) or f"{batch}_{place}", COLLECTED_AT: time}


def _write(records: list[dict[str, Any]], schema: Any, target: Path, name: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = table_of(records, schema)
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise UsageError(
            f"{name} does not have the types of the champion's contract: {error}"
        ) from None
    target.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, target)
