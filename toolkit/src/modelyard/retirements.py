"""The list of what Azure has retired, or will: the toolkit's, and a newer one of Azure where it was fetched."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from http.client import HTTPException
from pathlib import Path
from typing import Annotated, Any
from urllib.request import urlopen

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from modelyard.errors import UsageError
from modelyard.files import has_file, read_json, write_json
from modelyard.yaml_files import parse

VARIABLE = "MLOPS_RETIREMENTS_URL"
ADDRESS = "https://raw.githubusercontent.com/Azure/EOL/main/service_list.json"
FILE = Path("build") / "retirements.json"
TIMEOUT = 20  # seconds
# What a project is made of, in the list's field `ServiceName`.
SERVICES = re.compile(
    "machine learning|synapse|functions|storage|key vault|container registry|event grid|application insights|monitor|"
    "log analytics|virtual machine|data factory",
    re.IGNORECASE,
)


class Retirement(BaseModel):
    """A row of `retirements.yml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    what: str
    date: datetime.date
    keys: Annotated[tuple[str, ...], Field(alias="in")]
    pattern: Annotated[
        re.Pattern[str], BeforeValidator(lambda text: re.compile(text, re.IGNORECASE))
    ]
    instead: str
    source: str

    def message(self, today: datetime.date) -> str:
        """What is said of it on a day."""
        when = "was retired" if self.date <= today else "will be retired"
        return f"{self.what}: {when} on {self.date}; use {self.instead} ({self.source})"


class _Copy(BaseModel):
    """The copy of Azure's list that the rows were compared with.

    Attributes:
        known: the `Id` of each of its rows about services that a project has.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)

    date: datetime.date
    known: frozenset[str]


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    azure_eol: _Copy
    rows: tuple[Retirement, ...]


def _date(text: object) -> datetime.date | None:
    with contextlib.suppress(ValueError):
        return datetime.date.fromisoformat(str(text).strip())
    return None  # it says that there are several


Text = Annotated[str, BeforeValidator(lambda text: " ".join(str(text).split()))]


class Announced(BaseModel):
    """A row of Azure's own list."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    number: Annotated[Text, Field(alias="Id")]
    service: Annotated[Text, Field(alias="ServiceName")]
    feature: Annotated[Text, Field(alias="RetiringFeature")]
    date: Annotated[datetime.date | None, BeforeValidator(_date), Field(alias="RetirementDate")]
    link: Annotated[Text, Field(alias="Link")]

    def __str__(self) -> str:
        return f"{self.service}: {self.feature}, {self.date or 'several dates'} ({self.link})"


_ANNOUNCED = TypeAdapter(Annotated[tuple[Announced, ...], Field(min_length=1)])


@dataclass(frozen=True)
class Known:
    """What is known of retirements in a project.

    Attributes:
        rows: of the toolkit, with Azure's dates where they have moved.
        new: of the fetched list, about services of a project, that the toolkit does not know.
        source: which list it is, and of when.
    """

    rows: tuple[Retirement, ...]
    new: tuple[Announced, ...]
    source: str


@cache
def _shipped() -> _File:
    text = Path(__file__).with_name("retirements.yml").read_text(encoding="utf-8")
    return _File.model_validate(parse(text))


def retirements() -> tuple[Retirement, ...]:
    """All rows of `retirements.yml`."""
    return _shipped().rows


def refresh(root: Path) -> None:
    """Fetch Azure's list into build/retirements.json, from where MLOPS_RETIREMENTS_URL says or Azure/EOL.

    Raises:
        UsageError: nobody answers, or with something else; the file is left as it was.
    """
    url = os.environ.get(VARIABLE) or ADDRESS
    try:
        with urlopen(url, timeout=TIMEOUT) as answer:  # noqa: S310 (Azure's, or the user's own)
            content = json.load(answer)
        _ANNOUNCED.validate_python(content)
    except ValidationError as error:
        what = error.errors()[0]
        raise UsageError(
            f"{url} is not Azure's list of retirements ({'.'.join(map(str, what['loc']))}: {what['msg']})"
        ) from None
    except (OSError, ValueError, HTTPException) as error:
        raise UsageError(
            f"{url} gives no list of retirements: {error}; try again where there is a network, or name another "
            f"address by {VARIABLE}"
        ) from None
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    write_json(root / FILE, {"fetched": today, "source": url, "rows": content})


def known(root: Path) -> Known:
    """Return what is known: of the toolkit, and of a list that was fetched after it.

    Raises:
        UsageError: the fetched list is broken.
    """
    shipped, path = _shipped(), root / FILE
    own = f"the toolkit's list, compared with Azure's of {shipped.azure_eol.date}"
    if not has_file(path):
        return Known(shipped.rows, (), own)
    content: Any = read_json(path)
    try:
        fetched = datetime.date.fromisoformat(content["fetched"])
        rows = _ANNOUNCED.validate_python(content["rows"])
    except (KeyError, TypeError, ValueError):
        raise UsageError(f"{path} is broken: delete it, or run `mlops doctor --refresh`") from None
    if fetched < shipped.azure_eol.date:
        return Known(shipped.rows, (), f"{own}; {FILE.as_posix()} of {fetched} is older")
    ours = [one for one in rows if SERVICES.search(one.service)]
    new = tuple(one for one in ours if one.number not in shipped.azure_eol.known)
    moved = tuple(_as_announced(row, ours) for row in shipped.rows)
    return Known(moved, new, f"the toolkit's list with Azure's, fetched on {fetched}")


def _as_announced(row: Retirement, announced: Iterable[Announced]) -> Retirement:
    """Give a row the date that Azure's list has for the same source, where it is one."""
    dates = {one.date for one in announced if one.link == row.source and one.date}
    return row.model_copy(update={"date": dates.pop()}) if len(dates) == 1 else row
