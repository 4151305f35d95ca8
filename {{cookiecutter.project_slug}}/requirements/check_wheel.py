"""Name what is wrong with requirements/wheels before an installer stops at a hash; `make setup` runs it.

An update of the template carries a new wheel only where nobody replaced the old one.
"""

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def problems(folder: Path) -> list[str]:
    """What does not agree between modelyard.txt and the wheels beside it."""
    found = re.search(
        r"^modelyard==(\S+).*sha256:(\w+)", (folder / "modelyard.txt").read_text(), re.M
    )
    if not found:
        return ["modelyard.txt: expected a line modelyard==VERSION --hash=sha256:…"]
    version, digest = found.groups()
    wanted = f"modelyard-{version}-py3-none-any.whl"
    wheels = sorted((folder / "wheels").glob("modelyard-*.whl"))
    said = [
        f"wheels/{wheel.name} is not the wheel that modelyard.txt names ({wanted}): delete it, or put "
        "its own line into modelyard.txt"
        for wheel in wheels
        if wheel.name != wanted
    ]
    for wheel in wheels:
        if wheel.name == wanted and hashlib.sha256(wheel.read_bytes()).hexdigest() != digest:
            said.append(
                f"wheels/{wanted} has other bytes than modelyard.txt names: somebody replaced one of the "
                "two. Take both from the same commit, of this project or of the template"
            )
    return said


if __name__ == "__main__":
    found = problems(HERE)
    for line in found:
        print(f"error: requirements/{line}.", file=sys.stderr)
    sys.exit(1 if found else 0)
