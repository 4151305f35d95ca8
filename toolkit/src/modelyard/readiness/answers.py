"""A model of conf/readiness.yml: what only people know about a project."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from modelyard.files import editing, has_file, write_text
from modelyard.yaml_files import dump, read_model

FILE = Path("conf") / "readiness.yml"
HEAD = """\
# What only people know about this project: answers to `mlops readiness`, which writes them here. A year later each is
# asked again. Yes needs a why that somebody else can check.
"""


class Answer(BaseModel):
    """What somebody says, and why it is so."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    met: bool
    why: Annotated[str, Field(min_length=1)]
    by: str
    day: date


class Answers(BaseModel):
    """Answers by the name of the criterion."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    answers: Mapping[str, Answer] = {}


def load_answers(root: Path) -> Mapping[str, Answer]:
    """Read the answers of a project; none where nobody has answered yet.

    Raises:
        UsageError: the file is not YAML, or a field is unknown, missing or of another type.
    """
    return read_model(root / FILE, Answers).answers if has_file(root / FILE) else {}


def save_answer(root: Path, name: str, answer: Answer) -> None:
    """Write an answer, instead of an earlier one to the same question."""
    with editing(root):
        answers = dict(load_answers(root)) | {name: answer}
        content = {"answers": {key: one.model_dump() for key, one in sorted(answers.items())}}
        write_text(root / FILE, HEAD + dump(content))
