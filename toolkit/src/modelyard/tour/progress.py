"""Where somebody is on a tour: which steps are done, by what they left behind, and the next one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from modelyard.errors import CheckFailed, UsageError
from modelyard.files import read_json
from modelyard.tour import checks
from modelyard.tour.copying import Tour, program
from modelyard.tour.steps import ROLES, STEPS, why_not, words
from modelyard.yaml_files import did_you_mean

State = Literal["done", "next", "to come", "does not apply"]


@dataclass(frozen=True)
class Place:
    """A step on a tour.

    Attributes:
        found: what it left behind, or why it does not apply.
    """

    step: str
    title: str
    what: str
    command: str
    state: State
    found: str = ""


def known_role(role: str) -> str:
    """Return a role's name.

    Raises:
        UsageError: there is none of the name.
    """
    if role in ROLES:
        return role
    hint = did_you_mean(role, ROLES)
    raise UsageError(f"there is no role `{role}`{hint}; the roles are {', '.join(ROLES)}")


def places(tour: Tour) -> list[Place]:
    """Look at what every step has left behind; what was seen once stays done."""
    given, came, found = words(tour.folder), False, []
    for name in ROLES[tour.role]:
        step = STEPS[name]
        state: State
        reason, before = why_not(tour.folder, step), dict(tour.done)
        if name not in tour.done and step.left and (left := step.left(tour.folder)):
            _record(tour, name, str(left.relative_to(tour.folder)))
        if name in tour.done:
            state, text = "done", tour.done[name]["left"]
        elif reason:
            state, text = "does not apply", reason
        else:
            state, text = "to come" if came else "next", ""
            came = True
        what, command = step.what.format_map(given), step.command.format_map(given)
        command = command.replace("mlops ", f"{program()} ")
        found.append(Place(name, step.title, what, command, state, text))
        if tour.done != before:
            tour.save()
    return found


def answer(tour: Tour, text: str) -> str:
    """Take the answer to the question that comes next; return the step's title.

    Raises:
        UsageError: no question is open, or its evidence is not there yet.
        CheckFailed: it is another answer than the evidence has.
    """
    following = next((one for one in places(tour) if one.state == "next"), None)
    expected = STEPS[following.step].answers if following else None
    if following is None or expected is None:
        what = f"the next step is no question: {following.title}" if following else "it is over"
        raise UsageError(f"nothing is asked now; {what}")
    if (
        following.step == "drift"
        and checks.any_file(tour.folder, ".monitor/*/monitor.json") is None
    ):
        raise UsageError("the monitor has not run yet: mlops monitor")
    right = expected(tour.folder) or {"none"}
    if text.strip() not in right:
        raise CheckFailed(f"not {text.strip()}. {following.what}")
    tour.answers[following.step] = text.strip()
    _record(tour, following.step, f"answered: {text.strip()}")
    tour.save()
    return following.title


def _record(tour: Tour, step: str, left: str) -> None:
    tour.done[step] = {"left": left, "at": datetime.now(UTC).isoformat(timespec="seconds")}


def minutes_to_report(tour: Tour) -> float | None:
    """Compute the minutes from the beginning to the first report; None where there is none."""
    ends = [
        read_json(page.parents[2] / "run.json").get("finished")
        for page in tour.folder.glob(f".runs/*/{checks.REPORT}")
    ]
    known = [end for end in ends if end]
    start = datetime.fromisoformat(tour.started).timestamp()
    return (min(known) - start) / 60 if known else None
