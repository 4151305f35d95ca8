"""Content of a model card as plain text, which Markdown and HTML escape where they write it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelyard import console
from modelyard.principles import UNSAID, Principles, Shown, shown
from modelyard.project import Project
from modelyard.reports.card.limits import limits
from modelyard.reports.card.scorecard import STATES, Scorecard, scorecard
from modelyard.reports.facts import (
    SPLITS,
    Facts,
    as_estimate,
    gather,
    outcome,
    signed_estimate,
)
from modelyard.reports.labels import group_metric_label, metric_label, ordered_group_metrics
from modelyard.reports.reading import as_mapping, listed, mapping, records, tidy
from modelyard.reports.sections.data import DROPPED, repeated
from modelyard.reports.sections.fairness import MOST_GROUPS, group_estimate
from modelyard.reports.sections.footprint import footprint
from modelyard.reports.sections.verdict import open_gates
from modelyard.reports.wording import (
    MISSING,
    date,
    estimate,
    finite,
    number,
    percent,
    plain,
    plural,
    text,
)

MOST_FEATURES = 12
OUTCOMES = {"True": "passed", "False": "failed"}
_LIMITS = "Reasons in the evidence to be careful with this model."


@dataclass(frozen=True)
class Table:
    """Rows of plain text below headings; `right` holds the indices of right-aligned columns."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Part:
    """A section: paragraphs, a list of points, a table and smaller sections, each optional."""

    title: str
    paragraphs: Sequence[str] = ()
    points: Sequence[str] = ()
    table: Table | None = None
    parts: Sequence[Part] = ()


@dataclass(frozen=True)
class Card:
    """A model card as plain text."""

    title: str
    status: str
    facts: Sequence[tuple[str, str]]
    score: Scorecard
    parts: Sequence[Part] = ()


def card(
    evidence: Mapping[str, Mapping[str, Any] | None],
    project: Project,
    run: Mapping[str, Any],
    principles: Principles = UNSAID,
) -> Card:
    """Make the content of a card: the same input gives the same card.

    Args:
        evidence: content of the evidence files by kind, as `modelyard.reports.report.render` takes it.
        project: title, description and owner of the model.
        run: facts about the run: run_id, git_commit, mlflow_run_id; all optional.
        principles: what shows that the model keeps to the principles of responsible AI.
    """
    facts = gather(evidence)
    model = mapping(facts.decision, "model")
    version = f", version {plain(model['version'], 30)}" if model.get("version") else ""
    about = as_mapping(tidy(run))
    known = [
        ("Model", f"{plain(model.get('name') or project.model, 80)}{version}"),
        ("Owner", plain(project.owner, 120)),
        ("Run", plain(about.get("run_id"), 80)),
        ("MLflow run", plain(about.get("mlflow_run_id"), 80)),
        ("Commit", plain(about.get("git_commit"), 80)),
    ]
    use, found = _use(facts, project), limits(facts)
    kept = shown(principles, evidence)
    parts = (
        use,
        _data(facts),
        _training(facts),
        _metrics(facts),
        _fairness(facts),
        _explanations(facts),
        _footprint(facts),
        _principles(kept),
        Part("Limits", (_LIMITS,), [plain(limit, 600) for limit in found]),
        _gates(facts),
        _approvals(facts),
    )
    return Card(
        plain(project.title, 120),
        _status(facts),
        [(label, value) for label, value in known if value != MISSING],
        scorecard(facts, " ".join(use.paragraphs[:2]), kept, found),
        [part for part in parts if part is not None],
    )


def _principles(kept: Sequence[Shown]) -> Part:
    rows = [(one.name.capitalize(), STATES[one.is_shown][0], plain(one.said, 600)) for one in kept]
    about = "The principles of responsible AI, and what shows that this version keeps to them."
    return Part("Principles", (about,), table=Table(("Principle", "State", "By"), rows))


