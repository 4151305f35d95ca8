"""A new version of the training data: the latest table, and rows whose ground truth has become known since.

Retraining on the same table would give the same model: Azure ML even reuses the steps.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelyard.azure import Workspace, azure_errors, or_none, storage_container
from modelyard.console import counted
from modelyard.contract.model import Contract, load_contract
from modelyard.contract.reading import columns_of, read_columns
from modelyard.data.cells import Cells
from modelyard.data.table import read_file
from modelyard.errors import CheckFailed, UsageError, first_line
from modelyard.files import digest
from modelyard.models.assets import BEFORE, VERSION_LENGTH, exists
from modelyard.models.version import DATA_FILE, PULL_REQUEST
from modelyard.project import load_project
from modelyard.serving.azure_collected import GROUND_TRUTH, copy_collected
from modelyard.serving.collect import ID, KNOWN_AT

if TYPE_CHECKING:
    import pandas as pd

ASSET = "training"
# Tags of a version, beside the one before it: rows that were added, ground truth up to which time is in it.
ADDED, KNOWN_UNTIL = "rows_added", "ground_truth_until"
_DATASTORE = "/paths/"


class NothingNew(CheckFailed):
    """No data is new, and a model was trained on the latest: it would be the same."""


@dataclass(frozen=True)
class Refreshed:
    """A new version of the training data.

    Attributes:
        version: digest of the table.
        before: version that it follows; None: it is the first.
        added: number of rows with ground truth that were joined to it.
    """

    version: str
    before: str | None
    added: int


def refresh(
    root: Path,
    workspace: Workspace,
    *,
    data: Path | None,
    say: Callable[[str], None],
    collected: Workspace | None = None,
    now: datetime | None = None,
) -> Refreshed:
    """Register a new version of the training data in a workspace.

    A version that was registered before and that no model was trained on, since its job failed, is new, too.

    Args:
        root: the project.
        workspace: with the data asset `training`.
        data: a newer table, as the team's own import has written it; default: the latest version.
        say: gets messages.
        collected: workspace whose endpoint collected the rows, with their ground truth; default: the same.
        now: ground truth that becomes known later is left out.

    Raises:
        NothingNew: the table would be the same.
        UsageError: there is no table, or the new rows do not fit it.
    """
    contract = load_contract(root / "conf" / "contract.yml")
    now, collected = now or datetime.now(UTC), collected or workspace
    latest = _latest(workspace)
    with tempfile.TemporaryDirectory(prefix="refresh-") as temporary:
        folder = Path(temporary)
        before = (
            _download(workspace, latest, folder) if latest is not None and data is None else None
        )
        base = data or before
        if base is None:
            raise UsageError(
                f"{workspace.names.workspace} has no data asset {ASSET} yet; name the first table with --data"
            )
        if not base.is_file():
            raise UsageError(f"{base} does not exist; name the table that your import has written")
        known = (latest.tags or {}).get(KNOWN_UNTIL) if latest is not None else None
        since = datetime.fromisoformat(known) if known else datetime(1970, 1, 1, tzinfo=UTC)
        added, until = _joined(collected, contract, folder, since, now, say)
        file = base
        if len(added):
            file = folder / "joined" / f"{base.stem}.parquet"
            file.parent.mkdir()
            _with_rows(base, added, contract, say).to_parquet(file, index=False)
        version = digest(file)[:VERSION_LENGTH]
        if not len(added) and (data is None or exists(workspace.client.data, ASSET, version)):
            if latest is not None and _is_waiting(root, workspace, latest, version):
                say(f"data {ASSET}:{version} is there, and no model was trained on it yet")
                rows = int(latest.tags[ADDED])
                return Refreshed(version, latest.tags.get(BEFORE), rows)
            raise NothingNew(
                f"nothing is new: no ground truth has become known since {known or 'the beginning'} for rows "
                f"that `{collected.names.endpoint}` collected"
                + (", and the table is registered already" if data else "")
                + "; the model would be the same"
            )
        tags = {
            ADDED: str(len(added)),
            KNOWN_UNTIL: until.isoformat() if until else known or since.isoformat(),
            **({BEFORE: str(latest.version)} if latest is not None else {}),
        }
        _register(workspace, file, version, tags)
    return Refreshed(version, str(latest.version) if latest is not None else None, len(added))


def _is_waiting(root: Path, workspace: Workspace, latest: Any, version: str) -> bool:
    """Whether the latest version of the data is this one, was registered here, and has trained no model."""
    if str(latest.version) != version or KNOWN_UNTIL not in (latest.tags or {}):
        return False
    models, name = workspace.client.models, load_project(root).model
    with azure_errors():
        found = or_none(lambda: [one.tags or {} for one in models.list(name=name)]) or []
    trained = {
        tags[DATA_FILE][:VERSION_LENGTH]
        for tags in found
        if DATA_FILE in tags and not tags.get("role", "").startswith(PULL_REQUEST)
    }
    # Where a step of the team's changes the table before it is trained on, no digest tells.
    is_told = not trained or any(exists(workspace.client.data, ASSET, one) for one in trained)
    return is_told and version not in trained


def _joined(
    workspace: Workspace,
    contract: Contract,
    folder: Path,
    since: datetime,
    now: datetime,
    say: Callable[[str], None],
) -> tuple[pd.DataFrame, datetime | None]:
    """Join collected inputs with ground truth of a time; of several rows of an id, the latest truth counts."""
    import pandas as pd

    endpoint = workspace.names.endpoint
    # All that was ever collected: truth becomes known long after its row.
    copied = copy_collected(workspace, endpoint, None, contract, folder, None, now)
    for note in copied.notes:
        say(note)
    target = contract.target.column
    files = sorted((folder / GROUND_TRUTH).glob("*.parquet"))
    truth = pd.concat([pd.read_parquet(file) for file in files]) if files else pd.DataFrame()
    if truth.empty or not {ID, KNOWN_AT, target} <= set(truth.columns):
        return pd.DataFrame(), None
    truth = truth.dropna(subset=[ID, target])
    truth = truth[(truth[KNOWN_AT] > since) & (truth[KNOWN_AT] <= now)]
    truth = truth.sort_values(KNOWN_AT, kind="stable").drop_duplicates(ID, keep="last")
    parts = sorted((folder / endpoint).glob("*/model_inputs/**/*.parquet"))
    if truth.empty or not parts:
        return pd.DataFrame(), None
    inputs = pd.concat([pd.read_parquet(file) for file in parts]).drop_duplicates(ID)
    # A group or a sensitive column is not asked for a prediction; it may come with the truth.
    beside = [name for name in contract.columns if name in truth and name not in inputs]
    rows = inputs.merge(truth[[ID, KNOWN_AT, *beside]], on=ID, how="inner")
    say(
        f"{counted(len(truth), 'row')} of ground truth since {since:%Y-%m-%d}, {len(rows)} of them of collected rows"
    )
    if rows.empty:
        return pd.DataFrame(), None
    until: datetime = rows[KNOWN_AT].max().to_pydatetime()
    return rows.drop(columns=[ID, KNOWN_AT]), until


def _with_rows(
    file: Path, added: pd.DataFrame, contract: Contract, say: Callable[[str], None]
) -> pd.DataFrame:
    """Read a table as the contract says and append collected rows; columns that it leaves out stay as they are."""
    import pandas as pd
    import pyarrow as pa

    def left_out(cells: Mapping[str, Cells]) -> dict[str, pd.Series]:
        others = {name: one for name, one in cells.items() if name not in contract.read}
        return {name: one.array.to_pandas() for name, one in others.items()}

    table, collected = read_file(file), {}
    for name in [name for name in table.columns if name in added]:
        try:
            array = pa.array(added[name], from_pandas=True)
        except pa.ArrowException as error:
            raise UsageError(f'collected rows, column "{name}": {first_line(error)}') from None
        collected[name] = Cells(pa.chunked_array([array]), None)
    if lacking := [name for name in table.columns if name not in collected]:
        say(f"not collected, so empty in the new rows: {', '.join(lacking)}")
    known = read_columns(columns_of(table, contract), contract, file)
    whole = pd.DataFrame({**known, **left_out(table.columns)})[list(table.columns)]
    ruled = {name: one for name, one in collected.items() if name in contract.read}
    new = read_columns(ruled, contract, "collected rows")
    more = pd.DataFrame({**new, **left_out(collected)}).reindex(columns=whole.columns)
    return pd.concat([whole, more.astype(_types(whole, more))], ignore_index=True)


def _types(table: pd.DataFrame, added: pd.DataFrame) -> dict[str, Any]:
    """Return the types of a table's columns, without those that have no place for missing values."""
    return {
        str(name): kind
        for name, kind in table.dtypes.items()
        if not (added[name].isna().any() and kind.kind in "iub")
    }


def _latest(workspace: Workspace) -> Any:
    """Read the latest version of the data asset; None: there is none."""
    with azure_errors():
        return or_none(lambda: workspace.client.data.get(ASSET, label="latest"))


def _download(workspace: Workspace, asset: Any, folder: Path) -> Path:
    """Download the file of a data asset in the workspace's own storage."""
    from azure.storage.blob import BlobClient

    place = str(asset.path).partition(_DATASTORE)[2]
    if not place:
        raise UsageError(
            f"data {ASSET}:{asset.version} is at {asset.path}, not in a datastore: name the table with --data"
        )
    name = place.rpartition("/")[2]
    container = storage_container(workspace)
    with azure_errors():
        blob = BlobClient.from_blob_url(f"{container}/{place}", workspace.credential)
        file = folder / name
        file.write_bytes(blob.download_blob().readall())
    return file


def _register(workspace: Workspace, file: Path, version: str, tags: dict[str, str]) -> None:
    from azure.ai.ml.entities import Data

    asset = Data(name=ASSET, version=version, type="uri_file", path=str(file), tags=tags)
    with azure_errors():
        workspace.client.data.create_or_update(asset)
