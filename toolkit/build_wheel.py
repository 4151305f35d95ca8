"""Build the toolkit's wheel so that the same sources give the same bytes, and pin it for projects.

Hatchling writes the same members on every Python; deflated bytes differ with the interpreter's zlib, so
members are stored. `python toolkit/build_wheel.py [FOLDER]`; FOLDER is a project's `requirements`.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import zipfile
from pathlib import Path

from hatchling.build import build_wheel

TOOLKIT = Path(__file__).resolve().parent
REQUIREMENTS = TOOLKIT.parent / "{{cookiecutter.project_slug}}" / "requirements"
DATE = (2020, 2, 2, 0, 0, 0)


def built(into: Path) -> Path:
    """Build the wheel into a folder, every member stored, with one date and one mode."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(TOOLKIT)
        try:
            name = build_wheel(folder)
        finally:
            os.chdir(before)
        with zipfile.ZipFile(Path(folder) / name) as source:
            members = {one.filename: source.read(one) for one in source.infolist()}
    partial = into / f".{name}.part"
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as target:
        for member, content in members.items():
            entry = zipfile.ZipInfo(member, DATE)
            entry.external_attr = 0o100644 << 16
            entry.create_system = 3  # Unix, wherever it is built
            target.writestr(entry, content)
    return partial.replace(into / name)


def pin(wheel: Path) -> str:
    """The two lines with which a project names exactly this wheel."""
    name, version, *_ = wheel.name.split("-")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return f"--find-links wheels\n{name}=={version} --hash=sha256:{digest}\n"


def main(requirements: Path) -> None:
    """Replace the wheel and its two lines in a project's `requirements`."""
    wheels = requirements / "wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    wheel = built(wheels)
    for old in wheels.glob("modelyard-*.whl"):
        if old != wheel:
            old.unlink()
    (requirements / "modelyard.txt").write_text(pin(wheel), encoding="utf-8", newline="\n")
    print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else REQUIREMENTS)
