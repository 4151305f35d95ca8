"""The endpoint answers as the model predicts."""

from pathlib import Path

from modelyard.testing import check_fast_path


def test_the_endpoint_answers_as_the_model_predicts(run: Path) -> None:
    check_fast_path(run / "train" / "model")
