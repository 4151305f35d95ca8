"""The report: what it states for which evidence."""

from __future__ import annotations

import copy
import re
from pathlib import Path

import pytest
from modelyard.reports.card import card, markdown
from modelyard.reports.kinds import KINDS
from modelyard.reports.report import about_run, render, sweep_of_run

from tests.evidence_samples import (
    RUN,
    binary,
    costs,
    decided,
    envelope,
    multiclass,
    opened,
    regression,
    stopped,
    trials,
)
from tests.reports.cases import CASES
from tests.reports.page import Page
from tests.reports.test_card import PROJECT


def test_the_same_evidence_gives_the_same_page() -> None:
    assert render(binary(), RUN) == render(copy.deepcopy(binary()), dict(RUN))


@pytest.mark.parametrize("kind", ["binary", "three classes", "regression"])
def test_every_section_is_there(kind: str) -> None:
    found = Page(render(CASES[kind](), RUN)).sections()
    wanted = ["verdict", "data", "metrics", "behaviour", "importance", "fairness", "segments"]
    wanted += ["cohorts", "footprint", "trials", "making"]
    absent = ["segments"] if kind == "three classes" else []
    absent += ["trials"] if kind != "binary" else []
    assert found == [name for name in wanted if name not in absent] + ["glossary"]


def test_groups_are_printed_with_what_sets_them_apart_and_small_ones_are_marked() -> None:
    page = Page(render(binary(), RUN))
    assert (
        "1 group rests on fewer than 100 rows in some figure and is shown, not judged." in page.text
    )
    assert "Equalized odds 0.150 0.130 to 0.170 0.680 +0.010 −0.010 to +0.030 UA to WN" in page.text
    assert re.search(r"HA 61 51\.0% .*? few rows", page.text)
    said = [a["id"] for tag, a in page.tags if tag == "desc" and "fair-" in str(a.get("id"))]
    assert len(said) == 4


def test_without_sensitive_columns_the_report_says_that_nothing_was_compared() -> None:
    text = Page(render(multiclass(), RUN)).text
    assert "The contract names no sensitive column, so no groups were compared." in text


def test_errors_of_groups_are_held_against_the_spread_of_the_target() -> None:
    text = Page(render(regression(), RUN)).text
    assert "0.0034 standard deviations" in text


def test_what_a_model_costs_stands_beside_the_champion() -> None:
    grown = binary() | {"footprint": costs(model_bytes=2_400_000)}
    assert "Model on disk 2.40 MB 0.240 MB 10 ×" in Page(render(grown, RUN)).text
    alone = Page(render(binary(champion=False), RUN)).text
    assert "Model on disk 0.240 MB Time to load" in alone


@pytest.mark.parametrize(
    ("passed", "stage", "headline"),
    [
        (True, "registered", "Ready to be promoted"),
        (True, "promoted", "Promoted"),
        (False, "registered", "Not ready to be promoted"),
        (False, "refused", "Refused"),
    ],
)
def test_the_headline_is_the_verdict(passed: bool, stage: str, headline: str) -> None:
    html = render(binary(passed=passed, stage=stage), RUN)
    assert re.search(rf"<h2 id=\"verdict-h\"><svg.*?</svg>{headline}</h2>", html)
    assert f"<title>Flight delays: {headline.lower()}</title>" in html


@pytest.mark.parametrize(
    ("stage", "policy", "accepted", "headline", "said"),
    [
        ("registered", "refuse", None, "Not judged in full", "refused until they can be judged"),
        ("registered", "ask", None, "Not judged in full", "mlops promote --accepted-by NAME"),
        ("refused", "refuse", None, "Refused: not judged in full", "refused until"),
        ("promoted", "ask", "Ada", "Promoted with open gates", "Ada accepted that."),
    ],
)
def test_a_verdict_with_an_open_gate_is_amber_and_names_it(
    stage: str, policy: str, accepted: str | None, headline: str, said: str
) -> None:
    evidence = binary(stage=stage)
    evidence["decision"] = opened(evidence["decision"], policy, accepted)
    html = render(evidence, RUN)
    assert re.search(
        rf'<div class="card verdict warn">.*<h2 id="verdict-h"><svg.*?</svg>{headline}</h2>',
        html,
        re.DOTALL,
    )
    text = Page(html).text
    assert "1 gate is open: Better than the baseline." in text and said in text
    assert "Every gate passed" not in text
    status = card(evidence, PROJECT, RUN).status
    assert "better than the baseline" in status and "every gate passed" not in status


def test_what_is_judged_out_of_fold_is_said_so() -> None:
    evidence = binary()
    on = evidence["evaluation"]["details"]["judged_on"]
    on |= {"method": "out-of-fold", "held_out": 90}
    text = Page(render(evidence, RUN)).text
    assert "on 65,470 rows, each predicted out of fold: better than the baseline" in text
    assert "champion 3 on the 90 rows held out (+0.0059)" in text
    assert "Rows predicted out of fold 65,470" in text
    assert "65,470 held-out rows" not in text
    said = markdown(card(evidence, PROJECT, RUN))
    assert "the 90 held-out rows alone are too few" in said
    assert "65,470 held-out rows" not in said


