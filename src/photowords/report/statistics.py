"""A study's statistics, as pure functions of numbers.

A **value** belongs to a (concept, seed). The mean is over concepts of the means over seeds, so that a concept with more
finished seeds weighs no more. Intervals are Student's t over the concepts' means. They cover the seeds as well, also
where there is but one, because a trial's noise is its concept's own (``study.grid``): what the seed adds is a part of
how concepts' means differ. Percentile bootstraps over 5 to 12 concepts are too narrow (``benchmarks/coverage.py``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import comb
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

Key = tuple[str, int]
"""(concept, seed)"""
Floats = NDArray[np.float64]

RESAMPLES = 10_000
SEED = 0
LEVEL = (0.025, 0.975)


class Estimate(NamedTuple):
    """A mean (or median) and its 95 % interval over concepts; the ends are NaN where there is but one concept."""

    mean: float
    low: float
    high: float
    concepts: int
    values: int


class Comparison(NamedTuple):
    """An arm's values minus the reference's for the same (concept, seed).

    Attributes:
        difference: of the pairs.
        concepts_won: concepts whose mean difference has the better sign; a tie is not won.
        pairs_won: pairs whose difference has it.
    """

    difference: Estimate
    concepts_won: int
    pairs_won: int


def weights(keys: Sequence[Key]) -> Floats:
    """What each value weighs in the mean over concepts of means over seeds, (n,); they add up to 1."""
    concepts = [concept for concept, _ in keys]
    return np.array([1 / (len(set(concepts)) * concepts.count(concept)) for concept in concepts])


@lru_cache(maxsize=16)
def resampled(keys: tuple[Key, ...]) -> Floats:
    """``weights`` in bootstrap resamples of the concepts, (RESAMPLES, n): a resample's mean is a row times the values.

    For shares of a choice among steps, which have no other interval. The draws depend on the number of concepts alone.
    """
    concepts = list(dict.fromkeys(concept for concept, _ in keys))
    counts = np.random.default_rng(SEED).multinomial(len(concepts), [1 / len(concepts)] * len(concepts), RESAMPLES)
    return counts[:, [concepts.index(concept) for concept, _ in keys]] * weights(keys)


def estimate(values: Mapping[Key, float]) -> Estimate:
    """Mean over concepts and its 95 % interval (Student's t over their means). ``values`` must not be empty."""
    groups: dict[str, list[float]] = {}
    for (concept, _), value in values.items():
        groups.setdefault(concept, []).append(value)
    means = np.array([np.mean(group) for group in groups.values()])
    mean, count = float(means.mean()), len(means)
    half = float("nan") if count == 1 else float(stdtrit(count - 1, LEVEL[1]) * means.std(ddof=1) / count**0.5)
    return Estimate(mean, mean - half, mean + half, count, len(values))


def compare(values: Mapping[Key, float], reference: Mapping[Key, float], direction: str) -> Comparison | None:
    """Paired differences to a reference, over the (concept, seed) that both have; None where there is none.

    ``direction`` is "lower" or "higher": which counts as won.
    """
    differences = {key: value - reference[key] for key, value in values.items() if key in reference}
    if not differences:
        return None
    sign = -1 if direction == "lower" else 1
    means = [np.mean([d for key, d in differences.items() if key[0] == c]) for c in {key[0] for key in differences}]
    won = sum(bool(sign * mean > 0) for mean in means), sum(sign * d > 0 for d in differences.values())
    return Comparison(estimate(differences), *won)


def reach(cost: Sequence[float], loss: Sequence[float], target: float) -> float:
    """The cost at which a curve of losses first is at or below the target; infinite where it never is.

    Between two checkpoints the loss is taken to be linear in log(cost), in cost itself where one of them has cost 0.
    """
    for i, (x, y) in enumerate(zip(cost, loss, strict=True)):
        if y <= target:
            if i == 0:
                return float(x)
            x0, y0 = cost[i - 1], loss[i - 1]
            part = (y0 - target) / (y0 - y)
            return float(x0 * (x / x0) ** part if x0 > 0 else x0 + part * (x - x0))
    return float("inf")


def median(values: Sequence[float]) -> Estimate:
    """The median over concepts and its interval; infinite values are later than any other.

    The interval's ends are values that occur, so that they may be infinite: the nearest pair of order statistics that
    holds the median of any distribution in at least 95 % of samples (Conover 1999, section 3.2). Of fewer than six
    values not even the least and the largest do (94 % for five, 88 % for four); they are taken. ``values`` must not be
    empty.
    """
    array = np.sort(np.asarray(values, dtype=float))
    count, place, below = len(array), 0, 0.5 ** len(array)  # below: the chance that the median lies outside at one end
    while 2 * (below := below + comb(count, place + 1) * 0.5**count) <= 1 - (LEVEL[1] - LEVEL[0]):
        place += 1
    low, high = (np.nan, np.nan) if count == 1 else (array[place], array[count - 1 - place])
    return Estimate(float(np.median(array)), float(low), float(high), count, count)


def balance(points: ArrayLike, directions: Sequence[str], among: ArrayLike | None = None) -> Floats:
    """How well each point does in both of two metrics at once, (n,), from 0 to 1.

    Each metric is scaled to 0 at its worst and 1 at its best over the points ``among`` (n, 2), and the harmonic mean of
    the two is taken: 0 for a point that is worst in either. A metric that does not vary counts as 0.
    """
    signs = np.array([1.0 if direction == "higher" else -1.0 for direction in directions])
    scaled = np.asarray(points, dtype=float) * signs
    all_ = scaled if among is None else np.asarray(among, dtype=float) * signs
    width = np.ptp(all_, axis=0)
    scaled = np.divide(scaled - all_.min(axis=0), width, out=np.zeros_like(scaled), where=width > 0).clip(0, 1)
    total = scaled.sum(axis=1)
    return np.asarray(np.divide(2 * scaled.prod(axis=1), total, out=np.zeros_like(total), where=total > 0))


def spread(values: Mapping[tuple[str, str, str], float], by: int) -> float:
    """Standard deviation over one part of the keys with all others equal: pooled within groups, ddof 1 in each.

    NaN where no group has two values.
    """
    groups: dict[tuple[str, ...], list[float]] = {}
    for key, value in values.items():
        groups.setdefault(key[:by] + key[by + 1 :], []).append(value)
    free = sum(len(group) - 1 for group in groups.values())
    squares = sum(float(np.var(group)) * len(group) for group in groups.values())
    return float(np.sqrt(squares / free)) if free else float("nan")
