"""The packages of a tag: the wheel of src/, and that of the function app."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from modelyard.environments import find_uv
from modelyard.errors import CheckFailed, UsageError
from modelyard.events.package import write_package
from modelyard.files import write_text
from modelyard.project import load_project

FEED = "FEED"  # address of an Azure Artifacts feed, where wheels are uploaded to
TAG = r"v(\d+\.\d+\.\d+([ab]\d+|rc\d+)?)"
PYPROJECT = """\
[project]
name = "{name}"
version = "{version}"
requires-python = ">=3.11"
dependencies = ["modelyard"]

[build-system]
requires = ["uv_build"]
build-backend = "uv_build"

[tool.uv.build-backend]
module-name = "{package}"
"""


def write_packages(root: Path, tag: str, output: Path) -> None:
    """Write the wheel of the project's package and the function app's zip; upload the wheel to a feed.

    FEED names the feed, and SYSTEM_ACCESSTOKEN signs in there.

    Raises:
        UsageError: the tag is no version, or a feed is named and no token is given.
        CheckFailed: the wheel cannot be built or uploaded.
    """
    found = re.fullmatch(TAG, tag)
    if found is None:
        raise UsageError(
            f"the tag {tag!r} is no version: expected vX.Y.Z, such as v1.2.0 or v1.2.0rc1"
        )
    project = load_project(root)
    with tempfile.TemporaryDirectory(prefix="package-") as temporary:
        copy = Path(temporary)
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(
            root / "src" / project.package, copy / "src" / project.package, ignore=ignored
        )
        words = {"name": project.name, "version": found[1], "package": project.package}
        write_text(copy / "pyproject.toml", PYPROJECT.format(**words))
        _uv(["build", "--wheel", "--out-dir", str(output.resolve()), str(copy)], {})
    (output / ".gitignore").unlink(missing_ok=True)  # uv writes it
    if (root / "events").is_dir():
        write_package(root, output / "events.zip")
    feed, token = os.environ.get(FEED), os.environ.get("SYSTEM_ACCESSTOKEN")
    if not feed:
        print(f"no feed is named ({FEED}): {output} is all there is")
        return
    if not token:
        raise UsageError(
            f"{FEED} names a feed, and SYSTEM_ACCESSTOKEN gives no token to sign in there"
        )
    wheels = [str(path) for path in output.glob("*.whl")]
    publish = ["publish", "--publish-url", feed, "--username", "build", *wheels]
    _uv(publish, {"UV_PUBLISH_PASSWORD": token})


def _uv(words: list[str], settings: Mapping[str, str]) -> None:
    command = [find_uv(), *words]
    done = subprocess.run(command, env={**os.environ, **settings}, check=False)  # noqa: S603
    if done.returncode:
        raise CheckFailed(f"uv {words[0]} failed; the reason is above")
