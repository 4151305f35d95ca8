"""The report: what it says, that it holds for any evidence, and that it loads nothing."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from modelyard.reports.kinds import KINDS
from modelyard.reports.report import main, render

from tests.evidence_samples import (
    RUN,
    Evidence,
    binary,
    costs,
    decided,
    envelope,
    flights,
    multiclass,
    regression,
    stopped,
    trials,
    violations,
)
from tests.small_project import PROJECT

VOID = {"meta", "link", "br", "hr", "img", "input", "wbr"}
CASES: dict[str, Callable[[], Evidence]] = {
    "binary": binary,
    "first binary model": lambda: binary(champion=False),
    "refused": lambda: binary(passed=False, stage="refused"),
    "three classes": multiclass,
    "forty classes": lambda: multiclass(40),
    "regression": regression,
    "first regression": lambda: regression(champion=False),
    "stopped at validation": stopped,
    "nothing": dict,
}


class Page(HTMLParser):
    """A parsed page; parsing fails at a tag that is not closed where it should be."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """Attributes of every element of that name."""
        return [attributes for name, attributes in self.tags if name == tag]

    def sections(self) -> list[str]:
        """Ids of the sections."""
        return [section["id"] or "" for section in self.all("section")]


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


def test_the_same_evidence_gives_the_same_page() -> None:
    assert render(binary(), RUN) == render(copy.deepcopy(binary()), dict(RUN))


@pytest.mark.parametrize("kind", ["binary", "three classes", "regression"])
def test_every_section_is_there(kind: str) -> None:
    found = Page(render(CASES[kind](), RUN)).sections()
    wanted = ["verdict", "data", "metrics", "behaviour", "importance", "fairness", "segments"]
    wanted += ["footprint", "trials", "making"]
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


def test_a_run_without_decision_is_not_judged() -> None:
    evidence = binary()
    del evidence["decision"]
    assert "Not judged yet" in Page(render(evidence, {})).text


def test_reasons_say_what_was_expected_found_and_what_to_do() -> None:
    text = Page(render(binary(passed=False, stage="refused"), RUN)).text
    assert "1 of 4 gates said no." in text
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
        "40,910 77.5%",
        "flights.parquet",
        "5b0f6a9c31d24be7a85c0d9f73e4c1aa",  # pragma: allowlist secret
        "196,410 60.0% 2013-01-01 05:15 2013-08-06 18:30 23.4%",
        "1956 to 2013 · mean 2001",
        "17 to 4,983 · mean 1,040",
        "UA 17.4%",
        "61,250",
        "No target 9,430",
        "learning_rate 0.06",
        "scikit-learn 1.9.1",
        RUN["git_commit"],
        "Took 47 s",
        "Validation loss was lowest after 120 iterations (0.313).",
        "the worst is carrier = EV (0.690)",
        "0.0830 0.0772 to 0.0888",
    ):
        assert expected in text, expected


def test_trials_of_a_sweep_are_listed_best_first_with_what_became_of_them() -> None:
    text = Page(render(binary(), RUN)).text
    for expected in (
        "6 trials drawn at random: 4 completed, 1 stopped early by the rule bandit, 1 failed. Trial 4 "
        "has the best validation loss, 0.3130; its model goes on.",
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


def test_the_report_of_a_run_that_swept_finds_its_trials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = write(tmp_path, {"quality": flights()})
    write(tmp_path / "run" / "train", {"sweep": trials()})
    monkeypatch.setenv("MLOPS_RUN", str(tmp_path / "run"))
    assert main([*options, "--output", str(tmp_path)]) == 0
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "trials" in page.sections()


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
    assert "Taken for" in Page(many).text


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
    evidence = {"quality": flights()}
    columns = evidence["quality"]["details"]["columns"]
    evidence["quality"]["details"]["columns"] = [
        {**columns[0], "name": f"column_{i}"} for i in range(500)
    ]
    html = render(evidence, {})
    assert "380 more are in quality.json" in html
    assert len(html) < 400_000


HOSTILE = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "{{ 7 * 7 }}{% raw %}",
    "</style></title></svg>]]>",
    "שלום \u202e gnp.exe",
    "🛫 flight & <b>late</b>",
    "lone \ud800 surrogate \x00 null \x1b[31m",
    "a" * 5_000,
    "https://example.org/x.js",
)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_names_and_values_stay_text(hostile: str) -> None:
    def spoiled(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: spoiled(item) for key, item in value.items()}
        if isinstance(value, list):
            return [spoiled(item) for item in value]
        return hostile if isinstance(value, str) else value

    clean = binary()
    evidence = {kind: spoiled(clean[kind]) for kind in clean}
    problem = evidence["evaluation"]["details"]
    problem["problem"]["kind"], problem["primary"] = "binary", "roc_auc"
    evidence["evaluation"]["details"]["confusion"]["labels"] = [hostile, "other"]
    page = Page(render(evidence, {"title": hostile, hostile: hostile}))
    page.text.encode("utf-8")
    assert {tag for tag, _ in page.tags} <= {tag for tag, _ in Page(render(clean, RUN)).tags}
    for _, attributes in page.tags:
        assert not any(name.startswith("on") or name == "style" for name in attributes)
        assert "example.org" not in str(attributes.get("href"))
    assert "\x00" not in page.text
    assert "\x1b" not in page.text


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in JSON content; of a list its first item stands for all."""
    yield path
    if isinstance(value, dict):
        for key, item in value.items():
            yield from paths(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value[:1]):
            yield from paths(item, (*path, index))


