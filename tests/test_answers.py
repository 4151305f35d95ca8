"""Which answers are refused, in which words, and what becomes of the others."""

from __future__ import annotations

import ast
import html
import json
import os
import re
import shlex
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from cookiecutter.generate import generate_context
from cookiecutter.prompt import prompt_for_config
from cookiecutter.utils import create_env_with_context
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jinja2 import Template

from tests.baked import (
    CHOICES,
    QUESTIONS,
    REPOSITORY,
    ROOT,
    SETTINGS,
    TEMPLATE,
    BakedProject,
    bake,
    cookiecutter_command,
    files_below,
    hook,
)

Refusal = Callable[..., str]
pre_gen = hook("pre_gen_project")
post_gen = hook("post_gen_project")

TEXT_ANSWERS = [name for name in QUESTIONS if name not in CHOICES]
ENVIRONMENTS = ("dev", "test", "prod")
WITH_FREE_TEXT = ("conf/project.yml", "README.md")
EMOJI = "\U0001f469\u200d\U0001f52c \u2764\ufe0f\u200d\U0001f525 \U0001f44d\U0001f3fd \u2708\ufe0f"

# What a person may well write, or an attacker: each works in every file, byte for byte.
FINE_TEXTS = [
    'Say "delay"',
    "It's late; is it?",
    "Back\\slash \\n \\u0041 \\",
    "key: value, [a, b], {c: d} # no comment",
    "- item | > & * ! % @ `x`",
    "$(rm -rf ~) `id` ${HOME} %PATH% && exit",
    "<script>alert(1)</script> <!-- --> &amp; </h1>",
    "# Title _a_ *b* [c](d) ![e](f) | g |",
    "\"\"\" ''' '''",
    "]]> %} }} #}",
    "{ a } {a} }{ { { %",
    "null",
    "yes",
    "1e3",
    "---",
    "...",
    "\u30d5\u30e9\u30a4\u30c8\u306e\u9045\u308c",
    "\u062a\u0623\u062e\u064a\u0631 \u0627\u0644\u0631\u062d\u0644\u0627\u062a",
    "\u0646\u0645\u06cc\u200c\u062f\u0627\u0646\u0645",
    f"On time {EMOJI}",
    "\U0001fae8 new emoji, \u00a0 and blanks",
]


def told(message: str) -> dict[str, list[tuple[str, str]]]:
    """For each answer in a refusal, its rules and the values offered instead."""
    found: dict[str, list[tuple[str, str]]] = {}
    for name, text, instead in re.findall(
        r"^(\w+): (.*)\n    Would pass: (.*)$", message, re.MULTILINE
    ):
        found.setdefault(name, []).append((text, instead))
    return found


