"""The public API: its names and signatures, its documentation, and what importing it costs."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import subprocess
import sys
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

SNAPSHOT = Path(__file__).with_name("public_api.txt")
MODULES = ("contract", "errors", "evaluation", "evidence", "modelling", "steps", "testing")
UPDATE = (
    "The public API has changed. A name or parameter that is gone or means something else breaks "
    "projects: it needs a new major version. If the change is meant, say it in CHANGELOG.md and run\n"
    f"    python tests/{Path(__file__).name} > tests/{SNAPSHOT.name}"
)


def members(module: str) -> Iterator[tuple[str, Any]]:
    """Yield every public name of a module, such as modelyard.contract.Contract, with its object."""
    loaded = importlib.import_module(f"modelyard.{module}")
    for name in sorted(loaded.__all__):
        yield f"modelyard.{module}.{name}", getattr(loaded, name)


def signature(function: Any) -> str:
    return str(inspect.signature(function)).replace("'", "").replace('"', "")


def described(name: str, thing: Any) -> Iterator[str]:
    """Yield a line per name, field, property and method."""
    if not inspect.isclass(thing):
        yield f"{name}{signature(thing)}"
        return
    bases = ", ".join(base.__name__ for base in thing.__bases__ if base is not object)
    yield f"class {name}({bases})" if bases else f"class {name}"
    if issubclass(thing, BaseModel):
        for field, about in thing.model_fields.items():
            default = "" if about.is_required() else f" = {about.default!r}"
            owner = next(
                base for base in thing.__mro__ if field in vars(base).get("__annotations__", ())
            )
            yield f"    {field}: {owner.__annotations__[field]}{default}"
    elif dataclasses.is_dataclass(thing):
        yield f"    {signature(thing)}"
    elif "__init__" in vars(thing):
        yield f"    __init__{signature(thing.__init__)}"
    for member, value in sorted(vars(thing).items()):
        if member.startswith("_") or member in getattr(thing, "model_fields", ()):
            continue
        if isinstance(value, (property, cached_property)):
            get = value.fget if isinstance(value, property) else value.func
            yield f"    {member} -> {signature(get).partition(' -> ')[2]}"
        elif inspect.isfunction(value):
            yield f"    {member}{signature(value)}"


def snapshot() -> str:
    public = [member for module in MODULES for member in members(module)]
    return "\n".join(line for name, thing in public for line in described(name, thing)) + "\n"


def test_the_public_api_is_the_one_that_was_agreed() -> None:
    assert snapshot() == SNAPSHOT.read_text(encoding="utf-8"), UPDATE


@pytest.mark.parametrize("module", MODULES)
def test_every_name_says_what_it_takes_gives_and_raises(module: str) -> None:
    for name, thing in members(module):
        text = inspect.getdoc(thing) or ""
        assert text.partition("\n")[0].endswith((".", ":")), f"{name}: no first sentence"
        if inspect.isclass(thing):
            continue
        parameters = inspect.signature(thing).parameters
        if len(parameters) > 2:
            missing = [one for one in parameters if f"    {one}:" not in text]
            assert not missing, f"{name} documents no {missing}"
        if "raise UsageError(" in inspect.getsource(thing):
            assert "Raises:" in text, f"{name} does not document UsageError"


def test_importing_it_loads_neither_mlflow_nor_what_only_commands_need() -> None:
    """What a model's environment lacks is imported later, or never."""
    script = "\n".join(
        [
            "import sys",
            *(f"import modelyard.{name}" for name in MODULES if name != "testing"),
            "found = {name.partition('.')[0] for name in sys.modules}",
            "print(sorted(found & {'mlflow', 'typer', 'jinja2', 'pandera', 'fairlearn', 'azure'}))",
        ]
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


if __name__ == "__main__":
    sys.stdout.write(snapshot())