def _use(facts: Facts, project: Project) -> Part:
    outputs = {
        "binary": f"whether {facts.target} is {facts.positive}",
        "multiclass": f"which of several classes {facts.target} is",
        "regression": f"the number {facts.target}",
    }
    paragraphs = [project.description] if project.description else []
    if facts.kind in outputs:
        paragraphs.append(f"The model predicts {outputs[facts.kind]}, one row at a time.")
    paragraphs.append(
        "It is meant for rows like those of the data below: from the same source, collected in the "
        "same way, with the columns and ranges of the data contract. It was judged on no others."
    )
    features = [text(f.get("name"), 80) for f in records(facts.training.get("features"))]
    if features:
        paragraphs.append(f"It uses {plural(len(features), 'column')}: {', '.join(features)}.")
    return Part("Intended use", [plain(paragraph, 4000) for paragraph in paragraphs])


def _data(facts: Facts) -> Part | None:
    if not facts.data and not facts.quality:
        return None
    source = mapping(facts.data, "source")
    violations = len(facts.violations)
    points = [
        ("File", source.get("file")),
        ("SHA-256 of the file", source.get("sha256")),
        ("Digest of the rows", facts.data.get("digest")),
        ("Rows in the table", number(facts.quality.get("rows"))),
        (
            "Against the contract",
            "no rule is broken" if not violations else f"{violations} rules are broken",
        ),
        ("Rows left out", _left_out(facts)),
        ("Repeated rows", repeated(facts)),
        ("Split", _split_method(facts)),
        ("Sensitive columns", ", ".join(_sensitive(facts)) or "none is named in the contract"),
    ]
    split = mapping(facts.data, "split")
    rows = [
        (
            name,
            number(part.get("rows")),
            date(part.get("from")) if part.get("from") is not None else MISSING,
            date(part.get("to")) if part.get("to") is not None else MISSING,
            _target_summary(facts, part),
        )
        for name in SPLITS
        if (part := mapping(split, name))
    ]
    table = Table(("Part", "Rows", "From", "To", "Target"), _cells(rows), frozenset({1}))
    return Part(
        "Data",
        points=[
            f"{label}: {plain(value, 300)}"
            for label, value in points
            if value not in (None, "", MISSING)
        ],
        table=table if rows else None,
    )


def _left_out(facts: Facts) -> str:
    """Say which rows of the table were not used, and why."""
    if "dropped" not in facts.data:
        return ""
    found = [
        f"{number(count)} {DROPPED.get(name, name).lower()}"
        for name, count in mapping(facts.data, "dropped").items()
        if finite(count)
    ]
    return ", ".join(found) or "none"


def _how(facts: Facts) -> str:
    """Say how the rows that the models are judged on relate to those they learned from."""
    if not facts.is_out_of_fold:
        return ", on which no model was trained"
    held_out = finite(mapping(facts.evaluation, "judged_on").get("held_out"))
    return (
        f": the {number(held_out)} held-out rows alone are too few (copies count once), so challenger and baseline were fitted again, each time "
        "without the rows that they then predicted"
    )


