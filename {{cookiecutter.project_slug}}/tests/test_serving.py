"""The endpoint answers as the model predicts."""

from pathlib import Path

from modelyard.testing import check_fast_path


def test_the_endpoint_answers_as_the_model_predicts(run: Path) -> None:
    # "model's own prediction" where the model is of a kind that has no fast path.
    assert check_fast_path(run / "train" / "model") == "fast path"
