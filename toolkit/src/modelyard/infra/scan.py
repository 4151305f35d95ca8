"""Checkov over the Bicep files: failed rules, files it cannot parse, exceptions without a reason."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from modelyard.console import counted
from modelyard.environments import environment_python, requirements_file
from modelyard.errors import UsageError
from modelyard.files import write_text
from modelyard.infra.findings import Finding, Place

CHECK = "checkov"
_RESOURCE = re.compile(r"^\s*resource ", re.MULTILINE)
NO_REASON = "No comment provided"
TIMEOUT = 600  # seconds
KEPT = 20  # cached results
# Checkov parses hundreds of JSON paths, each with a parser made anew; of either class one is enough.
START = """
import sys, warnings
from ply import yacc
from checkov.main import Checkov

make, made = yacc.yacc, {}

def once(module, **options):
    kind = type(module)
    if kind not in made:
        made[kind] = make(module=module, **options)
    return made[kind]

yacc.yacc = once
warnings.simplefilter("ignore", SyntaxWarning)
sys.exit(Checkov().run())
"""


def check(root: Path, say: Callable[[str], object]) -> Iterator[Finding]:
    """Scan infra/ with checkov. A file it cannot parse is a finding: checkov itself passes such a file.

    Args:
        root: of the project.
        say: takes a line before checkov is started.

    Raises:
        UsageError: checkov cannot be installed or does not answer.
    """
    folder = root.resolve() / "infra"
    files = sorted(folder.rglob("*.bicep"))
    if not files:
        return
    pinned = requirements_file(root, "checkov")
    kept = root / ".environments" / "checkov-results" / f"{_digest(pinned, files, folder)}.json"
    try:
        results = json.loads(kept.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        say(f"scanning {counted(len(files), 'file')} with checkov")
        results = _run(environment_python(root, "checkov", say), folder)
        write_text(kept, json.dumps(results))
        for old in sorted(kept.parent.glob("*.json"), key=_written)[:-KEPT]:
            old.unlink(missing_ok=True)
    for path in results["unread"]:
        if not _RESOURCE.search(_inside(folder, path).read_text(encoding="utf-8")):
            continue  # nothing that a rule asks about
        remedy = "use only syntax that checkov's parser knows, or correct the syntax"
        what = "checkov cannot parse it, so none of its rules is checked"
        yield Finding(Place(_inside(folder, path), 1), what, remedy, CHECK)
    for one in results["failed"]:
        place = Place(_inside(folder, one["file"]), one["line"])
        remedy = (
            f"follow the rule, or write `// checkov:skip={one['id']}:reason` inside the resource"
        )
        yield Finding(place, f"{one['resource']}: {one['name']} ({one['id']})", remedy, CHECK)
    for one in results["unexplained"]:
        place = Place(_inside(folder, one["file"]), one["line"])
        what = f"{one['id']} is skipped for {one['resource']} without a reason"
        yield Finding(place, what, f"write `// checkov:skip={one['id']}:reason`", CHECK)


def _run(python: Path, folder: Path) -> dict[str, Any]:
    command = [str(python), "-c", START, "--directory", ".", "--framework", "bicep"]
    command += ["--skip-download", "--compact", "--output", "json"]
    # Without bytecode each scan would compile checkov.
    others = ("CKV_", "BC_", "PRISMA_", "PYTHONDONTWRITEBYTECODE")
    settings = {k: v for k, v in os.environ.items() if not k.startswith(others)}
    settings |= {"LOG_LEVEL": "CRITICAL", "CHECKOV_RUN_SCA_PACKAGE_SCAN_V2": "false"}
    try:
        done = subprocess.run(  # noqa: S603 (a program of the environment `checkov`)
            command,
            cwd=folder,
            env=settings,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=TIMEOUT,
            check=False,
        )
        report = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, OSError, ValueError) as error:
        raise UsageError(
            f"checkov did not answer ({type(error).__name__}); delete .environments/checkov and try again"
        ) from None
    results = report.get("results")
    if results is None:  # there was nothing to scan
        return {"unread": [], "failed": [], "unexplained": []}
    return {
        "unread": [
            _inside(folder, path).relative_to(folder).as_posix()
            for path in results.get("parsing_errors", [])
        ],
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
    """Return the path of a file in the report, which begins with a slash even if relative to the folder."""
    absolute = Path(path)
    return absolute if absolute.is_relative_to(folder) else folder / path.lstrip("/\\")


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # removed by another process
        return 0.0


def _digest(pinned: Path, files: list[Path], folder: Path) -> str:
    total = hashlib.sha256(pinned.read_bytes())
    for path in files:
        total.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()