@pytest.mark.parametrize(
    ("name", "value", "rule", "instead"),
    [
        ("project_name", "", "must not be empty", "Flight delay"),
        ("project_name", "   ", "must not be empty", "Flight delay"),
        ("project_name", " Late", "must not begin or end with a blank", "Late"),
        ("project_name", "x" * 61, "must have at most 60 characters, not 61", "x" * 60),
        (
            "project_name",
            "a\nb: c",
            "must not hold line breaks or characters that nobody sees (U+000A)",
            "a b: c",
        ),
        ("project_name", "a\u2028b", "that nobody sees (U+2028)", "a b"),
        ("project_name", "a\u202eb", "that nobody sees (U+202E)", "a b"),
        ("project_name", "a\u200bb", "that nobody sees (U+200B)", "a b"),
        ("project_name", "a \u200d", "that nobody sees (U+200D)", "a"),
        ("project_name", "a\ufeffb", "that nobody sees (U+FEFF)", "a b"),
        ("project_name", "a\x1b[31mb", "that nobody sees (U+001B)", "a [31mb"),
        ("project_name", "a\U000e0041", "that nobody sees (U+E0041)", "a"),
        ("project_name", "a\ufffe", "that nobody sees (U+FFFE)", "a"),
        ("description", "x" * 241, "must have at most 240 characters, not 241", "x" * 240),
        ("description", "a\r\nb", "that nobody sees (U+000A)", "a b"),
        ("description", "a\ud800b", "that nobody sees (U+D800)", "a b"),
        (
            "description",
            "see {{ 7 * 7 }}",
            "must not hold {# or {% or {{: Cookiecutter would run it",
            "see ({ 7 * 7 }}",
        ),
        ("description", "a {# b #} c", "must not hold {# or {% or {{", "a (# b #} c"),
        (
            "project_slug",
            "Flight_Delay",
            "must be lowercase letters, digits and single hyphens",
            "flight-delay",
        ),
        ("project_slug", "-late", "must be lowercase letters, digits and single hyphens", "late"),
        (
            "project_slug",
            "late--flights",
            "must be lowercase letters, digits and single hyphens",
            "late-flights",
        ),
        ("project_slug", "2late", "must be lowercase letters, digits and single hyphens", "late"),
        ("project_slug", "../late", "must be lowercase letters, digits and single hyphens", "late"),
        ("project_slug", "\u98db\u884c\u6a5f", "must be lowercase letters", "forecast"),
        ("project_slug", "late\n", "must be lowercase letters", "late"),
        ("project_slug", "con", "must not be the name of a device on Windows", "con-model"),
        ("project_slug", "my-windows-load", "must not put windows into names in Azure", "my"),
        (
            "package_name",
            "flight-delay",
            "must be lowercase letters, digits and single underscores",
            "flight_delay",
        ),
        (
            "package_name",
            "Flights",
            "must be lowercase letters, digits and single underscores",
            "flights",
        ),
        ("package_name", "1st", "must be lowercase letters, digits and single underscores", "st"),
        (
            "package_name",
            "",
            "must be lowercase letters, digits and single underscores",
            "forecast",
        ),
        ("package_name", "x" * 31, "must have at most 30 characters, not 31", "x" * 30),
        ("package_name", "class", "must not be a word of the Python language", "class_model"),
        ("package_name", "match", "must not be a word of the Python language", "match_model"),
        ("package_name", "type", "must not be a word of the Python language", "type_model"),
        ("package_name", "json", "must not be a module of Python's standard library", "json_model"),
        (
            "package_name",
            "sklearn",
            "must not be a package that the project installs",
            "sklearn_model",
        ),
        (
            "package_name",
            "mlops",
            "must not be a folder or module that the project has",
            "mlops_model",
        ),
        ("package_name", "lpt1", "must not be the name of a device on Windows", "lpt1_model"),
        ("team_email", "team", "must be an e-mail address", "ml-team@example.com"),
        ("team_email", "mailto:a@b.org ", "must be an e-mail address", "a@b.org"),
        ("team_email", "a@b.org\nx: y", "must be an e-mail address", "ml-team@example.com"),
        ("team_email", "\u00e4@b.org", "must be an e-mail address", "ml-team@example.com"),
        ("team_email", '"a b"@b.org', "must be an e-mail address", "ml-team@example.com"),
        (
            "team_email",
            f"{'a' * 59}@b.org",
            "must have at most 64 characters",
            "ml-team@example.com",
        ),
        ("organization_code", "Contoso", "must be 2 to 6 lowercase letters", "contos"),
        ("organization_code", "a", "must be 2 to 6 lowercase letters", "acme"),
        ("organization_code", "ac3e", "must be 2 to 6 lowercase letters", "ace"),
        ("organization_code", "login", "and not login, which Azure reserves", "acme"),
        ("azure_region", "West Europe", "must be one of 60, among them westeurope", "westeurope"),
        ("azure_region", "eastus9", "must be one of 60, among them eastus, eastus2", "eastus"),
        ("azure_region", "mars", "must be one of 60, among them", "westeurope"),
        (
            "_tags",
            "cost",
            "must be name=value pairs with commas between, but 'cost' is not one",
            "",
        ),
        (
            "_tags",
            "a b=c, d=e",
            "must be name=value pairs with commas between, but 'a b=c' is not one",
            "d=e",
        ),
        ("_tags", "azure_x=1", "must be name=value pairs", ""),
        (
            "_tags",
            "a=1,A=2",
            "must not give A twice, nor one of project, organization, owner",
            "a=1",
        ),
        (
            "_tags",
            "Owner=me",
            "must not give Owner twice, nor one of project, organization, owner",
            "",
        ),
        ("_tags", "a=", "must give a a plain value of 1 to 256 characters, not ''", ""),
        ("_tags", f"a={'x' * 257}", "must give a a plain value of 1 to 256 characters", ""),
        ("_tags", 'a="\nb: c', "must give a a plain value of 1 to 256 characters", ""),
    ],
    ids=lambda value: ascii(value)[1:25],
)
def test_what_cannot_work_is_refused(
    refusal: Refusal, name: str, value: str, rule: str, instead: str
) -> None:
    given_answers = {"project_slug": "late", name: value}  # the slug would follow from the name
    if "{" in value:  # typed at a prompt; on the command line Cookiecutter runs it first
        problems = pre_gen.find_problems(default_answers() | given_answers)
        assert [(p.answer, p.instead) for p in problems] == [(name, instead)]
        assert rule in problems[0].rule
        return
    found = told(refusal(**given_answers))
    if name == "project_slug":
        found.pop("package_name", None)
    assert list(found) == [name]
    [(text, offered)] = found[name]
    assert rule in text
    assert offered == instead


