"""What a pull request is told of its training: a page in Markdown, and one comment that is kept up to date."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from modelyard.contract.take_sample import ABOUT, Sample
from modelyard.delivery.provider import Provider
from modelyard.errors import UsageError
from modelyard.evidence import Evidence
from modelyard.files import has_file, read_json, write_text
from modelyard.pipelines.store import RunState, all_runs
from modelyard.project import load_project

PAGE = "summary.md"
MARK = "<!-- mlops: {} -->"
OUTCOMES = {True: "✅ yes", False: "❌ no", None: "⚪ not judged"}
VERDICTS = {
    "promote": "✅ Every gate says yes",
    "open": "⚪ A gate could not be judged",
    "refuse": "❌ A gate says no",
}
MOST = 60_000  # characters of a comment; GitHub takes 65,536, Azure DevOps 150,000


def write_summary(root: Path, output: Path, sample: Path | None) -> Path:
    """Write a page about the newest run, and copy its report and card beside it.

    Without a run the page says so: else the comment would stay that of an earlier state of the pull request.
    """
    runs = all_runs(root / ".runs")
    lines = [f"# {load_project(root).title}: the training of this change", ""]
    if sample and has_file(sample / ABOUT):
        lines += [
            f"Trained on the runner, without Azure: {Sample(**read_json(sample / ABOUT))}.",
            "",
        ]
    output.mkdir(parents=True, exist_ok=True)
    if runs:
        lines += _run(runs[0].path, runs[0].state, output)
    else:
        lines += ["❌ **No pipeline has run.** The log of this job says why.", ""]
    write_text(output / PAGE, "\n".join(lines))
    return output / PAGE


def _run(folder: Path, state: RunState, output: Path) -> list[str]:
    decision = folder / "register" / "decision" / "decision.json"
    if state.status == "completed" and has_file(decision):
        lines = _verdict(read_json(decision, Evidence)["details"])
    else:
        lines = [f"❌ **The pipeline `{state.pipeline}` did not complete ({state.status}).**", ""]
        lines += ["| step | |", "| --- | --- |"]
        lines += [f"| {name} | {step.status} |" for name, step in state.steps.items()]
    pages = [folder / "report.html", *sorted((folder / "register" / "page").glob("*.html"))]
    for page in filter(Path.is_file, pages):
        shutil.copyfile(page, output / page.name)
    return [*lines, "", "Report and model card are in the artifact of this job.", ""]


def _verdict(details: dict[str, Any]) -> list[str]:
    lines = [f"**{VERDICTS[details['verdict']]}.**", ""]
    if details["champion"] is None:
        lines += [
            "Not compared with the branch it goes to: no model of that branch was trained here.",
            "",
        ]
    else:
        lines += [
            "Compared with the model that the branch it goes to learns from the same rows.",
            "",
        ]
    lines += ["| gate | expected | found | |", "| --- | --- | --- | --- |"]
    for reason in details["reasons"]:
        cells = [_cell(reason[key]) for key in ("gate", "expected", "found")]
        lines.append(f"| {' | '.join(cells)} | {OUTCOMES[reason['passed']]} |")
    lines += [
        "",
        *(f"- {one['gate']}: {one['advice']}" for one in details["reasons"] if one["advice"]),
    ]
    return lines


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;").replace("@", "&#64;")


def keep_comment(provider: Provider, page: Path, topic: str) -> str:
    """Write a page as a comment on the pull request, over the one of an earlier run of the same topic.

    Returns:
        What was done.

    Raises:
        UsageError: the page is missing, or the job belongs to no pull request.
        CheckFailed: the provider refuses.
    """
    if provider.pull_request is None:
        raise UsageError("this job belongs to no pull request: there is nothing to comment on")
    if not page.is_file():
        raise UsageError(f"{page} does not exist; an earlier step writes it")
    mark = MARK.format(topic)
    text = page.read_text(encoding="utf-8")
    if len(text) > MOST:
        text = text[:MOST] + "\n\n… the rest is in the job summary."
    text = f"{mark}\n{text}"
    for address, old in provider.comments():
        if old.startswith(mark):
            provider.edit(address, text)
            return f"the comment about {topic} is up to date"
    provider.comment(text)
    return f"a comment about {topic} was written"
