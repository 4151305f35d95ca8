"""A model of the policy's file. hooks/pre_gen_project.py of the template reads the keys about answers."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from modelyard.errors import UsageError
from modelyard.files import read_text
from modelyard.gates import Gates
from modelyard.git import asked, git
from modelyard.policy.signature import VARIABLE as SIGNERS
from modelyard.policy.signature import signer_of
from modelyard.yaml_files import read_model, read_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

VARIABLE = "AI_FACTORY_POLICY"


def _specifier(text: str) -> str:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        SpecifierSet(text)
    except InvalidSpecifier:
        raise ValueError("expected versions such as >=0.1,<1") from None
    return text


def _like(pattern: str) -> AfterValidator:
    # Python's own engine: pydantic's knows no look-ahead.
    def fits(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f"expected text like {pattern}")
        return text

    return AfterValidator(fits)


def _gate(path: str) -> str:
    tried: Any = 1
    for key in reversed(path.split(".")):
        tried = {key: tried}
    try:
        Gates.model_validate(tried)
    except ValidationError as error:
        # A number out of range, or siblings that are missing, are for the project's own file to say.
        other = {"missing", "greater_than", "greater_than_equal", "less_than", "less_than_equal"}
        if any(one["type"] not in other for one in error.errors()):
            raise ValueError(
                "expected the path of a number in conf/gates.yml, such as release.requests"
            ) from None
    return path


Name = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Region = Annotated[str, _like(r"[a-z]+[0-9]?")]
Organization = Annotated[str, _like(r"(?!login$)[a-z]{2,6}")]
Tag = Annotated[str, _like(r"(?i)(?!azure|microsoft|windows)[a-z][a-z0-9_.:-]{0,127}")]
Some = Field(min_length=1)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Choices(_Strict):
    """The values that are allowed, by question. `profile` is asked at generation only: what it decides is asked here."""

    profile: Annotated[list[Literal["team", "laptop", "factory"]], Some] = []
    problem_type: Annotated[list[Literal["classification", "regression"]], Some] = []
    serving: Annotated[list[Literal["online", "batch", "online-and-batch"]], Some] = []
    network: Annotated[list[Literal["public", "managed-vnet", "none"]], Some] = []
    production_data: Annotated[list[Literal["approved-access", "masked-replica"]], Some] = []
    ci_provider: Annotated[list[Literal["github-actions", "azure-devops", "none"]], Some] = []
    release_approval: Annotated[list[Literal["automatic", "model-validator"]], Some] = []


class Classification(_Strict):
    """What a classification of data asks for, besides what is asked of every project.

    Attributes:
        choices: the values that are allowed.
        log_days: how long logs are kept, at least.
    """

    choices: Choices = Choices()
    log_days: Annotated[int, Field(ge=1)] | None = None


class Bound(_Strict):
    """Limits of a value of conf/gates.yml."""

    at_least: float | None = None
    at_most: float | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Bound:
        if self.at_least is None and self.at_most is None:
            raise ValueError("expected at_least or at_most")
        least, most = self.at_least, self.at_most
        if least is not None and most is not None and least > most:
            raise ValueError("expected at_least up to at_most: no value is between them")
        return self


class Exemption(_Strict):
    """A rule that does not hold for a project until a day, that included.

    Attributes:
        rule: as a breach names it, or the beginning of it up to a dot.
        project: `name` of conf/project.yml.
        owner: who answers for it.
    """

    rule: Name
    project: Name
    owner: Name
    until: Annotated[date, Field(strict=False)]
    why: Name


class Policy(_Strict):
    """The policy; a key that is left out asks for nothing.

    Attributes:
        owner: of the rules, but of those in `owners`, which is by rule or its beginning up to a dot.
        sizes: of machines, with * and ?.
        classifications: by the value of the tag `data`.
        gates: by path in conf/gates.yml.
        packages: names that requirements/*.in, conda files and Dockerfiles may ask for, with * and ?.
        toolkit: versions of it.
    """

    owner: Name = "the organization"
    owners: Mapping[str, Name] = {}
    regions: Annotated[list[Region], Some] = []
    organization_codes: Annotated[list[Organization], Some] = []
    required_tags: Annotated[list[Tag], Some] = []
    choices: Choices = Choices()
    sizes: Annotated[list[Name], Some] = []
    classifications: Annotated[Mapping[Name, Classification], Some] = {}
    gates: Mapping[Annotated[str, AfterValidator(_gate)], Bound] = {}
    packages: Annotated[list[Name], Some] = []
    toolkit: Annotated[str, AfterValidator(_specifier)] | None = None
    exceptions: list[Exemption] = []

    @model_validator(mode="after")
    def _names_rules(self) -> Policy:
        known = set(type(self).model_fields) - {"owner", "owners", "exceptions"}
        for rule in (*self.owners, *(one.rule for one in self.exceptions)):
            if rule.partition(".")[0] not in known:
                raise ValueError(f"expected a rule of {', '.join(sorted(known))}, found {rule!r}")
        return self

    def owner_of(self, rule: str) -> str:
        """Return who answers for a rule."""
        fitting = [one for one in self.owners if covers(one, rule)]
        return self.owners[max(fitting, key=len)] if fitting else self.owner


def covers(beginning: str, rule: str) -> bool:
    """Whether a name is that of a rule, or of the group that it belongs to."""
    return f"{rule}.".startswith(f"{beginning}.")


def read_policy(path: Path) -> Policy:
    """Read a policy.

    Raises:
        UsageError: it is missing or broken, or reads differently by YAML 1.1, as the template's hook does.
    """
    policy = read_model(path, Policy, f"{VARIABLE} or --policy names it")
    try:
        older = yaml.safe_load(read_text(path))
    except yaml.YAMLError:
        older = None
    if json.dumps(older, default=str) != json.dumps(read_yaml(path), default=str):
        raise UsageError(
            f"{path}: a value is read differently by YAML 1.1 and 1.2, such as no, 010 or a name with ?; "
            "put it in quotes"
        )
    return policy


class Found(NamedTuple):
    """A policy's file.

    Attributes:
        name: how it is called, with its commit.
        signer: who has signed the commit, or a tag on it; None: that was not checked.
    """

    file: Path
    name: str
    signer: str | None

    def __str__(self) -> str:
        return (
            f"{self.name}, {f'signed by {self.signer}' if self.signer else 'signature not checked'}"
        )


@contextmanager
def policy_file(given: str | None, signers: Path | None = None) -> Iterator[Found | None]:
    """Yield the policy's file, None where there is no policy.

    Args:
        given: a path, or the address of a git repository, `#` and the path in it; None: as
            AI_FACTORY_POLICY says.
        signers: public keys, of which one has to have signed it; None: that is not checked.

    Raises:
        UsageError: keys are given, but no policy.
        CheckFailed: none of them has.
    """
    given = given or os.environ.get(VARIABLE)
    if not given:
        if signers:
            raise UsageError(
                f"--signers or {SIGNERS} has no effect without a policy: give --policy, or set {VARIABLE}"
            )
        yield None
        return
    address, hash_sign, inside = given.rpartition("#")
    if not hash_sign or Path(given).exists():
        path = Path(given)
        version = asked(path.absolute().parent, "log", "-1", "--format=%h", "--", path.name)
        name = f"{path}{f' at commit {version}' if version else ''}"
        yield Found(path, name, signer_of(path, signers) if signers else None)
        return
    with TemporaryDirectory(prefix="policy-") as temporary:
        folder = Path(temporary)
        git(folder, "clone", "-q", "--depth=1", "--", address, "policy")
        version = git(folder / "policy", "log", "-1", "--format=%h").strip()
        path = folder / "policy" / inside
        name = f"{inside} at commit {version}"
        yield Found(path, name, signer_of(path, signers) if signers else None)
