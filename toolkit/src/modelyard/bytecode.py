"""Bytecode of the packages that the commands import, written on all cores when an environment is set up."""

from __future__ import annotations

import py_compile
import sysconfig
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

# Nearly all that the commands and steps import; what else is imported is compiled then.
PACKAGES = (
    "alembic",
    "charset_normalizer",
    "click",
    "dateutil",
    "fastapi",
    "filelock",
    "google",
    "httpx",
    "joblib",
    "mako",
    "mlflow",
    "modelyard",
    "narwhals",
    "numpy",
    "opentelemetry",
    "packaging",
    "pandas",
    "pandera",
    "psutil",
    "pyarrow",
    "pydantic",
    "pygments",
    "requests",
    "rich",
    "scipy",
    "sklearn",
    "sqlalchemy",
    "starlette",
    "typer",
    "urllib3",
    "yaml",
)


def write_bytecode(folder: Path) -> None:
    """Compile the modules of PACKAGES in a folder of installed packages, without tests and pygments' many lexers."""
    files = (file for name in PACKAGES for file in (folder / name).rglob("*.py"))
    paths = [str(file) for file in files if not {"tests", "lexers"} & {*file.parts}]
    with ProcessPoolExecutor() as processes:
        list(processes.map(_compile, paths, chunksize=64))


def _compile(path: str) -> None:
    py_compile.compile(path, quiet=2)  # what cannot be compiled is told by who imports it


if __name__ == "__main__":
    write_bytecode(Path(sysconfig.get_path("purelib")))
