"""The zip package of the function app, as `mlops events package` writes it.

At its root are the trigger file and host.json, where Azure Functions looks for them. `project/` is the
copy of the project that jobs are started from. `.python_packages/` has the toolkit and what
requirements/events.txt pins, for the app's Python and platform: nothing is built on Azure.
"""

from __future__ import annotations

import subprocess
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from modelyard.environments import TOOLKIT, find_uv, requirements_file
from modelyard.errors import UsageError
from modelyard.files import replacing

PYTHON = "3.12"  # infra/modules/events.bicep: runtime
PLATFORM = "x86_64-manylinux_2_28"
PACKAGES = ".python_packages/lib/site-packages"
HOST = ("host.json", "function_app.py")
# The files that the pipelines, their components and environments refer to.
PROJECT = ("azureml", "conf", "pyproject.toml", "requirements", "src")
_DATE = (1980, 1, 1, 0, 0, 0)


def write_package(root: Path, output: Path) -> None:
    """Write the package of a project; the same files give the same bytes.

    Raises:
        UsageError: a file of the project is missing, or its requirements cannot be installed.
    """
    files = dict(_own_files(root))
    with tempfile.TemporaryDirectory(prefix="events-") as folder:
        print("installing requirements/events.txt and the toolkit for the function app", flush=True)
        _install([requirements_file(root, name) for name in ("events", TOOLKIT)], Path(folder))
        files |= {f"{PACKAGES}/{name}": path for name, path in _below(Path(folder))}
        _write(output, files)
    print(f"{output}: {len(files)} files, {output.stat().st_size / 1e6:.1f} MB")


def _own_files(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield the path in the package and the path here of the project's own files."""
    for name in HOST:
        path = root / "events" / name
        if not path.is_file():
            raise UsageError(f"{path} does not exist; restore it from git")
        yield name, path
    for name in PROJECT:
        place = root / name
        if place.is_file():
            yield f"project/{name}", place
        for inner, path in _below(place):
            yield f"project/{name}/{inner}", path


def _below(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the files below a folder, relative to it and absolute, without compiled Python."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path.relative_to(folder).as_posix(), path


def _install(requirements: list[Path], target: Path) -> None:
    """Install pinned packages as wheels for the function app's Python and platform."""
    command = [find_uv(), "pip", "install", "--quiet", "--target", str(target)]
    command += ["--python-version", PYTHON, "--python-platform", PLATFORM]
    command += ["--only-binary", ":all:", "--require-hashes", "--reinstall-package", TOOLKIT]
    for file in requirements:
        command += ["--requirement", str(file)]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)  # noqa: S603
    if done.returncode:
        names = " and ".join(file.name for file in requirements)
        raise UsageError(f"uv cannot install {names}:\n{done.stderr.strip()}")


def _write(output: Path, files: dict[str, Path]) -> None:
    with replacing(output) as partial, zipfile.ZipFile(partial, "w") as package:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            package.writestr(entry, files[name].read_bytes())
