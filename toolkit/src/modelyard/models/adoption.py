"""Versions that were promoted in another workspace and taken from there; `mlops take` registers them."""

from __future__ import annotations

from modelyard.models.registry import Registry
from modelyard.models.version import CHAMPION

# Tags of a version: digest of its model, where it was taken from, the environment that it is served in.
DIGEST, TAKEN, ENVIRONMENT = "model_digest", "taken_from", "environment"


def adopt(registry: Registry, number: str) -> bool:
    """Make a version that was promoted elsewhere the champion here; False: it is none of these.

    It was judged where it was trained, and the same digest is not judged again.
    """
    version = registry.version(number)
    if TAKEN not in version.tags or version.tags.get("decision") != "promoted":
        return False
    champion = registry.holder(CHAMPION)
    if champion is None or champion.number != number:
        registry.set_champion(version, champion)
    return True