def _training(facts: Facts) -> Part | None:
    if not facts.training:
        return None
    envelope = facts.envelopes["training"]
    said = [f"{facts.training['algorithm']}."] if facts.training.get("algorithm") else []
    others = [text(one.get("name"), 80) for one in records(facts.training.get("candidates"))]
    if len(others) > 1:
        where = text(facts.training.get("compared_on"), 120)
        chosen = text(facts.training.get("learner"), 80)
        said.append(f"Chosen on {where}: {chosen}, among {', '.join(others)}.")
    iterations = plural(finite(facts.training.get("iterations")) or 0, "iteration")
    ended = {
        "early": f"It has {iterations}: with more, the loss on the validation rows no longer improved.",
        "limit": f"It has {iterations}, the most that the settings allow.",
        "diverged": f"It has {iterations}; training diverged after them.",
    }.get(str(facts.training.get("stopped")))
    said += [ended] if ended else []
    rows = finite(mapping(envelope, "params").get("rows"))
    said += [f"It was fitted on {plural(rows, 'row')}, training and validation."] if rows else []
    metrics = mapping(envelope, "metrics")
    loss = finite(metrics.get("validation_loss"))
    constant = finite(metrics.get("validation_loss_of_constant"))
    if loss is not None and constant:
        less = f"{percent(1 - loss / constant)} less" if loss < constant else "no less"
        said.append(
            f"Before the validation rows were added, its loss on them was {number(loss)}: {less} than "
            f"that of predicting the same for every row ({number(constant)})."
        )
    threshold = finite(facts.training.get("threshold"))
    if threshold is not None:
        said.append(
            f"It says {facts.positive or 'yes'} from a probability of {number(threshold)} on"
            f" ({text(facts.training.get('purpose'), 120)})."
        )
    columns = listed(facts.training.get("left_out"))
    if columns:
        said.append(f"Of the contract's features it does not use {', '.join(map(str, columns))}.")
    if facts.training.get("baseline"):
        said.append(f"The baseline is simpler: {facts.training['baseline']}.")
    said.append("All settings stand in training.json, kept with the model's run.")
    return Part("Training", [plain(sentence, 600) for sentence in said])


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
        f"Measured on {facts.judged_rows() or 'held-out rows'}{_how(facts)}. In brackets: "
        f"{facts.interval}."
    ]
    for name, difference in facts.primary_differences():
        value, interval = signed_estimate(difference)
        spread = f" ({interval})" if interval else ""
        paragraphs.append(
            f"Against {name}, {metric_label(facts.primary)} is {outcome(difference)[0]}: "
            f"{value}{spread}; positive means that this model is better."
        )
    if not mapping(facts.evaluation, "champion").get("version"):
        former = mapping(facts.evaluation, "champion", "former")
        paragraphs.append(
            f"It begins a new line of versions: champion {text(former.get('version'), 30)} is no "
            f"rival, {text(former.get('why'), 400)}."
            if former
            else "There was no champion to compare with when this was measured."
        )
    headings = ("Metric", "Better", *(facts.model_label(model) for model in models))
    right = frozenset(range(2, len(headings)))
    return Part("Metrics", paragraphs, table=Table(headings, _cells(rows), right))


def _fairness(facts: Facts) -> Part | None:
    if not facts.fairness:
        return None
    columns = records(facts.fairness.get("columns"))
    if not columns:
        none = (
            "The data contract names no sensitive column, so groups were not compared. If the model "
            "decides about people, name the columns that describe them."
        )
        return Part("Fairness", (none,))
    least = number(facts.fairness.get("group_rows"))
    lead = (
        f"Figures of each group on {facts.judged_rows() or 'the held-out rows'}. A figure in brackets rests on fewer than {least} "
        "rows: it is shown, and was not judged. Limits differ by use; equal figures do not make a "
        "model fair, and unequal ones ask for a reason."
    )
    notes = [plain(note, 600) for note in listed(facts.decision.get("notes")) if note]
    return Part("Fairness", (lead, *notes), parts=[_groups(facts, column) for column in columns])


def _groups(facts: Facts, column: Mapping[str, Any]) -> Part:
    groups = records(column.get("groups"))
    names = ordered_group_metrics(mapping(groups[0], "metrics") if groups else [])
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
    for name in ordered_group_metrics(disparities):
        label, disparity = group_metric_label(name), as_mapping(disparities[name])
        difference = as_estimate(disparity.get("difference"))
        if difference is None:
            points.append(f"{label}: not judged, fewer than two groups have enough rows")
            continue
        value, interval = estimate(*difference)
        ratio = as_estimate(disparity.get("ratio"))
        parts = [f"{label}: difference {value}"]
        parts += [f"({interval})"] if interval else []
        parts += [f"or {number(difference.value / scale, 2)} standard deviations"] if scale else []
        parts += [f"ratio {number(ratio.value)}"] if ratio is not None else []
        ends = (text(disparity.get(end), 40) for end in ("lowest", "highest"))
        points.append(", ".join([" ".join(parts[:2]), *parts[2:], f"from {' to '.join(ends)}"]))
    if len(groups) > MOST_GROUPS:
        points.append(f"{len(groups) - MOST_GROUPS} smaller groups are in fairness.json")
    headings = ("Group", "Rows", *(group_metric_label(name) for name in names))
    table = Table(headings, _cells(rows), frozenset(range(1, len(headings))))
    return Part(f"Groups of {text(column.get('column'), 80)}", (), points, table)


