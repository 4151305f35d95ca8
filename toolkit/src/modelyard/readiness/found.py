"""What was found of a criterion."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Found:
    """What was found.

    Attributes:
        is_met: None where it is not known: nobody has answered, or there is no evidence yet.
        said: in words.
        remedy: a command, where it is another than the criterion's.
    """

    is_met: bool | None
    said: str
    remedy: str | None = None
