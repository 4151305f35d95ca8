"""Tests of the package; this is the one file here that knows its name."""

# ruff: noqa: F401
from {{ cookiecutter.package_name }} import (
    batch,
    byword,
    contract,
    evaluate,
    explain,
    features,
    infer,
    metrics,
    model,
    prepare,
    step,
    stream,
    train,
    validate,
)
from {{ cookiecutter.package_name }}.step import StepError, read_evidence
from {{ cookiecutter.package_name }}.table import read_file
