"""Errors of commands, and their exit codes."""

from __future__ import annotations

import io
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["CheckFailed", "ModelyardError", "UsageError"]

OK, REFUSED, BROKEN = 0, 1, 2


class ModelyardError(Exception):
    """An error with a message for the user, and an exit code."""

    exit_code = BROKEN


class UsageError(ModelyardError):
    """Wrong usage or broken input: what was expected, what came, what to do (exit code 2)."""


class CheckFailed(ModelyardError):
    """A check of usable input failed (exit code 1)."""

    exit_code = REFUSED


def guarded(command: Callable[..., object], *args: Any, **options: Any) -> int:
    """Call a command, and turn an error into an exit code.

    Returns:
        What the command returned where that is a number, else 0; 1 for CheckFailed, 2 for anything
        else. A user's mistake is printed as one message; only a fault of the program, or of the project's own
        code, shows a traceback.
    """
    for stream in (sys.stdout, sys.stderr):
        # A terminal that has no ▶ or ✓ shows a question mark.
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="replace")
    try:
        result = command(*args, **options)
    except CheckFailed as refusal:
        print(refusal, file=sys.stderr)
        return REFUSED
    except ModelyardError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"error: {readable(error)}", file=sys.stderr)
        return BROKEN
    except Exception as error:
        traceback.print_exc()
        place = _own_line(error)
        own = f"{place}: {type(error).__name__}: {first_line(error)}"
        said = own if place else "this is a fault of the program, not of your input."
        print(f"error: {said}", file=sys.stderr)
        return BROKEN
    return result if type(result) is int else OK


def _own_line(error: Exception) -> str | None:
    """Return file and line of the project's own code in which an error arose last; None where it did not."""
    project, toolkit = Path.cwd(), Path(__file__).parent
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        file = Path(frame.f_code.co_filename)
        is_installed = "site-packages" in file.parts or file.is_relative_to(toolkit)
        if file.is_relative_to(project) and not is_installed:
            return f"{file.relative_to(project)}:{line}"
    return None


def readable(error: OSError) -> str:
    """Return an operating system's error as file and reason."""
    if error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def reason_of(error: Exception) -> str:
    """Return why something could not be done, in one line."""
    if isinstance(error, OSError):
        return readable(error)
    if isinstance(error, ModelyardError):
        return " ".join(str(error).split())
    return f"{type(error).__name__}: {error}"


def shortened(text: str, most: int = 80) -> str:
    """Cut a text to `most` characters, the last an ellipsis."""
    return text if len(text) <= most else text[: most - 1] + "…"


def first_line(error: Exception) -> str:
    """Return the first line of an exception's message, or its name."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
