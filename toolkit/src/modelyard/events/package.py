"""Makes the package that the function app runs: `python events/package.py --output events.zip`.

At its root are the triggers and host.json, where Azure Functions looks for them; `events/` is this
folder; `project/` is what jobs are started from; `.python_packages/` is what requirements/events.txt
pins, for the Python and the platform of the function app. Nothing is built on Azure, so that the
packages come from the index that is set up here.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHON = "3.12"  # infra/modules/events.bicep: runtime
PLATFORM = "x86_64-manylinux_2_28"
PACKAGES = ".python_packages/lib/site-packages"
HOST = ("host.json", "function_app.py")
# What a job's `code: ../..` takes along, and what the pipelines' inputs point to.
PROJECT = (
    ".amlignore",
    ".gitignore",
    "azureml",
    "conf",
    "mlops",
    "pyproject.toml",
    "requirements",
    "src",
)
_EARLIEST = (1980, 1, 1, 0, 0, 0)


def main(argv: list[str] | None = None) -> int:
    """Write the package."""
    parser = argparse.ArgumentParser(prog="python events/package.py", description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="the zip file to write")
    parser.add_argument(
        "--without-dependencies",
        action="store_true",
        help="leave the installed packages out: Azure installs them (az … --build-remote true)",
    )
    arguments = parser.parse_args(argv)
    files = dict(own_files(ROOT))
    with tempfile.TemporaryDirectory(prefix="events-") as temporary:
        if not arguments.without_dependencies:
            print("installing requirements/events.txt for the function app")
            if not install(ROOT / "requirements" / "events.txt", Path(temporary)):
                return 2
            files |= {f"{PACKAGES}/{name}": path for name, path in below(Path(temporary))}
        write(arguments.output, files)
    size = arguments.output.stat().st_size / 1e6
    print(f"{arguments.output}: {len(files)} files, {size:.1f} MB")
    return 0


def own_files(root: Path) -> Iterator[tuple[str, Path]]:
    """Path in the package and here, of everything but the installed packages."""
    events = root / "events"
    for name in HOST:
        yield name, events / name
    yield "requirements.txt", root / "requirements" / "events.txt"
    for path in sorted(events.glob("*.py")):
        if path.name not in (*HOST, Path(__file__).name):
            yield f"events/{path.name}", path
    for name in PROJECT:
        place = root / name
        if place.is_file():
            yield f"project/{name}", place
        for below_it, path in below(place):
            yield f"project/{name}/{below_it}", path


def below(folder: Path) -> Iterator[tuple[str, Path]]:
    """Files below a folder but for what Python leaves there; path from it, and here."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path.relative_to(folder).as_posix(), path


def install(requirements: Path, target: Path) -> bool:
    """Install what is pinned, as wheels for the function app; False if that failed."""
    here = Path(sys.executable).parent
    uv = shutil.which("uv", path=str(here)) or shutil.which("uv")
    if uv is None:
        print("uv is missing: make setup installs it, into .venv", file=sys.stderr)
        return False
    command = [uv, "pip", "install", "--quiet", "--target", str(target), "--python-version", PYTHON]
    command += ["--python-platform", PLATFORM, "--only-binary", ":all:", "--require-hashes"]
    done = subprocess.run([*command, "--requirement", str(requirements)], check=False)  # noqa: S603
    return done.returncode == 0


def write(output: Path, files: dict[str, Path]) -> None:
    """Write the zip whole or not at all; the same files give the same bytes."""
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = output.with_name(f".{output.name}.partial")
    try:
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as package:
            for name in sorted(files):
                entry = zipfile.ZipInfo(name, _EARLIEST)
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.external_attr = 0o644 << 16
                package.writestr(entry, files[name].read_bytes())
        partial.replace(output)
    finally:
        partial.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
