"""The evidence of a sweep, sweep.json."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from modelyard.reports.wording import thinned
from modelyard.sweeps.model import Sweep
from modelyard.sweeps.plan import EVIDENCE
from modelyard.sweeps.trial import Trial

POINTS_KEPT = 60  # of a trial's history


def sweep_evidence(sweep: Sweep, trials: Sequence[Trial], best: Trial) -> dict[str, Any]:
    """Build the content of sweep.json, without times.

    Args:
        sweep: the node's fields.
        trials: in the order in which they were drawn.
        best: the one whose outputs are the node's.
    """
    objective = sweep.objective

    def value(loss: float) -> float | None:
        return None if math.isinf(loss) else loss if objective.goal == "minimize" else -loss

    so_far, series = math.inf, []
    for trial in trials:
        so_far = min(so_far, trial.best if trial.state == "completed" else math.inf)
        series.append(value(so_far))
    states = [trial.state for trial in trials]
    policy = sweep.early_termination
    return {
        "evidence": EVIDENCE,
        "params": {
            "primary_metric": objective.primary_metric,
            "goal": objective.goal,
            "sampling_algorithm": sweep.sampling_algorithm.type,
            "seed": sweep.sampling_algorithm.seed,
            "early_termination": policy.type if policy else "none",
        }
        | {f"best.{name}": number for name, number in best.params.items()},
        "metrics": {
            "trials": len(trials),
            "completed": states.count("completed"),
            "stopped": states.count("stopped"),
            "failed": states.count("failed") + states.count("cancelled"),
            "best": value(best.best),
        },
        "tags": {},
        "series": {"best_so_far": series},
        "details": {
            "sweep": sweep.model_dump(mode="json", exclude_none=True),
            "best": best.number,
            "trials": [
                {
                    "number": trial.number,
                    "params": trial.params,
                    "state": trial.state,
                    "best": value(trial.best),
                    "reports": len(trial.losses),
                    "stopped_by": trial.stopped_by,
                    "stopped_at": trial.stopped_at,
                    "history": [
                        [step, value(loss)]
                        for step, loss in thinned(
                            list(zip(trial.steps, trial.losses, strict=True)), POINTS_KEPT
                        )
                    ],
                }
                for trial in trials
            ],
        },
    }
