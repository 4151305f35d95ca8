"""HTML pages that load nothing: how their templates are read, and a policy that names their style."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment


@cache
def environment() -> Environment:
    """Templates beside this module: escaped, strict, and able to share the parts of page.html.j2."""
    # It takes longer to import than a caller that only asks for help should wait.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["sha256"] = source_hash
    return made


def source_hash(style: str) -> str:
    """What a content security policy calls the text of a style element."""
    digest = hashlib.sha256(str(style).encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
