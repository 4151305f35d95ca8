"""Features of a row depend on that row alone."""

from modelyard.contract import Contract
from modelyard.testing import check_features

from {{ cookiecutter.package_name }}.features import add_features


def test_a_feature_of_a_row_alone_is_what_it_is_among_others(contract: Contract) -> None:
    check_features(add_features, contract)
