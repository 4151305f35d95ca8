"""Draws the trials of a sweep; the same sweep draws the same trials.

Every number is drawn as a share from 0 to 1, and the distribution's quantile function makes a value of
it, so that each sampler works with each distribution.
"""

from __future__ import annotations

import math
import warnings
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from modelyard.sweeps.model import Sweep
from modelyard.sweeps.search_space import Choice, Value, drawn

if TYPE_CHECKING:
    import optuna

    from modelyard.sweeps.trial import Trial


class Draws:
    """Draws the parameters of one trial after the other.

    Attributes:
        total: number of trials.
    """

    def __init__(self, sweep: Sweep, whole: set[str], study: optuna.Study) -> None:
        self.space = sweep.search_space
        self.whole = whole
        self.study = study
        self.total = sweep.limits.max_total_trials

    @abstractmethod
    def next(self, trials: Sequence[Trial]) -> dict[str, Value] | None:
        """The next trial's parameters, or None while they depend on trials that still run."""

    def _ask(self) -> tuple[optuna.Trial, dict[str, Value]]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trial = self.study.ask()
            points: Mapping[str, float] = {
                name: trial.suggest_categorical(name, list(range(len(distribution.values))))
                if isinstance(distribution, Choice)
                else trial.suggest_float(name, 0.0, 1.0)
                for name, distribution in self.space.items()
            }
        return trial, {
            name: drawn(distribution, points[name], whole=name in self.whole)
            for name, distribution in self.space.items()
        }


class _Independent(Draws):
    """Random and grid sampling: results do not matter."""

    def next(self, trials: Sequence[Trial]) -> dict[str, Value] | None:
        return self._ask()[1]


class _Bayesian(Draws):
    """Bayesian sampling; with n trials at once, trial k depends on the trials before k - n + 1.

    So it does not depend on which of the trials that run side by side ends first.
    """

    def __init__(self, sweep: Sweep, whole: set[str], study: optuna.Study, at_once: int) -> None:
        super().__init__(sweep, whole, study)
        self.at_once = at_once
        self.asked: list[optuna.Trial] = []
        self.told = 0

    def next(self, trials: Sequence[Trial]) -> dict[str, Value] | None:
        known = max(0, len(self.asked) - self.at_once + 1)
        if any(trial.state == "running" for trial in trials[:known]):
            return None
        for number in range(self.told, known):
            self._tell(self.asked[number], trials[number])
        self.told = known
        trial, params = self._ask()
        self.asked.append(trial)
        return params

    def _tell(self, asked: optuna.Trial, outcome: Trial) -> None:
        from optuna.trial import TrialState

        if not math.isfinite(outcome.best):
            self.study.tell(asked, state=TrialState.FAIL)
        elif outcome.state == "completed":
            self.study.tell(asked, outcome.best)
        else:
            asked.report(outcome.best, 0)
            self.study.tell(asked, state=TrialState.PRUNED)


def draws(sweep: Sweep, whole: set[str], at_once: int) -> Draws:
    """Make the sampler of a sweep; the hyperparameters in `whole` are integers."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampling, space = sweep.sampling_algorithm, sweep.search_space
    sampler: optuna.samplers.BaseSampler
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # constant_liar is marked experimental
        if sampling.type == "bayesian":
            sampler = optuna.samplers.TPESampler(seed=sampling.seed, constant_liar=True)
        elif sampling.type == "grid":
            sampler = optuna.samplers.GridSampler(
                {n: list(range(len(d.values))) for n, d in space.items() if isinstance(d, Choice)},
                seed=sampling.seed,
            )
        else:
            sampler = optuna.samplers.RandomSampler(seed=sampling.seed)
    study = optuna.create_study(sampler=sampler)
    if sampling.type == "bayesian":
        return _Bayesian(sweep, whole, study, at_once)
    found = _Independent(sweep, whole, study)
    if sampling.type == "grid":
        sizes = [len(d.values) for d in space.values() if isinstance(d, Choice)]
        found.total = min(found.total, math.prod(sizes))
    elif sampling.rule == "sobol":
        for point in _sobol(sweep):
            study.enqueue_trial(point)
    return found


def _sobol(sweep: Sweep) -> list[dict[str, float]]:
    """Draw points that fill the search space evenly, one per trial."""
    from scipy.stats.qmc import Sobol

    space, count = sweep.search_space, sweep.limits.max_total_trials
    sequence = Sobol(len(space), rng=sweep.sampling_algorithm.seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # any number of trials will do, not only powers of two
        points = sequence.random(count)
    return [
        {
            name: int(share * len(distribution.values))
            if isinstance(distribution, Choice)
            else float(share)
            for (name, distribution), share in zip(space.items(), row, strict=True)
        }
        for row in points
    ]
