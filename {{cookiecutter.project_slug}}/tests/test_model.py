"""The model learns, is saved and loaded, and its settings are the options of the step `train`."""

from pathlib import Path

from modelyard.contract import Contract
from modelyard.testing import check_component, check_model

from {{ cookiecutter.package_name }}.model import Settings
from {{ cookiecutter.package_name }}.train import fit

COMPONENT = Path(__file__).parents[1] / "azureml" / "components" / "train.yml"


def test_the_model_learns_and_predicts_the_same_once_it_is_loaded(
    contract: Contract, tmp_path: Path
) -> None:
    check_model(Settings, fit, contract, tmp_path)


def test_every_setting_is_an_input_of_the_component() -> None:
    check_component(COMPONENT, Settings)
