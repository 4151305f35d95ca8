"""Pull requests by the programs of the providers: `gh` and `az repos`."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import Any
from urllib.parse import unquote

from modelyard.errors import UsageError
from modelyard.files import parse_answer

_AZURE = re.compile(r"(https?://)(?:[^/@]*@)?(.+)/([^/]+)/_git/([^/]+?)/?")
_AZURE_SSH = re.compile(r"(?:ssh://)?[^@]*@(?:ssh\.dev\.azure\.com|vs-ssh\.visualstudio\.com)[:/]v3/([^/]+)/([^/]+)/([^/]+)")  # fmt: skip


def open_pull_request(address: str, branch: str, title: str, text: str) -> str:
    """Open a pull request for a pushed branch, unless there has been one; return its address.

    Raises:
        UsageError: the program is not installed or not signed in, or the provider refuses.
    """
    if azure := _azure(address):
        organization, project, name = azure
        about = ("--org", organization, "--project", project, "--repository", name)
        source = ("--source-branch", branch)
        found = _ask(
            "az", "repos", "pr", "list", *about, *source, "--status", "all", "--output", "json"
        )
        if not found:
            words = ("--title", title, "--description", text, "--output", "json")
            found = [_ask("az", "repos", "pr", "create", *about, *source, *words)]
        return f"{organization}/{project}/_git/{name}/pullrequest/{found[0]['pullRequestId']}"
    repository = ("--repo", re.sub(r"(?<=://)[^/@]*@", "", address), "--head", branch)
    found = _ask("gh", "pr", "list", *repository, "--state", "all", "--json", "url")
    if found:
        return str(found[0]["url"])
    made = _run("gh", "pr", "create", *repository, "--title", title, "--body", text)
    return made.strip().splitlines()[-1]


def _azure(address: str) -> tuple[str, str, str] | None:
    if found := _AZURE.fullmatch(address):
        return f"{found[1]}{found[2]}", unquote(found[3]), unquote(found[4])
    if found := _AZURE_SSH.fullmatch(address):
        return f"https://dev.azure.com/{found[1]}", unquote(found[2]), unquote(found[3])
    return None


def _ask(*command: str) -> Any:
    return parse_answer(_run(*command), *command[:4])


def _run(*command: str) -> str:
    program = shutil.which(command[0])
    if program is None:
        raise UsageError(f"{command[0]} is not installed, or not on the PATH")
    words = [program, *command[1:]]
    done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        said = (done.stderr + done.stdout).strip()[:400]
        raise UsageError(f"{' '.join(command[:4])} failed: {said}")
    return done.stdout
