"""Errors of commands, and their exit codes."""

from __future__ import annotations

import io
import sys
import traceback
from collections.abc import Callable
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
        else. A user's mistake is printed as one message; only a fault of the program shows a traceback.
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
    except Exception:
        traceback.print_exc()
        print("error: this is a fault of the program, not of your input.", file=sys.stderr)
        return BROKEN
    return result if type(result) is int else OK


def readable(error: OSError) -> str:
    """Return an operating system's error as file and reason."""
    if error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def shortened(text: str, most: int = 80) -> str:
    """Cut a text to `most` characters, the last an ellipsis."""
    return text if len(text) <= most else text[: most - 1] + "…"


def first_line(error: Exception) -> str:
    """Return the first line of an exception's message, or its name."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
