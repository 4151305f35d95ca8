"""Interval of the largest difference between groups.

The largest of many noisy figures less the smallest is larger than the truth, and a bootstrap of it larger
still: of ten equal groups of 100 rows, a percentile interval never contains the true difference, 0. The
largest of all pairwise differences is therefore estimated by intersection bounds (Chernozhukov, Lee & Rosen
2013, Econometrica 81:667): each pair's difference less its standard error times a quantile of the largest
noise of all pairs is a lower bound, and the highest of these bounds the end of the interval. Above, no such
correction is needed: each pair's own upper end holds for it, and so the highest for the largest difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import norm

from modelyard.evaluation.bootstrap import Interval
from modelyard.modelling.predicting import Floats

DRAWS = 2000


class Estimates(NamedTuple):
    """Figures of groups and their standard errors (groups,)."""

    values: Floats
    errors: Floats


def largest_gap(figures: Sequence[Estimates], confidence: float) -> Interval:
    """Compute the largest difference between two groups, in any of several metrics, and its interval.

    Args:
        figures: of independent groups, by metric; two groups or more.
        confidence: of the interval.
    """
    random = np.random.default_rng(0)
    apart, errors, noise = [], [], []
    for values, standard in figures:
        one, other = np.nonzero(~np.eye(len(values), dtype=bool))
        scale = np.maximum(np.hypot(standard[one], standard[other]), np.finfo(np.float64).tiny)
        drawn = random.normal(size=(DRAWS, len(values))) * standard
        apart.append(values[one] - values[other])
        errors.append(scale)
        noise.append(((drawn[:, one] - drawn[:, other]) / scale).max(axis=1))
    gap, error = np.concatenate(apart), np.concatenate(errors)
    tail = (1 - confidence) / 2
    largest = float(np.quantile(np.max(noise, axis=0), 1 - tail))
    low = float((gap - largest * error).max())
    high = float((gap + float(norm.ppf(1 - tail)) * error).max())
    return Interval(float(gap.max()), max(0.0, low), high)


def smallest_ratio(
    values: Sequence[Floats], logarithms: Sequence[Estimates], confidence: float
) -> Interval:
    """Compute the smallest ratio of two groups, in any of several metrics, and its interval.

    Args:
        values: figures of the groups, by metric; those that are all 0 are equal.
        logarithms: of the same figures, see `largest_gap`.
        confidence: of the interval.
    """
    ratio = min(float(one.min() / one.max()) if one.max() > 0 else 1.0 for one in values)
    gap = largest_gap(logarithms, confidence)
    low, high = np.exp(-gap.high), np.exp(-gap.low)
    return Interval(ratio, min(float(low), ratio), max(float(high), ratio))


def of_shares(share: Floats, rows: Floats) -> Estimates:
    """Estimate shares of rows, with standard errors that are not 0 where a share is 0 or 1.

    A success and a failure are added for the error (Agresti & Caffo 2000, Am. Stat. 54:280).
    """
    near = (share * rows + 1) / (rows + 2)
    return Estimates(share, np.sqrt(near * (1 - near) / (rows + 2)))


def logarithms_of_shares(share: Floats, rows: Floats) -> Estimates:
    """Estimate logarithms of shares, half a row added (Walter 1975, Biometrika 62:371)."""
    found = share * rows + 0.5
    return Estimates(np.log(found / (rows + 0.5)), np.sqrt(1 / found - 1 / (rows + 0.5)))


def logarithms(figures: Estimates) -> Estimates:
    """Estimate logarithms of positive figures by the delta method."""
    values = np.maximum(figures.values, np.finfo(np.float64).tiny)
    return Estimates(np.log(values), figures.errors / values)
