"""Removes the files that belong to other answers, then says what was made and what comes next.

Everybody who makes a project waits for it: json, re and pathlib would take longer than all it does.
"""

from __future__ import annotations

import os
import sys

# Encoded, an answer is letters, digits and % + - . / _ only, and so stays within the string.
ANSWERS = """{{ cookiecutter | urlencode }}"""

POLICY = "AI_FACTORY_POLICY"
ON_AZURE = ("audit", "deliver", "infra", "rollback", "train")
# (answer, value) -> the paths that go when that is the answer.
GOES = {
    ("serving", "online"): (
        "azureml/endpoints/batch-endpoint.yml",
        "azureml/endpoints/batch-deployment.yml",
    ),
    # The online deployment stays: `mlops serve` and the drill rehearse with its settings.
    ("serving", "batch"): ("azureml/endpoints/online-endpoint.yml",),
    ("__ci_provider", "github-actions"): (".azuredevops", "conf/azure-devops.yml"),
    ("__ci_provider", "azure-devops"): (".github",),
    ("__ci_provider", "none"): (
        ".azuredevops",
        ".github",
        "conf/azure-devops.yml",
        "docs/delivery.md",
    ),
    # Pipelines that need no Azure stay.
    ("__network", "none"): (
        *(f".azuredevops/{name}.yml" for name in ON_AZURE),
        *(
            f".azuredevops/templates/{name}.yml"
            for name in ("azure", "deliver", "environment", "release", "what-if")
        ),
        *(f".github/workflows/{name}.yml" for name in (*ON_AZURE, "infra-deploy", "release")),
        "azureml/jobs",
        "azureml/pipelines/model-test.yml",  # a job of events/
        "azureml/schedules",
        "docs/infrastructure.md",
        "docs/organization.md",
        "events",
        "infra",
        "requirements/events.in",
        "requirements/events.txt",
    ),
}


def decoded(text: str) -> dict[str, str]:
    """The answers in what Jinja's `urlencode` makes of them; what is not text is its `str`."""

    def plain(part: str) -> str:
        head, *escaped = part.replace("+", " ").encode().split(b"%")
        tail = (bytes.fromhex(one[:2].decode()) + one[2:] for one in escaped)
        return b"".join([head, *tail]).decode()

    pairs = (pair.partition("=") for pair in text.split("&") if pair)
    return {plain(name): plain(value) for name, _, value in pairs}


def prune(project: str | os.PathLike[str], answers: dict[str, str]) -> None:
    """Remove from `project` what the answers rule out.

    Raises:
        SystemExit: the table names a path that the template does not make.
    """
    listed = [path for paths in GOES.values() for path in paths]
    if unknown := [path for path in listed if not os.path.lexists(os.path.join(project, path))]:
        sys.exit(
            f"A fault of the template, not of your answers: hooks/post_gen_project.py names "
            f"{', '.join(unknown)}, which the template does not make."
        )
    for (answer, value), paths in GOES.items():
        if answers[answer] == value:
            for path in paths:
                if os.path.lexists(place := os.path.join(project, path)):  # else another answer's
                    remove(place)


def remove(path: str) -> None:
    """Remove a file, a link, or a folder with everything in it."""
    if os.path.isdir(path) and not os.path.islink(path):
        for name in os.listdir(path):
            remove(os.path.join(path, name))
        os.rmdir(path)
    else:
        os.unlink(path)


def summary(project: str, answers: dict[str, str]) -> str:
    """The answers that were taken, and the next three commands."""
    asked = [name for name in answers if not name.startswith("_")]
    if answers["_tags"]:
        asked.append("_tags")
    width = max(map(len, asked))
    name = os.path.basename(project)
    return "\n".join(
        [
            "",
            f"{name} was made from these answers. One that you gave and do not see here",
            "had a mistyped name, which Cookiecutter does not report.",
            "",
            *(f"  {name:<{width}}  {taken(name, answers)}" for name in asked),
            "",
            *unjudged(answers),
            "Next:",
            f"  cd {quoted(shown(project))}",
            "  make setup",
            "  make demo",
        ]
    )


def taken(name: str, answers: dict[str, str]) -> str:
    """An answer, or what the profile makes of it."""
    value = answers.get(f"__{name}", answers[name])
    return value if value == answers[name] else f"{value}, as profile {answers['profile']} says"


def unjudged(answers: dict[str, str]) -> list[str]:
    """That no policy has judged the answers of a factory's project."""
    if answers["profile"] != "factory" or os.environ.get(POLICY):
        return []
    return [f"No policy has judged these answers: {POLICY} does not name one.", ""]


def made_to_compare(project: str, answers: dict[str, str]) -> bool:
    """Whether cruft makes the project for itself: then what is printed would end up in its diff."""
    if "_output_dir" in answers:
        return False
    from tempfile import gettempdir  # slow, and only cruft needs it

    return project.startswith(os.path.join(os.path.realpath(gettempdir()), ""))


def shown(project: str) -> str:
    """The project's path as its maker would type it: relative to the shell's folder if below it."""
    if shell := os.environ.get("PWD"):
        above = os.path.join(os.path.realpath(shell), "")
        if project.startswith(above):
            return project.removeprefix(above).replace(os.sep, "/")
    return project


def quoted(path: str) -> str:
    """A path as one word of a shell."""
    if all(character.isalnum() or character in "/._-" for character in path):
        return path
    return "'" + path.replace("'", "'\"'\"'") + "'"


def main() -> None:
    """Prune the project in the working folder and print the summary."""
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    answers = decoded(ANSWERS)
    project = os.getcwd()
    prune(project, answers)
    if not made_to_compare(project, answers):
        print(summary(project, answers))


if __name__ == "__main__":
    main()