def test_fifty_tags_are_the_most(refusal: Refusal, tmp_path: Path) -> None:
    tags = [f"t{n}={n}" for n in range(43)]
    message = refusal(_tags=",".join(tags))
    assert "must give at most 42 tags, the most Azure has room for" in message
    project = bake(tmp_path, _tags=",".join(tags[:42]))
    # And environment, cost_center and budget_start, which the infrastructure adds.
    assert len(project.yaml("conf/project.yml")["tags"]) == 47


def test_a_slug_too_long_for_azure_is_refused_with_the_room_there_is(refusal: Refusal) -> None:
    message = refusal(project_slug="passenger-forecasting", organization_code="fabrik")
    [(text, instead)] = told(message)["project_slug"]
    assert text == (
        "'passenger-forecasting' makes longer names than Azure allows: "
        "workspace mlw-fabrik-passenger-forecasting-test (37 of 33), "
        "storage account stfabrikpassengerforecastingtest (32 of 24), "
        "key vault kvfabrikpassengerforecastingtest (32 of 24), "
        "endpoint fabrik-passenger-forecasting-test (33 of 32). "
        "With organization_code fabrik a slug may have 12 letters and digits, "
        "and 17 characters with its hyphens."
    )
    assert instead == "passenger"


@pytest.mark.parametrize("organization", ["ab", "acme", "fabrik"])
def test_the_room_that_is_told_is_all_the_room_there_is(organization: str) -> None:
    letters = pre_gen.room(organization, "letters")
    assert not list(pre_gen.slug_rules("x" * letters, organization))
    assert list(pre_gen.slug_rules("x" * (letters + 1), organization))
    hyphens = pre_gen.room(organization, "slug") - letters
    slug = "-".join(["x"] * hyphens + ["x" * (letters - hyphens)])
    assert not list(pre_gen.slug_rules(slug, organization))
    assert list(pre_gen.slug_rules("x-" + slug[:-1], organization))


def test_every_problem_is_told_at_once(refusal: Refusal) -> None:
    message = refusal(
        project_name=" ",
        project_slug="A",
        package_name="json",
        description="\x00",
        team_email="x",
        organization_code="X",
        azure_region="x",
        _tags="x",
    )
    order = ["project_name", "description", "organization_code", "project_slug", "package_name"]
    assert list(told(message)) == [*order, "team_email", "azure_region", "_tags"]


