"""Finds where two versions were deployed, and has them compared by what really happened."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from modelyard.errors import UsageError
from modelyard.files import read_json
from modelyard.project import endpoint_folder


def ab_report(
    root: Path,
    a: str,
    b: str,
    *,
    endpoint: str = "local",
    minimal_difference: float | None = None,
    contract: Path | None = None,
    quiet: bool = False,
) -> tuple[int, Path]:
    """Run `python -m <package>.ab`; returns its exit code and the evidence.

    Args:
        root: the project.
        a: a version (`3` or `v3`), or a deployment as `python -m <package>.ab` takes it.
        b: likewise.
        endpoint: where both were deployed.
        minimal_difference: the difference that is worth a decision.
        contract: default: conf/contract.yml.
        quiet: print nothing but errors.

    Raises:
        UsageError: a version was never deployed there.
    """
    folder = endpoint_folder(root, endpoint) / "ab"
    command = [sys.executable, "-m", "modelyard.releases.ab"]
    command += ["--contract", str(contract or root / "conf" / "contract.yml")]
    command += ["--gates", str(root / "conf" / "gates.yml"), "--endpoint", endpoint]
    command += ["--collected", str(root / ".collected"), "--evidence", str(folder)]
    for side, asked in (("a", a), ("b", b)):
        found = re.fullmatch(r"v?(\d+)", asked)
        stretches = deployed(root, endpoint, found[1]) if found else [asked]
        for stretch in stretches:
            command += [f"--{side}", stretch]
        command += [f"--name-{side}", f"v{found[1]}" if found else asked]
    if minimal_difference is not None:
        command += ["--minimal-difference", str(minimal_difference)]
    out = subprocess.DEVNULL if quiet else None
    done = subprocess.run(command, check=False, stdout=out)  # noqa: S603 (our own package)
    return done.returncode, folder / "ab.json"


def deployed(root: Path, endpoint: str, version: str) -> list[str]:
    """Every stretch of time in which a deployment served a version: DEPLOYMENT@SINCE/UNTIL.

    Raises:
        UsageError: it never was deployed.
    """
    file = endpoint_folder(root, endpoint) / "history.json"
    history = read_json(file) if file.is_file() else []
    stretches, known = [], set()
    for number, event in enumerate(history):
        known.add(event["version"])
        if (event["event"], event["version"]) != ("deployed", version):
            continue
        name = event["deployment"]
        later = (one["at"] for one in history[number + 1 :] if one["deployment"] == name)
        stretches.append(f"{name}@{event['at']}/{next(later, '')}")
    if not stretches:
        were = ", ".join(f"v{one}" for one in sorted(known, key=int)) or "none"
        raise UsageError(
            f"v{version} was never deployed to `{endpoint}`; versions that were: {were}"
        )
    return stretches
