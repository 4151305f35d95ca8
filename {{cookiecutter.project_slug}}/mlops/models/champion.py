"""Pipeline step: brings the champion, if there is one, so that the challenger can be compared with it."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from ..errors import guarded
from ..files import link_tree, write_json
from ..tracking import tracking_uri
from .registry import locate


def main(argv: list[str] | None = None) -> int:
    """Write `champion.json` and, where there is a champion, `model/`."""
    parser = argparse.ArgumentParser(prog="python -m mlops.models.champion", description=__doc__)
    parser.add_argument("--model-name", required=True, help="name of the registered model")
    parser.add_argument("--output", required=True, type=Path, help="folder to write")
    arguments = parser.parse_args(argv)
    return guarded(lambda: bring_champion(arguments.model_name, arguments.output))


def bring_champion(model: str, output: Path) -> int:
    """See `main`."""
    with tempfile.TemporaryDirectory(prefix="champion-") as temporary:
        found = locate(model, tracking_uri(), None, ["model"], Path(temporary))
        if found is not None:
            link_tree(found.paths["model"], output / "model")
    number = found.number if found else None
    write_json(output / "champion.json", {"name": model, "version": number})
    print(f"champion: {model} v{number}" if number else f"{model} has no champion yet")
    return 0


if __name__ == "__main__":
    sys.exit(main())
