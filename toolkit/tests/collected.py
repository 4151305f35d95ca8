"""Writes collected data as the receiver does: Parquet by endpoint, deployment, collection and hour."""

from __future__ import annotations

import uuid
from pathlib import Path

import numpy as np
import pandas as pd
from modelyard.serving.collected_files import keep_contract, new_name


def write_collected(
    root: Path,
    inputs: pd.DataFrame,
    outputs: pd.DataFrame,
    times: pd.Series,
    *,
    endpoint: str,
    deployment: str = "blue",
    ids: list[str] | None = None,
    contract: Path | None = None,
) -> list[str]:
    """Write rows of inputs and outputs below `root`; returns their correlation ids.

    Without the contract of the model that answered, the files are as if from elsewhere.
    """
    ids = ids or [f"{uuid.UUID(int=i)}" for i in range(len(inputs))]
    stamps = pd.to_datetime(times, utc=True).astype("datetime64[us, UTC]").reset_index(drop=True)
    for collection, rows in (("model_inputs", inputs), ("model_outputs", outputs)):
        table = rows.reset_index(drop=True).assign(correlationid=ids, collected_at=stamps)
        for hour, part in table.groupby(stamps.dt.floor("h"), sort=True):
            folder = root / endpoint / deployment / collection / f"{hour:%Y/%m/%d/%H}"
            folder.mkdir(parents=True, exist_ok=True)
            name = uuid.uuid5(uuid.NAMESPACE_OID, f"{collection} {hour}")
            file = new_name(keep_contract(root, contract)) if contract else f"{name}.parquet"
            part.to_parquet(folder / file, index=False)
    return ids


def write_truth(
    root: Path, ids: list[str], target: pd.Series, known_at: pd.Series, name: str = "truth"
) -> Path:
    """Write what turned out, and when it was known."""
    folder = root / "ground_truth"
    folder.mkdir(parents=True, exist_ok=True)
    known = pd.to_datetime(known_at, utc=True).astype("datetime64[us, UTC]")
    rows = pd.DataFrame({"correlationid": ids, target.name: np.asarray(target)})
    rows["known_at"] = pd.array(known)
    rows.to_parquet(folder / f"{name}.parquet", index=False)
    return folder / f"{name}.parquet"
