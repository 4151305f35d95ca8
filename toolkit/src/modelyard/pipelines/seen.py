"""What a run has read, and whether it is still so: a person edits files, or a job replaces the table, while it runs."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

from modelyard.files import digest
from modelyard.pipelines.model import Data, Step
from modelyard.pipelines.snapshot import snapshot_digest


class Seen:
    """Digests of files, each as it was when the run first asked for it."""

    def __init__(self) -> None:
        self.code = cache(snapshot_digest)
        self._inputs: dict[Path, tuple[object, str]] = {}
        self._changed: list[str] = []

    def input(self, path: Path) -> str:
        """Return the digest of an input."""
        if path not in self._inputs:
            self._inputs[path] = _written(path), digest(path)
        return self._inputs[path][1]

    def changed_input(self, step: Step) -> Path | None:
        """Return an input of a step that is another one than at first; a large one is read only where it was written to."""
        for one in step.inputs.values():
            if isinstance(one, Data) and one.path in self._inputs:
                written, before = self._inputs[one.path]
                if _written(one.path) != written and digest(one.path) != before:
                    return one.path
        return None

    def key_of_result(self, step: Step, key: str, now: str) -> str | None:
        """Return the key of a step that has ended; None where it may have read something else than the key says.

        Args:
            step: that has ended.
            key: as it was when the step began.
            now: the key with today's champion.
        """
        code, includes = step.component.code, step.component.includes
        is_same = key == now and snapshot_digest(code, includes) == self.code(code, includes)
        if is_same and self.changed_input(step) is None:
            return key
        self._changed.append(step.name)
        return None

    def warn(self) -> None:
        """Print which results no later run uses, if there are such."""
        if self._changed:
            steps = ", ".join(sorted(self._changed))
            print(
                f"warning: code, inputs or the champion have changed since this run began: no later run uses the results of {steps}, "
                "and the commit of this run may not be what they ran",
                file=sys.stderr,
            )


def _written(path: Path) -> object:
    """When the files of an input were written, and their sizes."""
    files = [path] if path.is_file() else sorted(path.rglob("*"))
    return [(file, file.stat().st_mtime_ns, file.stat().st_size) for file in files]
