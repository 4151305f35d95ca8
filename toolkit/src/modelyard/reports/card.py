"""Writes the model card: what a model is for, how it was judged, where its limits are, who approved.

Made from evidence files and conf/project.yml, and from nothing else (after Mitchell et al. 2019,
Model Cards for Model Reporting, FAT*). Markdown and HTML are two spellings of the same content,
which holds plain text only: names from the table and from people are escaped where they are written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelyard.files import write_text
from modelyard.project import Project
from modelyard.reports.card_limits import limits
from modelyard.reports.pages import page
from modelyard.reports.report_evidence import (
    Facts,
    as_estimate,
    as_mapping,
    gather,
    listed,
    mapping,
    metric_label,
    outcome,
    records,
    signed_estimate,
    tidy,
)
from modelyard.reports.report_groups import footprint as footprint_table
from modelyard.reports.report_groups import group_label, ordered, written
from modelyard.reports.wording import (
    MISSING,
    date,
    estimate,
    finite,
    number,
    percent,
    plural,
    setting,
    text,
)

MOST_GROUPS = 24
MOST_FEATURES = 12
# Reorders what stands beside it, in a reader's editor too.
_DIRECTIONS = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_MARKUP = re.compile(r"([\\`*_\[\]<>|~&$])")
_AT_START = re.compile(r"^([#+\-=](?![\d.])|\d+(?=[.)](?:\s|$)))")
_LINKS = re.compile(r"(www)(\.)|(:)(?=//)", re.IGNORECASE)


@dataclass(frozen=True)
class Table:
    """Rows of plain text below headings; `right` names the columns that hold figures."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Part:
    """A section: paragraphs, then points, then a table; any may be missing."""

    title: str
    paragraphs: Sequence[str] = ()
    points: Sequence[str] = ()
    table: Table | None = None
    parts: Sequence[Part] = ()


@dataclass(frozen=True)
class Card:
    """The content of a model card, as plain text."""

    title: str
    status: str
    facts: Sequence[tuple[str, str]]
    parts: Sequence[Part] = field(default_factory=tuple)


def write_card(
    folder: Path,
    evidence: Mapping[str, Mapping[str, Any] | None],
    project: Project,
    run: Mapping[str, Any],
) -> list[Path]:
    """Write card.md and card.html; returns their paths."""
    content = card(evidence, project, run)
    files = {"card.md": markdown(content), "card.html": html(content)}
    for name, made in files.items():
        write_text(folder / name, made)
    return [folder / name for name in files]


def card(
    evidence: Mapping[str, Mapping[str, Any] | None], project: Project, run: Mapping[str, Any]
) -> Card:
    """The card's content: the same input gives the same card.

    Args:
        evidence: by kind, as `mlops.reports.report.render` takes it.
        project: says what the model is for, and whose it is.
        run: what is known of the run: run_id, git_commit, mlflow_run_id; all optional.
    """
    facts = gather({kind: as_mapping(tidy(content)) for kind, content in evidence.items()})
    model = mapping(facts.decision, "model")
    version = f", version {_plain(model['version'], 30)}" if model.get("version") else ""
    about = as_mapping(tidy(run))
    known = [
        ("Model", f"{_plain(model.get('name') or project.model, 80)}{version}"),
        ("Owner", _plain(project.owner, 120)),
        ("Run", _plain(about.get("run_id"), 80)),
        ("MLflow run", _plain(about.get("mlflow_run_id"), 80)),
        ("Commit", _plain(about.get("git_commit"), 80)),
    ]
    parts = (
        _use(facts, project),
        _data(facts),
        _training(facts),
        _metrics(facts),
        _fairness(facts),
        _explanations(facts),
        _footprint(facts),
        Part("Limits", (_LIMITS_LEAD,), [_plain(limit, 600) for limit in limits(facts)]),
        _gates(facts),
        _approvals(facts),
    )
    return Card(
        _plain(project.title, 120),
        _status(facts),
        [(label, said) for label, said in known if said != MISSING],
        [part for part in parts if part is not None],
    )


def markdown(content: Card) -> str:
    """The card as Markdown (CommonMark with GitHub's tables)."""
    lines = [f"# Model card: {_escaped(content.title)}", "", _escaped(content.status), ""]
    lines += [f"- {_escaped(label)}: {_escaped(said)}" for label, said in content.facts] + [""]
    for part in content.parts:
        lines += _markdown_part(part, 2)
    return "\n".join(lines).rstrip() + "\n"


def html(content: Card) -> str:
    """The card as a page that loads nothing from elsewhere and runs no script."""
    return page("card.html.j2", card=content)


