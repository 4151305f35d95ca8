"""Files of collected rows, named after the contract of the model that answered.

Azure ML's monitor compares every column of collected data, so what a row belongs to is no column of it.
"""

from __future__ import annotations

import re
import uuid
from pathlib import Path

from modelyard.files import digest, write_text

_NAME = re.compile(r"([0-9a-f]{16})-[0-9a-f-]{36}\.parquet")


def contract_digest(contract: Path) -> str:
    """Return the digest of a contract's file, as names of files have it."""
    return digest(contract)[:16]


def contract_file(collected: Path, digest: str) -> Path:
    """Return the file of a contract in the folder of collected data."""
    return collected / "contracts" / f"{digest}.yml"


def keep_contract(collected: Path, contract: Path) -> str:
    """Copy a contract into the folder of collected data; return its digest."""
    found = contract_digest(contract)
    write_text(contract_file(collected, found), contract.read_text(encoding="utf-8"))
    return found


def new_name(digest: str) -> str:
    """Return a new name for a file of rows that a model of a contract answered."""
    return f"{digest}-{uuid.uuid4()}.parquet"


def digest_of(path: str) -> str | None:
    """Return the digest of the contract of a file's rows; None for a file of another origin."""
    found = _NAME.fullmatch(path.rpartition("/")[2])
    return found[1] if found else None
