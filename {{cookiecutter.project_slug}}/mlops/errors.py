"""The two ways a command says no; `guarded` turns them into exit codes."""

from __future__ import annotations

import sys
from collections.abc import Callable


class MlopsError(Exception):
    """A message for the person who caused it, and the exit code that goes with it."""

    exit_code = 2


class UsageError(MlopsError):
    """Wrong usage or broken input: exit code 2."""


class CheckFailed(MlopsError):
    """A gate or a check said no: exit code 1."""

    exit_code = 1


def guarded(command: Callable[[], int]) -> int:
    """Run a command; print an `MlopsError` as one message, without a traceback."""
    try:
        return command()
    except MlopsError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
