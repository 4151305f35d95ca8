"""Waiting as long as Azure asks for; what needs its packages is in the template's tests."""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.utils import formatdate
from pathlib import Path

import pytest
from modelyard.azure import open_workspace, retry_after, send_patiently
from modelyard.errors import UsageError

from tests.small_project import make_small_project


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "17"}, 17.0),
        ({"retry-after": "0"}, 0.0),
        ({"x-ms-retry-after-ms": "2500", "Retry-After": "3"}, 2.5),
        ({"Retry-After": formatdate(time.time() + 10**6, usegmt=True)}, 1800.0),
        ({"Retry-After": formatdate(time.time() - 60, usegmt=True)}, 0.0),
    ],
)
def test_azure_is_waited_for_as_long_as_it_says(headers: Mapping[str, str], seconds: float) -> None:
    assert retry_after(headers, 0) == seconds


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "soon"}])
def test_where_azure_says_nothing_the_pauses_grow(headers: Mapping[str, str]) -> None:
    pauses = [retry_after(headers, attempt) for attempt in (0, 2, 20)]
    assert 8 <= pauses[0] <= 12 and 32 <= pauses[1] <= 48 and 240 <= pauses[2] <= 360


def test_a_request_is_sent_again_until_azure_answers() -> None:
    answers = [(429, {"Retry-After": "7"}), (503, {"Retry-After": "1"}), (404, {})]
    slept: list[float] = []

    def send(*request: object) -> tuple[int, Mapping[str, str], bytes]:
        status, headers = answers.pop(0)
        return status, headers, b"x"

    assert send_patiently(send, "GET", "https://x", {}, sleep=slept.append)[0] == 404
    assert slept == [7.0, 1.0]


def test_an_environment_and_a_subscription_have_to_be_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AZURE_SUBSCRIPTION_ID", "AZUREML_ARM_SUBSCRIPTION"):
        monkeypatch.delenv(name, raising=False)
    make_small_project(tmp_path)
    with pytest.raises(UsageError, match="has no environment 'prod'; it has: none"):
        open_workspace(tmp_path, "prod")
    project = tmp_path / "conf" / "project.yml"
    there = "{resource_group: rg, workspace: mlw, endpoint: e}"
    text = project.read_text(encoding="utf-8")
    project.write_text(f"{text}\nenvironments: {{prod: {there}}}\n", encoding="utf-8")
    with pytest.raises(UsageError, match="set it to the subscription of mlw"):
        open_workspace(tmp_path, "prod")
