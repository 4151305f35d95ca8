"""The list of what Azure has retired, or will."""

from __future__ import annotations

import datetime
import re
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter

from modelyard.yaml_files import parse


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


@cache
def retirements() -> tuple[Retirement, ...]:
    """All rows of `retirements.yml`."""
    text = Path(__file__).with_name("retirements.yml").read_text(encoding="utf-8")
    return TypeAdapter(tuple[Retirement, ...]).validate_python(parse(text))