_LIMITS_LEAD = "What the evidence itself says against trusting this model blindly."


def _use(facts: Facts, project: Project) -> Part:
    words = {
        "binary": f"whether {facts.target} is {facts.positive}",
        "multiclass": f"which of several classes {facts.target} is",
        "regression": f"the number {facts.target}",
    }
    said = [project.description] if project.description else []
    if facts.kind in words:
        said.append(f"The model predicts {words[facts.kind]}, one row at a time.")
    said.append(
        "It is meant for rows like those of the data below: from the same source, collected in the "
        "same way, with the columns and ranges of the data contract. It was judged on no others."
    )
    features = [text(f.get("name"), 80) for f in records(facts.training.get("features"))]
    if features:
        said.append(f"It sees {plural(len(features), 'column')}: {', '.join(features)}.")
    return Part("Intended use", [_plain(one, 4000) for one in said])


def _data(facts: Facts) -> Part | None:
    if not facts.data and not facts.quality:
        return None
    source = mapping(facts.data, "source")
    violations = len(records(facts.quality.get("violations")))
    points = [
        ("File", source.get("file")),
        ("SHA-256 of the file", source.get("sha256")),
        ("Digest of the rows", facts.data.get("digest")),
        ("Rows in the table", number(facts.quality.get("rows"))),
        (
            "Against the contract",
            "no rule is broken" if not violations else f"{violations} rules are broken",
        ),
        ("Split", _split_words(facts)),
        ("Sensitive columns", ", ".join(_sensitive(facts)) or "none is named in the contract"),
    ]
    split = mapping(facts.data, "split")
    rows = [
        (
            name,
            number(part.get("rows")),
            date(part.get("from")) if part.get("from") is not None else MISSING,
            date(part.get("to")) if part.get("to") is not None else MISSING,
            _target_words(facts, part),
        )
        for name in ("train", "validation", "test")
        if (part := mapping(split, name))
    ]
    table = Table(("Part", "Rows", "From", "To", "Target"), _cells(rows), frozenset({1}))
    return Part(
        "Data",
        points=[f"{label}: {_plain(said, 200)}" for label, said in points if _is_said(said)],
        table=table if rows else None,
    )


def _training(facts: Facts) -> Part | None:
    if not facts.training:
        return None
    params = mapping(facts.envelopes["training"], "params")
    stopped = {
        "early": "It stopped early, when validation no longer improved.",
        "limit": "It ran to its limit of iterations.",
    }.get(str(facts.training.get("stopped")), "")
    said = "Histogram gradient boosting of decision trees"
    iterations = finite(facts.training.get("iterations"))
    said += f", {plural(iterations, 'iteration')}. {stopped}" if iterations else "."
    points = [f"{_plain(key.replace('_', ' '), 60)}: {setting(v)}" for key, v in params.items()]
    threshold = finite(facts.training.get("threshold"))
    if threshold is not None:
        points.append(f"threshold of the positive class: {number(threshold)}")
    return Part("Training", (said.strip(),), points)


def _metrics(facts: Facts) -> Part | None:
    models = facts.models()
    if not models:
        return None
    names = [facts.primary, *(n for n in models.get("challenger", {}) if n != facts.primary)]
    rows = []
    for name in names:
        cells = []
        for metrics in models.values():
            found = metrics.get(name)
            value, interval = estimate(*found) if found is not None else (MISSING, "")
            cells.append(f"{value} ({interval})" if interval else value)
        better = "higher" if facts.higher_is_better(name) else "lower"
        label = f"{metric_label(name)}, decides" if name == facts.primary else metric_label(name)
        rows.append((label, better, *cells))
    paragraphs = [
        f"Measured on {plural(finite(facts.evaluation.get('rows')) or 0, 'held-out row')}, on which "
        f"no model was trained. In brackets: {facts.interval}."
    ]
    for model, name in (("baseline", "the baseline"), ("champion", facts.champion.lower())):
        found = facts.differences(model).get(facts.primary)
        if found is not None:
            value, interval = signed_estimate(found)
            spread = f" ({interval})" if interval else ""
            paragraphs.append(
                f"Against {name}, {metric_label(facts.primary)} is {outcome(found)[0]}: "
                f"{value}{spread}; positive means that this model is better."
            )
    if "champion" not in models:
        paragraphs.append("There was no champion to compare with when this was measured.")
    headings = ("Metric", "Better", *(facts.model_label(model) for model in models))
    right = frozenset(range(2, len(headings)))
    return Part("Metrics", paragraphs, table=Table(headings, _cells(rows), right))


