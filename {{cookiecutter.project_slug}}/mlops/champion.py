"""Pipeline step: brings the champion, if there is one, so that the challenger can be compared with it."""

from __future__ import annotations

import argparse
import sqlite3
import sys
from pathlib import Path

from .errors import guarded
from .files import link_tree, write_json
from .registry import CHAMPION, Registry, champion_in_sqlite
from .tracking import tracking_uri


def main(argv: list[str] | None = None) -> int:
    """Write `champion.json` and, where there is a champion, `model/`."""
    parser = argparse.ArgumentParser(prog="python -m mlops.champion", description=__doc__)
    parser.add_argument("--model-name", required=True, help="name of the registered model")
    parser.add_argument("--output", required=True, type=Path, help="folder to write")
    arguments = parser.parse_args(argv)
    return guarded(lambda: bring_champion(arguments.model_name, arguments.output))


def bring_champion(model: str, output: Path) -> int:
    """See `main`."""
    uri = tracking_uri()
    number: str | None = None
    try:
        if not uri.startswith("sqlite:"):
            raise sqlite3.NotSupportedError
        found = champion_in_sqlite(uri, model)
        if found is not None:
            number, source = found
            link_tree(source, output / "model")
    except sqlite3.Error:
        number = _from_registry(model, uri, output)
    write_json(output / "champion.json", {"name": model, "version": number})
    print(f"champion: {model} v{number}" if number else f"{model} has no champion yet")
    return 0


def _from_registry(model: str, uri: str, output: Path) -> str | None:
    registry = Registry(model, uri)
    champion = registry.holder(CHAMPION)
    if champion is None:
        return None
    registry.fetch(champion, "model", output)
    return champion.number


if __name__ == "__main__":
    sys.exit(main())