def replaced(content: Any, path: tuple[Any, ...], value: Any) -> Any:
    """The same content with another value at one place; what is not on the way is shared."""
    if not path:
        return value
    changed = content.copy()
    changed[path[0]] = replaced(content[path[0]], path[1:], value)
    return changed


def thin(value: Any) -> Any:
    """The same evidence with short lists and few columns, to render it often."""
    if isinstance(value, dict):
        return {key: thin(item) for key, item in value.items()}
    return [thin(item) for item in value[:2]] if isinstance(value, list) else value


@pytest.mark.parametrize("case", ["binary", "three classes", "regression", "stopped at validation"])
@pytest.mark.parametrize("wrong", [[None], ["text", [], {}, [None], -1e308, True, float("nan")]])
def test_any_value_may_be_null_or_of_another_type(case: str, wrong: list[Any]) -> None:
    from modelyard.reports.report_sections import sections

    evidence = thin(CASES[case]())
    places = [path for path in paths(evidence) if path]
    for index, path in enumerate(places):
        spoiled = replaced(evidence, path, wrong[index % len(wrong)])
        assert sections(spoiled, RUN)["verdict"]["title"]
    for value in wrong:
        leaves = [path for path in places if not isinstance(reached(evidence, path), dict | list)]
        spoiled = evidence
        for path in leaves:
            spoiled = replaced(spoiled, path, value)
        Page(render(spoiled, dict.fromkeys(RUN, value)))
        Page(render(dict.fromkeys(KINDS, value), {}))


def reached(content: Any, path: tuple[Any, ...]) -> Any:
    """What stands at one place."""
    for step in path:
        content = content[step]
    return content


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
    assert used - {"c", "tone", "tone-tint", "part"} <= light


def write(folder: Path, evidence: Evidence) -> list[str]:
    """Write evidence as the steps do; return the options that name its folders."""
    options = []
    for kind, content in evidence.items():
        (folder / kind).mkdir(parents=True)
        (folder / kind / f"{kind}.json").write_text(json.dumps(content), encoding="utf-8")
        options += [f"--{kind}", str(folder / kind)]
    return options


def test_the_command_writes_the_report_and_the_model_card(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "new" / "folder"
    options = write(tmp_path, binary())
    project = tmp_path / "project.yml"
    project.write_text(PROJECT.replace("title: Test", "title: Is it late?"), encoding="utf-8")
    assert main([*options, "--output", str(output), "--project", str(project)]) == 0
    found = sorted(path.name for path in output.iterdir())
    assert found == ["card.html", "card.md", "report.html"]
    page = (output / "report.html").read_text(encoding="utf-8")
    assert page == render(binary(), {"title": "Is it late?"})
    assert capsys.readouterr().out.strip() == str(output / "report.html")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no such file: run the step that writes it again"),
        ("{broken", "expected JSON in"),
        ("[" * 100_000, "expected JSON in"),
        ("[1, 2]", "expected evidence of kind quality"),
        ('{"evidence": "data"}', "found data"),
        (b"\xff\xfe", "expected JSON in"),
    ],
)
def test_missing_or_broken_evidence_is_wrong_usage(
    content: str | bytes | None,
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if isinstance(content, bytes):
        (tmp_path / "quality.json").write_bytes(content)
    elif content is not None:
        (tmp_path / "quality.json").write_text(content, encoding="utf-8")
    output = tmp_path / "out"
    assert main(["--quality", str(tmp_path), "--output", str(output)]) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert "quality.json" in printed
    assert "Traceback" not in printed
    assert not output.exists()


def test_without_any_evidence_the_command_says_what_to_give(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--output", str(tmp_path)]) == 2
    assert "give --quality, --data" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    options = write(tmp_path, {"quality": flights(violations())})
    assert main([*options, "--output", str(tmp_path / "file")]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_the_import_is_light() -> None:
    heavy = ("jinja2", "pandas", "numpy", "mlflow", "matplotlib", "sklearn")
    code = f"import sys, mlops.reports.report; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_decision_alone_is_a_report() -> None:
    page = Page(render({"decision": decided("roc_auc")}, {}))
    assert page.sections() == ["verdict", "making", "glossary"]