def test_repeated_rows_and_rows_left_out_are_said_in_report_and_card() -> None:
    evidence = binary()
    evidence["data"]["details"]["repeated"] = {"rows": 4514, "distinct": 12}
    for said in (Page(render(evidence, RUN)).text, markdown(card(evidence, PROJECT, RUN))):
        assert "4,514 rows repeat another in all columns but the target: all are kept" in said
    assert "Rows left out: 9,430 without target" in markdown(card(evidence, PROJECT, RUN))


def test_a_run_without_decision_is_not_judged() -> None:
    evidence = binary()
    del evidence["decision"]
    assert "Not judged yet" in Page(render(evidence, {})).text


def test_reasons_say_what_was_expected_found_and_what_to_do() -> None:
    text = Page(render(binary(passed=False, stage="refused"), RUN)).text
    assert "1 of 4 gates failed." in text
    assert "Not worse than champion v3" in text
    assert "ROC AUC not worse by more than 0.01, with confidence" in text
    assert "-0.031 [-0.0351, -0.0269]" in text
    assert "the challenger is worse: keep the champion" in text


def test_figures_of_a_binary_model_are_printed_with_their_intervals() -> None:
    text = Page(render(binary(), RUN)).text
    for expected in (
        "ROC AUC is 0.742 (95% interval 0.738 to 0.746) on 65,470 held-out rows: better than the "
        "baseline (+0.041), better than champion 3 (+0.0059).",
        "0.701 0.697 to 0.705",
        "+0.0059 +0.0018 to +0.0100",
        "With the threshold at 0.271, the model finds 57.4% of the 12,660 rows with late = true; "
        "of the 19,165 rows it flags, 37.9% are.",
        "40,910 77.5% right",
        "flights.parquet",
        "5b0f6a9c31d24be7a85c0d9f73e4c1aa",  # pragma: allowlist secret
        "196,410 60.0% 2013-01-01 05:15 2013-08-06 18:30 23.4%",
        "1956 to 2013 · mean 2001",
        "17 to 4,983 · mean 1,040",
        "UA 17.4%",
        "61,250",
        "Without target 9,430",
        "learning_rate 0.06",
        "scikit-learn 1.9.1",
        RUN["git_commit"],
        "Took 47 s",
        "Validation loss was lowest after 120 iterations (0.313).",
        "the worst is carrier = EV (0.690)",
        "0.0830 0.0772 to 0.0888",
    ):
        assert expected in text, expected


def test_candidates_and_corrections_are_printed_with_what_was_chosen() -> None:
    text = Page(render(binary(), RUN)).text
    for expected in (
        "By log loss on the validation rows; boosting is the model.",
        "linear 0.330 0.020 ± 0.0040 196,408",
        "boosting chosen 0.310 lowest",
        "as they are 0.310 4.0%",
        "sigmoid of their log odds chosen 0.305 1.1%",
    ):
        assert expected in text, expected


def test_trials_of_a_sweep_are_listed_best_first_with_what_became_of_them() -> None:
    text = Page(render(binary(), RUN)).text
    for expected in (
        "6 trials drawn at random: 4 completed, 1 stopped early by the rule bandit, 1 failed. Trial 4 "
        "has the best validation loss, 0.3130; the next steps use its model.",
        "4 0.3130 0.0800 15 calm best 5 0.3175 0.100 31 calm completed",
        "1 0.3310 0.200 31 calm completed 2 0.3900 0.0200 7 calm stopped by bandit at 20",
        "Best so far",
    ):
        assert expected in text, expected


def test_the_best_of_a_maximised_metric_is_the_highest() -> None:
    evidence = {"sweep": trials()}
    evidence["sweep"]["params"]["goal"] = "maximize"
    text = Page(render(evidence, {})).text
    assert text.index("1 0.3310 0.200") < text.index("4 0.3130 0.0800")


def test_a_step_finds_the_sweep_and_the_facts_of_its_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "20260911-0815"
    monkeypatch.setenv("MLOPS_RUN", str(run))
    monkeypatch.setenv("MLOPS_GIT_COMMIT", "abc")
    assert sweep_of_run() is None
    folder = run / "train" / "sweep"
    folder.mkdir(parents=True)
    (folder / "sweep.json").write_text("{}", encoding="utf-8")
    assert sweep_of_run() == folder
    assert about_run() == {"run_id": "20260911-0815", "git_commit": "abc"}


def test_outside_a_run_there_are_no_facts_and_no_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLOPS_RUN", raising=False)
    monkeypatch.delenv("MLOPS_GIT_COMMIT", raising=False)
    assert about_run() == {"run_id": None, "git_commit": None}
    assert sweep_of_run() is None


def test_every_metric_of_every_model_is_printed() -> None:
    for case in (binary(), multiclass(), regression()):
        text = Page(render(case, {})).text
        models = case["evaluation"]["details"]["models"]
        for model in filter(None, models.values()):
            for figures in model.values():
                shown = f"{figures['value']:,.3f}"
                assert shown in text or shown[:-1] in text or f"{figures['value']:,.1f}" in text


