"""Tests of the package; this is the one file here that knows its name."""

# ruff: noqa: F401
from {{ cookiecutter.package_name }} import (
    ab,
    attribution,
    batch,
    cells,
    collect,
    contract,
    deployed,
    drift,
    evaluate,
    explain,
    explain_rows,
    fairness,
    features,
    flat,
    footprint,
    groups,
    infer,
    live,
    metrics,
    model,
    openapi,
    payload,
    prepare,
    probe,
    replay,
    service,
    step,
    stream,
    train,
    validate,
    watch,
    windows,
)
from {{ cookiecutter.package_name }}.step import StepError, read_evidence
from {{ cookiecutter.package_name }}.table import read_file
