"""Where the project is, and what conf/project.yml and conf/gates.yml say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .errors import UsageError
from .files import project_root
from .tracking import local_store as local_store
from .tracking import tracking_uri as tracking_uri

Kind = Literal["binary", "multiclass", "regression"]
_Model = TypeVar("_Model", bound=BaseModel)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Project(BaseModel):
    """The part of conf/project.yml that `mlops` reads; the rest is for infrastructure."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    title: str
    name: str
    package: str
    owner: str
    model: str


class Evaluation(_Strict):
    """How the numbers are made: interval level, bootstrap resamples, smallest judged segment."""

    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    resamples: Annotated[int, Field(ge=50)] = 500
    segment_rows: Annotated[int, Field(ge=1)] = 50
    seed: int = 0


class PromotionGate(_Strict):
    """Thresholds of one problem kind, in the unit of `metric`."""

    metric: str
    floor: float
    over_baseline: float = 0.0
    below_champion: Annotated[float, Field(ge=0)] = 0.0


class Gates(_Strict):
    """conf/gates.yml: every threshold a model has to pass."""

    evaluation: Evaluation = Evaluation()
    promotion: Mapping[Kind, PromotionGate]


def load_project(root: Path | None = None) -> Project:
    """Read conf/project.yml of the project at `root` (default: the one around the working folder)."""
    return _load((root or project_root()) / "conf" / "project.yml", Project)


def load_gates(path: Path) -> Gates:
    """Read a gates file.

    Raises:
        UsageError: the file is missing, is not YAML, or a field is unknown or out of range.
    """
    return _load(path, Gates)


def _load(path: Path, model: type[_Model]) -> _Model:
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(
            f"{path} does not exist; every project has one, restore it from git"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not readable as YAML: {error}") from None
    try:
        return model.model_validate(content)
    except ValidationError as error:
        problems = "\n".join(
            f"  {'.'.join(map(str, one['loc'])) or 'file'}: {one['msg']} (found: {one['input']!r})"
            for one in error.errors()
        )
        raise UsageError(f"{path} is not valid:\n{problems}") from None
