"""HTML pages that load nothing from elsewhere, made from the templates beside this file."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Template


def page(template: str, **content: Any) -> str:
    """Fill a template; values are escaped."""
    return compiled(template).render(content) + "\n"


@cache
def compiled(template: str) -> Template:
    """Compile a template, once in a process; a caller with time to wait may do so early."""
    # Slow to import: `--help` must not wait for it.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["sha256"] = _source_hash
    return environment.get_template(template)


def _source_hash(style: str) -> str:
    """Return the source by which a content security policy allows a style element."""
    digest = hashlib.sha256(str(style).encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
