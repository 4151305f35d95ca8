"""Small wheels for tests, and the lines that pin them."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path


def write_wheel(path: Path, modules: Mapping[str, str], version: str) -> Path:
    """Write a wheel of a distribution called as the file; returns its path."""
    name = path.name.split("-")[0]
    about = f"{name}-{version}.dist-info"
    files = dict(modules) | {
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = [f"{member},{_digest(text)},{len(text.encode())}" for member, text in files.items()]
    files[f"{about}/RECORD"] = "\n".join([*record, f"{about}/RECORD,,"]) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as wheel:
        for member, text in files.items():
            wheel.writestr(zipfile.ZipInfo(member, (2020, 2, 2, 0, 0, 0)), text)
    return path


def pin(wheel: Path) -> str:
    """What requirements/modelyard.txt says of a wheel."""
    name, version, *_ = wheel.name.split("-")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return f"--find-links wheels\n{name}=={version} --hash=sha256:{digest}\n"


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return "sha256=" + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