@pytest.mark.parametrize("value", [None, True, 7, ["a"], {"a": "b"}], ids=str)
@pytest.mark.parametrize("name", [*QUESTIONS, "_tags"])
def test_an_answer_that_is_not_text_is_refused(name: str, value: object) -> None:
    [problem] = pre_gen.find_problems(default_answers() | {name: value})
    assert problem.rule == f"must be text, but a {type(value).__name__} came: put it in quotes"
    assert not pre_gen.find_problems(default_answers() | {name: problem.instead})


def test_a_bare_no_in_a_configuration_file_is_refused(tmp_path: Path) -> None:
    config = tmp_path / "config.yml"
    config.write_text(
        f"default_context: {{organization_code: no}}\nreplay_dir: {tmp_path}/replay\n"
        f"cookiecutters_dir: {tmp_path}/cookiecutters\n"
    )
    tried = cookiecutter_command(tmp_path, "--no-input", "--config-file", str(config))
    assert tried.returncode == 1
    assert (
        "organization_code: False must be text, but a bool came: put it in quotes" in tried.stderr
    )


def test_a_value_that_a_choice_does_not_have_is_refused(tmp_path: Path) -> None:
    tried = cookiecutter_command(tmp_path, "--no-input", "ci_provider=gitlab")
    assert tried.returncode != 0
    assert "gitlab provided for choice variable ci_provider" in tried.stderr
    assert left_in(tmp_path) == []


def test_a_replay_file_is_checked_like_any_answers(tmp_path: Path) -> None:
    replay = tmp_path / "replay.json"
    replay.write_text(json.dumps({"cookiecutter": default_answers() | {"ci_provider": "gitlab"}}))
    tried = cookiecutter_command(tmp_path, "--replay-file", str(replay))
    assert tried.returncode == 1
    assert (
        "ci_provider: 'gitlab' must be one of github-actions, azure-devops, none." in tried.stderr
    )
    assert "    Would pass: github-actions\n" in tried.stderr
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("way", ["command line", "prompt"])
@pytest.mark.parametrize("text", ["see {{ 7 * 7 }}", "a {# b #} c", "{% raw %}x{% endraw %}"])
def test_jinja_in_a_text_is_refused_however_it_is_given(
    tmp_path: Path, way: str, text: str
) -> None:
    if way == "prompt":
        typed = "".join(f"{text if name == 'description' else ''}\n" for name in QUESTIONS)
        tried = cookiecutter_command(tmp_path, typed=typed)
    else:
        tried = cookiecutter_command(tmp_path, "--no-input", f"description={text}")
    assert tried.returncode == 1
    assert f"description: '{text}' must not hold" in tried.stderr
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("text", ["{{ x", "{% if %}", "{{ cookiecutter.nothing }}", "{{ 1 / 0 }}"])
def test_jinja_that_fails_leaves_nothing_behind(tmp_path: Path, text: str) -> None:
    assert cookiecutter_command(tmp_path, "--no-input", f"description={text}").returncode != 0
    assert left_in(tmp_path) == []


def test_a_slug_with_a_slash_leaves_at_most_an_empty_folder(tmp_path: Path) -> None:
    """Cookiecutter makes `a/b` before the hook can say no, and removes `b` only, after the hook: which
    therefore cannot remove `a`, and must not remove `b`, or Cookiecutter fails where it wants to.
    """
    assert cookiecutter_command(tmp_path, "--no-input", "project_slug=a/b").returncode == 1
    assert left_in(tmp_path) == ["a"]


def test_a_refusal_leaves_a_folder_that_was_there_alone(tmp_path: Path) -> None:
    (tmp_path / "late").mkdir()
    (tmp_path / "late" / "mine.txt").write_text("mine")
    arguments = ("--no-input", "--overwrite-if-exists", "project_slug=late", "azure_region=mars")
    assert cookiecutter_command(tmp_path, *arguments).returncode == 1
    assert left_in(tmp_path) == ["late", "late/mine.txt"]


