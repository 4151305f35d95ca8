"""stub"""

from typing import Any


def render(evidence: dict[str, Any], *, title: str) -> str:
    """Stub."""
    return "stub\n"
