"""The site of the documents: a playbook without gaps, a deck that is one file, and pages that load nothing from elsewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from modelyard.tour.steps import ROLES
from modelyard.yaml_files import read_yaml
from playwright.sync_api import Browser

from tests.project import TEMPLATE
from tests.reports.test_pages_in_a_browser import CUT, browser  # noqa: F401 (a fixture)

DOCS = TEMPLATE / "docs"
BOOK: dict[str, Any] = read_yaml(DOCS / "playbook.yml")
PAGES = ["deck.html", "playbook/index.html", "playbook/model-validator/index.html"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` builds it; a link that leads nowhere fails."""
    folder = tmp_path_factory.mktemp("site")
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder]
    done = subprocess.run(words, cwd=TEMPLATE, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return folder


@pytest.mark.parametrize("role", ROLES)
def test_a_role_finds_at_each_stage_what_to_do(site: Path, role: str) -> None:
    page = (site / "playbook" / role / "index.html").read_text(encoding="utf-8")
    sections = dict(re.findall(r'<h2 id="([a-z]+)">(.*?)(?=<h2|<footer)', page, re.DOTALL))
    assert list(sections) == list(BOOK["stages"])
    for stage, section in sections.items():
        said = re.search(r"You are ([a-z ]+)\.", section)
        assert said, stage
        tasks = [one for one in BOOK["tasks"] if one["stage"] == stage and role in one["roles"]]
        assert tasks or said[1] in ("consulted", "informed"), f"{stage}: {said[1]}, and no task"


def test_the_tasks_are_of_roles_and_stages_that_there_are_and_use_every_recording() -> None:
    for task in BOOK["tasks"]:
        assert task["stage"] in BOOK["stages"]
        assert set(task["roles"]) <= set(ROLES), task
        if "recording" in task:
            recorded = (DOCS / "recordings" / f"{task['recording']}.txt").read_text("utf-8")
            assert recorded.startswith(f"$ {task['run']}\n")
    named = {task.get("recording") for task in BOOK["tasks"]} | {"tour"}  # on the first page
    assert {file.stem for file in (DOCS / "recordings").iterdir()} == named - {None}


def test_the_links_of_the_deck_lead_into_the_site(site: Path) -> None:
    page = (site / "deck.html").read_text(encoding="utf-8")
    links = re.findall(r'href="([^"]+)"', page)
    assert links and all((site / link).is_file() for link in links)
    assert page.count("<section") == len(re.findall(r"^##? ", (DOCS / "deck.md").read_text(), re.M))


@pytest.mark.parametrize("width", [390, 1200])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_loads_nothing_from_elsewhere_and_is_whole_and_accessible(
    site: Path,
    browser: Browser,  # noqa: F811
    name: str,
    width: int,
) -> None:
    own = "main" if name == "deck.html" else "[itemprop=articleBody]"  # the rest is the theme's
    for scheme in ("light", "dark"):
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
        page = context.new_page()
        loaded = list[str]()
        page.on("request", lambda one, to=loaded: to.append(one.url))
        page.goto((site / name).as_uri())
        assert [one for one in loaded if not one.startswith(("file:", "data:"))] == []
        assert [one for one in page.evaluate(CUT) if one.startswith("page")] == [], (name, scheme)
        found = Axe().run(page, own)
        assert found.violations_count == 0, found.generate_report()
        context.close()


def test_keys_turn_the_slides_and_a_button_plays_a_recording(
    site: Path,
    browser: Browser,  # noqa: F811
) -> None:
    page = browser.new_page(viewport={"width": 1200, "height": 800})
    page.goto((site / "deck.html").as_uri())
    for key, place in (
        ("ArrowRight", "2 of"),
        ("End", "12 of"),
        ("ArrowLeft", "11 of"),
        ("Home", "1 of"),
    ):
        page.keyboard.press(key)
        page.wait_for_function(
            f"document.getElementById('place').textContent.startsWith('{place}')"
        )
    page.goto((site / "playbook" / "model-validator" / "index.html").as_uri())
    screen, button = page.locator(".recording pre").first, page.locator(".recording button").first
    whole = screen.inner_text()
    button.click()
    assert len(screen.inner_text()) < len(whole)
    button.click()
    assert (screen.inner_text(), button.inner_text()) == (whole, "Play")
