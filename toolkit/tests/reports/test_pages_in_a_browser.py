"""Every page in Chromium, on a phone and on a desk, in light and in dark: nothing is cut, and axe finds nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from modelyard.drills import drill_report
from modelyard.fleet import hub
from modelyard.fleet.status import Row
from modelyard.monitoring import monitor_report
from modelyard.principles import Principles
from modelyard.readiness import page as readiness_page
from modelyard.reports.card import card, html
from modelyard.reports.report import render
from playwright.sync_api import Browser, sync_playwright

from tests.evidence_samples import RUN, binary, multiclass, regression, stopped, trials
from tests.monitoring.test_monitor_report import FULL
from tests.readiness.test_readiness import some_readiness
from tests.reports.test_card import PROJECT

# Full-page screenshots, for people who would rather look.
PICTURES = Path(__file__).parents[3] / "build" / "pages"
A4: Any = {"width": 703, "height": 1031}  # pixels of the page within margins of 12 mm
FIRST_SCREENS = {390: 5_500, 1200: 2_900}  # pixels of a report whose parts are folded

CUT = """() => {
  const cut = []
  const page = document.documentElement
  if (page.scrollWidth > page.clientWidth) cut.push(`page: ${page.scrollWidth} of ${page.clientWidth}`)
  for (const one of document.querySelectorAll('body *:not(svg, svg *)')) {
    const style = getComputedStyle(one)
    const hides = style.overflowX === 'hidden' && style.clipPath === 'none'
    if (hides && one.scrollWidth > one.clientWidth + 1) cut.push(`hidden: ${one.textContent.trim().slice(0, 60)}`)
  }
  for (const one of document.querySelectorAll('svg text')) {
    const box = one.getBoundingClientRect()
    const frame = (one.closest('.scroll') ? one.closest('svg') : one.closest('.card, section')).getBoundingClientRect()
    const outside = box.left < frame.left - 1 || box.right > frame.right + 1
    if (box.width && outside) cut.push(`outside its frame: ${one.textContent}`)
  }
  return cut
}"""


def period(name: str, version: str, *events: dict[str, Any], breached: int = 0) -> dict[str, Any]:
    """One period of drill.json."""
    breach = {"feature": "scheduled_departure_time_of_the_flight", "value": 0.31, "metric": "js"}
    return {
        "name": name,
        "start": f"{name}-01T00:00:00",
        "end": f"{name}-28T00:00:00",
        "events": list(events),
        "failed": 0,
        "live": {"value": 0.63, "low": 0.6, "high": 0.66, "rows": 2000, "deployment": "blue"},
        "monitor": {
            "breached": [breach] * breached,
            "unjudged": [] if breached else ["number_of_the_plane"],
            "verdict": "breach" if breached else "not judged",
            "report": "report.html",
        },
        "requests": 100,
        "rows": 2000,
        "version": version,
    }


def event(kind: str, version: str = "2") -> dict[str, Any]:
    """One event of drill.json, with the words of a long reason."""
    why = "requires asked_for_since_today, which no caller sends"
    return {"kind": kind, "version": version, "why": why}


DRILL = {
    "title": "Flight delay",
    "unit": "month",
    "left_out": {"without time or target": 1200, "in a month of fewer than 50 rows": 7},
    "metric": "roc_auc",
    "history": ["2013-01", "2013-03"],
    "plan": {},
    "periods": [
        period("2013-04", "1"),
        period("2013-05", "1", event("retrained"), event("promoted"), breached=4),
        *(period(f"2013-{month:02}", "2") for month in range(6, 11)),
        period("2013-11", "2", event("retrained", "3"), event("refused", "3"), breached=1),
        period("2013-12", "2", event("forced", "4"), event("rolled back", "4")),
    ],
}
FLEET = [
    Row("git@git.example:acme/a_model_with_a_long_name.git", None, True, ["its server is away"]),
    Row(
        "../late",
        "/repositories/late",
        True,
        name="late",
        owner="@acme/machine-learning somebody@acme.example",
        template="1.4.0 (0123abcd)",
        toolkit="1.4.0",
        changed=12,
        deleted=2,
        level=2,
        lacking=["release-automated", "release-tested", "engineers-integrate"],
        champion={"version": "7", "age_days": 112, "verdict": "promote"},
        breaches=["infra/prod.bicepparam:9: sizes: found Standard_NC6s_v3, expected Standard_D*"],
        retiring=["azureml/compute/c.yml:4: the sizes of the NC series: will be retired"],
        cost_tags={"cost_center": "4711"},
        endpoints=["acme-late-dev", "acme-late-prod"],
        pages=[".mlflow/decisions/late-v7/report.html"],
    ),
    Row("../fine", "/repositories/fine", True, name="fine", changed=0, deleted=0, breaches=[]),
]
PAGES = {
    "report of two classes": lambda: render(binary() | {"sweep": trials()}, RUN),
    "report of forty classes": lambda: render(multiclass(40), RUN),
    "report of numbers": lambda: render(regression(), RUN),
    "report of a run that stopped": lambda: render(stopped(), RUN),
    "readiness": lambda: readiness_page.render(some_readiness()),
    "model card": lambda: html(card(binary(), PROJECT, RUN)),
    "monitor": lambda: monitor_report.render(FULL, title="Late flights"),
    "drill": lambda: drill_report.render(DRILL),
    "fleet": lambda: hub.render(FLEET, date(2026, 11, 28)),
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, or another that is installed."""
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        pytest.fail("Chromium is needed to look at the pages: apt-get install chromium")
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-gpu"]
        )


@pytest.mark.parametrize("width", [390, 1200])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_whole_and_accessible_in_light_and_dark(
    browser: Browser, name: str, width: int
) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    axe = Axe()
    content = PAGES[name]()
    for scheme in ("light", "dark"):
        # The page's own policy forbids scripts, axe's among them.
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True
        )
        page = context.new_page()
        page.set_content(content)
        if name.startswith("report"):
            height = page.evaluate("document.documentElement.scrollHeight")
            assert height <= FIRST_SCREENS[width], "the first screens decide, the rest folds"
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        assert page.evaluate(CUT) == [], (name, width, scheme)
        found = axe.run(page)
        assert found.violations_count == 0, found.generate_report()
        page.screenshot(path=PICTURES / f"{name}-{width}-{scheme}.png", full_page=True)
        context.close()


def test_the_scorecard_is_one_printed_page_whatever_people_write(browser: Browser) -> None:
    evidence = binary(passed=False)
    cohorts = evidence["evaluation"]["details"]["cohorts"]
    cohorts["nodes"][cohorts["worst"]]["rule"] = ["a column is a word or another word"] * 9
    details = evidence["decision"]["details"]
    details |= {"verdict": "open", "open": ["a gate with many words"] * 30}
    long = "Somebody has written much about this model. " * 30
    project = PROJECT.model_copy(update=dict.fromkeys(("title", "description", "owner"), long))
    principles = Principles.model_validate(
        {name: {"reason": long} for name in Principles.model_fields}
    )
    page = browser.new_page(viewport=A4)
    page.emulate_media(media="print")
    page.set_content(html(card(evidence, project, RUN, principles)))
    bottom = "document.querySelector('.scorecard').getBoundingClientRect().bottom"
    assert page.evaluate(bottom) <= A4["height"]
    assert (
        page.evaluate("getComputedStyle(document.querySelector('.scorecard')).breakAfter") == "page"
    )
    page.close()