def _group_cell(metric: str, figure: Mapping[str, Any]) -> str:
    value, interval = group_estimate(metric, figure)
    if value != MISSING and figure.get("judged") is not True:
        return f"({value})"
    return f"{value} ({interval})" if interval else value


def _explanations(facts: Facts) -> Part | None:
    features = facts.ranked_features()
    if not features:
        return None
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
    found = footprint(facts)
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
    return Part("Footprint", (plain(lead),), table=Table(headings, _cells(rows), right))


def _gates(facts: Facts) -> Part | None:
    reasons = records(facts.decision.get("reasons"))
    if not reasons:
        return None
    rows = [
        (
            text(reason.get("gate"), 200),
            text(reason.get("expected"), 200),
            text(reason.get("found"), 300),
            OUTCOMES.get(str(reason.get("passed")), "open"),
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
        return Part("Approvals", ("None yet: nobody has promoted or refused this version.",))
    verb = "promoted to champion" if stage == "promoted" else "refused"
    who, when = plain(decided.get("by"), 120), plain(date(decided.get("at")), 60)
    sentence = f"This version was {verb}"
    sentence += f" by {who}" if who != MISSING else ", by whom is not known"
    sentence += f" on {when}." if when != MISSING else "."
    unjudged = ", ".join(plain(gate, 120) for gate in listed(facts.decision.get("open")))
    if unjudged:
        sentence += f" Not judged: {unjudged}. {plain(open_gates(facts.decision))}"
    return Part("Approvals", (sentence,))


def _status(facts: Facts) -> str:
    verdict, stage = facts.decision.get("verdict"), facts.decision.get("stage")
    unjudged = f": {', '.join(listed(facts.decision.get('open')))}" if verdict == "open" else ""
    if stage == "promoted":
        accepted = f", with gates that could not be judged{unjudged}" if unjudged else ""
        return plain(f"Promoted: this version became the champion{accepted}.", 240)
    if stage == "refused" and not unjudged:
        return "Refused: a gate failed, see below."
    if unjudged:
        who = "Refused" if stage == "refused" else "Challenger"
        return plain(f"{who}: not every gate could be judged{unjudged}.", 240)
    if verdict == "promote":
        return "Challenger: every gate passed; it is not promoted yet."
    if verdict == "refuse":
        return "Challenger: at least one gate failed."
    return "Not judged yet."


def _split_method(facts: Facts) -> str:
    method = mapping(facts.data, "split").get("method")
    return {
        "time": "by time: trained on the past, judged on what came later",
        "stratified": "at random, with the same share of each class",
        "group": f"by {text(mapping(facts.data, 'split').get('group'), 80)}: judged on others than it was trained on",
    }.get(str(method), "at random" if method else "")


def _sensitive(facts: Facts) -> list[str]:
    given = facts.fairness.get("sensitive")
    return [text(name, 80) for name in given] if isinstance(given, list) else []


def _target_summary(facts: Facts, part: Mapping[str, Any]) -> str:
    mean = finite(part.get("target_mean"))
    if mean is not None:
        return f"mean {number(mean)}"
    shares = {text(k, 60): finite(v) for k, v in mapping(part, "class_shares").items()}
    if facts.kind == "binary" and shares.get(facts.positive) is not None:
        return f"{facts.positive}: {percent(shares[facts.positive])}"
    known = sorted(shares.items(), key=lambda pair: (-(pair[1] or 0), pair[0]))
    return console.listed((f"{label}: {percent(share)}" for label, share in known), 4) or MISSING


def _cells(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    return [[plain(cell, 600) for cell in row] for row in rows]
