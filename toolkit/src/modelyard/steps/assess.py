"""Pipeline step: measure the challenger on held-out rows, beside the baseline and the champion."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from modelyard.errors import ModelyardError, guarded
from modelyard.evaluation.evaluate import evaluate
from modelyard.evaluation.fairness import fairness
from modelyard.evaluation.held_out import HeldOut, held_out
from modelyard.evaluation.importance import explain
from modelyard.models.champion import fetch_champion
from modelyard.serving.footprint import footprint, loading
from modelyard.steps.command import add_paths
from modelyard.tracking import tracking_uri


def main(argv: list[str] | None = None) -> int:
    """Write evaluation.json, importance.json, fairness.json and footprint.json."""
    parser = argparse.ArgumentParser(prog="assess", description=__doc__)
    add_paths(parser, "contract", "gates", "prepared", "model", "baseline")
    parser.add_argument(
        "--model-name",
        required=True,
        help="name of the registered model, whose champion is compared",
    )
    parser.add_argument(
        "--metrics", help="the project's module of metrics, such as package.metrics"
    )
    parser.add_argument(
        "--training", help="the project's module with `fit`: fits again where held-out rows are few"
    )
    parser.add_argument("--evidence", type=Path, required=True, help="folder to write to")
    given = parser.parse_args(argv)
    return guarded(_assess_against_champion, **vars(given))


def _assess_against_champion(model_name: str, model: Path, evidence: Path, **inputs: Any) -> None:
    with tempfile.TemporaryDirectory(prefix="champion-") as temporary:
        champion = Path(temporary)
        number = fetch_champion(model_name, tracking_uri(), champion)
        known = f"champion: {model_name} v{number}"
        print(known if number else f"{model_name} has no champion yet")
        held = held_out(model=model, champion=champion, **inputs)
        assess(held, model, champion, evidence)


def assess(held: HeldOut, model: Path, champion: Path, evidence: Path) -> None:
    """Write the four files of evidence.

    Raises:
        ModelyardError: naming the part that failed, and why.
    """
    with ExitStack() as stack:
        with _part("footprint"):
            probes = stack.enter_context(loading(held, model, champion))
        with _part("metrics"):
            evaluate(held, evidence)
        with _part("explanations"):
            explain(held, evidence)
        with _part("fairness"):
            fairness(held, evidence)
        with _part("footprint"):
            footprint(held, probes, evidence)


@contextmanager
def _part(name: str) -> Iterator[None]:
    """Add the name of the part to an error."""
    try:
        yield
    except ModelyardError as error:
        raise type(error)(f"{name}: {error}") from None
    except Exception as error:
        error.add_note(f"in the part of `assess` that measures {name}")
        raise


if __name__ == "__main__":
    sys.exit(main())
