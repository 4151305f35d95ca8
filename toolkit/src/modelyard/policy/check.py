"""Checks a project against the policy, from its files as they are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from modelyard.files import has_file, read_text
from modelyard.gates import load_gates
from modelyard.pipelines.azure_kinds import kind_of
from modelyard.policy.documents import Documents
from modelyard.policy.model import Choices, Policy, covers
from modelyard.yaml_files import LocatedMapping, line_of, read_yaml

SIZE_KEYS = ("vm_size", "instance_type")
SIZE = r"(?:standard|basic)_[a-z]{1,3}\d+\w*"
SIZE_PARAMETERS = ("clusterSize", "buildClusterSize")
PLACES = ("location", "trainingLocation", "otherRegions")  # parameters that name regions
CLASSIFICATION = "data"  # the tag
ADDED = ("environment",)  # a tag that the infrastructure adds
ENDPOINTS = {"online": ("online endpoint", "kubernetes endpoint"), "batch": ("batch endpoint",)}
KINDS = ("binary", "multiclass", "regression")
# Lines of requirements that ask for nothing that is not looked at: none, files beside, options that name no package.
_LOOKED_AT = re.compile(
    r"$|(-r|--requirement)[ =]*([\w.-]+\.in|modelyard\.txt)$|-(?!r|-requirement|e|-editable)"
)
_INSTALL = re.compile(r"(?:pip3?|conda|mamba)[ \t]+install\b((?:[^\n&|;\\]|\\\n?)*)")
# Options of pip and conda before a word that names no package.
_TAKES_WORD = {
    "-c",
    "--constraint",
    "-i",
    "--index-url",
    "--extra-index-url",
    "-f",
    "--find-links",
    "-n",
    "-p",
}


@dataclass(frozen=True)
class Breach:
    """A rule that a project does not keep to.

    Attributes:
        file: relative to the project, or the policy's.
        owner: of the rule.
    """

    file: str
    line: int
    rule: str
    message: str
    owner: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.rule}: {self.message} (owner of the rule: {self.owner})"


@dataclass(frozen=True)
class Verdict:
    """Breaches, and those that an exception covers."""

    breaches: tuple[Breach, ...]
    excepted: tuple[Breach, ...]


def check_project(
    root: Path, policy: Policy, file: Path, today: date, documents: Documents | None = None
) -> Verdict:
    """Check a project against the policy.

    Args:
        root: of the project.
        policy: of `file`.
        file: the policy's, which exceptions that have ended are told of.
        today: the day that exceptions are compared with.
        documents: of the project, where they have been read already.

    Raises:
        UsageError: a file of the project cannot be read.
    """
    files = documents or Documents(root)
    name = str(files.project.get("name"))
    found = dict.fromkeys(
        Breach(path.relative_to(root).as_posix(), line, rule, message, policy.owner_of(rule))
        for path, line, rule, message in _findings(files, policy)
    )
    own = [one for one in policy.exceptions if one.project == name]
    running = [one for one in own if one.until >= today]
    ended = [one for one in own if one.until < today]
    lines = read_yaml(file).get("exceptions", []) if ended else []
    breaches: list[Breach] = []
    excepted: list[Breach] = []
    for breach in found:
        covered = any(covers(one.rule, breach.rule) for one in running)
        (excepted if covered else breaches).append(breach)
    for one in ended:
        line = line_of(lines, (policy.exceptions.index(one), "until"))
        message = (
            f"the exception for {name} ended on {one.until}; {one.owner} answers for it: {one.why}"
        )
        breaches.append(Breach(str(file), line, one.rule, message, policy.owner_of(one.rule)))
    return Verdict(tuple(breaches), tuple(excepted))


Finding = tuple[Path, int, str, str]
Value = tuple[Path, int, str | None]  # None: it is no plain value
NOT_JUDGED = "not judged: it is no plain value; write it as one"


def _findings(files: Documents, policy: Policy) -> Iterator[Finding]:
    place = files.root / "conf" / "project.yml"
    if policy.regions:
        region = str(files.project.get("region"))
        given: list[Value] = [(place, files.project.line_of("region"), region)]
        for names in (files.project.get("environments") or {}).values():
            if isinstance(names, LocatedMapping) and "region" in names:
                given.append((place, names.line_of("region"), str(names["region"])))
        given += [one for name in PLACES for one in files.parameter_lists(name)]
        yield from _among("regions", given, policy.regions)
    if policy.organization_codes:
        code = str(files.project.get("organization"))
        line = files.project.line_of("organization")
        yield from _among("organization_codes", [(place, line, code)], policy.organization_codes)
    tags = files.project.get("tags") or {}
    names = {str(one).lower() for one, value in tags.items() if value not in (None, "")}
    for tag in policy.required_tags:
        if tag.lower() not in (*names, *ADDED):
            line = files.project.line_of("tags")
            yield place, line, "required_tags", f"the tag {tag} is missing"
    yield from _choices(files, policy.choices, "choices")
    if policy.sizes:
        named: list[Value] = [
            (p, n, one)
            for p, n, v in files.values(*SIZE_KEYS)
            for one in (v if isinstance(v, list) else [v])
            if isinstance(one, str)
        ]
        of_infra = (one for name in SIZE_PARAMETERS for one in files.parameters(name))
        named += [one for one in of_infra if one[2] is None]  # plain ones are quoted
        named += [
            (p, n, v)
            for p, n, v in files.values("size")
            if isinstance(v, str) and re.fullmatch(SIZE, v, re.IGNORECASE)
        ]
        yield from _among("sizes", [*named, *files.quoted(SIZE)], policy.sizes, patterns=True)
    if policy.classifications:
        yield from _classification(files, policy, tags)
    yield from _gates(files, policy)
    if policy.packages:
        yield from _among("packages", _packages(files), policy.packages, patterns=True)
    if policy.toolkit:
        yield from _toolkit(files.root, policy.toolkit)


def _among(
    rule: str, places: Iterable[Value], allowed: list[str], *, patterns: bool = False
) -> Iterator[Finding]:
    for path, line, value in places:
        if value is None:
            yield path, line, rule, NOT_JUDGED
            continue
        fits = [
            fnmatchcase(value.lower(), one.lower()) if patterns else value == one for one in allowed
        ]
        if not any(fits):
            yield path, line, rule, f"found {value}, expected one of {', '.join(allowed)}"


def _choices(files: Documents, choices: Choices, rule: str) -> Iterator[Finding]:
    asked = choices.model_dump(exclude_defaults=True, exclude={"profile"})
    for question, allowed in asked.items():
        name = f"{rule}.{question}"
        answers = list(_answers(files, question))
        if not answers:
            yield files.root / "conf" / "project.yml", 1, name, "no file of the project says it"
        yield from _among(name, answers, allowed)


def _answers(files: Documents, question: str) -> Iterator[Value]:
    """Find what the project says today, whatever was answered when it was made."""
    root = files.root
    if question in ("network", "production_data"):
        named = {"network": "network", "production_data": "productionData"}
        found = list(files.parameters(named[question]))
        if question == "network" and not has_file(root / "infra" / "main.bicep"):
            found.append((root / "conf" / "project.yml", 1, "none"))
        yield from found
    elif question == "release_approval":
        release = files.gates.get("release") or {}
        line = line_of(files.gates, ("release", "approval"))
        yield root / "conf/gates.yml", line, str(release.get("approval", "automatic"))
    elif question == "problem_type":
        kind = str((files.contract.get("target") or {}).get("kind"))
        value = kind if kind == "regression" else "classification"
        yield root / "conf/contract.yml", line_of(files.contract, ("target", "kind")), value
    elif question == "ci_provider":
        providers = {".github/workflows": "github-actions", ".azuredevops": "azure-devops"}
        used = [(root / one, 1, name) for one, name in providers.items() if (root / one).is_dir()]
        yield from used or [(root / "conf" / "project.yml", 1, "none")]
    else:
        there = {
            kind_of(path, one)
            for path, one in files.azureml.items()
            if isinstance(one, LocatedMapping)
        }
        kinds = [name for name, some in ENDPOINTS.items() if there.intersection(some)]
        if kinds:
            yield root / "azureml/endpoints", 1, "-and-".join(kinds)


def _classification(files: Documents, policy: Policy, tags: Mapping[str, Any]) -> Iterator[Finding]:
    place, line = (
        files.root / "conf" / "project.yml",
        line_of(files.project, ("tags", CLASSIFICATION)),
    )
    known = policy.classifications
    level = next((str(v) for k, v in tags.items() if str(k).lower() == CLASSIFICATION), "")
    if level not in known:
        found = f"found {level}" if level else "it is missing"
        message = (
            f"the tag {CLASSIFICATION} says how the data is classified: {found}, expected one of"
        )
        yield place, line, "classifications", f"{message} {', '.join(known)}"
        return
    rule = f"classifications.{level}"
    yield from _choices(files, known[level].choices, rule)
    least = known[level].log_days
    if least is not None:
        kept = list(files.parameters("logRetentionDays"))
        if not kept:
            yield place, line, f"{rule}.log_days", "no infra/*.bicepparam has logRetentionDays"
        for path, at, days in kept:
            if days is None or not days.isdecimal():
                yield path, at, f"{rule}.log_days", NOT_JUDGED
            elif int(days) < least:
                yield path, at, f"{rule}.log_days", f"found {days}, expected at least {least}"


def _gates(files: Documents, policy: Policy) -> Iterator[Finding]:
    if not policy.gates:
        return
    path = files.root / "conf" / "gates.yml"
    values = load_gates(path).model_dump()
    kind = (files.contract.get("target") or {}).get("kind")
    for gate, bound in policy.gates.items():
        keys = gate.split(".")
        if kind in KINDS and any(one in KINDS and one != kind for one in keys):
            continue  # of another kind of problem
        for where in _overridden(keys, values):
            value = _at(values, where)
            line, rule = line_of(files.gates, where), f"gates.{gate}"
            if value is None and where != keys:
                continue  # the column leaves it to the limits for all
            if not isinstance(value, (int, float)) or isinstance(value, bool):
                yield path, line, rule, f"{'.'.join(where)} is not checked; give it a number"
                continue
            found, expected = f"found {'.'.join(where)}: {value:g}", ""
            if bound.at_least is not None and value < bound.at_least:
                expected = f"at least {bound.at_least:g}"
            elif bound.at_most is not None and value > bound.at_most:
                expected = f"at most {bound.at_most:g}"
            if expected:
                yield path, line, rule, f"{found}, expected {expected}"


def _overridden(keys: list[str], values: Mapping[str, Any]) -> Iterator[list[str]]:
    """Yield the path of a gate, and those by which a column has limits of its own."""
    yield keys
    if keys[0] == "fairness" and keys[1:2] != ["columns"]:
        for column in (values.get("fairness") or {}).get("columns", {}):
            yield ["fairness", "columns", column, *keys[1:]]


def _at(values: Any, keys: Iterable[str]) -> Any:
    for key in keys:
        values = values.get(key) if isinstance(values, Mapping) else None
    return values


def _packages(files: Documents) -> Iterator[tuple[Path, int, str]]:
    for path in sorted((files.root / "requirements").glob("*.in")):
        for number, line in enumerate(read_text(path).splitlines(), 1):
            if name := _package(line):
                yield path, number, name
    for path, at, dependencies in files.values("dependencies"):
        for one in dependencies if isinstance(dependencies, list) else ():
            of_pip = one.get("pip") if isinstance(one, dict) else None
            for text in of_pip if isinstance(of_pip, list) else [one]:
                if isinstance(text, str) and (name := _package(text)):
                    yield path, at, name
    for folder in ("requirements", "azureml"):
        for path in sorted((files.root / folder).rglob("*[Dd]ockerfile")):
            yield from ((path, *one) for one in _installed(read_text(path)))


def _installed(dockerfile: str) -> Iterator[tuple[int, str]]:
    """Yield line and name of the packages that a Dockerfile installs by name; what is locked has its own file."""
    for found in _INSTALL.finditer(re.sub(r"(?m)(^|[ \t])#.*", "", dockerfile)):
        line = dockerfile.count("\n", 0, found.start()) + 1
        before = ""
        for word in found[1].replace("\\\n", " ").split():
            text = word.strip("'\"")
            if before in ("-r", "--requirement"):
                text = "" if text.endswith(".txt") else f"-r {text}"
            elif text.startswith("-") or before in _TAKES_WORD:
                text = ""
            if name := _package(text):
                yield line, name
            before = word


def _package(line: str) -> str | None:
    """Return the name that a line of requirements asks for, as packages are compared; of an address, a path and another file the line."""
    text = re.sub(r"(^|\s)#.*", "", line).strip()
    found = re.match(r"(?:[\w.-]+::)?([A-Za-z0-9][\w.-]*)\s*(?:[\[<>=!~;@]|\s|$)", text)
    if found is None:
        return None if _LOOKED_AT.match(text) else text
    name = re.sub(r"[-_.]+", "-", found[1]).lower()
    return None if name in ("modelyard", "python", "pip") else name


def _toolkit(root: Path, versions: str) -> Iterator[Finding]:
    from packaging.specifiers import SpecifierSet

    path = root / "requirements" / "modelyard.txt"
    for number, text in enumerate(read_text(path).splitlines(), 1):
        if found := re.match(r"modelyard==([^\s;\\]+)", text):
            if not SpecifierSet(versions).contains(found[1], prereleases=True):
                yield path, number, "toolkit", f"found {found[1]}, expected {versions}"
            return
    yield path, 1, "toolkit", f"no version is pinned, expected {versions}"