def _fairness(facts: Facts) -> Part | None:
    if not facts.fairness:
        return None
    columns = records(facts.fairness.get("columns"))
    if not columns:
        said = (
            "The data contract names no sensitive column, so groups were not compared. If the model "
            "decides about people, name the columns that describe them."
        )
        return Part("Fairness", (said,))
    least = number(facts.fairness.get("group_rows"))
    lead = (
        f"Figures of each group on the held-out rows. A figure in brackets rests on fewer than {least} "
        "rows: it is shown, and was not judged. Limits differ by use; equal figures do not make a "
        "model fair, and unequal ones ask for a reason."
    )
    notes = [_plain(note, 600) for note in listed(facts.decision.get("notes")) if note]
    return Part("Fairness", (lead, *notes), parts=[_groups(facts, column) for column in columns])


def _groups(facts: Facts, column: Mapping[str, Any]) -> Part:
    groups = records(column.get("groups"))
    names = ordered(mapping(groups[0], "metrics") if groups else [])
    rows = [
        (
            text(group.get("value"), 60),
            number(group.get("rows")),
            *(_group_cell(name, mapping(group, "metrics", name)) for name in names),
        )
        for group in groups[:MOST_GROUPS]
    ]
    points = []
    scale = finite(facts.fairness.get("scale"))
    disparities = mapping(column, "disparities")
    for name in ordered(disparities):
        apart = as_mapping(disparities[name])
        difference = as_estimate(apart.get("difference"))
        if difference is None:
            points.append(
                f"{group_label(name)}: not judged, fewer than two groups have enough rows"
            )
            continue
        value, interval = estimate(*difference)
        ratio = as_estimate(apart.get("ratio"))
        parts = [f"{group_label(name)}: difference {value}"]
        parts += [f"({interval})"] if interval else []
        parts += [f"or {number(difference.value / scale, 2)} standard deviations"] if scale else []
        parts += [f"ratio {number(ratio.value)}"] if ratio is not None else []
        ends = f"from {text(apart.get('lowest'), 40)} to {text(apart.get('highest'), 40)}"
        points.append(", ".join([" ".join(parts[:2]), *parts[2:], ends]))
    if len(groups) > MOST_GROUPS:
        points.append(f"{len(groups) - MOST_GROUPS} smaller groups are in fairness.json")
    headings = ("Group", "Rows", *(group_label(name) for name in names))
    table = Table(headings, _cells(rows), frozenset(range(1, len(headings))))
    return Part(f"Groups of {text(column.get('column'), 80)}", (), points, table)


def _group_cell(metric: str, figure: Mapping[str, Any]) -> str:
    found = as_estimate(figure)
    if found is None or not figure.get("rows"):
        return MISSING
    value = written(metric, found.value)
    if figure.get("judged") is not True:
        return f"({value})"
    known = found.low is not None and found.high is not None
    spread = f" ({written(metric, found.low)} to {written(metric, found.high)})" if known else ""
    return f"{value}{spread}"


def _explanations(facts: Facts) -> Part | None:
    features = [
        (text(feature.get("name"), 80), found)
        for feature in records(facts.importance.get("features"))
        if (found := as_estimate(feature, "importance")) is not None
    ]
    if not features:
        return None
    features.sort(key=lambda feature: (-feature[1].value, feature[0]))
    rows = []
    for name, found in features[:MOST_FEATURES]:
        value, interval = estimate(*found)
        rows.append((name, value, interval or MISSING))
    metric = metric_label(str(facts.importance.get("metric") or facts.primary))
    lead = (
        f"How much {metric} worsens when a column's values are shuffled among the rows. Columns that "
        "say the same share it. This says what the model uses, not what causes the outcome."
    )
    single = "mlops explain --data ROWS says the same of single predictions."
    return Part(
        "Explanations",
        (lead, single),
        table=Table(("Column", "Importance", "Interval"), _cells(rows), frozenset({1, 2})),
    )


def _footprint(facts: Facts) -> Part | None:
    found = footprint_table(facts)
    if found is None:
        return None
    champion = found["champion"]
    rows = [
        (row["label"], row["own"], *((row["other"], row["times"]) if champion else ()))
        for row in found["table"]
    ]
    headings = ("Figure", "Challenger", *((champion, "Growth") if champion else ()))
    where = f" on {found['machine']}" if found["machine"] else ""
    lead = f"Measured{where}, in a process of its own; medians of several rounds."
    right = frozenset(range(1, len(headings)))
    return Part("Footprint", (_plain(lead),), table=Table(headings, _cells(rows), right))


