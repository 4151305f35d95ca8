"""The model card: Markdown and HTML with the same content, in which no text becomes markup."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from modelyard.project import Project
from modelyard.reports.card import card, html, markdown, write_card

from tests.evidence_samples import RUN, Evidence, binary, envelope, flights, multiclass, regression
from tests.reports.cases import (
    CASES,
    HOSTILE,
    WRONG,
    damaged_at_each_place,
    damaged_everywhere,
    hostile_evidence,
)
from tests.reports.page import Page

PROJECT = Project(
    title="Flight delays",
    name="flight-delays",
    package="p",
    description="Predicts how late flights arrive.",
    owner="team@example.com",
    model="flight-delays",
)
PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def shape(text: str) -> list[str]:
    """What Markdown makes of a text, without the words."""
    found = []
    for token in PARSER.parse(text):
        found += [token.type, *(child.type for child in token.children or [])]
    return found


def words(text: str) -> list[str]:
    """The words of Markdown as a reader sees them."""
    return [t.content for token in PARSER.parse(text) for t in token.children or []]


def made(evidence: Evidence, **run: Any) -> tuple[str, Page]:
    content = card(evidence, PROJECT, {**RUN, **run})
    return markdown(content), Page(html(content))


def parts(text: str) -> list[str]:
    return re.findall(r"^## (.+)$", text, re.MULTILINE)


@pytest.mark.parametrize("case", ["binary", "three classes", "regression"])
def test_a_card_has_every_section_in_both_spellings(case: str) -> None:
    text, page = made(CASES[case]())
    wanted = [
        "Scorecard",
        "Intended use",
        "Data",
        "Training",
        "Metrics",
        "Fairness",
        "Explanations",
    ]
    wanted += ["Footprint", "Principles", "Limits", "Gates", "Approvals"]
    assert parts(text) == wanted
    assert all(title in page.text for title in wanted)


def test_both_spellings_say_the_same() -> None:
    text, page = made(binary())
    for said in words(text.partition("## ")[2]):
        assert " ".join(said.split()) in page.text


def test_a_card_says_what_the_evidence_says() -> None:
    text, _ = made(binary(stage="promoted"))
    assert "Predicts how late flights arrive." in text
    assert "Owner: team@example.com" in text
    assert "The model predicts whether late is true, one row at a time." in text
    assert "| EV | 10,400 | 37.0% (36.1% to 37.9%) |" in text
    assert "| HA | 61 | (51.0%) |" in text
    assert "Equalized odds: difference 0.150 (0.130 to 0.170), ratio 0.680, from UA to WN" in text
    assert "limits of its own: airlines are companies" in text
    assert "| Model on disk | 0.240 MB | 0.240 MB | 1 × |" in text


def test_the_words_about_the_model_are_those_of_its_evidence() -> None:
    evidence = binary()
    evidence["training"]["details"] |= {"algorithm": "Nearest neighbours (KNN of sklearn)"}
    training = made(evidence)[0].split("## Training")[1].split("\n## ")[0]
    assert "Nearest neighbours (KNN of sklearn)." in training
    assert "Histogram" not in training


def test_the_scorecard_comes_first_and_sums_up_what_follows() -> None:
    text, page = made(binary())
    score = text.split("## Scorecard")[1].split("\n## ")[0]
    assert "Predicts how late flights arrive. The model predicts whether late is true" in score
    assert "- **ROC AUC** 0.742 *95% interval 0.738 to 0.746*" in score
    assert "- **Gates** 4 of 4 passed" in score
    assert "- **Fairness** no limit is set *Accuracy by carrier differs most: 0.170" in score
    assert "- **Worst cohort** 52.2% wrong *48.1% to 56.2%, 1,101 rows; of all rows 26.9%" in score
    assert score.count("not shown *nobody has said what shows it*") == 6
    assert "Nothing is known of rows after" in score and "2 further limits: see below." in score
    assert page.text.index("Worst cohort") < page.text.index("Intended use")


def test_the_scorecard_says_which_gate_failed_and_what_was_not_judged() -> None:
    evidence = multiclass()
    details = evidence["decision"]["details"]
    details["reasons"] += [
        {"gate": "fair by cultivar, accuracy", "passed": False, "found": "0.2", "expected": "0.1"}
    ]
    score = made(evidence)[0].split("## Scorecard")[1].split("\n## ")[0]
    assert "- **Gates** 3 of 4 passed *failed: fair by cultivar, accuracy*" in score
    assert "- **Fairness** not compared *no column is named as sensitive*" in score
    assert "- **Worst cohort** none *No cohort is worse than its noise.*" in score
    evidence["fairness"] = binary()["fairness"]
    assert "- **Fairness** beyond its limits" in made(evidence)[0]
    assert "- **Gates** not judged" in made({})[0]


@pytest.mark.parametrize(
    ("stage", "passed", "said"),
    [
        ("registered", True, "None yet: nobody has promoted or refused this version."),
        ("promoted", True, "promoted to champion by Ada Lovelace on 2026-09-11 09:30 UTC."),
        ("refused", False, "refused by Ada Lovelace on 2026-09-11 09:30 UTC."),
    ],
)
def test_approvals_are_those_that_were_given(stage: str, passed: bool, said: str) -> None:
    assert said in made(binary(stage=stage, passed=passed))[0]


def test_an_approval_by_nobody_known_is_not_made_up() -> None:
    evidence = binary(stage="promoted")
    evidence["decision"]["details"]["decided"] = None
    assert "promoted to champion, by whom is not known." in made(evidence)[0]


def limits_of(evidence: Evidence) -> str:
    return made(evidence)[0].split("\n## Limits")[1].split("\n## ")[0]


def test_limits_come_from_the_evidence() -> None:
    found = limits_of(binary())
    assert "Too few rows to judge some figures of 1 group of carrier: HA." in found
    assert "Values are missing often in" in found
    assert "Nothing is known of rows after" in found
    assert "known only roughly" not in found


def test_a_wide_interval_is_a_limit() -> None:
    evidence = binary()
    figures = evidence["evaluation"]["details"]["models"]["challenger"]["roc_auc"]
    figures["low"], figures["high"] = 0.61, 0.84
    assert "ROC AUC is known only roughly: 0.61 to 0.84, on only 65,470 held-out rows" in re.sub(
        r"0\.(\d\d)0", r"0.\1", limits_of(evidence)
    )


def test_a_difference_that_may_be_nothing_is_a_limit() -> None:
    evidence = binary()
    against = evidence["evaluation"]["details"]["comparisons"]["baseline"]["roc_auc"]
    against["low"] = -0.001
    assert "Whether it is better than the baseline cannot be told" in limits_of(evidence)


def test_a_target_that_moved_is_a_limit() -> None:
    evidence = binary()
    split = evidence["data"]["details"]["split"]
    split["train"]["class_shares"] = {"false": 0.66, "true": 0.34}
    assert "The share of late = true went from 34.0%" in limits_of(evidence)
    evidence = regression()
    evidence["data"]["details"]["split"]["train"]["target_mean"] = 9.0
    assert "The mean of arrival\\_delay went from 9" in limits_of(evidence)


def test_groups_that_nobody_named_are_a_limit() -> None:
    assert "no sensitive column" in limits_of(multiclass())


def test_a_segment_that_is_clearly_worse_is_a_limit() -> None:
    evidence = binary()
    segment = evidence["evaluation"]["details"]["segments"][0]
    segment["value_metric"] = {"value": 0.5, "low": 0.48, "high": 0.52}
    assert f"{segment['column']} = {segment['value']} (0.500)" in limits_of(evidence)


def test_the_worst_cohort_is_a_limit_and_noise_is_none() -> None:
    assert "1020 and carrier is EV or MQ and planned" in limits_of(binary())
    assert "harder" not in limits_of(multiclass())


MARKDOWN = (
    "| a | b |",
    "\n\n# heading\n\n- item",
    "[link](https://example.org)",
    "![x](https://example.org/x.png)",
    "<https://example.org>",
    "**bold** _italic_ `code` ~~gone~~",
    "``` fence",
    "1. one",
    "- dash",
    "+ plus",
    "---",
    "===",
    "&lt;script&gt; &copy;",
    "\\| \\",
    "\\",
    "column\u202ename",
    "a\u2028b\u2029c\x0bd",
)


@pytest.mark.parametrize("hostile", [*HOSTILE, *MARKDOWN])
def test_hostile_names_stay_text_in_both_spellings(hostile: str) -> None:
    about = dict.fromkeys(("run_id", "git_commit", "mlflow_run_id"), hostile)
    project = PROJECT.model_copy(
        update={"title": hostile, "description": hostile, "owner": hostile, "model": hostile}
    )
    content = card(hostile_evidence(hostile, stage="promoted"), project, about)
    calm = PROJECT.model_copy(update={"title": "a", "description": "a", "owner": "a", "model": "a"})
    benign = card(hostile_evidence("a", stage="promoted"), calm, dict.fromkeys(about, "a"))
    text = markdown(content)
    assert shape(text) == shape(markdown(benign))
    assert {"html_inline", "html_block", "link_open", "image"}.isdisjoint(shape(text))
    page = Page(html(content))
    assert {tag for tag, _ in page.tags} == {tag for tag, _ in Page(html(benign)).tags}
    for _, attributes in page.tags:
        assert not any(name.startswith("on") or name == "style" for name in attributes)
    assert "\u202e" not in text


@given(st.text(max_size=40))
def test_any_text_is_shown_as_it_is(text: str) -> None:
    plain = {"importance": envelope("importance", details={"features": []})}
    plain["importance"]["details"]["features"] = [{"name": text, "importance": 0.5}]
    content = card(plain, PROJECT, {})
    part = next(part for part in content.parts if part.title == "Explanations")
    assert part.table is not None
    cells = [c for c in words(markdown(content)) if c]
    assert "".join(part.table.rows[0][0].split()) in "".join("".join(cells).split())


@pytest.mark.parametrize("case", ["binary", "three classes", "regression", "stopped at validation"])
def test_any_value_may_be_null_or_of_another_type(case: str) -> None:
    for evidence in damaged_at_each_place(case):
        assert markdown(card(evidence, PROJECT, RUN))
    for value in WRONG:
        content = card(damaged_everywhere(case, value), PROJECT, dict.fromkeys(RUN, value))
        Page(html(content))


def test_every_kind_of_evidence_may_be_absent() -> None:
    whole = binary()
    for kind in whole:
        made({name: part for name, part in whole.items() if name != kind})
        made({kind: envelope(kind)})
    text, _ = made({})
    assert parts(text) == ["Scorecard", "Intended use", "Principles", "Limits", "Approvals"]


def test_the_same_evidence_gives_the_same_card() -> None:
    assert made(binary())[0] == made(copy.deepcopy(binary()))[0]


def test_the_page_loads_nothing_and_runs_nothing() -> None:
    page = html(card(binary(), PROJECT, RUN))
    assert "<script" not in page
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)", page)
    assert "default-src 'none'" in page


def test_a_run_that_stopped_has_a_card_that_says_so(tmp_path: Path) -> None:
    written = write_card(tmp_path, {"quality": flights()}, PROJECT, RUN)
    assert [path.name for path in written] == ["card.md", "card.html"]
    assert "Not judged yet." in written[0].read_text(encoding="utf-8")