@pytest.mark.parametrize("folder", ["docs", "src/late"])
def test_a_project_that_is_there_is_not_replaced(tmp_path: Path, folder: str) -> None:
    """Cookiecutter deletes a folder that it copies whole, with what a team has added to it."""
    mine = tmp_path / "late" / folder / "mine.md"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    tried = cookiecutter_command(
        tmp_path, "--no-input", "--overwrite-if-exists", "project_slug=late"
    )
    assert tried.returncode == 1
    assert f"project_slug: 'late' names a folder that has {folder}, which" in tried.stderr
    assert mine.read_text() == "mine"


def test_a_project_can_be_made_in_a_new_repository(tmp_path: Path) -> None:
    (tmp_path / "late" / ".git").mkdir(parents=True)
    arguments = ("--no-input", "--overwrite-if-exists", "project_slug=late")
    assert cookiecutter_command(tmp_path, *arguments).returncode == 0
    assert (tmp_path / "late" / ".git").is_dir()
    assert (tmp_path / "late" / "conf" / "project.yml").is_file()


@pytest.mark.parametrize("text", FINE_TEXTS, ids=ascii)
def test_free_text_arrives_in_every_file_as_it_was_given(text: str, tmp_path: Path) -> None:
    project = bake(tmp_path, project_name=text, description=text, project_slug="late")
    files = {name: project.text(name) for name in WITH_FREE_TEXT if project.has(name)}
    assert_texts(files, text, text)


def test_free_text_goes_only_where_the_tests_look_for_it() -> None:
    """A file that is new here has to be added to WITH_FREE_TEXT, and to `assert_texts`."""
    found = {
        file
        for file in files_below(TEMPLATE)
        if re.search(
            rb"cookiecutter\.(__)?(project_name|description)", (TEMPLATE / file).read_bytes()
        )
    }
    assert found <= set(WITH_FREE_TEXT)


def test_the_summary_prints_where_the_terminal_knows_ascii_only(tmp_path: Path) -> None:
    made = cookiecutter_command(
        tmp_path, "--no-input", f"description={EMOJI}", PYTHONIOENCODING="ascii"
    )
    assert made.returncode == 0, made.stderr
    assert "\\U0001f469\\u200d" in made.stdout


def test_a_refusal_prints_where_the_terminal_knows_ascii_only(tmp_path: Path) -> None:
    tried = cookiecutter_command(
        tmp_path, "--no-input", "project_slug=\u98db", PYTHONIOENCODING="ascii"
    )
    assert tried.returncode == 1
    assert "project_slug: '\\u98db' must be lowercase letters" in tried.stderr


# Any text at all, and texts made of the pieces that break files.
BREAKERS = "\"'\\:#{}[]<>&%$`|>-*!@,=\n\t\r \x00\x85\u2028\u202e\u200d\ufe0f\ufeff\ud800\U000e0001"
MARKS = ["{{", "}}", "{%", "%}", "{#", "#}", '"""', "'''", EMOJI, "late", "flight", "-", "_"]
ANY_TEXT = st.text(st.characters(exclude_categories=())) | st.lists(
    st.sampled_from([*FINE_TEXTS, *BREAKERS, *MARKS]), max_size=6
).map("".join)
LIKELY = {
    "project_slug": st.from_regex(r"[a-z0-9-]{1,26}", fullmatch=True),
    "package_name": st.from_regex(r"[a-z0-9_]{1,32}", fullmatch=True)
    | st.sampled_from(pre_gen.INSTALLED),
    "team_email": st.from_regex(
        r"[a-zA-Z0-9._+-]{1,8}@[a-z0-9.-]{1,8}\.[a-z]{1,4}", fullmatch=True
    ),
    "organization_code": st.from_regex(r"[a-z0-9]{1,7}", fullmatch=True),
    "azure_region": st.sampled_from(pre_gen.REGIONS),
    "_tags": st.from_regex(r"([a-z0-9]{0,3}=[a-zA-Z0-9 ]{0,3},? ?){0,4}", fullmatch=True),
}
ANSWERS = st.fixed_dictionaries(
    {name: ANY_TEXT | LIKELY.get(name, ANY_TEXT) for name in [*TEXT_ANSWERS, "_tags"]}
)


