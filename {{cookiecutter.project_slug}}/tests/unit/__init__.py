"""Tests of the package; this is the one file here that knows its name."""

# ruff: noqa: F401
from {{ cookiecutter.package_name }} import (
    ab,
    cells,
    collect,
    contract,
    deployed,
    evaluate,
    explain,
    features,
    flat,
    infer,
    metrics,
    model,
    openapi,
    payload,
    prepare,
    service,
    step,
    train,
    validate,
)
from {{ cookiecutter.package_name }}.step import StepError, read_evidence
from {{ cookiecutter.package_name }}.table import read_file
