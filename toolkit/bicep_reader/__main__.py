"""Stand-in for the command `bicep`: `build`, `build-params`, `lint`, `format` and `snapshot`, answered by the reader.

Errors are said as the compiler says them, with the reader's remedy. What needs the whole folder is said once, of the file that is
built; a format is not judged.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from modelyard.errors import UsageError

from bicep_reader import read_infrastructure
from bicep_reader.evaluate import at
from bicep_reader.snapshot import differences, snapshot


def main(words: list[str]) -> int:
    """Answer one command; returns its exit code."""
    options = argparse.ArgumentParser("bicep")
    options.add_argument("verb")
    options.add_argument("file", type=Path)
    options.add_argument("--stdout", action="store_true")
    options.add_argument("--mode", default="overwrite")
    nobody = "00000000-0000-0000-0000-000000000000"
    for name, value in (("subscription-id", nobody), ("tenant-id", nobody)):
        options.add_argument(f"--{name}", default=value)
    options.add_argument("--resource-group", default="rg-none")
    options.add_argument("--location", default="westeurope")
    given = options.parse_args(words)
    file: Path = given.file.resolve()
    if given.verb == "format":
        sys.stdout.write(file.read_text(encoding="utf-8"))
    elif given.verb in ("build", "build-params"):
        return _build(file)
    elif given.verb == "snapshot":
        at(given.subscription_id, given.tenant_id, given.resource_group, given.location)
        return _snapshot(file, given.mode)
    return 0


def _build(file: Path) -> int:
    found = read_infrastructure(file.parent).findings
    own = [one for one in found if _builds(file, one.place.file)]
    for one in own:
        line, column = one.place.line, one.place.column
        code = one.check.replace(" ", "-") or "reader"
        print(
            f"{one.place.file}({line},{column}) : Error {code}: {one.what}; {one.remedy}",
            file=sys.stderr,
        )
    return 1 if own else 0


def _builds(file: Path, other: Path) -> bool:
    """Whether a file is built with another: a parameter file with itself, modules with what calls them."""
    return file == other or (file.suffix == ".bicep" and other.suffix != ".bicepparam")


def _snapshot(file: Path, mode: str) -> int:
    try:
        ours = snapshot(file)
    except UsageError as error:
        print(error, file=sys.stderr)
        return 1
    stored = file.with_suffix(".snapshot.json")
    if mode == "overwrite":
        stored.write_text(json.dumps(ours, indent=2), encoding="utf-8")
        return 0
    before = json.loads(stored.read_text(encoding="utf-8"))["predictedResources"]
    old, new = ({one["id"]: one for one in part} for part in (before, ours["predictedResources"]))
    lines = [f"- {key}" for key in old.keys() - new.keys()]
    lines += [f"+ {key}" for key in new.keys() - old.keys()]
    for key in old.keys() & new.keys():
        lines += [f"~ {key} {one}" for one in differences("", new[key], old[key])]
    print("\n".join(sorted(lines)))
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