@settings(max_examples=400)
@given(ANSWERS)
def test_what_is_offered_instead_passes(answers: dict[str, str]) -> None:
    tried = default_answers() | answers
    problems = pre_gen.find_problems(tried)
    cured = tried | {problem.answer: problem.instead for problem in problems}
    assert pre_gen.find_problems(cured) == []


@settings(max_examples=200)
@given(ANSWERS)
def test_any_text_is_refused_or_arrives_as_it_was_given(answers: dict[str, str]) -> None:
    """Whatever passes the hook, through Cookiecutter's own rendering and back out of the files."""
    problems = pre_gen.find_problems(default_answers() | answers)
    given_answers = answers | {problem.answer: problem.instead for problem in problems}
    taken, files = rendered(given_answers)
    assert {name: taken[name] for name in given_answers} == given_answers
    assert_texts(files, taken["project_name"], taken["description"])
    config = yaml.safe_load(files["conf/project.yml"])
    assert (config["name"], config["package"]) == (taken["project_slug"], taken["package_name"])
    assert (config["owner"], config["region"]) == (taken["team_email"], taken["azure_region"])
    assert config["organization"] == taken["organization_code"]
    tags = [tag.split("=") for tag in pre_gen.tags_of(taken["_tags"])]
    assert config["tags"] == {
        "project": taken["project_slug"],
        "organization": taken["organization_code"],
        "owner": taken["team_email"],
        "template": "ai-factory",
        "template_version": SETTINGS["__template_version"],
        **{name.strip(): value.strip() for name, value in tags},
    }
    assert_azure_takes(config)


@settings(max_examples=200)
@given(
    st.dictionaries(ANY_TEXT, ANY_TEXT | st.none() | st.booleans() | st.lists(ANY_TEXT), max_size=5)
)
@example({"a": '"""', "b": "\\", "c": '\\"""', "d": "", "e": "'''", "f": '"'})
def test_no_answer_gets_out_of_the_hooks_own_strings(answers: dict[str, Any]) -> None:
    for string in strings_of("pre_gen_project", answers):
        assert json.loads(string) == answers
    if all(is_text(text) for text in map(str, [*answers, *answers.values()])):
        [string] = strings_of("post_gen_project", answers)
        assert post_gen.decoded(string) == {name: str(value) for name, value in answers.items()}


def is_text(text: str) -> bool:
    """Whether it can be written at all; the first hook has refused what cannot."""
    return text.encode("utf-8", errors="ignore").decode("utf-8") == text


def strings_of(name: str, answers: dict[str, Any]) -> list[str]:
    """The strings of a hook that hold the answers, as Cookiecutter and Python make them."""
    source = (ROOT / "hooks" / f"{name}.py").read_text(encoding="utf-8")
    lines = [line for line in source.splitlines() if "{{" in line]  # all of it is slow
    template = create_env_with_context({"cookiecutter": {}}).from_string("\n".join(lines))
    text = template.render(cookiecutter=answers, _cookiecutter=answers)
    nodes = ast.parse(text.encode("utf-8")).body
    return [ast.literal_eval(node.value) for node in nodes if isinstance(node, ast.Assign)]


def test_the_hooks_are_python_as_they_stand_and_hold_no_other_jinja() -> None:
    for path in (ROOT / "hooks").glob("*.py"):
        source = path.read_text(encoding="utf-8")
        compile(source, str(path), "exec")
        openers = re.findall(r"\{[{%#].*", source)
        assert openers
        assert all(opener.endswith(('| tojson }}"""', '| urlencode }}"""')) for opener in openers)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_names_that_are_checked_are_the_names_that_are_written(
    baked: Callable[..., BakedProject], environment: str
) -> None:
    written = baked().yaml("conf/project.yml")["environments"][environment]
    for loose in (
        "resource_group",
        "scoring_identity",
    ):  # 90 and 128 characters: never the tightest
        written.pop(loose)
    assert written == {
        kind.replace(" ", "_"): pre_gen.azure_name(kind, "acme", "flight-delay", environment)
        for kind in pre_gen.AZURE_NAMES
    }


