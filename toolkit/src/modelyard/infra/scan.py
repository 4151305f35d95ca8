"""Checkov's rules over the Bicep files: nothing failed, nothing unread, every exception explained."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from modelyard.environments import environment_python
from modelyard.errors import UsageError
from modelyard.files import write_text
from modelyard.infra.findings import Finding, Place
from modelyard.infra.infrastructure import Infrastructure

CHECK = "checkov"
NO_REASON = "No comment provided"
SECONDS = 600
KEPT = 20  # results, by what was scanned


def check(all_files: Infrastructure, say: Callable[[str], object]) -> Iterator[Finding]:
    """What checkov finds. A file it cannot read counts: it would pass such a file in silence.

    Args:
        all_files: of the project.
        say: takes a line where this takes long.

    Raises:
        UsageError: checkov cannot be installed or does not answer.
    """
    root, folder = all_files.root, all_files.root / "infra"
    kept = root / ".environments" / "checkov-results" / f"{_digest(all_files)}.json"
    try:
        results = json.loads(kept.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        say(f"scanning {len(all_files.bicep)} files with checkov")
        results = _run(environment_python(root, "checkov", say), folder)
        write_text(kept, json.dumps(results))
        for old in sorted(kept.parent.glob("*.json"), key=_written)[:-KEPT]:
            old.unlink(missing_ok=True)
    for path in results["unread"]:
        remedy = "write it with constructs that checkov's older reader knows, or mend its syntax"
        what = "checkov cannot read it, so that none of its rules holds"
        yield Finding(Place(_inside(folder, path), 1), what, remedy, CHECK)
    for one in results["failed"]:
        place = Place(_inside(folder, one["file"]), one["line"])
        remedy = f"fulfil it, or write `// checkov:skip={one['id']}:reason` inside the resource"
        yield Finding(place, f"{one['resource']}: {one['name']} ({one['id']})", remedy, CHECK)
    for one in results["unexplained"]:
        place = Place(_inside(folder, one["file"]), one["line"])
        what = f"{one['id']} is set aside for {one['resource']} without a reason"
        yield Finding(place, what, f"write `// checkov:skip={one['id']}:reason`", CHECK)


def _run(python: Path, folder: Path) -> dict[str, Any]:
    command = [str(python.with_name("checkov")), "--directory", ".", "--framework", "bicep"]
    if os.name == "nt":
        command[0] = str(python.with_name("checkov.cmd"))
    command += ["--skip-download", "--compact", "--output", "json"]
    settings = {k: v for k, v in os.environ.items() if not k.startswith(("CKV_", "BC_", "PRISMA_"))}
    settings |= {"LOG_LEVEL": "CRITICAL", "CHECKOV_RUN_SCA_PACKAGE_SCAN_V2": "false"}
    try:
        done = subprocess.run(  # noqa: S603 (our own environment's program)
            command,
            cwd=folder,
            env=settings,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=SECONDS,
            check=False,
        )
        said = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, OSError, ValueError) as error:
        raise UsageError(
            f"checkov gives no answer ({type(error).__name__}); delete .environments/checkov and try again"
        ) from None
    results = said.get("results")
    if results is None:  # it found nothing at all to look at
        return {"unread": [], "failed": [], "unexplained": []}
    return {
        "unread": results.get("parsing_errors", []),
        "failed": [_entry(one) for one in results["failed_checks"]],
        "unexplained": [
            _entry(one)
            for one in results.get("skipped_checks", [])
            if one["check_result"].get("suppress_comment", NO_REASON).strip() in ("", NO_REASON)
        ],
    }


def _entry(one: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": one["check_id"],
        "name": one["check_name"],
        "file": one["file_path"],
        "line": one["file_line_range"][0],
        "resource": one["resource"],
    }


def _inside(folder: Path, path: str) -> Path:
    """Checkov begins paths with a slash, whether they are absolute or relative to the folder."""
    absolute = Path(path)
    return absolute if absolute.is_relative_to(folder) else folder / path.lstrip("/\\")


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # another process was quicker
        return 0.0


def _digest(all_files: Infrastructure) -> str:
    total = hashlib.sha256()
    pinned = all_files.root / "requirements" / "checkov.txt"
    for path in [pinned, *sorted(f.path for f in all_files.bicep)]:
        try:
            content = path.read_bytes()
        except OSError:
            content = b""
        total.update(str(path.relative_to(all_files.root)).encode() + b"\0" + content + b"\0")
    return total.hexdigest()