def test_figures_of_a_regression_are_printed() -> None:
    text = Page(render(regression(), RUN)).text
    assert "Half of the errors lie from −17.9 to 9.3, nine in ten from −41.2 to 62.8." in text
    assert "Predicted against actual" in text
    assert "Mean of arrival_delay" in text
    assert "ROC curve" not in text
    assert "Confusion matrix" not in text


def test_many_classes_are_drawn_and_few_are_printed() -> None:
    few, many = render(multiclass(3), {}), render(multiclass(40), {})
    assert '<table class="matrix"' in few
    assert 'id="confusion-t"' not in few
    assert '<table class="matrix"' not in many
    assert 'id="confusion-t"' in many
    assert "Actual Predicted Rows Share of the class" in Page(many).text


def test_more_classes_than_fit_are_counted() -> None:
    assert "The 60 largest classes are shown, 15 are not." in Page(render(multiclass(75), {})).text


def test_a_first_model_has_no_champion_beside_it() -> None:
    text = Page(render(binary(champion=False), {})).text
    assert "There is no champion yet: this would be the first." in text
    assert "Against the baseline" in text
    assert "Against champion" not in text


def test_a_champion_that_cannot_score_the_rows_is_named_with_the_error() -> None:
    evidence = binary(champion=False)
    evidence["evaluation"]["details"]["champion"] = {
        "name": "flight-delays",
        "version": "3",
        "error": "column plane_seats is missing",
    }
    text = Page(render(evidence, {})).text
    assert "Champion 3 could not score these rows, so it is not compared:" in text
    assert "column plane_seats is missing" in text
    assert "There is no champion yet" not in text


def test_a_run_that_stopped_at_validation_shows_the_broken_rules_and_nothing_else() -> None:
    page = Page(render(stopped(), {}))
    assert page.sections() == ["verdict", "data", "making"]
    assert "Stopped: the table breaks its contract" in page.text
    assert "3 rules are violated, so nothing was trained." in page.text
    assert (
        "distance range 17 to 5,000 -12 to 99,999 41 <0.1% -12, 99999 18, 4,021, 5,100" in page.text
    )
    assert "whole table missing column plane_seats no such column – – – –" in page.text


def test_small_segments_come_last_in_their_column_and_are_marked() -> None:
    html = render(binary(), {})
    part = html[html.index('id="segments"') : html.index('id="making"')]
    shown = re.findall(r'class="name"><bdi>(\w+)</bdi>', part)
    assert shown == ["EV", "AA", "UA", "B6", "DL", "OO", "HA", "EWR", "JFK", "LGA"]
    assert part.count("few rows") == 2
    assert part.count("</svg>worse than all</span>") == 3


def test_wide_tables_are_cut_with_a_note() -> None:
    evidence = binary()
    names = [f"column_{i}" for i in range(500)]
    for kind, part in (
        ("quality", "columns"),
        ("training", "features"),
        ("importance", "features"),
    ):
        details = evidence[kind]["details"]
        details[part] = [{**details[part][0], "name": name} for name in names]
    details = evidence["importance"]["details"]
    details |= {"features": details["features"][:200], "not_computed": names[200:]}
    html = render(evidence, {})
    for kind in ("quality", "training"):
        assert f"380 more are in {kind}.json" in html
    assert "300 more are not measured" in html and "importance.json names them" in html
    assert len(html) < 500_000


def test_every_kind_of_evidence_may_be_absent() -> None:
    whole = binary()
    for kind in KINDS:
        Page(render({name: part for name, part in whole.items() if name != kind}, RUN))
        Page(render({**whole, kind: None}, {}))
        Page(render({kind: whole[kind]}, {}))
        Page(render({kind: envelope(kind)}, {}))


def test_without_a_title_the_target_names_the_report() -> None:
    assert "<h1><bdi>Predicting late</bdi></h1>" in render(binary(), {})
    assert "<h1><bdi>Model report</bdi></h1>" in render({}, {"title": None})


def test_a_decision_alone_is_a_report() -> None:
    page = Page(render({"decision": decided("roc_auc")}, {}))
    assert page.sections() == ["verdict", "making", "glossary"]


def test_the_worst_cohort_is_named_and_the_tree_says_its_divisions() -> None:
    page = Page(render(binary(), RUN))
    assert (
        "Worst where distance > 1020 and carrier is EV or MQ and planned_minutes > 162: "
        "52.2% (48.1% to 56.2%) of 1,101 rows are predicted wrong; of all rows 26.9%." in page.text
    )
    assert "carrier is not EV or MQ 32.3%" in page.text
    assert "off by 38.5" in Page(render(regression(), RUN)).text


def test_noise_is_no_cohort_and_too_few_rows_are_said() -> None:
    evidence = multiclass()
    page = Page(render(evidence, RUN))
    assert "No cohort is worse than its noise." in page.text
    assert "The tree" not in page.text
    given = evidence["evaluation"]["details"]["cohorts"]
    given |= {"nodes": [], "why": "80 rows are too few: each half needs 100"}
    assert (
        "Not looked for: 80 rows are too few: each half needs 100."
        in Page(render(evidence, RUN)).text
    )
