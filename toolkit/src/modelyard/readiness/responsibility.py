"""Who is accountable for a stage, compared with the code owners and the groups of the parameter files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel

from modelyard.files import has_file, read_text
from modelyard.readiness.evidence import Found
from modelyard.yaml_files import parse

# As infra/*.bicepparam names their groups.
GROUPS = {
    "domain-expert": "domainExperts",
    "data-engineer": "dataEngineers",
    "data-scientist": "dataScientists",
    "ai-engineer": "aiEngineers",
    "model-validator": "modelValidators",
    "ml-engineer": "mlEngineers",
}
CODEOWNERS = Path(".github") / "CODEOWNERS"


class Stage(BaseModel):
    """A stage of the lifecycle: letters of RACI by role, the files and the environment it concerns."""

    roles: Mapping[str, str]
    paths: Sequence[str]
    environment: str

    @property
    def accountable(self) -> str:
        """The one role that answers for the stage."""
        [role] = [role for role, letters in self.roles.items() if "A" in letters]
        return role


def stages() -> dict[str, Stage]:
    """Read the table of all projects."""
    content = parse(Path(__file__).with_name("raci.yml").read_text(encoding="utf-8"))
    return {name: Stage.model_validate(one) for name, one in content.items()}


def owners(root: Path) -> Found:
    """Look for a code owner of each accountable role's files, beside the owner of everything."""
    if not (root / ".github").is_dir():
        return Found(
            None, "no CODEOWNERS, which only GitHub reads; Azure DevOps: required reviewers"
        )
    file = root / CODEOWNERS
    lines = read_text(file).splitlines() if has_file(file) else []
    rules = [words for line in lines if len(words := line.partition("#")[0].split()) > 1]
    lacking = {
        path: stage.accountable
        for stage in stages().values()
        for path in stage.paths
        if (root / path).exists() and not _owned(path, rules)
    }
    if not lacking:
        return Found(True, "the files of every stage have an owner of their own")
    said = ", ".join(f"{path} ({role})" for path, role in lacking.items())
    path, role = next(iter(lacking.items()))
    remedy = f"echo '/{path} @ORGANIZATION/{role}s' >> {CODEOWNERS.as_posix()}"
    return Found(None, f"only the owner of everything is asked about {said}", remedy)


def _owned(path: str, rules: Sequence[Sequence[str]]) -> bool:
    """Return whether the last rule for a path is about less than everything."""
    matching = [rule[0] for rule in rules if _matches(rule[0], path)]
    return bool(matching) and matching[-1] not in ("*", "/", "/**", "**")


def _matches(pattern: str, path: str) -> bool:
    wanted = pattern.strip("/").removesuffix("/**").removesuffix("/*")
    return pattern in ("*", "**", "/", "/**") or f"{path.strip('/')}/".startswith(f"{wanted}/")


def groups(root: Path) -> Found:
    """Look for the Entra group of each accountable role in the parameter file of its environment."""
    lacking = []
    for name in ("dev", "prod"):
        file = root / "infra" / f"{name}.bicepparam"
        if not has_file(file):
            return Found(None, f"there is no infra/{name}.bicepparam: nobody has rights by role")
        text = read_text(file)
        given = dict(re.findall(r"^\s*(\w+):\s*'([^']*)'", text, re.MULTILINE))
        wanted = {one.accountable for one in stages().values() if one.environment == name}
        lacking += [
            f"{GROUPS[role]} in {name}" for role in sorted(wanted) if not given.get(GROUPS[role])
        ]
    if not lacking:
        return Found(True, "every accountable role has its group")
    remedy = "az ad group show --group NAME --query id --output tsv"
    return Found(None, f"no group: {', '.join(lacking)} (infra/*.bicepparam)", remedy)
