"""Where the project is, and what conf/project.yml and conf/gates.yml say."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from .errors import UsageError
from .files import project_root

Kind = Literal["binary", "multiclass", "regression"]
_Model = TypeVar("_Model", bound=BaseModel)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Environment(BaseModel):
    """Where things are on Azure."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    resource_group: str
    workspace: str
    endpoint: str


class Project(BaseModel):
    """The part of conf/project.yml that `mlops` reads; the rest is for infrastructure."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    title: str
    name: str
    package: str
    owner: str
    model: str
    environments: Mapping[str, Environment] = {}


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


class Release(_Strict):
    """How a version goes live, and how much worse than the old one it may do on the way."""

    approval: Literal["automatic", "model-validator"] = "automatic"
    mirror: Annotated[int, Field(ge=0, le=50)] = 20
    traffic: Annotated[tuple[Annotated[int, Field(ge=1, le=100)], ...], Field(min_length=1)] = (
        10,
        50,
        100,
    )
    requests: Annotated[int, Field(ge=1)] = 100
    seconds: Annotated[float, Field(ge=0)] = 5
    patience: Annotated[float, Field(gt=0)] = 600
    more_errors: Annotated[float, Field(ge=0, le=1)] = 0.01
    slower_times: Annotated[float, Field(ge=1)] = 1.5
    slower_ms: Annotated[float, Field(ge=0)] = 25

    def faster(self) -> Release:
        """For a look at how it goes: fewer requests per stage, no time to wait."""
        fewer = max(20, self.requests // 4)
        return self.model_copy(update={"requests": min(fewer, self.requests), "seconds": 0.0})

    @field_validator("traffic")
    @classmethod
    def _rises_to_all(cls, traffic: tuple[int, ...]) -> tuple[int, ...]:
        if traffic[-1] != 100 or list(traffic) != sorted(set(traffic)):
            raise ValueError("percentages rise, and the last is 100")
        return traffic


class ServingGate(_Strict):
    """What an endpoint has to keep to."""

    p95_milliseconds: Annotated[float, Field(gt=0)] = 100.0
    memory_megabytes: Annotated[float, Field(gt=0)] = 700.0
    error_share: Annotated[float, Field(ge=0, lt=1)] = 0.0


class Gates(_Strict):
    """conf/gates.yml: every threshold a model has to pass."""

    evaluation: Evaluation = Evaluation()
    serving: ServingGate = ServingGate()
    promotion: Mapping[Kind, PromotionGate]
    release: Release = Release()


def load_project(root: Path | None = None) -> Project:
    """Read conf/project.yml of the project at `root` (default: the one around the working folder)."""
    return _load((root or project_root()) / "conf" / "project.yml", Project)


def load_gates(path: Path) -> Gates:
    """Read a gates file.

    Raises:
        UsageError: the file is missing, is not YAML, or a field is unknown or out of range.
    """
    return _load(path, Gates)


def tracking_uri(root: Path | None = None) -> str:
    """MLFLOW_TRACKING_URI, else the project's own sqlite file."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{local_store(root)}"


def local_store(root: Path | None = None) -> Path:
    """The embedded MLflow database."""
    return (root or project_root()) / ".mlflow" / "mlflow.db"


def endpoint_folder(root: Path, endpoint: str) -> Path:
    """Where the state of an online endpoint and of its releases is kept."""
    return root / ".endpoints" / endpoint


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