def test_the_tags_that_are_taken_are_the_tags_that_are_written(
    baked: Callable[..., BakedProject],
) -> None:
    assert {*baked().yaml("conf/project.yml")["tags"], "environment"} == set(pre_gen.OWN_TAGS)


def test_the_hook_knows_the_choices_that_are_asked() -> None:
    assert {name: list(values) for name, values in pre_gen.CHOICES.items()} == CHOICES


def test_no_package_can_hide_what_the_project_installs() -> None:
    for path in sorted((TEMPLATE / "requirements").glob("*.in")):
        for name in re.findall(r"^[A-Za-z][\w.-]*", path.read_text(encoding="utf-8"), re.MULTILINE):
            module = re.sub(r"\W", "_", name.lower())
            module = {"scikit_learn": "sklearn", "ruamel_yaml": "ruamel"}.get(module, module)
            assert list(pre_gen.package_rules(module)), f"{module}, from {path.name}"


def test_no_project_can_replace_a_distribution_that_it_installs() -> None:
    for path in sorted((TEMPLATE / "requirements").glob("*.txt")):
        for name in re.findall(
            r"^([A-Za-z][\w.-]*)==", path.read_text(encoding="utf-8"), re.MULTILINE
        ):
            slug = re.sub(r"[_.]", "-", name.lower())
            assert list(pre_gen.slug_rules(slug, "ab")), f"{slug}, from {path.name}"


def test_no_package_can_hide_a_folder_of_the_project() -> None:
    for path in TEMPLATE.iterdir():
        if path.stem.isidentifier() and (path.is_dir() or path.suffix == ".py"):
            assert list(pre_gen.package_rules(path.stem)), path.name


def test_the_questions_explain_themselves() -> None:
    prompts = SETTINGS["__prompts__"]
    assert len(QUESTIONS) <= 14
    assert list(prompts) == QUESTIONS
    for name, values in CHOICES.items():
        assert list(prompts[name]) == ["__prompt__", *values]


def test_the_lists_of_the_hook_are_sorted_and_name_nothing_twice() -> None:
    for names in (pre_gen.REGIONS, pre_gen.INSTALLED, pre_gen.OWN_NAMES):
        assert sorted(set(names)) == names


def test_the_summary_shows_the_answers_that_were_taken_and_what_is_next(tmp_path: Path) -> None:
    answers = ("problemtype=regression", "_tags=data=x")
    made = cookiecutter_command(tmp_path, "--no-input", *answers, PWD=str(tmp_path))
    assert made.returncode == 0, made.stderr
    lines = made.stdout.splitlines()
    assert "had a mistyped name, which Cookiecutter does not report." in lines
    assert "  problem_type       classification" in lines
    assert "  _tags              data=x" in lines
    shown = [line.split()[0] for line in lines if line.startswith("  ")]
    assert shown[: len(QUESTIONS)] == QUESTIONS
    assert lines[-3:] == ["  cd flight-delay", "  make setup", "  make demo"]


def test_the_summary_says_what_a_profile_makes_of_an_answer(tmp_path: Path) -> None:
    made = cookiecutter_command(tmp_path, "--no-input", "profile=laptop")
    assert "  network            none, as profile laptop says\n" in made.stdout
    assert "  serving            online\n" in made.stdout


@pytest.mark.parametrize("policy", ["", "regions: [westeurope]"])
def test_a_factorys_project_says_where_no_policy_has_judged_it(tmp_path: Path, policy: str) -> None:
    file = tmp_path / "policy.yml"
    file.write_text(policy, encoding="utf-8")
    setting = {"AI_FACTORY_POLICY": str(file) if policy else ""}
    made = cookiecutter_command(tmp_path, "--no-input", "profile=factory", **setting)
    assert made.returncode == 0, made.stderr
    assert ("No policy has judged these answers" in made.stdout) == (not policy)