def _gates(facts: Facts) -> Part | None:
    reasons = records(facts.decision.get("reasons"))
    if not reasons:
        return None
    rows = [
        (
            text(reason.get("gate"), 200),
            text(reason.get("expected"), 200),
            text(reason.get("found"), 300),
            "passed" if reason.get("passed") is True else "failed",
        )
        for reason in reasons
    ]
    advice = [
        f"{text(reason.get('gate'), 200)}: {text(reason.get('advice'), 400)}"
        for reason in reasons
        if reason.get("advice")
    ]
    headings = ("Gate", "Expected", "Found", "Result")
    return Part("Gates", points=_cells([advice])[0], table=Table(headings, _cells(rows)))


def _approvals(facts: Facts) -> Part:
    decided = mapping(facts.decision, "decided")
    stage = facts.decision.get("stage")
    if stage not in ("promoted", "refused"):
        said = "None yet: nobody has promoted or refused this version."
        return Part("Approvals", (said,))
    verb = "promoted to champion" if stage == "promoted" else "refused"
    who, when = _plain(decided.get("by"), 120), _plain(date(decided.get("at")), 60)
    said = f"This version was {verb}"
    said += f" by {who}" if who != MISSING else ", by whom is not known"
    said += f" on {when}." if when != MISSING else "."
    return Part("Approvals", (said,))


def _status(facts: Facts) -> str:
    said, stage = facts.decision.get("verdict"), facts.decision.get("stage")
    if stage == "promoted":
        return "Promoted: this version became the champion."
    if stage == "refused":
        return "Refused: a gate said no, see below."
    if said == "promote":
        return "Challenger: every gate says yes; it is not promoted yet."
    if said == "refuse":
        return "Challenger: at least one gate says no."
    return "Not judged yet."


def _split_words(facts: Facts) -> str:
    method = mapping(facts.data, "split").get("method")
    return {
        "time": "by time: trained on the past, judged on what came later",
        "stratified": "at random, with the same share of each class",
    }.get(str(method), "at random" if method else "")


def _sensitive(facts: Facts) -> list[str]:
    given = facts.fairness.get("sensitive")
    return [text(name, 80) for name in given] if isinstance(given, list) else []


def _target_words(facts: Facts, part: Mapping[str, Any]) -> str:
    mean = finite(part.get("target_mean"))
    if mean is not None:
        return f"mean {number(mean)}"
    shares = {text(k, 60): finite(v) for k, v in mapping(part, "class_shares").items()}
    if facts.kind == "binary" and shares.get(facts.positive) is not None:
        return f"{facts.positive}: {percent(shares[facts.positive])}"
    known = sorted(shares.items(), key=lambda pair: (-(pair[1] or 0), pair[0]))
    named = ", ".join(f"{label}: {percent(share)}" for label, share in known[:4])
    return f"{named} and {len(known) - 4} more" if len(known) > 4 else named or MISSING


def _is_said(said: Any) -> bool:
    return said not in (None, "", MISSING)


def _plain(value: Any, limit: int = 160) -> str:
    """One line of text without what would turn its direction."""
    return text(_DIRECTIONS.sub("", value) if isinstance(value, str) else value, limit)


def _cells(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    return [[_plain(cell, 600) for cell in row] for row in rows]


def _markdown_part(part: Part, level: int) -> list[str]:
    lines = [f"{'#' * level} {_escaped(part.title)}", ""]
    for paragraph in part.paragraphs:
        lines += [_escaped(paragraph), ""]
    if part.points:
        lines += [f"- {_escaped(point)}" for point in part.points] + [""]
    if part.table is not None:
        headings = part.table.headings
        marks = ["--:" if at in part.table.right else ":--" for at in range(len(headings))]
        for row in (list(map(_escaped, headings)), marks):
            lines.append(f"| {' | '.join(row)} |")
        lines += [f"| {' | '.join(map(_escaped, row))} |" for row in part.table.rows] + [""]
    for inner in part.parts:
        lines += _markdown_part(inner, level + 1)
    return lines


def _escaped(said: str) -> str:
    """Text that Markdown shows as it is: no markup, no link, no list inside a list."""
    plain = _DIRECTIONS.sub("", " ".join(said.split()))
    escaped = _MARKUP.sub(r"\\\1", plain)
    escaped = _LINKS.sub(lambda m: f"{m[1]}\\{m[2]}" if m[1] else "\\:", escaped)
    found = _AT_START.match(escaped)
    if found is None:
        return escaped
    start = found[1]
    rest = escaped[len(start) :]
    return f"{start}\\{rest}" if start[0].isdigit() else f"\\{start}{rest}"
