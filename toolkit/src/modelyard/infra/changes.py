"""What a change of infra/ deploys differently in each environment, told by the compiler without Azure."""

from __future__ import annotations

import re
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

from modelyard.files import read_text
from modelyard.git import git
from modelyard.infra import compiler

PARTS = ("infra", "conf")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def changes(root: Path, base: str) -> dict[str, str]:
    """Return what the compiler says of each parameter file, by its name; an empty text where nothing changes.

    Both are evaluated as an administrator deploys them: with roles, policies and locks.

    Raises:
        UsageError: there is no compiler, or git does not know the commit.
    """
    program = compiler.required()
    _, files = compiler.sources(root / "infra")
    with TemporaryDirectory() as folder:
        before, after = Path(folder) / "before", Path(folder) / "after"
        before.mkdir()
        archive = before / "base.tar"
        held = git(root, "ls-tree", "--name-only", base, *(f"{part}/" for part in PARTS))
        if held:
            there = sorted({line.partition("/")[0] for line in held.splitlines()})
            git(root, "archive", "--format", "tar", "--output", str(archive), base, *there)
            with tarfile.open(archive) as stored:
                stored.extractall(before, filter="data")
        compiler.copy(root, after)
        names = {path.relative_to(root.resolve() / "infra").as_posix() for path in files}
        names |= {path.name for path in (before / "infra").glob("*.bicepparam")}
        with ThreadPoolExecutor(compiler.AT_ONCE) as threads:
            said = threads.map(lambda name: _compared(program, name, before, after), sorted(names))
            return dict(zip(sorted(names), said, strict=True))


def page(found: dict[str, str], base: str) -> str:
    """Return what was found in Markdown."""
    lines = [f"# What this change of infra/ deploys, compared with {base}", ""]
    lines += ["Told by the Bicep compiler, without Azure, with roles, policies and locks.", ""]
    for name, said in found.items():
        lines += [f"## {name}", ""]
        lines += ["```text", said.replace("```", "'''"), "```", ""] if said else ["No change.", ""]
    return "\n".join(lines)


def _compared(program: Path, name: str, before: Path, after: Path) -> str:
    old, new = before / "infra" / name, after / "infra" / name
    if not new.is_file():
        return "the file is removed; what it deployed stays until somebody removes it"
    if not old.is_file():
        return "the file is new"
    for path in (old, new):
        if "asAdministrator" in compiler.declared(path):
            text = read_text(path)
            given = {"asAdministrator": True}
            path.write_text(compiler.with_values(text, given), encoding="utf-8")
    done = compiler.snapshot(program, old, "overwrite")
    written = old.with_suffix(".snapshot.json")
    if done.returncode or not written.is_file():
        return f"not compared: the base cannot be evaluated: {compiler.refusal(done)}"
    new.with_suffix(".snapshot.json").write_bytes(written.read_bytes())
    done = compiler.snapshot(program, new, "validate")
    if done.returncode == 0:
        return ""
    return _COLOUR.sub("", f"{done.stdout}{done.stderr}").strip() or f"exit code {done.returncode}"
