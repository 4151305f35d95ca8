"""Events of an Azure ML workspace, as Event Grid puts them into a storage queue."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
)

Queue = Literal["model-registered", "monitor-breached", "run-failed"]

# The run tag by which a step of a model monitor reports a metric beyond its threshold.
BREACH_TAG = "azureml_modelmonitor_threshold_breached"
# The property of a model version with the run it was trained in; see models/azure_registry.py.
RUN_PROPERTY = "mlops.run_id"


class UnreadableEvent(Exception):
    """A message that is not a valid event; handling it again would not help."""


def _folded(value: Any) -> Any:
    """Lower the case of keys: Azure's documentation writes both `RunTags` and `runTags`."""
    return {str(k).casefold(): v for k, v in value.items()} if isinstance(value, dict) else value


def _texts(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: v if isinstance(v, str) else json.dumps(v) for k, v in value.items()}
    return {} if value is None else value


Name = Annotated[str, Field(min_length=1, max_length=1024)]
Texts = Annotated[Mapping[str, str], BeforeValidator(_texts)]


class _Read(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, coerce_numbers_to_str=True)


class _Envelope(_Read):
    """The common fields of events, in the schema of Event Grid or of CloudEvents."""

    id: Name
    type: Annotated[str, Field(validation_alias=AliasChoices("eventType", "type"))]
    time: Annotated[datetime, Field(validation_alias=AliasChoices("eventTime", "time"))]
    data: Annotated[Mapping[str, Any], BeforeValidator(_folded)]

    @field_validator("time")
    @classmethod
    def _in_utc(cls, time: datetime) -> datetime:
        try:
            return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
        except OverflowError:
            raise ValueError("not representable in UTC") from None


class Registered(_Read):
    """Data of the event that a model version was registered."""

    model: Annotated[Name, Field(validation_alias="modelname")]
    version: Annotated[Name, Field(validation_alias="modelversion")]
    properties: Annotated[Texts, Field(validation_alias="modelproperties")] = {}

    @property
    def about(self) -> str:
        """The model version as NAME:VERSION."""
        return f"{self.model}:{self.version}"


class Run(_Read):
    """Data of the event that the status of a run changed."""

    name: Annotated[Name, Field(validation_alias="runid")]
    experiment: Annotated[str | None, Field(validation_alias="experimentname")] = None
    status: Annotated[str | None, Field(validation_alias="runstatus")] = None
    tags: Annotated[Texts, Field(validation_alias="runtags")] = {}

    @property
    def about(self) -> str:
        """The run's name."""
        return self.name

    @property
    def breach(self) -> str | None:
        """The monitor's report of a breach; None where the run is not a monitor's step with one."""
        return self.tags.get(BREACH_TAG)


class Event(BaseModel):
    """An event of a queue."""

    model_config = ConfigDict(frozen=True)

    queue: Queue
    id: str
    time: datetime
    data: Registered | Run

    @property
    def key(self) -> str:
        """Key of what the event is about: equal for repeated deliveries, whatever their ids."""
        return hashlib.sha256(f"{self.queue}\n{self.data.about}".encode()).hexdigest()[:32]


def read_event(queue: Queue, body: bytes) -> Event:
    """Read a message as an event.

    Args:
        queue: in which the message was.
        body: one event as JSON, plain or in base64: Event Grid has written both.

    Raises:
        UnreadableEvent: naming what was expected and what was found.
    """
    try:
        envelope = _Envelope.model_validate(_decoded(body))
        wanted = "ModelRegistered" if queue == "model-registered" else "RunStatusChanged"
        if envelope.type != f"Microsoft.MachineLearningServices.{wanted}":
            raise UnreadableEvent(f"expected a {wanted} event, found {envelope.type[:100]!r}")
        data: Registered | Run = (
            Registered.model_validate(envelope.data)
            if wanted == "ModelRegistered"
            else Run.model_validate(envelope.data)
        )
    except ValidationError as error:
        raise UnreadableEvent(_shown(error)) from None
    if isinstance(data, Run):
        if queue == "monitor-breached" and not data.breach:
            tags = ", ".join(sorted(data.tags)[:5]) or "none"
            raise UnreadableEvent(f"expected the run tag {BREACH_TAG}, found tags: {tags[:200]}")
        if queue == "run-failed" and (data.status or "").casefold() != "failed":
            raise UnreadableEvent(f"expected a failed run, found status {data.status!r}")
    return Event(queue=queue, id=envelope.id, time=envelope.time, data=data)


def _decoded(body: bytes) -> Any:
    text = body.strip()
    try:
        if not text.startswith((b"{", b"[")):
            text = base64.b64decode(text, validate=True)
        found = json.loads(text)
    except (binascii.Error, ValueError, RecursionError) as error:
        raise UnreadableEvent(f"expected JSON, plain or in base64: {error}") from None
    if isinstance(found, list):
        if len(found) != 1:
            raise UnreadableEvent(f"expected one event, found a list of {len(found)}")
        found = found[0]
    return found


def _shown(error: ValidationError) -> str:
    lines = (
        f"{'.'.join(map(str, one['loc'])) or 'the event'}: {one['msg']}"
        for one in error.errors(include_input=False, include_url=False)
    )
    return "; ".join(lines)
