"""The report as a page: valid, safe and readable for any evidence."""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
import sys
from typing import Any

import pytest
from modelyard.reports.kinds import KINDS
from modelyard.reports.report import contents, render

from tests.evidence_samples import RUN, binary
from tests.reports.cases import (
    CASES,
    HOSTILE,
    WRONG,
    damaged_at_each_place,
    damaged_everywhere,
    hostile_evidence,
)
from tests.reports.page import Page


@pytest.fixture(params=CASES, scope="module")
def html(request: pytest.FixtureRequest) -> str:
    return render(CASES[request.param](), RUN)


def test_every_element_is_closed_and_every_id_is_unique(html: str) -> None:
    ids = [attributes["id"] for _, attributes in Page(html).tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_nothing_missing_is_printed_as_python_would(html: str) -> None:
    assert not re.search(
        r"\b(None|nan|NaN|inf|undefined|True(?! positive)|False(?! alarms| positive))\b",
        Page(html).text,
    )


def test_the_page_loads_nothing_and_runs_nothing(html: str) -> None:
    page = Page(html)
    assert not {"script", "iframe", "img", "object", "embed", "base", "form"} & {
        tag for tag, _ in page.tags
    }
    assert set(re.findall(r"https?://[^\s'\"<]*", html)) <= {"http://www.w3.org/2000/svg"}
    assert "@import" not in html
    assert "url(" not in html
    for _, attributes in page.tags:
        assert not any(name.startswith("on") or name == "style" for name in attributes)
        for name in ("href", "src", "xlink:href"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/svg+xml,"))


def test_the_content_security_policy_names_the_one_style_sheet(html: str) -> None:
    [style] = re.findall(r"<style>(.*?)</style>", html, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = next(meta for meta in Page(html).all("meta") if "http-equiv" in meta)["content"] or ""
    assert f"style-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")


def test_the_page_is_small(html: str) -> None:
    assert len(html.encode()) < 200_000


def test_links_of_the_page_lead_somewhere(html: str) -> None:
    page = Page(html)
    ids = {attributes.get("id") for _, attributes in page.tags}
    for link in page.all("a"):
        assert (link["href"] or "").removeprefix("#") in ids
    for _, attributes in page.tags:
        for name in (attributes.get("aria-labelledby") or "").split():
            assert name in ids


def test_a_screen_reader_finds_its_way(html: str) -> None:
    page = Page(html)
    assert page.all("html")[0]["lang"] == "en"
    assert [len(page.all(tag)) for tag in ("h1", "main", "header", "nav", "footer")] == [1] * 5
    assert all("scope" in header for header in page.all("th"))
    tables = re.findall(r"<table(.*?)</table>", html, flags=re.DOTALL)
    assert all("aria-labelledby=" in table or "<caption" in table for table in tables)
    for svg in re.findall(r"<svg[^>]*role=\"img\".*?</svg>", html, flags=re.DOTALL):
        assert re.search(r"<title id=[^>]*>[^<]+</title><desc id=[^>]*>[^<]+</desc>", svg)
    for svg in page.all("svg"):
        assert svg.get("role") == "img" or "aria-hidden" in svg or "overflow" in svg


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_names_and_values_stay_text(hostile: str) -> None:
    evidence = hostile_evidence(hostile)
    evidence["evaluation"]["details"]["confusion"]["labels"] = [hostile, "other"]
    page = Page(render(evidence, {"title": hostile, hostile: hostile}))
    page.text.encode("utf-8")
    assert {tag for tag, _ in page.tags} <= {tag for tag, _ in Page(render(binary(), RUN)).tags}
    for _, attributes in page.tags:
        assert not any(name.startswith("on") or name == "style" for name in attributes)
        assert "example.org" not in str(attributes.get("href"))
    assert "\x00" not in page.text
    assert "\x1b" not in page.text


@pytest.mark.parametrize("case", ["binary", "three classes", "regression", "stopped at validation"])
def test_any_value_may_be_null_or_of_another_type(case: str) -> None:
    for evidence in damaged_at_each_place(case):
        assert contents(evidence, RUN)["verdict"]["title"]
    for value in WRONG:
        run: dict[str, Any] = dict.fromkeys(RUN, value)
        Page(render(damaged_everywhere(case, value), run))
        Page(render(dict.fromkeys(KINDS, value), {}))


def _luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_text_has_contrast_in_light_and_dark() -> None:
    [style] = re.findall(r"<style>(.*?)</style>", render({}, {}), flags=re.DOTALL)
    schemes = re.findall(r":root\{(.*?)\}", style, flags=re.DOTALL)
    assert len(schemes) == 2
    for scheme in schemes:
        colours = dict(re.findall(r"--([\w-]+):(#[0-9a-f]{3,6})", scheme))
        colours = {
            name: c if len(c) == 7 else "#" + "".join(2 * digit for digit in c[1:])
            for name, c in colours.items()
        }
        pairs = [(text, ground) for text in ("ink", "soft") for ground in ("page", "card", "tint")]
        pairs += [(tone, f"{tone}-tint") for tone in ("good", "bad", "warn", "calm")]
        pairs += [("ink", f"{tone}-tint") for tone in ("good", "bad", "warn", "calm")]
        pairs += [(tone, "card") for tone in ("good", "bad", "warn", "calm")]
        for text, ground in pairs:
            assert _contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
        for line in ("challenger", "champion", "baseline", "quiet"):
            assert _contrast(colours[line], colours["card"]) >= 3, line


def test_every_colour_that_is_used_is_defined_in_both_schemes() -> None:
    [style] = re.findall(r"<style>(.*?)</style>", render({}, {}), flags=re.DOTALL)
    light, dark = (
        set(re.findall(r"--([\w-]+):", scheme))
        for scheme in re.findall(r":root\{(.*?)\}", style, flags=re.DOTALL)
    )
    used = set(re.findall(r"var\(--([\w-]+)", style))
    assert light == dark
    assert used - {"c", "tone", "tone-tint", "part", "shade"} <= light


def test_the_import_is_light() -> None:
    heavy = ("jinja2", "pandas", "numpy", "mlflow", "matplotlib", "sklearn")
    code = (
        f"import sys, modelyard.reports.report; print([m for m in {heavy!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