def test_the_summary_names_a_project_made_elsewhere_by_its_whole_path(tmp_path: Path) -> None:
    elsewhere = tmp_path / "else where"
    made = cookiecutter_command(tmp_path, "--no-input", "--output-dir", str(elsewhere), PWD=os.sep)
    assert made.returncode == 0, made.stderr
    [line] = [line for line in made.stdout.splitlines() if line.startswith("  cd ")]
    assert line == f"  cd '{str(elsewhere).lstrip(os.sep)}/flight-delay'"


@given(st.text("ab/._- '\"$`\\;\n\u00e9", min_size=1))
def test_any_path_is_one_word_of_a_shell(path: str) -> None:
    assert shlex.split(post_gen.quoted(path)) == [path]


def test_a_path_that_the_template_does_not_make_is_a_loud_fault(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"A fault of the template.*\.github"):
        post_gen.prune(tmp_path, default_answers())


@cache
def plain() -> tuple[dict[str, Any], dict[str, str]]:
    """What `rendered` makes of the defaults."""
    return rendered({})


def default_answers() -> dict[str, Any]:
    """The context that Cookiecutter makes of the defaults."""
    return dict(plain()[0])


def rendered(answers: dict[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """The context of these answers, and the files that hold free text."""
    context = generate_context(str(REPOSITORY / "cookiecutter.json"), extra_context=answers)
    context["cookiecutter"] = prompt_for_config(context, no_input=True)
    files = {name: template.render(**context) for name, template in templates().items()}
    return context["cookiecutter"], files


@cache
def templates() -> dict[str, Template]:
    """The files that hold free text, as Cookiecutter reads them."""
    env = create_env_with_context({"cookiecutter": {}})
    paths = {name: TEMPLATE / name for name in WITH_FREE_TEXT}
    return {
        name: env.from_string(path.read_text(encoding="utf-8"))
        for name, path in paths.items()
        if path.exists()
    }


def assert_texts(files: dict[str, str], name: str, description: str) -> None:
    """The files say the name and the description, and are not otherwise changed by them."""
    default_files = plain()[1]
    config = yaml.safe_load(files["conf/project.yml"])
    assert (config["title"], config["description"]) == (name, description)
    assert list(config) == list(yaml.safe_load(default_files["conf/project.yml"]))
    if "README.md" in files:
        shown = re.findall(r"<(h1|p)>(.*)</\1>", files["README.md"])
        assert ("h1", name) in [(tag, html.unescape(text)) for tag, text in shown]
        assert ("p", description) in [(tag, html.unescape(text)) for tag, text in shown]
        assert files["README.md"].count("\n") == default_files["README.md"].count("\n")


def assert_azure_takes(config: dict[str, Any]) -> None:
    """The limits of Azure's own documentation, apart from how the hook states them."""
    limits = {
        "resource_group": r"[A-Za-z0-9._()-]{1,90}(?<!\.)",
        "workspace": r"[a-zA-Z0-9][a-zA-Z0-9_-]{2,32}",
        "storage_account": r"[a-z0-9]{3,24}",
        "key_vault": r"(?!.*--)[a-zA-Z][a-zA-Z0-9-]{1,22}[a-zA-Z0-9]",
        "container_registry": r"[a-zA-Z0-9]{5,50}",
        "endpoint": r"[a-zA-Z][a-zA-Z0-9-]{2,31}(?<!-)",
        "scoring_identity": r"[a-zA-Z0-9][a-zA-Z0-9_-]{2,127}",
    }
    assert list(config["environments"]) == list(ENVIRONMENTS)
    for names in config["environments"].values():
        assert list(names) == list(limits)
        for kind, name in names.items():
            assert re.fullmatch(limits[kind], name), (kind, name)
            assert not re.search(r"microsoft|windows|^login", name)
    for name, value in config["tags"].items():
        assert len(name) <= 128
        assert not set(name) & set("<>%&\\?/")
        assert isinstance(value, str)
        assert len(value) <= 256


def left_in(folder: Path) -> list[str]:
    """What is in a folder, apart from the settings that a test put there."""
    given_files = {"replay", "replay.json", "config.yml", "cookiecutters"}
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.relative_to(folder).parts[0] not in given_files
    )
